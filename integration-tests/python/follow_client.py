"""FOLLOW as ADBC's and pyarrow's users meet it. Arguments: Flight SQL address, stream service's address."""

import json
import sys
import threading

import adbc_driver_flightsql.dbapi as flight_sql
import boto3
import pyarrow
import pyarrow.flight as flight

import checks
from flight_wire import statement

FOLLOW = "follow select host, bytes from nasahttp where host = '{}'"


def put(kinesis, host, numbers):
    records = [{"Data": json.dumps({"host": host, "bytes": number}), "PartitionKey": f"{host}-{number}"} for number in numbers]
    checks.equal(kinesis.put_records(StreamName="nasahttp", Records=records)["FailedRecordCount"], 0, "failed records")


def rows_of(reader, count):
    """Rows until so many have come, without waiting for the stream's end."""
    rows = []
    while len(rows) < count:
        chunk = reader.read_chunk().data
        rows.extend(chunk.to_pylist())
    return sorted(row["bytes"] for row in rows)


def check_pyarrow_gets_rows_before_the_stream_ends(url, kinesis):
    put(kinesis, "arrow.example", range(10))
    with flight.connect(url.replace("grpc://", "grpc+tcp://")) as client:
        info = client.get_flight_info(statement(FOLLOW.format("arrow.example")))
        checks.equal(len(info.endpoints), 1, "endpoints")
        reader = client.do_get(info.endpoints[0].ticket)
        checks.equal(rows_of(reader, 10), list(range(10)), "history")
        for number in range(10, 15):
            put(kinesis, "arrow.example", [number])
            checks.equal(rows_of(reader, 1), [number], "a new row")
        reader.cancel()
        checks.raises((flight.FlightError, pyarrow.ArrowException, StopIteration), lambda: rows_of(reader, 1))


def check_adbc_reads_to_a_limit(url, kinesis):
    put(kinesis, "limit.example", range(5))
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        later = threading.Timer(2, lambda: put(kinesis, "limit.example", range(5, 12)))
        later.start()
        cursor.execute(FOLLOW.format("limit.example") + " limit 8")
        checks.equal(len(cursor.fetchall()), 8, "rows up to the limit")
        later.join()


def check_adbc_gets_rows_as_they_come_and_cancels(url, kinesis):
    put(kinesis, "cancel.example", range(5))
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(FOLLOW.format("cancel.example"))
        reader = cursor.fetch_record_batch()
        rows = 0
        while rows < 5:
            rows += reader.read_next_batch().num_rows
        put(kinesis, "cancel.example", [5])
        while rows < 6:
            rows += reader.read_next_batch().num_rows
        checks.equal(rows, 6, "rows")
        threading.Timer(1, cursor.adbc_cancel).start()

        def rest():
            while True:
                reader.read_next_batch()

        checks.raises(Exception, rest)


def check_what_cannot_be_followed_is_said(url, _):
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        checks.raises(Exception, lambda: cursor.execute("follow select count(*) from nasahttp"), "cannot be followed", "AggregateExec")


if __name__ == "__main__":
    service = boto3.client("kinesis", endpoint_url=sys.argv[2], region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
    checks.run(globals(), sys.argv[1], service)
