"""What the demo's log holds, by a parser that shares no code with the program."""

import datetime
import re
from collections import Counter
from pathlib import Path

LOG = Path(__file__).resolve().parents[2] / "flight-server" / "demo" / "nasa_aug01_first20000.log"

_LINE = re.compile(r'^(\S+) \S+ \S+ \[([^\]]+)\] "(.*)" (\d{3}) (\d+|-)$')


def rows():
    """(host, time in seconds since the epoch, request, code, bytes) of each line, in order."""
    parsed = []
    with open(LOG, encoding="ascii", newline="\n") as log:
        for number, line in enumerate(log, start=1):
            match = _LINE.match(line.rstrip("\n"))
            if match is None:
                raise ValueError(f"{LOG}:{number}: not a line of the Common Log Format: {line!r}")
            host, time, request, code, size = match.groups()
            at = datetime.datetime.strptime(time, "%d/%b/%Y:%H:%M:%S %z")
            parsed.append((host, int(at.timestamp()), request, int(code), 0 if size == "-" else int(size)))
    return parsed


def bytes_by_host(parsed):
    """Total bytes of each host."""
    totals = Counter()
    for host, _, _, _, size in parsed:
        totals[host] += size
    return totals


def top_hosts(parsed, count):
    """The hosts with the most bytes: [(host, bytes)]."""
    return sorted(bytes_by_host(parsed).items(), key=lambda entry: -entry[1])[:count]
