"""pandas through ADBC. Argument: the address, grpc://host:port. Credentials and TLS are ADBC's: see adbc_quickstart.py."""

import sys

import adbc_driver_flightsql.dbapi as flight_sql
import pandas

with flight_sql.connect(sys.argv[1], autocommit=True) as connection:
    frame = pandas.read_sql("select at, code, bytes from kinesis.default.nasahttp", connection, dtype_backend="pyarrow")

print(len(frame), "rows")
print(frame.groupby("code")["bytes"].sum())
print(frame.set_index("at").resample("1h")["bytes"].sum())
