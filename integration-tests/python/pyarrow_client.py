"""The program as pyarrow's Flight client meets it. Arguments: the Flight SQL address (grpc://host:port)."""

import json
import sys
from collections import Counter

import pyarrow
import pyarrow.flight as flight

import checks
import nasa_expected
from flight_wire import statement, with_headers

ARTICLE = "select host, sum(bytes) as total_bytes from kinesis.default.nasahttp group by host order by total_bytes desc limit 2;"
ROWS = "select host, code, bytes from kinesis.default.nasahttp"
LOG = nasa_expected.rows()
PER_SHARD = with_headers(endpoints="shard")
# pyarrow has classes of its own for some statuses, and Arrow's for others.
REFUSED = (flight.FlightError, pyarrow.ArrowException)


def counted(tables):
    table = pyarrow.concat_tables(tables)
    return Counter(zip(table["host"].to_pylist(), table["code"].to_pylist(), table["bytes"].to_pylist()))


def wanted():
    return Counter((host, code, size) for host, _, _, code, size in LOG)


def check_one_endpoint_unless_asked_for_more(client):
    info = client.get_flight_info(statement(ROWS))
    checks.equal(len(info.endpoints), 1, "endpoints")
    checks.equal(counted([client.do_get(info.endpoints[0].ticket).read_all()]) == wanted(), True, "rows equal the log's")


def check_one_endpoint_a_shard_by_header(client):
    info = client.get_flight_info(statement(ROWS), PER_SHARD)
    checks.equal(len(info.endpoints), 4, "endpoints")
    # In any order, and one of them twice.
    tables = {}
    for number in [2, 0, 3, 1, 2]:
        table = client.do_get(info.endpoints[number].ticket).read_all()
        checks.equal(tables.setdefault(number, table).equals(table), True, "an endpoint read twice")
    checks.equal(counted(list(tables.values())) == wanted(), True, "the union of the endpoints equals the log")
    shards = [
        set(client.do_get(endpoint.ticket).read_all()["_shard_id"].to_pylist())
        for endpoint in client.get_flight_info(statement("select _shard_id from nasahttp"), PER_SHARD).endpoints
    ]
    checks.equal([len(ids) for ids in shards], [1, 1, 1, 1], "shards in each endpoint")
    checks.equal(len(set.union(*shards)), 4, "shards in all endpoints")


def check_an_aggregate_has_one_endpoint_all_the_same(client):
    info = client.get_flight_info(statement(ARTICLE), PER_SHARD)
    checks.equal(len(info.endpoints), 1, "endpoints")
    table = client.do_get(info.endpoints[0].ticket).read_all()
    checks.equal(list(zip(*table.to_pydict().values())), nasa_expected.top_hosts(LOG, 2), "rows")


def check_the_schema_of_the_info_is_the_streams(client):
    for sql in [
        ROWS,
        ARTICLE,
        "select * from nasahttp where code <> 200",
        "select at, _message_timestamp, _shard_sequence_id, _message from nasahttp limit 5",
        "select count(*), count(bytes), min(bytes), max(at), avg(bytes) from nasahttp",
        "select distinct code, code > 300 as odd, case when code = 200 then 'fine' end as word from nasahttp",
        "select host from nasahttp where false",
        "select cast(bytes as double) / 3 as d, upper(host) as u from nasahttp union all select 1.5, 'x'",
    ]:
        for options in [flight.FlightCallOptions(), PER_SHARD]:
            info = client.get_flight_info(statement(sql), options)
            for endpoint in info.endpoints:
                schema = client.do_get(endpoint.ticket).read_all().schema
                checks.equal(schema.remove_metadata(), info.schema.remove_metadata(), f"schema of {sql}")
                checks.equal([field.nullable for field in schema], [field.nullable for field in info.schema], f"nullability of {sql}")
            views = [str(field.type) for field in info.schema if "view" in str(field.type) or "dictionary" in str(field.type)]
            checks.equal(views, [], f"types that old drivers cannot read, in {sql}")


def check_app_metadata_tells_the_snapshot(client):
    info = client.get_flight_info(statement(ROWS), PER_SHARD)
    facts = json.loads(info.app_metadata)
    checks.equal(len(facts["shards"]), 4, f"shards of {facts}")
    checks.equal(bool(facts["query_id"]), True, "query id")
    rows, shards = 0, []
    for endpoint in info.endpoints:
        last = None
        for chunk in client.do_get(endpoint.ticket):
            rows += chunk.data.num_rows
            last = chunk
        end = json.loads(last.app_metadata.to_pybytes())
        checks.equal(last.data.num_rows, 0, "rows of the last batch")
        checks.equal(end["query_id"], facts["query_id"], "query id at the end")
        shards += end["shards"]
    checks.equal(rows, len(LOG), "rows")
    checks.equal([shard["complete"] for shard in shards], [True] * 4, f"complete, in {shards}")


def check_tickets_cannot_be_read_or_forged(client):
    sql = "select host, bytes from nasahttp where host = 'piweba4y.prodigy.com'"
    info = client.get_flight_info(statement(sql))
    ticket = info.endpoints[0].ticket.ticket
    for secret in [b"piweba4y", b"select", b"nasahttp", b"shardId"]:
        checks.equal(secret in ticket, False, f"{secret} in the ticket")
    for position in [0, len(ticket) // 2, len(ticket) - 1]:
        forged = bytearray(ticket)
        forged[position] ^= 1
        checks.raises(REFUSED, lambda forged=forged: client.do_get(flight.Ticket(bytes(forged))).read_all())
        checks.raises(REFUSED, lambda position=position: client.do_get(flight.Ticket(ticket[:position])).read_all())
    checks.equal(client.do_get(flight.Ticket(ticket)).read_all().num_rows, sum(row[0] == "piweba4y.prodigy.com" for row in LOG), "the true one")


def check_options_by_header(client):
    info = client.get_flight_info(statement("select * from nasahttp limit 1"), with_headers(hide_internal_columns="false"))
    checks.equal("_shard_id" in info.schema.names, True, "hidden columns by header")
    checks.raises(REFUSED, lambda: client.get_flight_info(statement(ROWS), with_headers(endpoints="all")), "endpoints")
    checks.raises(REFUSED, lambda: client.get_flight_info(statement(ROWS), with_headers(no_such_option="1")))


def check_actions_are_listed(client):
    names = {action.type for action in client.list_actions()}
    for name in ["CreatePreparedStatement", "ClosePreparedStatement", "SetSessionOptions", "GetSessionOptions", "CloseSession"]:
        checks.equal(name in names, True, f"{name} in {names}")


if __name__ == "__main__":
    with flight.connect(sys.argv[1].replace("grpc://", "grpc+tcp://")) as client:
        checks.run(globals(), client)
