"""pandas through ADBC. Argument: the address, grpc://host:port, or grpc+tls://host:port with TLS.

SHARDFLIGHT_USER and SHARDFLIGHT_PASSWORD are credentials, SHARDFLIGHT_CA a file with the server's authority, where they are needed."""

import os
import sys

import adbc_driver_flightsql.dbapi as flight_sql
import pandas
from adbc_driver_flightsql import DatabaseOptions

options = {}
if user := os.environ.get("SHARDFLIGHT_USER"):
    options |= {"username": user, "password": os.environ["SHARDFLIGHT_PASSWORD"]}
if authority := os.environ.get("SHARDFLIGHT_CA"):
    options[DatabaseOptions.TLS_ROOT_CERTS.value] = open(authority).read()

with flight_sql.connect(sys.argv[1], db_kwargs=options, autocommit=True) as connection:
    frame = pandas.read_sql("select at, code, bytes from kinesis.default.nasahttp", connection, dtype_backend="pyarrow")

print(len(frame), "rows")
print(frame.groupby("code")["bytes"].sum())
print(frame.set_index("at").resample("1h")["bytes"].sum())
