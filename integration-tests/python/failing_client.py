"""A statement of which one endpoint fails is an error in every client, never a short result. Arguments: URL, the statement, a word of the error."""

import sys
from urllib.parse import urlsplit

import adbc_driver_flightsql.dbapi as flight_sql
import flightsql
import pandas
import polars
import pyarrow
import pyarrow.flight as flight

import checks
from flight_wire import statement, with_headers


def check_adbc(url, sql, word):
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:

        def run():
            cursor.execute(sql)
            cursor.fetch_arrow_table()

        checks.raises((flight_sql.Error, OSError, pyarrow.ArrowException), run, word)
        cursor.execute("select 1")
        checks.equal(cursor.fetchone(), (1,), "the connection after it")


def check_adbc_partitions(url, sql, word):
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        partitions, _ = cursor.adbc_execute_partitions(sql)
        failed = 0
        for partition in partitions:
            try:
                cursor.adbc_read_partition(partition)
                cursor.fetch_arrow_table()
            except (flight_sql.Error, OSError, pyarrow.ArrowException) as error:
                checks.equal(word in str(error), True, f"the reason is said: {error}")
                failed += 1
    checks.equal(failed, 1, f"failed partitions of {len(partitions)}")


def check_pyarrow(url, sql, word):
    client = flight.connect(url)
    for options in (flight.FlightCallOptions(), with_headers(endpoints="shard")):
        info = client.get_flight_info(statement(sql), options)

        def run(info=info):
            return [client.do_get(endpoint.ticket).read_all() for endpoint in info.endpoints]

        checks.raises((flight.FlightError, pyarrow.ArrowException), run, word)


def check_pandas(url, sql, word):
    with flight_sql.connect(url, autocommit=True) as connection:
        checks.raises(Exception, lambda: pandas.read_sql(sql, connection), word)


def check_polars(url, sql, word):
    with flight_sql.connect(url, autocommit=True) as connection:
        checks.raises(Exception, lambda: polars.read_database(sql, connection), word)


def check_dbapi(url, sql, word):
    host, port = urlsplit(url).netloc.split(":")
    connection = flightsql.connect(flightsql.FlightSQLClient(host=host, port=int(port), user="anyone", password="anything", insecure=True))
    checks.raises(Exception, lambda: connection.cursor().execute(sql), word)


if __name__ == "__main__":
    checks.run(globals(), *sys.argv[1:])
