"""The worked example, killed again and again while records are put, loses and doubles nothing.

Arguments: the Flight SQL address (grpc://host:port), the stream service's address, the example's path, a directory.
"""

import collections
import json
import pathlib
import random
import sqlite3
import subprocess
import sys
import threading

import boto3

import checks

HOSTS = [f"host{number}.example" for number in range(7)]
KILLS = 12


def put(kinesis, ledger, random_numbers):
    hosts = [random_numbers.choice(HOSTS) for _ in range(random_numbers.randrange(1, 60))]
    records = [
        {
            "Data": json.dumps({"host": host, "timestamp": "01/Aug/1995:12:00:00 -0400", "request": "GET /", "code": 200, "bytes": 1}),
            "PartitionKey": str(random_numbers.random()),
        }
        for host in hosts
    ]
    checks.equal(kinesis.put_records(StreamName="nasahttp", Records=records)["FailedRecordCount"], 0, "failed records")
    ledger.update(hosts)


def totals(file):
    with sqlite3.connect(file) as sink:
        return dict(sink.execute("select host, requests from totals").fetchall())


def main(url, endpoint, example, directory):
    random_numbers = random.Random(20260824)
    kinesis = boto3.client("kinesis", endpoint_url=endpoint, region_name="us-east-1")
    ledger = collections.Counter()
    file = str(pathlib.Path(directory) / "top_requesters.sqlite")
    committed = 0
    for round_number in range(KILLS):
        put(kinesis, ledger, random_numbers)
        process = subprocess.Popen([sys.executable, example, url, file, "0", "0"], stdout=subprocess.PIPE, text=True)
        # some die before their first increment, some after a few
        timer = threading.Timer(random_numbers.uniform(0.2, 2.5), process.kill)
        timer.start()
        for _ in process.stdout:
            committed += 1
            put(kinesis, ledger, random_numbers)
        process.wait()
        timer.cancel()
        checks.equal(process.returncode, -9, f"round {round_number}")
    # whatever was left open, and then the rest
    subprocess.run([sys.executable, example, url, file, "0", "3"], check=True, stdout=subprocess.DEVNULL)
    checks.equal(totals(file), dict(ledger), "totals")
    print(f"{sum(ledger.values())} records, {committed} increments, {KILLS} kills")
    checks.equal(committed > 0, True, "increments between the kills")


main(*sys.argv[1:])
