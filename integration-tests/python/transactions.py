"""Consumption as ADBC's Python users do it.

Arguments: the Flight SQL address (grpc://host:port), the Kinesis endpoint (http://host:port), the phase, and for `open` and `reopen` a file.
The stream `numbers` has a table of that name with a column `n`.
"""

import json
import multiprocessing
import os
import pathlib
import sys
from concurrent.futures import ProcessPoolExecutor

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import boto3
import pyarrow.flight

import checks
from flight_wire import statement, with_headers

NUMBERS = "select n from numbers"


def kinesis(endpoint):
    return boto3.client(
        "kinesis", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )


def put(endpoint, numbers, stream="numbers"):
    records = [{"Data": json.dumps({"n": n}).encode(), "PartitionKey": f"key-{n}"} for n in numbers]
    reply = kinesis(endpoint).put_records(StreamName=stream, Records=records)
    checks.equal(reply["FailedRecordCount"], 0, "records refused")


def options(connection, **values):
    with connection.cursor() as cursor:
        for name, value in values.items():
            cursor.execute(f"SET kinesis.{name} = '{value}'")


def consumer(url, name, **more):
    """A connection as dbapi makes it: autocommit is off."""
    connection = flight_sql.connect(url)
    options(connection, checkpoint_name=name, checkpoint_mode="consume", start="trim_horizon", **more)
    return connection


def read(connection, sql=NUMBERS):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return sorted(row[0] for row in cursor.fetchall())


def refused(what, run):
    try:
        run()
    except adbc_driver_manager.Error as error:
        return str(error)
    raise AssertionError(f"{what} was not refused")


def read_partition(argument):
    url, descriptor = argument
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.adbc_read_partition(descriptor)
        return [row[0] for row in cursor.fetchall()]


def check_transactions(url, endpoint):
    put(endpoint, range(0, 100))
    with consumer(url, "transactions") as connection:
        checks.equal(read(connection), list(range(0, 100)), "the first read")
        put(endpoint, range(100, 120))
        checks.equal(read(connection), list(range(0, 100)), "the range is fixed")
        checks.equal(read(connection, "select count(*) from numbers"), [100], "in every statement")
        connection.rollback()
        checks.equal(read(connection), list(range(0, 100)), "after a rollback")
        connection.commit()
        checks.equal(read(connection), list(range(100, 120)), "the next iteration")
        connection.commit()
        checks.equal(read(connection), [], "an empty one")
        connection.commit()
        options(connection, iteration=0)
        checks.equal(read(connection), list(range(0, 100)), "iteration 0 again")
        connection.commit()


def check_who_observes_sees_what_is_there(url, endpoint):
    with flight_sql.connect(url) as connection:
        before = len(read(connection))
        put(endpoint, range(120, 125))
        checks.equal(len(read(connection)), before + 5, "a driver's transaction does not hide new records")


def check_fencing(url):
    with consumer(url, "fenced") as early, consumer(url, "fenced") as late:
        rows = read(early)
        checks.equal(read(late), rows, "both see one range")
        said = refused("a fenced commit", early.commit)
        checks.equal("ABORTED" in said.upper(), True, said)
        late.commit()
    # the driver forgets a transaction whose commit failed: whoever was fenced connects anew
    with consumer(url, "fenced") as again:
        checks.equal(read(again), [], "behind the commit of the other")
        again.commit()


def check_partitions_in_several_processes(url, endpoint):
    with consumer(url, "partitions") as connection, connection.cursor() as cursor:
        cursor.execute("SET kinesis.endpoints = 'shard'")
        partitions, _ = cursor.adbc_execute_partitions(NUMBERS)
        checks.equal(len(partitions) > 1, True, f"{len(partitions)} partitions")
        put(endpoint, range(125, 130))
        with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
            first = list(pool.map(read_partition, [(url, partitions[0])]))
            # by SQL, since the driver forgets a transaction whose commit failed
            said = refused("a commit before all was read", lambda: cursor.execute("COMMIT"))
            checks.equal("were read to their end" in said, True, said)
            others = list(pool.map(read_partition, [(url, partition) for partition in partitions[1:]]))
        rows = sorted(row for part in first + others for row in part)
        checks.equal(rows, list(range(0, 125)), "all partitions together")
        connection.commit()
        checks.equal(read(connection), list(range(125, 130)), "the next iteration")
        connection.commit()


def check_sql_alone(url, endpoint):
    with flight_sql.connect(url, autocommit=True) as connection:
        options(connection, checkpoint_name="sql", checkpoint_mode="consume", start="trim_horizon")
        with connection.cursor() as cursor:
            checks.equal("no transaction" in refused("a commit", lambda: cursor.execute("COMMIT")), True, "COMMIT outside")
            cursor.execute("BEGIN")
            rows = read(connection)
            cursor.execute("ROLLBACK")
            cursor.execute("BEGIN")
            checks.equal(read(connection), rows, "the same rows")
            cursor.execute("COMMIT")
            put(endpoint, range(130, 133))
            cursor.execute("BEGIN")
            checks.equal(read(connection), list(range(130, 133)), "the next ones")
            cursor.execute("COMMIT")


def check_commit_on_read(url, endpoint):
    with flight_sql.connect(url, autocommit=True) as connection:
        options(connection, checkpoint_logical_name="dashboard", checkpoint_enabled="true", start="latest")
        checks.equal(read(connection), [], "from the latest on")
        put(endpoint, range(133, 140))
        checks.equal(len(read(connection, "select n from numbers limit 2")), 2, "a limit")
        checks.equal(read(connection), list(range(133, 140)), "a limit moved nothing")
        checks.equal(read(connection), [], "a whole read did")


