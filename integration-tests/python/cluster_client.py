"""Clients of a cluster. Arguments: the phase, the Kinesis endpoint, where clients call (grpc://host:port), the nodes (grpc://host:port,...); of phases about a
lost node also its address, and a file that one phase leaves to the next. The stream `numbers` has a table of that name with a column `n`."""

import base64
import collections
import json
import pathlib
import sys
import time

import adbc_driver_flightsql.dbapi as flight_sql
import pyarrow
import pyarrow.flight as flight

import checks
from flight_wire import field, statement, with_headers
from transactions import NUMBERS, options, put, read

REUSE = "arrow-flight-reuse-connection://?"
COOKIES = {"adbc.flight.sql.rpc.with_cookie_middleware": "true"}
LOGIN = {"username": "ann", "password": "any"}
SHARDS = 32


def connect(url, how, **more):
    connection = flight_sql.connect(url, db_kwargs=dict(how), **more)
    return connection


def told(endpoint):
    return [location.uri.decode() for location in endpoint.locations]


def per_shard(url):
    return flight.connect(url).get_flight_info(statement(NUMBERS), with_headers(endpoints="shard"))


def rows(url, ticket):
    return flight.connect(url).do_get(ticket).read_all()["n"].to_pylist()


def table(url, sql):
    client = flight.connect(url)
    info = client.get_flight_info(statement(sql))
    checks.equal([told(endpoint) for endpoint in info.endpoints], [[]], f"locations of one endpoint: {sql}")
    return client.do_get(info.endpoints[0].ticket).read_all().to_pylist()


def alive(url):
    return {row["location"] for row in table(url, "select location from kinesis.system.nodes where alive")}


def wait_for(what, seconds, holds):
    """What nodes believe of each other changes within seconds; nothing tells when."""
    begun = time.monotonic()
    while not holds():
        if time.monotonic() - begun > seconds:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.1)
    return time.monotonic() - begun


