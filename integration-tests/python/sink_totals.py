"""Prints what a file of docs/examples/top_requesters.py holds: increments, and requests per host over all of them, as JSON."""

import json
import sqlite3
import sys

sink = sqlite3.connect(sys.argv[1])
if not sink.execute("select 1 from sqlite_master where name = 'top'").fetchone():
    print(json.dumps({"increments": 0, "hosts": {}}))
    sys.exit()
(increments,) = sink.execute("select count(distinct increment) from top").fetchone()
hosts = dict(sink.execute("select host, sum(requests) from top group by host"))
print(json.dumps({"increments": increments, "hosts": hosts}))
