"""The hosts that requested most, every minute, each request counted once.

    python top_requesters.py grpc://127.0.0.1:32010 top.sqlite

Needs adbc-driver-flightsql and pyarrow. Stop it as you like, kill -9 included: started again, it goes on where the file ends.
"""

import argparse
import contextlib
import sqlite3
import time
import warnings

import adbc_driver_flightsql.dbapi as flight_sql

arguments = argparse.ArgumentParser()
arguments.add_argument("server")
arguments.add_argument("sink")
arguments.add_argument("--table", default="kinesis.default.nasahttp")
arguments.add_argument("--every", type=float, default=60, help="seconds")
arguments.add_argument("--top", type=int, default=5, help="hosts")
arguments = arguments.parse_args()

# Where the server cannot be reached just then, the driver goes on without transactions, with a warning, and commit() does nothing.
warnings.filterwarnings("error", message="Cannot disable autocommit")
sink = sqlite3.connect(arguments.sink)
sink.execute("create table if not exists top (increment text, host text, requests integer, primary key (increment, host))")


def take_increment(connection, cursor):
    # the first statement fixes the increment, and the second reads the same records
    cursor.execute(f"select min(_row_id) from {arguments.table}")
    [(increment,)] = cursor.fetchall()
    cursor.execute(f"select host, count(*) from {arguments.table} group by host order by 2 desc, 1 limit {arguments.top}")
    hosts = cursor.fetchall()
    # Written before the commit: whoever dies in between gets the same records again, and the first of them names the rows to replace.
    with sink:
        sink.execute("delete from top where increment = ?", (increment,))
        sink.executemany("insert into top values (?, ?, ?)", [(increment, *row) for row in hosts])
    connection.commit()


while True:
    # A new connection after an error: the driver forgets a transaction whose commit failed.
    try:
        with contextlib.closing(flight_sql.connect(arguments.server)) as connection, connection.cursor() as cursor:
            cursor.execute("SET kinesis.checkpoint_name = 'top-requesters'")
            cursor.execute("SET kinesis.checkpoint_mode = 'consume'")
            cursor.execute("SET kinesis.start = 'trim_horizon'")
            while True:
                take_increment(connection, cursor)
                time.sleep(arguments.every)
    except (flight_sql.Error, flight_sql.Warning) as error:
        print(error, flush=True)
        time.sleep(min(arguments.every, 1))
