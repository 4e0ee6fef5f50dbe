"""The program as ADBC's Python users meet it. Arguments: the Flight SQL address (grpc://host:port)."""

import json
import multiprocessing
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import adbc_driver_flightsql.dbapi as flight_sql
import pyarrow

import checks
import nasa_expected

ARTICLE = "select host, sum(bytes) as total_bytes from kinesis.default.nasahttp group by host order by total_bytes desc limit 2;"
ALL_ROWS = "select host, at, request, code, bytes from kinesis.default.nasahttp"
LOG = nasa_expected.rows()


def connect(url):
    return flight_sql.connect(url, autocommit=True)


def query(url, sql):
    with connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def as_log(table):
    """A result with the log's five columns as the parser's rows, counted."""
    seconds = table["at"].cast(pyarrow.timestamp("s")).cast(pyarrow.int64()).to_pylist()
    return Counter(zip(table["host"].to_pylist(), seconds, table["request"].to_pylist(), table["code"].to_pylist(), table["bytes"].to_pylist()))


def check_the_articles_statement(url):
    checks.equal(query(url, ARTICLE), nasa_expected.top_hosts(LOG, 2), "the article's statement")


def check_count_and_sum(url):
    wanted = [(len(LOG), sum(row[4] for row in LOG))]
    checks.equal(query(url, "select count(*), sum(bytes) from kinesis.default.nasahttp"), wanted, "count and sum")


def check_every_row_of_the_log(url):
    with connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(ALL_ROWS)
        table = cursor.fetch_arrow_table()
    checks.equal(table.num_rows, len(LOG), "rows")
    difference = as_log(table)
    difference.subtract(Counter(LOG))
    checks.equal([row for row, count in difference.items() if count], [], "rows that differ")


def check_groups(url):
    got = query(url, "select code, count(*), sum(bytes), count(distinct host) from nasahttp group by code order by code")
    wanted = []
    for code in sorted({row[3] for row in LOG}):
        rows = [row for row in LOG if row[3] == code]
        wanted.append((code, len(rows), sum(row[4] for row in rows), len({row[0] for row in rows})))
    checks.equal(got, wanted, "by code")


def check_a_statement_runs_again_and_after_an_abandoned_one(url):
    with connect(url) as connection, connection.cursor() as cursor:
        for _ in range(3):
            cursor.execute("select count(*) from nasahttp where code = 404")
            checks.equal(cursor.fetchone(), (sum(row[3] == 404 for row in LOG),), "count")
        cursor.execute(ALL_ROWS)
        cursor.fetchone()
    with connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(ALL_ROWS)
        cursor.fetchone()
        cursor.execute("select 1")
        checks.equal(cursor.fetchone(), (1,), "a statement after an abandoned one")


def check_the_schema_is_announced_as_it_is_sent(url):
    with connect(url) as connection, connection.cursor() as cursor:
        for sql in [ALL_ROWS, ARTICLE, "select min(at), max(at), avg(bytes), bool_or(code = 200) from nasahttp", "select _shard_id, _message_timestamp from nasahttp limit 3"]:
            announced = cursor.adbc_execute_schema(sql)
            cursor.execute(sql)
            checks.equal(cursor.fetch_arrow_table().schema.remove_metadata(), announced.remove_metadata(), f"schema of {sql}")


def read_partition(arguments):
    url, partition = arguments
    with connect(url) as connection, connection.cursor() as cursor:
        cursor.adbc_read_partition(partition)
        return cursor.fetch_arrow_table()


def check_partitions_are_read_by_processes(url):
    with connect(url) as connection, connection.cursor() as cursor:
        partitions, schema = cursor.adbc_execute_partitions(ALL_ROWS)
    checks.equal(len(partitions), 4, "partitions of a stream of four shards")
    checks.equal(schema.names, ["host", "at", "request", "code", "bytes"], "schema")
    # Each twice, in other processes: a partition does not depend on who reads it, nor on how often.
    with ProcessPoolExecutor(max_workers=4, mp_context=multiprocessing.get_context("spawn")) as pool:
        tables = list(pool.map(read_partition, [(url, partition) for partition in partitions + partitions]))
    first, second = tables[:4], tables[4:]
    for one, other in zip(first, second):
        checks.equal(one.equals(other), True, "a partition read twice")
        checks.equal(one.num_rows > 0, True, "a shard with rows")
    difference = as_log(pyarrow.concat_tables(first))
    difference.subtract(Counter(LOG))
    checks.equal([row for row, count in difference.items() if count], [], "rows of all partitions that differ")


def check_partitions_come_while_a_statement_is_polled(url):
    with connect(url) as connection, connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.statement.exec.incremental": "true"})
        cursor.adbc_statement.set_sql_query(ALL_ROWS)
        partitions, answers = [], 0
        while True:
            more, _, _ = cursor.adbc_statement.execute_partitions()
            answers += 1
            checks.equal(answers < 1000, True, "polling ends")
            if not more:
                break
            partitions.extend(more)
    checks.equal(len(partitions), 4, "partitions of a stream of four shards")
    difference = as_log(pyarrow.concat_tables([read_partition((url, partition)) for partition in partitions]))
    difference.subtract(Counter(LOG))
    checks.equal([row for row, count in difference.items() if count], [], "rows that differ")