class Together:
    """Whichever node is called."""

    def __init__(self, kinesis, url, nodes):
        self.kinesis, self.url, self.nodes = kinesis, url, nodes
        put(kinesis, range(0, 200))
        for node in nodes:
            wait_for("every node knows all of them", 20, lambda: alive(node) == set(nodes))

    def check_nodes_agree_on_who_owns_what(self):
        sql = "select location, own, alive, shards_owned from kinesis.system.nodes"
        answers = []
        for node in self.nodes:
            checks.equal(table(node, "select count(*) as n from numbers"), [{"n": 200}], "rows")
            said = table(node, sql)
            checks.equal([row["location"] for row in said if row["own"]], [node], "which is this node")
            answers.append({row["location"]: row["shards_owned"] for row in said})
        checks.equal(answers, [answers[0]] * len(self.nodes), "shards owned")
        checks.equal(sum(answers[0].values()), SHARDS, "all of them")

    def check_endpoints_say_where_their_shards_are_read(self):
        found = []
        for node in self.nodes:
            info = per_shard(node)
            checks.equal(len(info.endpoints), SHARDS, "endpoints")
            for endpoint in info.endpoints:
                location, reuse = told(endpoint)
                checks.equal((location in self.nodes, reuse), (True, REUSE), "locations")
            found.append([told(endpoint)[0] for endpoint in info.endpoints])
        checks.equal(found, [found[0]] * len(self.nodes), "whichever node plans")
        owned = {row["location"]: row["shards_owned"] for row in table(self.url, "select location, shards_owned from kinesis.system.nodes")}
        counted = collections.Counter(found[0])
        checks.equal({node: counted[node] for node in owned}, owned, "as the system table says")

    def check_any_node_serves_any_ticket(self):
        planned = per_shard(self.nodes[0])
        for node in self.nodes:
            got = [n for endpoint in planned.endpoints for n in rows(node, endpoint.ticket)]
            checks.equal(sorted(got), list(range(200)), f"at {node}")

    def check_any_node_gives_rows_of_scratch_tables(self):
        # they are in the memory of the session's node alone
        for home in self.nodes:
            client = flight.connect(home)
            token = flight.FlightCallOptions(headers=[client.authenticate_basic_token("ann", "any")])
            for sql in ["create table staged as select n from numbers where n < 7", "create view few as select n + 1 as n from staged where n < 3"]:
                client.get_flight_info(statement(sql), token)
            planned = [(sql, client.get_flight_info(statement(f"select n from {sql}"), token)) for sql in ["staged", "few"]]
            client.get_flight_info(statement("insert into staged values (100)"), token)
            for node in self.nodes:
                got = [sorted(flight.connect(node).do_get(info.endpoints[0].ticket, token).read_all()["n"].to_pylist()) for _, info in planned]
                checks.equal(got, [[0, 1, 2, 3, 4, 5, 6], [1, 2, 3]], f"of {home} at {node}, as planned")
                relayed = flight.connect(node)
                info = relayed.get_flight_info(statement("select count(*) as n from staged"), token)
                checks.equal(relayed.do_get(info.endpoints[0].ticket, token).read_all()["n"].to_pylist(), [8], f"of {home} by {node}")

    def check_adbc_follows_the_locations(self):
        for url in [self.url, *self.nodes]:
            with connect(url, {}, autocommit=True) as connection:
                checks.equal(read(connection), list(range(200)), url)

    def check_consumption_in_transactions_call_by_call(self):
        # moto loses one of two updates of an item that come at once, such as the notes of endpoints that end together
        for name, how in [("cookies", COOKIES), ("login", LOGIN)]:
            done = 200
            for round_number in range(2):
                with connect(self.url, how) as connection:
                    options(connection, checkpoint_name=name, checkpoint_mode="consume", endpoints="single", start="trim_horizon")
                    wanted = read(connection)
                    checks.equal(read(connection), wanted, "the range is fixed")
                    connection.rollback()
                    checks.equal(read(connection), wanted, "after a rollback")
                    connection.commit()
                    checks.equal(read(connection), [], "all is consumed")
                    connection.commit()
                    if round_number == 0:
                        checks.equal(len(wanted) >= done, True, f"{len(wanted)} rows the first time")
                    else:
                        checks.equal(wanted, [2000 + round_number], "what came since")
                put(self.kinesis, [2001 + round_number])
            with connect(self.url, how) as connection:
                options(connection, checkpoint_name=name, checkpoint_mode="consume", endpoints="single")
                checks.equal(read(connection), [2002], "the last one")
                connection.commit()

    def check_prepared_statements_with_parameters(self):
        for how in [COOKIES, LOGIN, {}]:
            with connect(self.url, how, autocommit=True) as connection, connection.cursor() as cursor:
                for limit in (10, 50, 199):
                    cursor.execute("select count(*) from numbers where n < ?", (limit,))
                    checks.equal(cursor.fetchall(), [(limit,)], "counted")

    def check_options_are_never_forgotten(self):
        # without cookies or a login the driver goes on with the token of the first reply
        for how in [COOKIES, LOGIN, {}]:
            with connect(self.url, how, autocommit=True) as connection, connection.cursor() as cursor:
                for value in ("skip", "fail", "null_row") * 2:
                    cursor.execute(f"SET kinesis.bad_records = '{value}'")
                    cursor.execute("SHOW kinesis.bad_records")
                    checks.equal([row[-1] for row in cursor.fetchall()], [value], "what was set")

    def check_a_call_that_names_no_session_can_set_nothing(self):
        client = flight.connect(self.url)
        checks.raises(pyarrow.ArrowInvalid, lambda: client.get_flight_info(statement("SET kinesis.bad_records = 'skip'")), "names no session")

    def check_cancelling_reaches_the_node_that_streams(self):
        for streaming in self.nodes:
            client = flight.connect(self.nodes[0])
            info = client.get_flight_info(statement("FOLLOW SELECT n FROM numbers"))
            reader = flight.connect(streaming).do_get(info.endpoints[0].ticket)
            reader.read_chunk()
            answer = list(client.do_action(("CancelFlightInfo", field(1, info.serialize()))))
            checks.equal([result.body.to_pybytes() for result in answer], [b"\x08\x01"], "CANCELLED")
            checks.raises(flight.FlightCancelledError, lambda: collections.deque((chunk for chunk in reader), maxlen=0), "cancel")


class Alone:
    """A name that leads to this node and no other."""

    def __init__(self, kinesis, url, nodes):
        self.kinesis, self.url = kinesis, url
        put(kinesis, range(0, 200))

    def check_it_knows_itself(self):
        said = table(self.url, "select location, alive, own from kinesis.system.nodes where alive")
        checks.equal(said, [{"location": self.url, "alive": True, "own": True}], "nodes")
        checks.equal([told(endpoint)[0] for endpoint in per_shard(self.url).endpoints], [self.url] * SHARDS, "locations")