def check_several_streams(url, endpoint):
    both = "select n from numbers where n < 10 union all select n + 1000 from others"
    put(endpoint, range(0, 5), "others")
    rows = list(range(0, 10)) + list(range(1000, 1005))
    with consumer(url, "several") as early:
        said = refused("two streams", lambda: read(early, both))
        checks.equal("checkpoint_tables" in said, True, said)
        options(early, checkpoint_tables="numbers, kinesis.default.others")
        checks.equal(read(early, both), rows, "both streams")
        # another one takes the iteration of one of them over: then neither moves
        with consumer(url, "several", checkpoint_tables="others") as late:
            checks.equal(read(late, "select n from others"), list(range(0, 5)), "one of them")
            said = refused("a commit of both", early.commit)
            checks.equal("ABORTED" in said.upper(), True, said)
            late.rollback()
    with consumer(url, "several", checkpoint_tables="numbers,others") as again:
        checks.equal(read(again, both), rows, "both again")
        put(endpoint, range(5, 8), "others")
        again.commit()
        checks.equal(read(again, both), list(range(1005, 1008)), "what came since")
        again.commit()
        options(again, checkpoint_tables="others")
        checks.equal(len(read(again, both)), 10, "a stream that is not consumed is read as without a checkpoint")
        again.commit()


def check_pyarrow(url):
    client = pyarrow.flight.FlightClient(url.replace("grpc://", "grpc+tcp://"))
    info = client.get_flight_info(statement(NUMBERS), with_headers(checkpoint_name="pyarrow", start="trim_horizon"))
    rows = client.do_get(info.endpoints[0].ticket).read_all()["n"].to_pylist()
    checks.equal(sorted(rows), list(range(0, 140)), "a checkpoint named by a header, observed")


def clients(url, endpoint):
    check_transactions(url, endpoint)
    check_who_observes_sees_what_is_there(url, endpoint)
    check_fencing(url)
    check_partitions_in_several_processes(url, endpoint)
    check_sql_alone(url, endpoint)
    check_commit_on_read(url, endpoint)
    check_several_streams(url, endpoint)
    check_pyarrow(url)


def open_iteration(url, endpoint, file):
    """Leaves an iteration open, and says what was in it. The server is killed then."""
    put(endpoint, range(0, 50))
    connection = consumer(url, "crash")
    rows = read(connection)
    connection.commit()
    put(endpoint, range(50, 80))
    pathlib.Path(file).write_text(json.dumps({"committed": rows, "open": read(connection)}))
    # a client that dies rolls nothing back
    os._exit(0)


def reopen_iteration(url, endpoint, file):
    """The server was killed and started again, or is another one with the same checkpoints."""
    before = json.loads(pathlib.Path(file).read_text())
    put(endpoint, range(80, 90))
    with consumer(url, "crash") as connection:
        checks.equal(before, {"committed": list(range(0, 50)), "open": list(range(50, 80))}, "before")
        checks.equal(read(connection), before["open"], "the open iteration has the same rows")
        connection.commit()
        checks.equal(read(connection), list(range(80, 90)), "and the next one the others")
        connection.commit()


def write_positions(url, endpoint, file):
    """For each of two shards a sequence number: the third record's of the first, the last record's of the second."""
    put(endpoint, range(0, 40))
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("select _shard_id, sequence_number(_shard_sequence_id) from numbers order by _shard_sequence_id")
        by_shard = {}
        for shard, sequence in cursor.fetchall():
            by_shard.setdefault(shard, []).append(sequence)
    (first, numbers), (second, others) = sorted(by_shard.items())
    pathlib.Path(file).write_text(json.dumps([[first, numbers[2]], [second, others[-1]]]))


def read_imported(url, endpoint, file):
    """What was imported is consumed; nothing else is."""
    (first, third), (second, _) = json.loads(pathlib.Path(file).read_text())
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        rest = f"select n from numbers where _shard_id = '{first}' and _shard_sequence_id > '{third}'"
        cursor.execute(rest)
        behind = sorted(row[0] for row in cursor.fetchall())
        cursor.execute(f"select n from numbers where _shard_id = '{second}'")
        whole = sorted(row[0] for row in cursor.fetchall())
    checks.equal(len(behind) + len(whole) + 3, 40, "records")
    for name, rows in {"old_job": behind, "kcl": sorted(behind + whole)}.items():
        with flight_sql.connect(url) as connection:
            # one endpoint: of deliveries that end at once, each an ADD to one item, moto loses some
            options(connection, checkpoint_name=name, checkpoint_mode="consume", endpoints="single")
            checks.equal(read(connection), rows, name)
            connection.commit()
            checks.equal(read(connection), [], f"{name} again")
            connection.commit()


def read_after_reset(url, endpoint, file):
    """The checkpoint was reset behind iteration 0."""
    before = json.loads(pathlib.Path(file).read_text())
    put(endpoint, range(80, 85))
    with consumer(url, "crash") as connection:
        checks.equal(read(connection), before["open"] + list(range(80, 85)), "behind iteration 0")
        connection.commit()


PHASES = {
    "clients": clients,
    "open": open_iteration,
    "reopen": reopen_iteration,
    "after_reset": read_after_reset,
    "positions": write_positions,
    "imported": read_imported,
}

if __name__ == "__main__":
    address, kinesis_endpoint, phase, *rest = sys.argv[1:]
    PHASES[phase](address, kinesis_endpoint, *rest)
    print(f"{phase}: done")
