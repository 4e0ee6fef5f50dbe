"""Writing as ADBC's users do it: INSERT and ingest, read back by boto3.

Arguments: the Flight SQL address (grpc://host:port), the Kinesis endpoint (http://host:port). The stream `numbers` has four shards and a table of that
name with columns `n`, `word`, `price` and `at`.
"""

import datetime
import decimal
import json
import sys

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import boto3
import pyarrow

import checks

ROWS = 5000
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def client(endpoint):
    return boto3.client(
        "kinesis", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )


def records(endpoint, stream):
    """All records of a stream as (shard, key, data)."""
    kinesis = client(endpoint)
    found = []
    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        empty = 0
        while iterator and empty < 3:
            page = kinesis.get_records(ShardIterator=iterator, Limit=10000)
            iterator = page.get("NextShardIterator")
            empty = 0 if page["Records"] else empty + 1
            found.extend((shard["ShardId"], record["PartitionKey"], record["Data"]) for record in page["Records"])
    return found


def execute(url, *statements):
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        for sql in statements:
            cursor.execute(sql)
        return cursor.fetchall()


def expected(n):
    at = START + datetime.timedelta(seconds=n)
    return {"n": n, "word": f"w{n % 7} \"é\"", "price": f"{n}.25", "at": at.strftime("%d/%b/%Y:%H:%M:%S +0000")}


def check_inserted_rows_are_what_python_says(url, endpoint):
    # the price is exact text in the record: json would make a float of it
    sql = (
        f"insert into numbers (n, word, price, at, _partition_key) select value, 'w' || (value % 7) || ' \"é\"', cast(value as decimal(12,2)) + 0.25, "
        f"to_timestamp_seconds({int(START.timestamp())} + value), 'key ' || (value % 50) from generate_series(0, {ROWS - 1})"
    )
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        checks.equal((cursor.rowcount, cursor.fetchall()), (ROWS, []), "count")
    found = records(endpoint, "numbers")
    parse = lambda data: {key: str(value) if key == "price" else value for key, value in json.loads(data, parse_float=decimal.Decimal).items()}
    rows = sorted((parse(data) for _, _, data in found), key=lambda row: row["n"])
    checks.equal(rows, [expected(n) for n in range(ROWS)], "records")
    checks.equal(all(key == f"key {json.loads(data)['n'] % 50}" for _, key, data in found), True, "keys")
    checks.equal(len({shard for shard, _, _ in found}), 4, "shards")
    for key in {key for _, key, _ in found}:
        checks.equal(len({shard for shard, other, _ in found if other == key}), 1, f"shards of {key}")
    totals = execute(url, "select count(*), sum(n), sum(price), max(at) from numbers")
    checks.equal(totals, [(ROWS, sum(range(ROWS)), decimal.Decimal(sum(range(ROWS))) + decimal.Decimal(ROWS) / 4, totals[0][3])], "read again")
    checks.equal(totals[0][3].isoformat()[:19], (START + datetime.timedelta(seconds=ROWS - 1)).isoformat()[:19], "last time")


def check_an_update_gives_the_count(url, endpoint):
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.adbc_statement.set_sql_query("insert into numbers (n) select -value from generate_series(1, 3)")
        checks.equal(cursor.adbc_statement.execute_update(), 3, "count of an update")
    checks.equal(execute(url, "select count(*) from numbers where n < 0"), [(3,)], "rows")


def check_many_rows_of_parameters_are_one_insert(url, endpoint):
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.executemany("insert into numbers (n, word) values (?, ?)", [(10**6 + n, f"many {n}") for n in range(1000)])
    wanted = [(1000, sum(range(10**6, 10**6 + 1000)))]
    checks.equal(execute(url, "select count(*), sum(n) from numbers where word like 'many %'"), wanted, "rows")


def check_what_cannot_be_written_is_refused(url, endpoint):
    def refused(sql, *words):
        checks.raises(adbc_driver_manager.Error, lambda: execute(url, sql), *words)

    refused("insert into numbers (m) values (1)", "no column `m`")
    refused("insert into numbers (n) values ('x')", "row 1")
    refused("insert into numbers (n, word) select 1, repeat('x', 11 * 1024 * 1024)", "no record has more than 10485760")
    # more than a stream takes unless it was told otherwise: the service says so, and nothing is retried for long
    refused("insert into numbers (n, word) select 1, repeat('x', 2 * 1024 * 1024)", "0 records were acknowledged before")


def ingest(url, table, rows, mode, **options):
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        return cursor.adbc_ingest(table, rows, mode=mode, **options)


