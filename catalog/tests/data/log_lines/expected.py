"""Totals of logs in the common and combined formats, by name of the file, as JSON on stdout."""

import json
import re
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path

LINE = re.compile(rb'(\S+) (\S+) (\S+) \[([^\]]+)\] "(.*)" (\d{3}|-) (\d+|-)(?: "(.*?)" "(.*)")?', re.S)


def totals(path: Path) -> dict:
    lines = [line for line in path.read_bytes().split(b"\n") if line.strip()]
    matches = [LINE.fullmatch(line) for line in lines]
    assert all(matches)
    rows = [match.groups() for match in matches]
    requests = [row[4] for row in rows]
    protocols = [request.rsplit(b" ", 1)[-1] if request.count(b" ") >= 2 else b"" for request in requests]
    return {
        "lines": len(lines),
        "hosts": len({row[0] for row in rows}),
        "seconds": sum(int(datetime.strptime(row[3].decode(), "%d/%b/%Y:%H:%M:%S %z").timestamp()) for row in rows),
        "status": dict(Counter(row[5].decode() for row in rows)),
        "bytes": sum(int(row[6]) for row in rows if row[6] != b"-"),
        "with_bytes": sum(row[6] != b"-" for row in rows),
        "methods": dict(Counter(request.split(b" ")[0].decode() for request in requests)),
        "with_protocol": sum(protocol.startswith(b"HTTP/") for protocol in protocols),
        "with_referer": sum(row[7] not in (None, b"-") for row in rows),
        "user_agents": len({row[8] for row in rows if row[8] not in (None, b"-")}),
    }


print(json.dumps({Path(name).name: totals(Path(name)) for name in sys.argv[1:]}, indent=2, sort_keys=True))
