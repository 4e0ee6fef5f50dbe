"""Records that any AWS SDK puts are in the next statement, and in no snapshot from before. Arguments: Flight SQL address, stream service's address."""

import json
import sys

import boto3
import pyarrow.flight as flight

import checks
from flight_wire import statement, with_headers

COUNT = "select count(*) as n, sum(bytes) as s from nasahttp where host = '{}'"
PER_SHARD = with_headers(endpoints="shard")


def table(client, sql, options=None):
    info = client.get_flight_info(statement(sql), options or flight.FlightCallOptions())
    return [client.do_get(endpoint.ticket).read_all() for endpoint in info.endpoints]


def put(kinesis, host, count):
    records = [
        {
            "Data": json.dumps({"host": host, "timestamp": "01/Aug/1995:12:00:00 -0400", "request": f"GET /{number}", "code": 200, "bytes": number}),
            "PartitionKey": f"{host}-{number}",
        }
        for number in range(count)
    ]
    answer = kinesis.put_records(StreamName="nasahttp", Records=records)
    checks.equal(answer["FailedRecordCount"], 0, "failed records")


def check_the_next_statement_sees_what_was_put(client, kinesis):
    for round_number in range(1, 11):
        put(kinesis, "put.example", 20)
        checks.equal(table(client, COUNT.format("put.example"))[0].to_pylist(), [{"n": 20 * round_number, "s": 190 * round_number}], f"round {round_number}")


def check_a_snapshot_does_not(client, kinesis):
    put(kinesis, "snapshot.example", 30)
    info = client.get_flight_info(statement("select _shard_id, request from nasahttp where host = 'snapshot.example'"), PER_SHARD)
    before = [client.do_get(endpoint.ticket).read_all() for endpoint in info.endpoints]
    checks.equal(sum(part.num_rows for part in before), 30, "rows")
    put(kinesis, "snapshot.example", 40)
    checks.equal(table(client, COUNT.format("snapshot.example"))[0].to_pylist()[0]["n"], 70, "rows of a new statement")
    after = [client.do_get(endpoint.ticket).read_all() for endpoint in info.endpoints]
    checks.equal([one.equals(other) for one, other in zip(before, after)], [True] * len(before), "old tickets give the old rows")


def check_bad_records_are_rows_that_say_so(client, kinesis):
    before = table(client, "select count(*) as n from nasahttp")[0].to_pylist()[0]["n"]
    bad = ["not json", '{"host": "half', '{"host": "two"} {"host": "values"}', '{"host": "wrong.example", "bytes": "many"}']
    for data in bad:
        kinesis.put_record(StreamName="nasahttp", Data=data, PartitionKey="bad")
    rows = table(client, "select host, bytes, _message, _message_error from nasahttp where not _message_valid order by _shard_sequence_id")[0].to_pylist()
    checks.equal([row["_message"] for row in rows], [data.encode() for data in bad], "bytes of the bad records")
    checks.equal([row["host"] for row in rows], [None, None, None, "wrong.example"], "hosts")
    checks.equal([row["bytes"] for row in rows], [None] * 4, "sizes")
    checks.equal(all(row["_message_error"] for row in rows), True, "a reason for each")
    checks.equal("bytes" in rows[3]["_message_error"], True, f"the path is named: {rows[3]['_message_error']}")
    count = "select count(*) as n from nasahttp"
    checks.equal(table(client, count)[0].to_pylist()[0]["n"], before + 4, "null_row")
    checks.equal(table(client, count, with_headers(bad_records="skip"))[0].to_pylist()[0]["n"], before, "skip")
    checks.raises(Exception, lambda: table(client, count, with_headers(bad_records="fail")), "nasahttp")


if __name__ == "__main__":
    service = boto3.client("kinesis", endpoint_url=sys.argv[2], region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
    with flight.connect(sys.argv[1].replace("grpc://", "grpc+tcp://")) as connection:
        checks.run(globals(), connection, service)
