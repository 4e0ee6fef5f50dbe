"""Tickets outlive the server. `tickets.py save URL FILE` plans a statement and writes its tickets and rows; `tickets.py read URL FILE` compares."""

import sys

import pyarrow
import pyarrow.flight as flight
import pyarrow.ipc

import checks
from flight_wire import statement, with_headers

SQL = "select host, at, request, code, bytes, _shard_id, _shard_sequence_id from nasahttp where code = 304"


def save(client, path):
    info = client.get_flight_info(statement(SQL), with_headers(endpoints="shard"))
    with open(path, "w", encoding="ascii") as file:
        for endpoint in info.endpoints:
            table = client.do_get(endpoint.ticket).read_all()
            sink = pyarrow.BufferOutputStream()
            with pyarrow.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table)
            file.write(f"{endpoint.ticket.ticket.hex()} {sink.getvalue().to_pybytes().hex()}\n")
    print(f"{len(info.endpoints)} tickets")


def read(client, path):
    rows = 0
    with open(path, encoding="ascii") as file:
        for line in file:
            ticket, saved = (bytes.fromhex(word) for word in line.split())
            table = client.do_get(flight.Ticket(ticket)).read_all()
            checks.equal(table.equals(pyarrow.ipc.open_stream(saved).read_all()), True, "rows of a ticket from before the restart")
            rows += table.num_rows
    checks.equal(rows, 1485, "rows with code 304")
    print(f"{rows} rows as before")


if __name__ == "__main__":
    with flight.connect(sys.argv[2].replace("grpc://", "grpc+tcp://")) as connection:
        {"save": save, "read": read}[sys.argv[1]](connection, sys.argv[3])
