"""Results of several endpoints, as clients read them. The table has the ids below COUNT, each once.

endpoints_client.py URL TABLE COUNT ENDPOINTS     ENDPOINTS: how many a result has that comes by shard, by default
"""

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from urllib.parse import urlsplit

import adbc_driver_flightsql.dbapi as flight_sql
import flightsql
import pandas
import polars
import pyarrow
import pyarrow.flight as flight

import checks
from flight_wire import statement, with_headers


def ids(table):
    return sorted(table["id"].to_pylist())


def read_partition(arguments):
    url, partition = arguments
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.adbc_read_partition(partition)
        return cursor.fetch_arrow_table()


def check_adbc(url, sql, wanted, endpoints):
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        checks.equal(ids(cursor.fetch_arrow_table()) == wanted, True, "ids")
        cursor.execute(sql)
        checks.equal(sorted(row[0] for row in cursor.fetchall()) == wanted, True, "ids as rows")


def check_adbc_partitions_in_processes(url, sql, wanted, endpoints):
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        partitions, _ = cursor.adbc_execute_partitions(sql)
    checks.equal(len(partitions), endpoints, "partitions")
    with ProcessPoolExecutor(max_workers=3, mp_context=multiprocessing.get_context("spawn")) as pool:
        tables = list(pool.map(read_partition, [(url, partition) for partition in partitions]))
    checks.equal(ids(pyarrow.concat_tables(tables)) == wanted, True, "ids of all partitions")


def check_fewer_and_more_endpoints_by_option(url, sql, wanted, endpoints):
    client = flight.connect(url)
    for most in (1, 3, 100):
        headers = with_headers(endpoints="shard", max_endpoints=str(most))
        info = client.get_flight_info(statement(sql), headers)
        checks.equal(len(info.endpoints) <= most, True, f"{len(info.endpoints)} endpoints of {most}")
        tables = [client.do_get(endpoint.ticket).read_all() for endpoint in info.endpoints]
        checks.equal(ids(pyarrow.concat_tables(tables)) == wanted, True, f"ids of {len(tables)} endpoints")
    hinted = f"/*+ max_endpoints='2' */ {sql}"
    checks.equal(len(client.get_flight_info(statement(hinted), with_headers(endpoints="shard")).endpoints), min(endpoints, 2), "endpoints by hint")


def check_pyarrow(url, sql, wanted, endpoints):
    client = flight.connect(url)
    for options, count in [(flight.FlightCallOptions(), 1), (with_headers(endpoints="shard"), endpoints)]:
        info = client.get_flight_info(statement(sql), options)
        checks.equal(len(info.endpoints), count, "endpoints")
        tables = [client.do_get(endpoint.ticket).read_all() for endpoint in info.endpoints]
        checks.equal(ids(pyarrow.concat_tables(tables)) == wanted, True, "ids")


def check_dbapi(url, sql, wanted, endpoints):
    host, port = urlsplit(url).netloc.split(":")
    connection = flightsql.connect(flightsql.FlightSQLClient(host=host, port=int(port), user="anyone", password="anything", insecure=True))
    cursor = connection.cursor()
    cursor.execute(sql)
    checks.equal(sorted(row[0] for row in cursor.fetchall()) == wanted, True, "ids")


def check_frames(url, sql, wanted, endpoints):
    with flight_sql.connect(url, autocommit=True) as connection:
        checks.equal(sorted(pandas.read_sql(sql, connection)["id"]) == wanted, True, "ids of pandas")
        checks.equal(sorted(polars.read_database(sql, connection)["id"]) == wanted, True, "ids of polars")


if __name__ == "__main__":
    url, table, count, endpoints = sys.argv[1:]
    checks.run(globals(), url, f"select id from {table}", list(range(int(count))), int(endpoints))