def check_explain_and_system_tables(url):
    with connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("explain select host from nasahttp where code = 404")
        checks.equal([column[0] for column in cursor.description], ["plan_type", "plan"], "columns of EXPLAIN")
        rows = cursor.fetchall()
        checks.equal(sum(kind == "snapshot" for kind, _ in rows), 4, "a row for each shard")
        cursor.execute("select q.state, q.sql from kinesis.system.queries q where q.sql like 'explain%' order by q.started desc limit 1")
        checks.equal(cursor.fetchone(), ("done", "explain select host from nasahttp where code = 404"), "the statement among the queries")
        cursor.execute("select sum(records_held) from kinesis.system.shards where stream = 'nasahttp'")
        checks.equal(cursor.fetchone(), (len(LOG),), "records held")


def check_an_aggregate_is_one_partition(url):
    with connect(url) as connection, connection.cursor() as cursor:
        partitions, _ = cursor.adbc_execute_partitions(ARTICLE)
    checks.equal(len(partitions), 1, "partitions")
    checks.equal(read_partition((url, partitions[0])).to_pydict()["total_bytes"], [total for _, total in nasa_expected.top_hosts(LOG, 2)], "totals")


def check_objects(url):
    with connect(url) as connection:
        objects = connection.adbc_get_objects(depth="all").read_all().to_pylist()
    found = {}
    for catalog in objects:
        for schema in catalog["catalog_db_schemas"] or []:
            for table in schema["db_schema_tables"] or []:
                columns = [column["column_name"] for column in table["table_columns"]]
                found[(catalog["catalog_name"], schema["db_schema_name"], table["table_name"])] = columns
    checks.equal(found.get(("kinesis", "default", "nasahttp")), ["host", "at", "request", "code", "bytes"], "columns of nasahttp")


def check_table_schema_and_types(url):
    with connect(url) as connection:
        schema = connection.adbc_get_table_schema("nasahttp")
        checks.equal(schema.names, ["host", "at", "request", "code", "bytes"], "columns")
        checks.equal([str(schema.field(name).type) for name in ["host", "code", "bytes"]], ["string", "int64", "int64"], "types")
        checks.equal(pyarrow.types.is_timestamp(schema.field("at").type), True, "a timestamp")
        checks.equal("BASE TABLE" in connection.adbc_get_table_types() or "TABLE" in connection.adbc_get_table_types(), True, "table types")


def check_info(url):
    with connect(url) as connection:
        info = connection.adbc_get_info()
    checks.equal("shardflight" in str(info.get("vendor_name")).lower(), True, f"vendor of {info}")
    checks.equal(bool(info.get("vendor_version")), True, "vendor version")


def check_current_catalog_and_schema(url):
    with connect(url) as connection:
        checks.equal((connection.adbc_current_catalog, connection.adbc_current_db_schema), ("kinesis", "default"), "where a session begins")


def check_session_options(url):
    with connect(url) as connection, connection.cursor() as cursor:
        connection.adbc_connection.set_options(**{"adbc.flight.sql.session.option.freshness": "cached"})
        options = json.loads(connection.adbc_connection.get_option("adbc.flight.sql.session.options"))
        checks.equal(options.get("freshness"), "cached", "session options")
        cursor.execute("show kinesis.freshness")
        checks.equal("cached" in cursor.fetchone(), True, "SHOW of an option set by the driver")
        error = checks.raises(flight_sql.Error, lambda: connection.adbc_connection.set_options(**{"adbc.flight.sql.session.option.freshnes": "cached"}))
        checks.equal("freshnes" in str(error), True, f"the refusal of an unknown name names it: {error}")
    # The option was that session's alone.
    with connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("show kinesis.freshness")
        checks.equal("latest" in cursor.fetchone(), True, "the default in another session")


def check_set_show_reset(url):
    with connect(url) as connection, connection.cursor() as cursor:

        def shown():
            cursor.execute("show kinesis.hide_internal_columns")
            return [str(value).lower() for value in cursor.fetchone()]

        checks.equal("true" in shown(), True, "the default")
        cursor.execute("set kinesis.hide_internal_columns = false")
        cursor.fetchall()
        checks.equal("false" in shown(), True, "after SET")
        cursor.execute("select * from nasahttp limit 1")
        checks.equal("_shard_id" in [column[0] for column in cursor.description], True, "hidden columns are shown")
        cursor.execute("reset kinesis.hide_internal_columns")
        cursor.fetchall()
        checks.equal("true" in shown(), True, "after RESET")
        cursor.execute("select * from nasahttp limit 1")
        checks.equal([column[0] for column in cursor.description], ["host", "at", "request", "code", "bytes"], "SELECT *")


def check_errors_have_the_right_class(url):
    with connect(url) as connection, connection.cursor() as cursor:
        checks.raises(flight_sql.ProgrammingError, lambda: cursor.execute("select * from no_such_table"), "no_such_table")
        checks.raises(flight_sql.ProgrammingError, lambda: cursor.execute("selec 1"))
        checks.raises(flight_sql.ProgrammingError, lambda: cursor.execute("select no_such_column from nasahttp"), "no_such_column")
        checks.raises(flight_sql.ProgrammingError, lambda: cursor.execute("set kinesis.freshness = 'someday'"), "freshness")
        checks.raises((flight_sql.NotSupportedError, flight_sql.ProgrammingError), lambda: cursor.execute("copy (select 1) to '/tmp/shardflight-must-not-write'"))
        checks.raises((flight_sql.NotSupportedError, flight_sql.ProgrammingError), lambda: cursor.execute("create external table t (a int) stored as csv location '/etc/passwd'"))
        cursor.execute("select 1")
        checks.equal(cursor.fetchone(), (1,), "the connection after errors")


if __name__ == "__main__":
    checks.run(globals(), sys.argv[1])
