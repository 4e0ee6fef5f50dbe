"""ADBC behind a proxy that caps the streams of a connection. Arguments: the address (grpc://host:port), ids in `hundred`, which has a hundred shards, and in
`large`, which has more bytes in each of its twelve than a client keeps waiting; the cap."""

import sys

import adbc_driver_flightsql.dbapi as flight_sql

import checks


def ids(url, sql):
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return sorted(cursor.fetch_arrow_table()["id"].to_pylist())


def check_many_small_endpoints(url, hundred, large, cap):
    for most in (32, 100):
        checks.equal(ids(url, f"/*+ max_endpoints='{most}' */ select id from hundred") == list(range(hundred)), True, f"{most} endpoints")


def check_large_endpoints_as_many_as_the_cap(url, hundred, large, cap):
    # more would wait for each other: ADBC asks for all at once, in any order, and gives their rows one after the other
    checks.equal(ids(url, f"/*+ max_endpoints='{cap}' */ select id, note from large") == list(range(large)), True, "ids")


def check_several_connections(url, hundred, large, cap):
    with flight_sql.connect(url, autocommit=True) as first, flight_sql.connect(url, autocommit=True) as second:
        with first.cursor() as one, second.cursor() as other:
            one.execute("select id from hundred")
            other.execute("select id from hundred")
            for cursor in (other, one):
                checks.equal(sorted(cursor.fetch_arrow_table()["id"].to_pylist()) == list(range(hundred)), True, "ids")


if __name__ == "__main__":
    url, *numbers = sys.argv[1:]
    checks.run(globals(), url, *map(int, numbers))
