"""polars through ADBC. Argument: the address, grpc://host:port, or grpc+tls://host:port with TLS.

SHARDFLIGHT_USER and SHARDFLIGHT_PASSWORD are credentials, SHARDFLIGHT_CA a file with the server's authority, where they are needed."""

import os
import sys

import adbc_driver_flightsql.dbapi as flight_sql
import polars
from adbc_driver_flightsql import DatabaseOptions

sql = "select host, code, bytes from kinesis.default.nasahttp"
options = {}
if user := os.environ.get("SHARDFLIGHT_USER"):
    options |= {"username": user, "password": os.environ["SHARDFLIGHT_PASSWORD"]}
if authority := os.environ.get("SHARDFLIGHT_CA"):
    options[DatabaseOptions.TLS_ROOT_CERTS.value] = open(authority).read()

# by a connection, which can have credentials and options
with flight_sql.connect(sys.argv[1], db_kwargs=options, autocommit=True) as connection:
    frame = polars.read_database(sql, connection)
print(frame.height, "rows")
top = frame.group_by("host").agg(polars.col("bytes").sum()).sort("bytes", descending=True).head(2)
for host, total_bytes in top.iter_rows():
    print(host, total_bytes)

# by address, which has no place for them: `transport=tcp` means without TLS
if not options:
    place = sys.argv[1].removeprefix("grpc://")
    frame = polars.read_database_uri(sql, f"flightsql://{place}?transport=tcp", engine="adbc")
    print(frame.height, "rows by address")
