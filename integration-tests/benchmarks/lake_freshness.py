"""How long a record takes from its put until readers see it in a lake, under a steady producer.

    python lake_freshness.py --program target/release/shardflight [--seconds 200] [--moto "$(command -v moto_server)"]

A server runs an offload job with `every '5s'` and one with the default, each into a directory and, with moto, into a bucket. One record is put each 100 ms
into one shard; a record is seen when a commit of the Delta log is there whose statistics reach its number. The log is looked at each 100 ms, so a time is up
to that much too long. Needs boto3, and moto[server] for the buckets. Everything listens on loopback; what was started is ended.
"""

import argparse
import base64
import contextlib
import json
import os
import pathlib
import re
import statistics
import subprocess
import tempfile
import threading
import time

import boto3

from services import call, ended, free_port, reaches, stream_of

TABLE = "table: steady\nstream: steady\ncolumns:\n  - { name: n, path: n, type: bigint }\n"
PAUSE = 0.1
JOBS = {"5s": "OPTIONS (every '5s', start 'trim_horizon')", "default": "OPTIONS (start 'trim_horizon')"}
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}


class Directory:
    """The log of a table in a directory."""

    def __init__(self, root):
        self.log = pathlib.Path(root) / "_delta_log"

    def commit(self, version):
        with contextlib.suppress(FileNotFoundError):
            return (self.log / f"{version:020}.json").read_text()
        return None


class Bucket:
    """The log of a table in a bucket."""

    def __init__(self, client, prefix):
        self.client, self.prefix = client, prefix

    def commit(self, version):
        try:
            return self.client.get_object(Bucket="lake", Key=f"{self.prefix}/_delta_log/{version:020}.json")["Body"].read().decode()
        except self.client.exceptions.NoSuchKey:
            return None


def reached(commit):
    """The greatest number among the files that a commit adds; -1 without any."""
    adds = (json.loads(line).get("add") for line in commit.splitlines())
    return max((json.loads(add["stats"])["maxValues"]["n"] for add in adds if add), default=-1)


def watch(log, puts, seen, stop):
    """Notes the time at which each number was seen, until all are or it is told to stop."""
    version, next_number = 0, 0
    while not stop.is_set():
        commit = log.commit(version)
        if commit is None:
            stop.wait(PAUSE)
            continue
        now, version = time.monotonic(), version + 1
        for number in range(next_number, reached(commit) + 1):
            seen.append(now - puts[number])
        next_number = len(seen)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--program", required=True, help="shardflight")
    arguments.add_argument("--moto", help="moto_server; without it only directories are measured")
    arguments.add_argument("--seconds", type=int, default=200, help="for how long records are put")
    options = arguments.parse_args()
    os.environ.update(KEYS)
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kinesis = stack.enter_context(stream_of(options.program, directory / "demo"))
        (directory / "tables").mkdir()
        (directory / "tables/steady.yaml").write_text(TABLE)
        call(kinesis, "CreateStream", {"StreamName": "steady", "ShardCount": 1})
        places = {"directory": f"file://{directory}/lake"}
        lake = {"region": "us-east-1"}
        if options.moto:
            port = free_port()
            moto = stack.enter_context(ended(subprocess.Popen([options.moto, "--host", "127.0.0.1", "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)))
            reaches(("127.0.0.1", port), moto)
            lake["endpoint"] = f"http://127.0.0.1:{port}"
            client = boto3.client("s3", endpoint_url=lake["endpoint"], region_name="us-east-1")
            client.create_bucket(Bucket="lake")
            places["S3 (moto)"] = "s3://lake"
        config = {
            "kinesis": {"endpoint": kinesis, "region": "us-east-1"},
            "data_dir": str(directory / "data"),
            "listen": f"127.0.0.1:{free_port()}",
            "http": f"127.0.0.1:{free_port()}",
            "catalog": {"path": str(directory / "tables")},
            "allow": {"write": list(places.values())},
            "lake": lake,
        }
        (directory / "shardflight.yaml").write_text(json.dumps(config))
        server = stack.enter_context(ended(subprocess.Popen([options.program, "serve", "--config", directory / "shardflight.yaml"], stderr=subprocess.DEVNULL)))
        host, port = config["listen"].split(":")
        reaches((host, int(port)), server)
        logs = {}
        for place, location in places.items():
            for number, (every, more) in enumerate(JOBS.items()):
                name = f"job_{number}_{re.sub('[^a-z]', '', place.lower())}"
                sql = f"CREATE OFFLOAD {name} STORED AS DELTA LOCATION '{location}/{name}' {more} AS SELECT * FROM steady"
                subprocess.run([options.program, "sql", "--url", f"grpc://{config['listen']}", "-e", sql], check=True, stdout=subprocess.DEVNULL)
                logs[place, every] = Directory(directory / "lake" / name) if place == "directory" else Bucket(client, name)
        puts, stop, seen = [], threading.Event(), {which: [] for which in logs}
        watchers = [threading.Thread(target=watch, args=(log, puts, seen[which], stop)) for which, log in logs.items()]
        for watcher in watchers:
            watcher.start()
        until = time.monotonic() + options.seconds
        while time.monotonic() < until:
            data = base64.b64encode(json.dumps({"n": len(puts)}).encode()).decode()
            # before the call: it may be seen before the answer is
            puts.append(time.monotonic())
            call(kinesis, "PutRecord", {"StreamName": "steady", "PartitionKey": "k", "Data": data})
            time.sleep(PAUSE)
        until = time.monotonic() + 120
        while any(len(times) < len(puts) for times in seen.values()) and time.monotonic() < until:
            time.sleep(PAUSE)
        stop.set()
        for watcher in watchers:
            watcher.join()
        for (place, every), times in seen.items():
            if len(times) != len(puts):
                raise SystemExit(f"{place}, {every}: {len(times)} of {len(puts)} records were seen")
            print(f"{place}, every {every}: {len(times)} records, median {statistics.median(times):.1f} s, most {max(times):.1f} s")


if __name__ == "__main__":
    main()
