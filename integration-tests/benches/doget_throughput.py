"""DoGet over ADBC: Shardflight against ROAPI, the same rows, the same machine, in turn.

    doget_throughput.py --program target/release/shardflight [--roapi PATH] [--rows 10000000] [--runs 5] [--endpoints auto]

The rows have five columns: bigint, timestamp, integer, double, varchar of 22 characters. Shardflight reads them from a stream of its own demonstration and
serves them from what it has decoded; ROAPI (`pip install roapi`) has them as a table in memory. Both results are checked. With --least F it fails unless
Shardflight's median is F times ROAPI's.
"""

import argparse
import datetime
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import adbc_driver_flightsql.dbapi as flight_sql
import boto3
import pyarrow
import pyarrow.parquet

COLUMNS = "id, at, n, x, s"
ROWS_A_RECORD = 10_000
SHARDS = 4
START = datetime.datetime(2024, 1, 1)
TABLE = """table: rows
stream: rows
format: csv
columns:
  - { name: id, type: bigint }
  - { name: at, type: timestamp(us) }
  - { name: n, type: integer }
  - { name: x, type: double }
  - { name: s, type: varchar }
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port, process):
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"{process.args[0]} ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{process.args[0]} does not listen")


def block(first, count):
    """Rows `first` to `first + count` as an Arrow table."""
    ids = pyarrow.array(range(first, first + count), pyarrow.int64())
    base = int(START.replace(tzinfo=datetime.UTC).timestamp() * 1_000_000)
    return pyarrow.table(
        {
            "id": ids,
            "at": pyarrow.array([base + 1000 * i for i in range(first, first + count)], pyarrow.int64()).cast(pyarrow.timestamp("us")),
            "n": pyarrow.array([i % 1_000_003 for i in range(first, first + count)], pyarrow.int32()),
            "x": pyarrow.array([i * 0.5 for i in range(first, first + count)], pyarrow.float64()),
            "s": pyarrow.array([f"{i:022}" for i in range(first, first + count)], pyarrow.string()),
        }
    )


def as_csv(table):
    times = table["at"].cast(pyarrow.string()).to_pylist()
    columns = zip(table["id"].to_pylist(), times, table["n"].to_pylist(), table["x"].to_pylist(), table["s"].to_pylist())
    return "\n".join(f"{i},{at},{n},{x},{s}" for i, at, n, x, s in columns)


def load(kinesis, parquet, rows):
    kinesis.create_stream(StreamName="rows", ShardCount=SHARDS)
    kinesis.get_waiter("stream_exists").wait(StreamName="rows")
    writer = None
    for number, first in enumerate(range(0, rows, ROWS_A_RECORD)):
        table = block(first, min(ROWS_A_RECORD, rows - first))
        writer = writer or pyarrow.parquet.ParquetWriter(parquet, table.schema)
        writer.write_table(table)
        kinesis.put_record(StreamName="rows", PartitionKey=f"key-{number}", Data=as_csv(table).encode())
    writer.close()


def fetch(address, table, headers):
    options = {f"adbc.flight.sql.rpc.call_header.{name}": value for name, value in headers.items()}
    with flight_sql.connect(f"grpc://{address}", db_kwargs=options, autocommit=True) as connection, connection.cursor() as cursor:
        started = time.perf_counter()
        cursor.execute(f"select {COLUMNS} from {table}")
        rows = size = 0
        for batch in cursor.fetch_record_batch():
            rows += batch.num_rows
            size += batch.nbytes
        return time.perf_counter() - started, rows, size


def check(address, table, headers, rows):
    options = {f"adbc.flight.sql.rpc.call_header.{name}": value for name, value in headers.items()}
    with flight_sql.connect(f"grpc://{address}", db_kwargs=options, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"select count(*), sum(id), min(s), max(s) from {table}")
        got, wanted = cursor.fetchone(), (rows, rows * (rows - 1) // 2, f"{0:022}", f"{rows - 1:022}")
        if got != wanted:
            sys.exit(f"{table} at {address} holds {got}, and not {wanted}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--roapi")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--endpoints", default="auto", choices=["auto", "single", "shard"])
    parser.add_argument("--least", type=float)
    arguments = parser.parse_args()

    running = []
    with tempfile.TemporaryDirectory() as scratch:
        try:
            measure(arguments, pathlib.Path(scratch), running)
        finally:
            for process in running:
                process.send_signal(signal.SIGKILL)
                process.wait()


def measure(arguments, scratch, running):
    def start(*command, **more):
        running.append(subprocess.Popen(command, cwd=scratch, stdout=subprocess.DEVNULL, env=environment | more))
        return running[-1]

    aws = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SHARDFLIGHT_"))} | aws
    program = str(pathlib.Path(arguments.program).resolve())
    ports = {name: free_port() for name in ("kinesis", "demo", "demo_http", "flight", "http", "roapi", "roapi_http", "roapi_postgres")}
    place = {name: f"127.0.0.1:{port}" for name, port in ports.items()}

    demo = start(program, "demo", "--listen", place["demo"], "--http", place["demo_http"], "--kinesis", place["kinesis"])
    wait_for(ports["kinesis"], demo)
    kinesis = boto3.client(
        "kinesis", endpoint_url=f"http://{place['kinesis']}", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    load(kinesis, scratch / "rows.parquet", arguments.rows)

    (scratch / "tables").mkdir()
    (scratch / "tables/rows.yaml").write_text(TABLE)
    configuration = {
        "listen": place["flight"],
        "http": place["http"],
        "kinesis": {"region": "us-east-1", "endpoint": f"http://{place['kinesis']}"},
        "catalog": {"path": str(scratch / "tables")},
        "data_dir": str(scratch / "data"),
        "segments": {"path": "none"},
        "reader": {"memory": "8GiB", "calls_per_second": 1000, "bytes_per_second": "1GB"},
    }
    (scratch / "shardflight.yaml").write_text(json.dumps(configuration))
    wait_for(ports["flight"], start(program, "serve", "--config", str(scratch / "shardflight.yaml")))
    headers = {"x-shardflight-timestamp-unit": "declared", "x-shardflight-endpoints": arguments.endpoints, "x-shardflight-freshness": "10m"}
    servers = {"shardflight": (place["flight"], "rows", headers)}
    if arguments.roapi:
        address = ["--addr-flight-sql", place["roapi"], "--addr-http", place["roapi_http"], "--addr-postgres", place["roapi_postgres"]]
        wait_for(ports["roapi"], start(arguments.roapi, *address, "--table", f"rows={scratch / 'rows.parquet'}", RUST_LOG="off"))
        servers["roapi"] = (place["roapi"], "rows", {})

    for address, table, headers in servers.values():
        check(address, table, headers, arguments.rows)
        fetch(address, table, headers)  # warm
    rates = {name: [] for name in servers}
    for run in range(arguments.runs):
        for name, server in servers.items():
            seconds, rows, size = fetch(*server)
            if rows != arguments.rows:
                sys.exit(f"{name}: {rows} rows")
            rates[name].append(rows / seconds)
            print(f"run {run + 1} {name:12} {seconds:8.3f} s {rows / seconds / 1e6:8.2f} Mrows/s {size / seconds / 1e6:8.0f} MB/s", flush=True)
    medians = {name: statistics.median(all_rates) for name, all_rates in rates.items()}
    for name, median in medians.items():
        print(f"median {name:12} {median / 1e6:8.2f} Mrows/s")
    if "roapi" in medians:
        ratio = medians["shardflight"] / medians["roapi"]
        print(f"shardflight / roapi = {ratio:.2f}")
        if arguments.least and ratio < arguments.least:
            sys.exit(f"less than {arguments.least}")


if __name__ == "__main__":
    main()
