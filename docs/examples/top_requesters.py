"""Top 5 requesters every minute. Arguments: the server (grpc://host:port), a SQLite file, seconds between increments, increments (0 = for ever)."""

import sqlite3
import sys
import time

import adbc_driver_flightsql.dbapi as flight_sql

url, file, seconds, increments = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
sink = sqlite3.connect(file)
sink.execute("CREATE TABLE IF NOT EXISTS increments (key TEXT PRIMARY KEY)")
sink.execute("CREATE TABLE IF NOT EXISTS totals (host TEXT PRIMARY KEY, requests INTEGER)")
connection = flight_sql.connect(url)  # autocommit is off: a transaction is open
cursor = connection.cursor()
for option, value in {"checkpoint_name": "top_requesters", "checkpoint_mode": "consume", "start": "trim_horizon"}.items():
    cursor.execute(f"SET kinesis.{option} = '{value}'")
done = 0
while increments == 0 or done < increments:
    # the first read fixes the increment: both statements see the same records
    cursor.execute("SELECT _shard_id, max(_row_id) FROM kinesis.default.nasahttp GROUP BY _shard_id ORDER BY _shard_id")
    key = str(cursor.fetchall())
    cursor.execute("SELECT host, count(*) FROM kinesis.default.nasahttp GROUP BY host")
    rows = cursor.fetchall()
    with sink:  # one SQLite transaction: an increment that was written before the last crash is not written again
        if rows and sink.execute("INSERT OR IGNORE INTO increments VALUES (?)", [key]).rowcount:
            upsert = "INSERT INTO totals VALUES (?, ?) ON CONFLICT (host) DO UPDATE SET requests = requests + excluded.requests"
            sink.executemany(upsert, rows)
    connection.commit()
    done += 1
    print(sorted(rows, key=lambda row: (-row[1], row[0]))[:5], flush=True)
    time.sleep(seconds)
