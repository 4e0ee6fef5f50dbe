"""polars through ADBC. Argument: the address, host:port."""

import sys

import adbc_driver_flightsql.dbapi as flight_sql
import polars

sql = "select host, code, bytes from kinesis.default.nasahttp"

# by address: `transport=tcp` means without TLS
frame = polars.read_database_uri(sql, f"flightsql://{sys.argv[1]}?transport=tcp", engine="adbc")
print(frame.height, "rows")

# by a connection, which can have credentials and options
with flight_sql.connect(f"grpc://{sys.argv[1]}", autocommit=True) as connection:
    frame = polars.read_database(sql, connection)
top = frame.group_by("host").agg(polars.col("bytes").sum()).sort("bytes", descending=True).head(2)
for host, total_bytes in top.iter_rows():
    print(host, total_bytes)
