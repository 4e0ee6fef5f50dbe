"""ADBC: rows, Arrow tables, partitions. Argument: the address, grpc://host:port, or grpc+tls://host:port with TLS.

SHARDFLIGHT_USER and SHARDFLIGHT_PASSWORD are credentials, SHARDFLIGHT_CA a file with the server's authority, where they are needed."""

import os
import sys

import adbc_driver_flightsql.dbapi as flight_sql
from adbc_driver_flightsql import DatabaseOptions

options = {}
if user := os.environ.get("SHARDFLIGHT_USER"):
    options |= {"username": user, "password": os.environ["SHARDFLIGHT_PASSWORD"]}
if authority := os.environ.get("SHARDFLIGHT_CA"):
    options[DatabaseOptions.TLS_ROOT_CERTS.value] = open(authority).read()

with flight_sql.connect(sys.argv[1], db_kwargs=options, autocommit=True) as connection, connection.cursor() as cursor:
    # rows
    cursor.execute("select host, sum(bytes) as total_bytes from kinesis.default.nasahttp group by host order by total_bytes desc limit 2")
    for host, total_bytes in cursor.fetchall():
        print(host, total_bytes)

    # an Arrow table
    cursor.execute("select code, bytes from nasahttp")
    print(cursor.fetch_arrow_table().num_rows, "rows")

    # one partition for each shard, which other processes and machines can read
    partitions, schema = cursor.adbc_execute_partitions("select code, bytes from nasahttp")
    rows = 0
    for partition in partitions:
        cursor.adbc_read_partition(partition)
        rows += cursor.fetch_arrow_table().num_rows
    print(rows, "rows in", len(partitions), "partitions of", schema.names)
