"""Rows into a Delta table: `shardflight offload run` from a stream, beside delta-rs in Python from Arrow in memory, on the same machine.

    python lake.py --program target/release/shardflight [--rows 4000000] [--moto "$(command -v moto_server)"]

Both write the same rows of five columns, as Parquet with zstd in files of the same size. The offload's time has the stream in it: it reads the records from an
embedded service, parses their JSON and writes; the same statement that only aggregates shows what the first two take. CPU seconds are user and system of the
process that reads and writes, without the stream service. Needs pyarrow, deltalake, adbc-driver-flightsql, boto3, and moto[server] for the bucket.
Everything listens on loopback; what was started is ended.
"""

import argparse
import contextlib
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import pyarrow as pa

from services import demo_of, ended, free_port, reaches
from throughput import DEFINITION, load, rows

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
FILE_MB = 128
QUERY = "select count(*), sum(id), max(at), sum(small), sum(ratio), max(word) from measured"


def used(usage):
    return usage.ru_utime + usage.ru_stime


def delta_rs(location, count, storage):
    """Writes the rows with delta-rs, in this process: wall and CPU seconds, and bytes of Arrow."""
    import deltalake

    step = 250_000
    tables = [rows(start, min(step, count - start)) for start in range(0, count, step)]
    batches = [batch for table in tables for batch in table.combine_chunks().to_batches()]
    reader = pa.RecordBatchReader.from_batches(batches[0].schema, batches)
    started, before = time.perf_counter(), used(resource.getrusage(resource.RUSAGE_SELF))
    deltalake.write_deltalake(
        location,
        reader,
        storage_options=storage,
        target_file_size=FILE_MB * 1_000_000,
        writer_properties=deltalake.WriterProperties(compression="ZSTD", compression_level=1),
    )
    wall, cpu = time.perf_counter() - started, used(resource.getrusage(resource.RUSAGE_SELF)) - before
    print(json.dumps({"wall": wall, "cpu": cpu, "bytes": sum(batch.nbytes for batch in batches)}))


def run(command):
    """Output, wall and CPU seconds of a process from its start to its end."""
    started = time.perf_counter()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command}: {process.returncode}")
    return text, time.perf_counter() - started, used(usage)


def cpu_of(pid):
    """User and system seconds of a running process."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def proved(location, storage, count):
    """All rows are in the table, each once."""
    import deltalake
    import pyarrow.compute as pc

    table = deltalake.DeltaTable(location, storage_options=storage).to_pyarrow_table(columns=["id", "small"])
    found = table.num_rows, pc.count_distinct(table["id"]).as_py(), pc.sum(table["id"]).as_py(), pc.sum(table["small"]).as_py()
    expected = count, count, count * (count - 1) // 2, sum(i % 1_000 for i in range(count))
    if found != expected:
        sys.exit(f"{location}: {found} instead of {expected}")


def show(what, count, size, wall, cpu):
    print(f"{what}: {wall:.1f} s, {count / wall / 1e3:.0f} thousand rows/s, {cpu:.1f} CPU s, {cpu / (size / 1e9):.1f} CPU s per GB of Arrow", flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--program", help="shardflight")
    arguments.add_argument("--rows", type=int, default=4_000_000)
    arguments.add_argument("--moto", help="moto_server; without it only a directory is measured")
    arguments.add_argument("--bucket-first", action="store_true", help="write into the bucket before the directory: what comes second may find less memory at hand")
    arguments.add_argument("--delta-rs", nargs=2, metavar=("LOCATION", "STORAGE"), help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.delta_rs:
        return delta_rs(options.delta_rs[0], options.rows, json.loads(options.delta_rs[1]))
    os.environ.update(KEYS)
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        said = stack.enter_context(demo_of(options.program, directory / "demo"))
        load(said["kinesis"], options.rows)
        (directory / "tables/offloads").mkdir(parents=True)
        (directory / "tables/measured.yaml").write_text(DEFINITION)
        places = {"a directory": (f"file://{directory}/lake", {})}
        lake = {"region": "us-east-1"}
        if options.moto:
            port = free_port()
            command = [options.moto, "--host", "127.0.0.1", "--port", str(port)]
            moto = stack.enter_context(ended(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)))
            reaches(("127.0.0.1", port), moto)
            import boto3

            endpoint = f"http://127.0.0.1:{port}"
            boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="lake")
            lake["endpoint"] = endpoint
            places["S3 (moto)"] = "s3://lake", {"AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
        config = {
            "kinesis": {"endpoint": said["kinesis"], "region": "us-east-1"},
            "data_dir": str(directory / "data"),
            "listen": f"127.0.0.1:{free_port()}",
            "http": f"127.0.0.1:{free_port()}",
            "catalog": {"path": str(directory / "tables")},
            "allow": {"write": [location for location, _ in places.values()]},
            "reader": {"calls_per_second": 1000, "bytes_per_second": "10GB"},
            "lake": lake,
        }
        file = directory / "shardflight.yaml"
        file.write_text(json.dumps(config))
        jobs = {}
        for number, (place, (location, _)) in enumerate(places.items()):
            name = f"job_{number}"
            job = {"offload": name, "id": f"{number:032}", "table_schema": "default", "table": "measured", "format": "delta", "location": f"{location}/ours",
                   "query": "SELECT * FROM measured", "schema": "default", "principal": "", "paused": True,
                   "options": {"start": "trim_horizon", "target_file": f"{FILE_MB}MB"}}
            (directory / f"tables/offloads/{name}.yaml").write_text(json.dumps(job))
            jobs[place] = name
        written = {}
        for place, (location, storage) in places.items():
            command = [sys.executable, __file__, "--rows", options.rows, "--delta-rs", f"{location}/theirs", json.dumps(storage)]
            written[place] = json.loads(run(command)[0])
        size = next(iter(written.values()))["bytes"]
        print(f"{options.rows} rows, {size / 1e6:.0f} MB of Arrow")
        server = stack.enter_context(ended(subprocess.Popen([options.program, "serve", "--config", file], stderr=subprocess.DEVNULL)))
        host, port = config["listen"].split(":")
        reaches((host, int(port)), server)
        before, started = cpu_of(server.pid), time.perf_counter()
        subprocess.run([options.program, "sql", "--url", f"grpc://{config['listen']}", "-e", QUERY], check=True, stdout=subprocess.DEVNULL)
        show("reading and decoding alone", options.rows, size, time.perf_counter() - started, cpu_of(server.pid) - before)
        # its checkpoints, and the segments that it keeps, are for one process at a time
        server.terminate()
        server.wait()
        for place, (location, storage) in list(places.items())[:: -1 if options.bucket_first else 1]:
            config["data_dir"] = str(directory / f"data-{jobs[place]}")
            file.write_text(json.dumps(config))
            text, wall, cpu = run([options.program, "offload", "run", jobs[place], "--config", file])
            print(text.strip())
            show(f"offload into {place}", options.rows, size, wall, cpu)
            show(f"delta-rs into {place}", options.rows, size, written[place]["wall"], written[place]["cpu"])
            for table in ("ours", "theirs"):
                proved(f"{location}/{table}", storage, options.rows)


if __name__ == "__main__":
    main()