class Lost:
    """One node goes, in several ways."""

    def __init__(self, kinesis, url, nodes, lost, file):
        self.kinesis, self.url, self.lost, self.file = kinesis, url, lost, pathlib.Path(file)
        self.others = [node for node in nodes if node != lost]

    def login(self, url):
        token = flight.connect(url).authenticate_basic_token("ann", "any")
        return token[1].decode()

    def call(self, url, token):
        call = flight.FlightCallOptions(headers=[(b"authorization", token.encode())], timeout=20)
        client = flight.connect(url)
        info = client.get_flight_info(statement("SHOW kinesis.bad_records"), call)
        return client.do_get(info.endpoints[0].ticket, call).read_all().to_pydict()

    def before(self):
        put(self.kinesis, range(0, 200))
        nodes = {*self.others, self.lost}
        for node in nodes:
            wait_for("every node knows all of them", 20, lambda: alive(node) == nodes)
        planned = per_shard(self.url)
        checks.equal(self.lost in {told(endpoint)[0] for endpoint in planned.endpoints}, True, "the node owns a shard")
        token = self.login(self.lost)
        self.call(self.url, token)
        with connect(self.url, {}, autocommit=True) as connection, connection.cursor() as cursor:
            partitions, _ = cursor.adbc_execute_partitions(NUMBERS)
        kept = {"partitions": [base64.b64encode(partition).decode() for partition in partitions], "token": token}
        self.file.write_text(json.dumps(kept))

    def kept(self):
        return json.loads(self.file.read_text())

    def is_left_out(self):
        """Within seconds nobody is sent to a node that does not answer."""
        for node in self.others:
            took = wait_for("the node is left out", 8, lambda: alive(node) == set(self.others))
            print(f"left out after {took:.1f} s")
            # a node that has only just become an owner may not have said yet where it is: then there is no location
            found = {location for endpoint in per_shard(node).endpoints for location in told(endpoint)[:1]}
            checks.equal(found <= set(self.others), True, f"locations {found}")
            checks.equal(table(node, "select count(*) as n from numbers"), [{"n": 200}], "rows")

    def stopped(self):
        self.is_left_out()
        begun = time.monotonic()
        checks.raises(flight.FlightError, lambda: self.call(self.url, self.kept()["token"]), "does not answer", "retry")
        checks.equal(time.monotonic() - begun < 5, True, "told within 5 s")

    def resumed(self):
        nodes = {*self.others, self.lost}
        wait_for("the node is back", 20, lambda: alive(self.url) == nodes)
        # its sessions were never gone
        self.call(self.url, self.kept()["token"])

    def killed(self):
        with connect(self.url, {}, autocommit=True) as connection:
            got = []
            for partition in self.kept()["partitions"]:
                with connection.cursor() as cursor:
                    cursor.adbc_read_partition(base64.b64decode(partition))
                    got.extend(row[0] for row in cursor.fetchall())
            checks.equal(sorted(got), list(range(200)), "endpoints of a node that is gone")
        self.is_left_out()
        checks.raises(flight.FlightError, lambda: self.call(self.url, self.kept()["token"]), "which h")

    def restarted(self):
        # at another port for clients, and the same one for nodes
        wait_for("the node is back", 20, lambda: alive(self.url) == set(self.others))
        checks.raises(flight.FlightUnauthenticatedError, lambda: self.call(self.url, self.kept()["token"]), "session expired")
        for node in self.others:
            checks.equal(table(node, "select count(*) as n from numbers"), [{"n": 200}], "rows")


def checks_of(stage):
    return {name: getattr(stage, name) for name in vars(type(stage)) if name.startswith("check_")}


if __name__ == "__main__":
    phase, kinesis, url, nodes, *more = sys.argv[1:]
    if phase == "together":
        checks.run(checks_of(Together(kinesis, url, nodes.split(","))))
    elif phase == "alone":
        checks.run(checks_of(Alone(kinesis, url, nodes.split(","))))
    else:
        checks.run({f"check_{phase}": getattr(Lost(kinesis, url, nodes.split(","), *more), phase)})