def check_every_mode_of_ingest(url, endpoint):
    def rows(first, last):
        numbers = range(first, last)
        return pyarrow.table(
            {
                "id": pyarrow.array(numbers, pyarrow.int64()),
                "name": pyarrow.array([None if n % 5 == 0 else f"n{n}" for n in numbers]).dictionary_encode(),
                "amount": pyarrow.array([decimal.Decimal(n) / 8 for n in numbers], pyarrow.decimal128(12, 3)),
                "tags": pyarrow.array([[f"t{n}", "x"] for n in numbers]),
                "raw": pyarrow.array([bytes([n % 256, 255]) for n in numbers], pyarrow.large_binary()),
            }
        )

    checks.raises(adbc_driver_manager.Error, lambda: ingest(url, "made", rows(0, 1), "append"), "not found")
    checks.equal(ingest(url, "made", rows(0, 1000), "create"), 1000, "created")
    checks.raises(adbc_driver_manager.Error, lambda: ingest(url, "made", rows(0, 1), "create"), "exists")
    reader = pyarrow.RecordBatchReader.from_batches(rows(1, 2).schema, (batch for n in range(1000, 3000, 100) for batch in rows(n, n + 100).to_batches()))
    checks.equal(ingest(url, "made", reader, "append"), 2000, "appended")
    checks.equal(ingest(url, "made", rows(3000, 3001), "create_append"), 1, "created or appended")
    checks.raises(adbc_driver_manager.Error, lambda: ingest(url, "made", rows(0, 1), "replace"), "cannot be replaced")
    wanted = rows(0, 3001).to_pylist()
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("select id, name, amount, tags, raw from made")
        checks.equal(sorted(cursor.fetch_arrow_table().to_pylist(), key=lambda row: row["id"]), wanted, "read again")
    checks.equal(len(records(endpoint, "made")), 3001, "records")


def check_scratch_tables_take_every_mode(url, endpoint):
    staged = pyarrow.table({"id": [1, 2, 3], "name": pyarrow.array(["a", None, "c"]).dictionary_encode()})
    other = pyarrow.table({"at": pyarrow.array([START], pyarrow.timestamp("us", "UTC"))})
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:

        def asked(sql):
            cursor.execute(sql)
            return cursor.fetchall()

        checks.raises(adbc_driver_manager.Error, lambda: cursor.adbc_ingest("staged", staged, mode="append", temporary=True), "not found")
        checks.equal(cursor.adbc_ingest("staged", staged, mode="create", temporary=True), 3, "created")
        checks.raises(adbc_driver_manager.Error, lambda: cursor.adbc_ingest("staged", staged, mode="create", temporary=True), "exists")
        checks.equal(cursor.adbc_ingest("staged", staged, mode="append", db_schema_name="scratch"), 3, "appended")
        cursor.executemany("insert into staged values (?, ?)", [(n, f"n{n}") for n in range(10, 20)])
        wanted = [(16, 12 + sum(range(10, 20)), 14)]
        checks.equal(asked("select count(*), sum(id), count(name) from staged"), wanted, "rows")
        checks.equal(asked("select count(*) from scratch.staged s join numbers n on s.id = n.n where s.id < 10"), [(6,)], "joined with a stream")
        checks.equal("LOCAL TEMPORARY" in connection.adbc_get_table_types(), True, "table types")
        objects = connection.adbc_get_objects(depth="tables", db_schema_filter="scratch").read_all().to_pylist()
        found = [table for catalog in objects for schema in catalog["catalog_db_schemas"] for table in schema["db_schema_tables"]]
        checks.equal([(table["table_name"], table["table_type"]) for table in found], [("staged", "LOCAL TEMPORARY")], "listed")
        checks.equal(connection.adbc_get_table_schema("staged", db_schema_filter="scratch").names, ["id", "name"], "its columns")
        checks.equal(cursor.adbc_ingest("staged", other, mode="replace", temporary=True), 1, "replaced")
        checks.equal(asked("select count(*), max(at) from staged")[0][0], 1, "rows of the new table")
        checks.equal(cursor.adbc_ingest("staged", other, mode="create_append", temporary=True), 1, "created or appended")
        checks.equal(asked("select count(*), count(at) from staged"), [(2, 2)], "rows of both")
        checks.raises(adbc_driver_manager.Error, lambda: execute(url, "select * from scratch.staged"), "not found")
        cursor.execute("create view recent as select n from numbers where n between 5 and 7")
        checks.equal(sorted(asked("select n from recent")), [(5,), (6,), (7,)], "a view")
        cursor.execute("drop table staged")
        checks.raises(adbc_driver_manager.Error, lambda: asked("select * from staged"), "not found")


if __name__ == "__main__":
    checks.run(dict(globals()), *sys.argv[1:])
