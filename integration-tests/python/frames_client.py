"""The program as pandas, polars, SQLAlchemy and flightsql-dbapi meet it. Arguments: the Flight SQL address (grpc://host:port)."""

import sys
from collections import Counter
from urllib.parse import urlsplit

import adbc_driver_flightsql.dbapi as flight_sql
import flightsql
import flightsql.sqlalchemy
import pandas
import polars
import sqlalchemy

import checks
import nasa_expected

LOG = nasa_expected.rows()
BY_CODE = [(code, sum(row[3] == code for row in LOG)) for code in sorted({row[3] for row in LOG})]
SQL = "select host, at, request, code, bytes from kinesis.default.nasahttp"


def place(url):
    return urlsplit(url).netloc


def wanted():
    return Counter((host, request, code, size) for host, _, request, code, size in LOG)


def engine(url):
    # the dialect wants credentials, and the demonstration reads none
    return sqlalchemy.create_engine(f"datafusion+flightsql://anyone:anything@{place(url)}?insecure=True")


def check_pandas_reads_every_row(url):
    with flight_sql.connect(url, autocommit=True) as connection:
        frame = pandas.read_sql(SQL, connection)
        arrow = pandas.read_sql(SQL, connection, dtype_backend="pyarrow")
    for got in (frame, arrow):
        checks.equal(Counter(zip(got["host"], got["request"], got["code"], got["bytes"])) == wanted(), True, "rows equal the log's")
        checks.equal(str(got["at"].min())[:19], "1995-08-01 04:00:01", "the first instant")


def check_pandas_reads_in_a_transaction_that_is_never_committed(url):
    for _ in range(2):
        with flight_sql.connect(url) as connection:
            frame = pandas.read_sql("select code, count(*) as n from nasahttp group by code order by code", connection)
        checks.equal(list(zip(frame["code"], frame["n"])), BY_CODE, "by code")


def check_polars_by_address(url):
    frame = polars.read_database_uri(SQL, f"flightsql://{place(url)}?transport=tcp", engine="adbc")
    checks.equal(Counter(zip(frame["host"], frame["request"], frame["code"], frame["bytes"])) == wanted(), True, "rows equal the log's")


def check_polars_by_connection_and_in_batches(url):
    with flight_sql.connect(url, autocommit=True) as connection:
        frame = polars.read_database(SQL, connection)
        checks.equal(Counter(frame.select("host", "request", "code", "bytes").iter_rows()) == wanted(), True, "rows equal the log's")
        batches = list(polars.read_database(SQL, connection, iter_batches=True, batch_size=1000))
        checks.equal(sum(batch.height for batch in batches), len(LOG), "rows of all batches")


def check_dbapi_reads_every_row(url):
    host, port = place(url).split(":")
    client = flightsql.FlightSQLClient(host=host, port=int(port), user="anyone", password="anything", insecure=True)
    connection = flightsql.connect(client)
    cursor = connection.cursor()
    cursor.execute("select host, request, code, bytes from kinesis.default.nasahttp")
    checks.equal(Counter(tuple(row) for row in cursor.fetchall()) == wanted(), True, "rows equal the log's")
    checks.equal([column[0] for column in cursor.description], ["host", "request", "code", "bytes"], "description")
    info = client.execute("select host from kinesis.default.nasahttp")
    checks.equal(len(info.endpoints), 1, "endpoints, of which it reads the first alone")


def check_sqlalchemy_reflects(url):
    inspector = sqlalchemy.inspect(engine(url))
    checks.equal("default" in inspector.get_schema_names(), True, "schemas")
    checks.equal("nasahttp" in inspector.get_table_names("default"), True, "tables")
    columns = {column["name"]: column["type"] for column in inspector.get_columns("nasahttp", "default")}
    checks.equal(list(columns), ["host", "at", "request", "code", "bytes"], "columns")
    checks.equal(inspector.has_table("nasahttp", "default"), True, "has_table")
    checks.equal(inspector.has_table("no_such_table", "default"), False, "has_table of none")


def check_sqlalchemy_expressions(url):
    table = sqlalchemy.table("nasahttp", sqlalchemy.column("host"), sqlalchemy.column("code"), sqlalchemy.column("bytes"), schema="default")
    count = sqlalchemy.func.count().label("n")
    with engine(url).connect() as connection:
        query = sqlalchemy.select(table.c.code, count).group_by(table.c.code).order_by(table.c.code)
        checks.equal([tuple(row) for row in connection.execute(query)], BY_CODE, "by code")
        query = sqlalchemy.select(table.c.host).where(table.c.host == "it's \"nobody\"").limit(3)
        checks.equal(connection.execute(query).fetchall(), [], "a literal with quotes")
        top = connection.execute(sqlalchemy.text("select host, sum(bytes) as t from nasahttp group by host order by t desc limit 2")).fetchall()
        checks.equal([tuple(row) for row in top], nasa_expected.top_hosts(LOG, 2), "the article's statement")


def check_sqlalchemy_says_what_is_wrong(url):
    with engine(url).connect() as connection:
        checks.raises(Exception, lambda: connection.execute(sqlalchemy.text("select * from no_such_table")), "no_such_table")
        checks.equal(connection.execute(sqlalchemy.text("select 1")).scalar(), 1, "the connection after an error")


if __name__ == "__main__":
    checks.run(globals(), sys.argv[1])
