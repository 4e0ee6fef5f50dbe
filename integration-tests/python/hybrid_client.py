"""A table with a history, read by ADBC. Arguments: the Flight SQL address (grpc://host:port); how many numbers there are, or "-" while they still come."""

import sys
import time

import adbc_driver_flightsql.dbapi as flight_sql

import checks

BOTH = (
    "select h.n, h.s, p.n, p.s from (select count(*) as n, sum(n) as s from numbers) h, "
    "(select count(*) as n, sum(n) as s from plain) p"
)
PUBLISHED = 'select coalesce(max("rows"), 0) from kinesis.system.offloads'
PATIENCE = 120


def query(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def wait_for_rows(connection, more_than):
    """Until the job has published more rows than that; how many."""
    deadline = time.monotonic() + PATIENCE
    while (rows := query(connection, PUBLISHED)[0][0]) <= more_than:
        if time.monotonic() > deadline:
            sys.exit(f"the job has published {rows} rows, and no more")
        time.sleep(0.2)
    return rows


def while_they_come(connection):
    published = wait_for_rows(connection, 0)
    seen = 0
    for _ in range(5):
        for _ in range(10):
            rows, total, of_stream, total_of_stream = query(connection, BOTH)[0]
            checks.equal((rows, total), (of_stream, total_of_stream), "lake and stream are the stream")
            checks.equal(rows >= seen, True, f"{seen} rows were seen before, and {rows} now")
            seen = rows
        published = wait_for_rows(connection, published)


def once_they_are_there(connection, count):
    rows = query(connection, "select n from numbers order by n")
    checks.equal([n for (n,) in rows], list(range(count)), "each number once")
    wanted = sum(1 for n in range(count) if n % 7 == 3 and n > 10)
    checks.equal(query(connection, "select count(*) from numbers where n % 7 = 3 and n > 10"), [(wanted,)], "a filter")
    plan = "\n".join(str(row) for row in query(connection, "explain select n from numbers"))
    checks.equal(("lake" in plan, "stream" in plan), (True, True), plan)


def main(url, count):
    with flight_sql.connect(url, autocommit=True) as connection:
        if count == "-":
            while_they_come(connection)
        else:
            once_they_are_there(connection, int(count))


main(*sys.argv[1:])
