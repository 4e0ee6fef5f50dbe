"""A record of 10 MiB reaches clients whole. Arguments: Flight SQL address, bytes of the column `note` of the record with id 1."""

import sys

import adbc_driver_flightsql.dbapi as adbc
import pyarrow.flight as flight

import checks
from flight_wire import statement

TRIES = 6


def tried(attempt):
    """A statement may say that Kinesis holds it up, and that it can be tried again: a reply of 10 MiB closes a shard for 5 s."""
    for _ in range(TRIES - 1):
        try:
            return attempt()
        except (adbc.OperationalError, flight.FlightUnavailableError) as error:
            if "Unavailable" not in str(error) and not isinstance(error, flight.FlightUnavailableError):
                raise
    return attempt()


def check_adbc(address, size):
    # a message may have 16 MiB
    with adbc.connect(address, autocommit=True) as connection, connection.cursor() as cursor:
        def read():
            cursor.execute("select id, note from large order by id")
            return cursor.fetchall()

        rows = tried(read)
        checks.equal([(row[0], len(row[1])) for row in rows], [(0, 5), (1, size), (2, 5)], "ids and lengths")
        checks.equal(set(rows[1][1]), {"x"}, "characters")


def check_pyarrow(address, size):
    client = flight.connect(address)

    def read():
        info = client.get_flight_info(statement("select id, note, _message, _message_length from large where id = 1"))
        return client.do_get(info.endpoints[0].ticket).read_all().to_pylist()

    [row] = tried(read)
    checks.equal((row["id"], len(row["note"]), len(row["_message"])), (1, size, row["_message_length"]), "the row with the record twice")


if __name__ == "__main__":
    address, size = sys.argv[1], int(sys.argv[2])
    check_adbc(address, size)
    check_pyarrow(address, size)
