"""Files in object storage as tables, and COPY. Arguments: the Flight SQL address (grpc://host:port), the S3 endpoint, which has a bucket `lake`."""

import datetime
import io
import sys
import time

import adbc_driver_flightsql.dbapi as flight_sql
import boto3
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

import checks

TABLE = "create external table numbers (n bigint, word varchar) stored as kinesis location 'kinesis://numbers'"


def query(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def refused(connection, sql, part):
    checks.raises(Exception, lambda: query(connection, sql), part)


def put_table(s3, key, table):
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer, compression="snappy")
    s3.put_object(Bucket="lake", Key=key, Body=buffer.getvalue())


def keys(s3, prefix):
    return sorted(item["Key"] for item in s3.list_objects_v2(Bucket="lake", Prefix=prefix).get("Contents", []))


def read_all(s3, prefix):
    tables = []
    for key in keys(s3, prefix):
        body = s3.get_object(Bucket="lake", Key=key)["Body"].read()
        tables.append(pyarrow.parquet.read_table(pa.BufferReader(body)))
    return pa.concat_tables(tables)


def check_reading(connection, s3):
    for day, first in (("2024-07-01", 0), ("2024-07-02", 100)):
        numbers = list(range(first, first + 100))
        when = [datetime.datetime(2024, 7, 1, tzinfo=datetime.timezone.utc)] * 100
        table = pa.table({"n": pa.array(numbers, pa.int32()), "at": pa.array(when, pa.timestamp("us", tz="UTC")), "tags": [["a", "b"]] * 100})
        put_table(s3, f"allowed/history/day={day}/part-0.parquet", table)
    s3.put_object(Bucket="lake", Key="allowed/history/_SUCCESS", Body=b"")
    query(connection, "create external table history stored as parquet location 's3://lake/allowed/history/' partitioned by (day)")
    described = [row[:2] for row in query(connection, "describe history")]
    checks.equal(
        described,
        [("n", "integer"), ("at", "timestamp(us) with time zone"), ("tags", "array<varchar>"), ("day", "varchar")],
        "inferred columns",
    )
    checks.equal(query(connection, "select count(*), sum(n) from history"), [(200, sum(range(200)))], "all files")
    checks.equal(query(connection, "select day, min(n) from history where day > '2024-07-01' group by day"), [("2024-07-02", 100)], "a folder")
    query(connection, "insert into numbers select n, 'w' || n from history where n % 10 = 0")
    joined = "select count(*), max(word) from numbers join history on numbers.n = history.n where day = '2024-07-02'"
    checks.equal(query(connection, joined), [(10, "w190")], "a stream and files")


def check_pinned(connection, s3):
    planned = connection.cursor()
    try:
        partitions, _schema = planned.adbc_execute_partitions("select count(*) from history")
        checks.equal(len(partitions), 1, "files are one endpoint")
        put_table(s3, "allowed/history/day=2024-07-03/late.parquet", pa.table({"n": pa.array([1000], pa.int32())}))
        planned.adbc_read_partition(partitions[0])
        checks.equal(planned.fetchall(), [(200,)], "what was there when it was planned")
        checks.equal(query(connection, "select count(*) from history"), [(201,)], "what is there now")
        partitions, _schema = planned.adbc_execute_partitions("select sum(n) from history")
        put_table(s3, "allowed/history/day=2024-07-03/late.parquet", pa.table({"n": pa.array([1001], pa.int32())}))

        def read():
            planned.adbc_read_partition(partitions[0])
            return planned.fetchall()

        checks.raises(Exception, read, "changed or removed")
    finally:
        planned.close()


def check_copy(connection, s3):
    with connection.cursor() as cursor:
        cursor.execute("copy (select n, day from history where n < 200) to 's3://lake/out/copied/' partitioned by (day)")
        checks.equal(cursor.rowcount, 200, "rows copied")
    copied = keys(s3, "out/copied/")
    checks.equal({key.split("/")[2] for key in copied}, {"day=2024-07-01", "day=2024-07-02"}, "folders")
    rows = sorted(read_all(s3, "out/copied/")["n"].to_pylist())
    checks.equal(rows, list(range(200)), "rows in the files")
    query(connection, "copy (select n, word from numbers order by n) to 's3://lake/out/numbers.csv'")
    body = s3.get_object(Bucket="lake", Key="out/numbers.csv")["Body"].read()
    table = pyarrow.csv.read_csv(pa.BufferReader(body))
    checks.equal(table["word"].to_pylist(), [f"w{n}" for n in range(0, 200, 10)], "lines in their order")
    query(connection, "create external table again stored as csv location 's3://lake/out/numbers.csv'")
    checks.equal(query(connection, "select sum(n) from again"), [(1900,)], "read back")


def check_lakes(connection, s3):
    query(
        connection,
        "create offload numbers_lake stored as delta location 's3://lake/out/lake' options (every '1s', start 'trim_horizon') as select n, word from numbers",
    )
    deadline = time.monotonic() + 120
    while query(connection, 'select max("rows") from kinesis.system.offloads')[0][0] != 20:
        checks.equal(time.monotonic() < deadline, True, "the job publishes")
        time.sleep(0.2)
    query(connection, "create external table lake stored as delta location 's3://lake/out/lake/'")
    checks.equal(query(connection, "select count(*), sum(n), max(word) from lake"), [(20, 1900, "w90")], "a Delta table")
    refused(connection, "create external table bad stored as delta location 's3://lake/secret/'", "allow.read")
    query(connection, TABLE.replace("create external", "create or replace external") + " options (history 'numbers_lake')")
    query(connection, "insert into numbers values (1000, 'new')")
    checks.equal(query(connection, "select count(*), sum(n) from numbers"), [(21, 2900)], "the lake, and the stream behind it")


def check_refused(connection, s3):
    s3.put_object(Bucket="lake", Key="allowed-evil/x.csv", Body=b"n\n1\n")
    s3.put_object(Bucket="lake", Key="secret.csv", Body=b"n\n1\n")
    for location in ("s3://lake/allowed-evil/", "s3://lake/secret.csv", "s3://lake/allowed/../secret.csv", "s3://lake/", "file:///etc/passwd", "/etc/passwd"):
        for columns in ("(n bigint)", ""):
            refused(connection, f"create external table bad {columns} stored as csv location '{location}'", "location" if ".." in location else "")
    for location in ("s3://lake/allowed/x.csv", "s3://lake/out-evil/x.csv", "s3://lake/out/../x.csv", "s3://other/out/x.csv", "file:///tmp/x.csv"):
        refused(connection, f"copy (select 1 as one) to '{location}'", "")
    for prefix in ("out-evil", "x.csv", "allowed/x.csv"):
        checks.equal(keys(s3, prefix), [], "nothing was written")
    # 10 / 0 is met after rows were taken
    refused(connection, "copy (select 10 / (n - 199) as q from history) to 's3://lake/out/failed/'", "ended early")


def main(url, endpoint):
    s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    with flight_sql.connect(url, autocommit=True) as connection:
        query(connection, TABLE)
        checks.run(globals(), connection, s3)


main(*sys.argv[1:])
