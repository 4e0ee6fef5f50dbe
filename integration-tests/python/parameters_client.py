"""Statements with parameters, as drivers of Python bind them. Arguments: the Flight SQL address (grpc://host:port)."""

import sys
from datetime import datetime
from urllib.parse import urlsplit

import adbc_driver_flightsql.dbapi as flight_sql
import flightsql
import polars
import pyarrow

import checks
import nasa_expected

LOG = nasa_expected.rows()


def count(code):
    return sum(row[3] == code for row in LOG)


def check_question_marks_and_numbers(url):
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        for sql in ["select count(*) from nasahttp where code = ?", "select count(*) from nasahttp where code = $1"]:
            for code in (404, 302, 999):
                cursor.execute(sql, (code,))
                checks.equal(cursor.fetchone(), (count(code),), f"{sql} with {code}")


def check_several_parameters_of_several_types(url):
    host = max(LOG, key=lambda row: row[4])[0]
    wanted = sum(row[0] == host and row[3] == 200 and row[4] > 1000.5 for row in LOG)
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from nasahttp where host = ? and code = ? and bytes > ?", (host, 200, 1000.5))
        checks.equal(cursor.fetchone(), (wanted,), "count")
        cursor.execute("select count(*) from nasahttp where host = ?", ("it's \"nobody\" -- ?",))
        checks.equal(cursor.fetchone(), (0,), "a text that looks like SQL")
        cursor.execute("select count(*) from nasahttp where at < ?", (datetime(1995, 8, 1, 5, 0, 0),))
        limit = 807253200  # 1995-08-01 05:00:00 UTC
        checks.equal(cursor.fetchone(), (sum(row[1] < limit for row in LOG),), "a timestamp")


def check_rows_of_parameters_give_the_union(url):
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("select code, count(*) as n from nasahttp where code = ? group by code", pyarrow.record_batch({"code": [404, 302, 404]}))
        checks.equal(cursor.fetchall(), [(404, count(404)), (302, count(302)), (404, count(404))], "rows in the order of parameters")


def check_partitions_carry_parameters(url):
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        partitions, _ = cursor.adbc_execute_partitions("select host from nasahttp where code = ?", (404,))
        rows = 0
        for partition in partitions:
            cursor.adbc_read_partition(partition)
            rows += cursor.fetch_arrow_table().num_rows
    checks.equal(rows, count(404), f"rows of {len(partitions)} partitions")


def check_polars(url):
    # pandas binds none through ADBC: "'params' is not implemented for ADBC drivers"
    with flight_sql.connect(url, autocommit=True) as connection:
        sql = "select count(*) as n from nasahttp where code = ?"
        frame = polars.read_database(sql, connection, execute_options={"parameters": (404,)})
    checks.equal(frame["n"].to_list(), [count(404)], "count")


def check_dbapi(url):
    host, port = urlsplit(url).netloc.split(":")
    client = flightsql.FlightSQLClient(host=host, port=int(port), user="anyone", password="anything", insecure=True)
    statement = client.prepare("select count(*) as n from nasahttp where code = ?")
    with statement:
        info = statement.execute(pyarrow.record_batch({"code": [404]}))
        table = client.do_get(info.endpoints[0].ticket).read_all()
    checks.equal(table["n"].to_pylist(), [count(404)], "count")


if __name__ == "__main__":
    checks.run(globals(), sys.argv[1])
