"""Reads a Delta table by its log alone, without any program of this repository, and says what it holds.

Arguments: location (`file:///DIRECTORY` or `s3://BUCKET/PREFIX`), endpoint of S3 or `-`, and one of
  numbers   {"rows": ..., "distinct": ..., "sum": ...} of the column n
  nasa      compares with the demo's log
  versions  the number of commits
"""

import io
import json
import pathlib
import sys
import urllib.parse
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq

import nasa_expected
from checks import equal, leave


class Directory:
    """Files below a directory."""

    def __init__(self, location):
        self.root = pathlib.Path(location.removeprefix("file://"))

    def names(self, folder):
        """Names right below a folder."""
        return sorted(path.name for path in (self.root / folder).glob("*"))

    def read(self, path):
        """Bytes of a file."""
        return (self.root / path).read_bytes()


class Bucket:
    """Objects below a prefix."""

    def __init__(self, location, endpoint):
        import boto3

        self.bucket, self.prefix = location.removeprefix("s3://").split("/", 1)
        self.client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")

    def names(self, folder):
        """Names right below a folder."""
        prefix = f"{self.prefix}/{folder}/"
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return sorted(key.removeprefix(prefix) for key in keys if "/" not in key.removeprefix(prefix))

    def read(self, path):
        """Bytes of an object."""
        return self.client.get_object(Bucket=self.bucket, Key=f"{self.prefix}/{path}")["Body"].read()


def live_files(store):
    """Files of the newest version with the values of their partitions, by replaying the log."""
    live = {}
    commits = [name for name in store.names("_delta_log") if name.endswith(".json") and name.removesuffix(".json").isdigit()]
    for expected, name in enumerate(commits):
        equal(int(name.removesuffix(".json")), expected, "commits follow each other")
        for line in store.read(f"_delta_log/{name}").splitlines():
            action = json.loads(line)
            if "add" in action:
                path = urllib.parse.unquote(action["add"]["path"])
                live[path] = action["add"]["partitionValues"]
            elif "remove" in action:
                live.pop(urllib.parse.unquote(action["remove"]["path"]), None)
    return live, len(commits)


def tables(store, live):
    """The rows of each file, with the values of its partitions."""
    for path, values in live.items():
        # without threads of its own: a process that ends while they begin is aborted
        table = pq.ParquetFile(io.BytesIO(store.read(path)), pre_buffer=False).read(use_threads=False)
        for name, value in values.items():
            if name not in table.column_names:
                table = table.append_column(name, pa.array([value] * table.num_rows, pa.string()))
        yield table


def main():
    """Runs the checks of one mode."""
    location, endpoint, mode = sys.argv[1:]
    store = Directory(location) if location.startswith("file://") else Bucket(location, endpoint)
    live, commits = live_files(store)
    if mode == "versions":
        print(json.dumps({"commits": commits, "files": len(live)}))
        return
    if mode == "numbers":
        numbers = [n for table in tables(store, live) for n in table.column("n").to_pylist()]
        print(json.dumps({"rows": len(numbers), "distinct": len(set(numbers)), "sum": sum(numbers)}))
        return
    expected = nasa_expected.rows()
    hosts, codes, rows = Counter(), Counter(), 0
    for table in tables(store, live):
        rows += table.num_rows
        for host, size in zip(table.column("host").to_pylist(), table.column("bytes").to_pylist()):
            hosts[host] += size
        codes.update(int(code) for code in table.column("code").to_pylist())
    equal(rows, len(expected), "rows")
    equal(hosts, nasa_expected.bytes_by_host(expected), "bytes by host")
    equal(codes, Counter(code for _, _, _, code, _ in expected), "rows by code")


main()
leave()
