"""Rows of a large result over ADBC: Shardflight beside ROAPI, on the same machine, in the same run.

    python throughput.py --program target/release/shardflight --roapi path/to/roapi [--rows 10000000] [--runs 5]

Both serve the same rows of five columns from memory: ROAPI from a Parquet file that it has loaded, Shardflight from the records of a stream, as every
statement after the first reads them. One client process fetches `select *` from each in turn and counts rows; the sum of a column proves that all came.
Needs pyarrow, adbc-driver-flightsql and the two programs. Everything listens on loopback; what was started is ended.
"""

import argparse
import base64
import contextlib
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from services import call, demo_of, ended, free_port, reaches

ROWS_OF_A_RECORD = 5_000
RECORDS_OF_A_CALL = 6
SHARDS = 4
DEFINITION = """\
table: measured
stream: measured
format: ndjson
columns:
  - { name: id, path: id, type: bigint }
  - { name: at, path: at, type: timestamp(us), format: iso8601 }
  - { name: small, path: small, type: integer }
  - { name: ratio, path: ratio, type: double }
  - { name: word, path: word, type: varchar }
"""


def rows(start, count):
    """Rows `start` to `start + count`, the same whenever asked."""
    ids = pa.array(range(start, start + count), pa.int64())
    return pa.table(
        {
            "id": ids,
            "at": pc.cast(pc.add(pc.multiply(ids, 1_000), 1_700_000_000_000_000), pa.timestamp("us")),
            "small": pa.array((i % 1_000 for i in range(start, start + count)), pa.int32()),
            "ratio": pc.divide(pc.cast(ids, pa.float64()), 8.0),
            "word": pa.array(f"word-{i:017d}" for i in range(start, start + count)),
        }
    )


def load(kinesis, count):
    """Puts the rows as records of NDJSON lines."""
    call(kinesis, "CreateStream", {"StreamName": "measured", "ShardCount": SHARDS})
    while call(kinesis, "DescribeStreamSummary", {"StreamName": "measured"})["StreamDescriptionSummary"]["StreamStatus"] != "ACTIVE":
        time.sleep(0.05)
    starts = list(range(0, count, ROWS_OF_A_RECORD))
    for first in range(0, len(starts), RECORDS_OF_A_CALL):
        records = []
        for number, start in enumerate(starts[first : first + RECORDS_OF_A_CALL], first):
            lines = "\n".join(
                f'{{"id":{i},"at":"{at.isoformat()}","small":{small},"ratio":{ratio},"word":"{word}"}}'
                for i, at, small, ratio, word in zip(*(c.to_pylist() for c in rows(start, min(ROWS_OF_A_RECORD, count - start)).columns))
            )
            key = number % SHARDS * (2**128 // SHARDS)
            records.append({"Data": base64.b64encode(lines.encode()).decode(), "PartitionKey": "k", "ExplicitHashKey": str(key)})
        while records:
            reply = call(kinesis, "PutRecords", {"StreamName": "measured", "Records": records})
            records = [record for record, entry in zip(records, reply["Records"]) if entry.get("ErrorCode")]


def fetch(url, statement, count):
    """Seconds and bytes of one whole result."""
    with adbc.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        started = time.perf_counter()
        cursor.execute(statement)
        got, size, total = 0, 0, 0
        for batch in cursor.fetch_record_batch():
            got += batch.num_rows
            size += batch.nbytes
            if batch.num_rows:
                total += batch.column(0)[0].as_py()
        seconds = time.perf_counter() - started
    if got != count:
        sys.exit(f"{url}: {got} rows instead of {count}")
    return seconds, size, total


def proved(url, table, count):
    with adbc.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"select count(*), sum(id), sum(small) from {table}")
        found = tuple(int(value) for value in cursor.fetchone())
    expected = (count, count * (count - 1) // 2, sum(i % 1_000 for i in range(count)))
    if found != expected:
        sys.exit(f"{url}: {found} instead of {expected}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--program", required=True, help="shardflight")
    arguments.add_argument("--roapi", help="roapi; without it only shardflight is measured")
    arguments.add_argument("--rows", type=int, default=10_000_000)
    arguments.add_argument("--runs", type=int, default=5)
    options = arguments.parse_args()
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        said = stack.enter_context(demo_of(options.program, directory / "data"))
        (pathlib.Path(said["tables"]) / "measured.yaml").write_text(DEFINITION)
        started = time.perf_counter()
        load(said["kinesis"], options.rows)
        print(f"put {options.rows} rows in {time.perf_counter() - started:.0f} s", flush=True)
        with adbc.connect(said["flight"], autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("CALL kinesis.system.refresh_catalog()")
        servers = {"shardflight": (said["flight"], "kinesis.default.measured")}
        if options.roapi:
            file = directory / "measured.parquet"
            with pq.ParquetWriter(file, rows(0, 1).schema) as writer:
                for start in range(0, options.rows, 1_000_000):
                    writer.write_table(rows(start, min(1_000_000, options.rows - start)))
            port = free_port()
            command = [options.roapi, "--addr-http", f"127.0.0.1:{free_port()}", "--addr-postgres", f"127.0.0.1:{free_port()}", "--addr-flight-sql", f"127.0.0.1:{port}", "--table", f"measured={file}"]
            roapi = stack.enter_context(ended(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)))
            reaches(("127.0.0.1", port), roapi)
            servers["roapi"] = (f"grpc://127.0.0.1:{port}", "measured")
        for name, (url, table) in servers.items():
            started = time.perf_counter()
            proved(url, table, options.rows)
            print(f"{name}: all rows are there, first statement {time.perf_counter() - started:.1f} s", flush=True)
        seconds = {name: [] for name in servers}
        for _ in range(options.runs + 1):
            for name, (url, table) in servers.items():
                took, size, _ = fetch(url, f"select id, at, small, ratio, word from {table}", options.rows)
                seconds[name].append(took)
                print(f"{name}: {took:.2f} s, {size / took / 1e6:.0f} MB/s, {options.rows / took / 1e6:.2f} million rows/s", flush=True)
        # The first of each warms up.
        medians = {name: statistics.median(taken[1:]) for name, taken in seconds.items()}
        for name, median in medians.items():
            print(f"{name}: median {options.rows / median / 1e6:.2f} million rows/s")
        if "roapi" in medians:
            print(f"shardflight is {medians['roapi'] / medians['shardflight']:.2f} times as fast")


if __name__ == "__main__":
    main()
