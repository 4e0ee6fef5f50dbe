"""Frames that pandas and polars write. Arguments: the Flight SQL address (grpc://host:port)."""

import sys

import adbc_driver_flightsql.dbapi as flight_sql
import pandas
import polars

import checks

ROWS = 2000


def read(url, table):
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"select id, name, amount, ok from {table}")
        return sorted(tuple(row.values()) for row in cursor.fetch_arrow_table().to_pylist())


def wanted(first, last):
    return [(n, f"n{n}", n / 4, n % 3 == 0) for n in range(first, last)]


def columns(first, last):
    return dict(zip(("id", "name", "amount", "ok"), map(list, zip(*wanted(first, last)))))


def check_pandas_makes_and_appends(url):
    with flight_sql.connect(url, autocommit=True) as connection:
        frame = pandas.DataFrame(columns(0, ROWS))
        checks.equal(frame.to_sql("pandas_rows", connection, index=False), ROWS, "count of what was made")
        checks.raises(Exception, lambda: frame.to_sql("pandas_rows", connection, index=False), "exists")
        more = pandas.DataFrame(columns(ROWS, 2 * ROWS))
        checks.equal(more.to_sql("pandas_rows", connection, index=False, if_exists="append"), ROWS, "count of what was appended")
    checks.equal(read(url, "pandas_rows") == wanted(0, 2 * ROWS), True, "rows")


def check_pandas_stages_in_memory(url):
    with flight_sql.connect(url, autocommit=True) as connection:
        frame = pandas.DataFrame(columns(0, ROWS))
        for mode in ("fail", "append", "replace"):
            checks.equal(frame.to_sql("staged", connection, schema="scratch", index=False, if_exists=mode), ROWS, f"count of {mode}")
        read_back = pandas.read_sql("select id, name, amount, ok from scratch.staged order by id", connection)
        checks.equal([tuple(row) for row in read_back.itertuples(index=False)] == wanted(0, ROWS), True, "rows")


def check_polars_makes_and_appends(url):
    with flight_sql.connect(url, autocommit=True) as connection:
        polars.DataFrame(columns(0, ROWS)).write_database("polars_rows", connection, engine="adbc")
        polars.DataFrame(columns(ROWS, 2 * ROWS)).write_database("polars_rows", connection, engine="adbc", if_table_exists="append")
    checks.equal(read(url, "polars_rows") == wanted(0, 2 * ROWS), True, "rows")


if __name__ == "__main__":
    checks.run(globals(), sys.argv[1])
