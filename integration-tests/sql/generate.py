"""Writes generated.slt: statements with the values that SQLite, or Python, computes for them from the same records."""

import hashlib
import json
import re
import sqlite3
import sys
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "python"))
sys.dont_write_bytecode = True

import nasa_expected  # noqa: E402

LOG = nasa_expected.rows()
SHARDS = 4


def lines(table):
    return [json.loads(line) for line in (HERE / "records" / f"{table}.ndjson").read_text(encoding="utf-8").splitlines()]


def database():
    connection = sqlite3.connect(":memory:")
    connection.execute("create table nasahttp (host text, at integer, request text, code integer, bytes integer)")
    connection.executemany("insert into nasahttp values (?, ?, ?, ?, ?)", LOG)
    connection.execute("create table orders (id integer, customer integer, amount real, paid integer, placed text, note text)")
    columns = ["id", "customer", "amount", "paid", "placed", "note"]
    connection.executemany("insert into orders values (?, ?, ?, ?, ?, ?)", [[row.get(name) for name in columns] for row in lines("orders")])
    connection.execute("create table customers (customer integer, name text, city text)")
    rows = [(row["customer"], row["name"], row.get("address", {}).get("city")) for row in lines("customers")]
    connection.executemany("insert into customers values (?, ?, ?)", rows)
    connection.execute("create table vacant (id integer)")
    connection.execute("pragma case_sensitive_like = true")
    return connection


# (types, statement[, the same for SQLite]). Types: T text, I integer, R with a fraction, B boolean, D anything else, printed as it is.
# A statement with ORDER BY at its end must order totally; any other is compared without regard to order.
CASES = [
    # counting and adding
    ("I", "select count(*) from nasahttp"),
    ("I", "select count(*) from kinesis.default.nasahttp", "select count(*) from nasahttp"),
    ("I", "select count(1) from default.nasahttp", "select count(1) from nasahttp"),
    ("TI", "select host, sum(bytes) as total_bytes from kinesis.default.nasahttp group by host order by total_bytes desc limit 2;",
     "select host, sum(bytes) as total_bytes from nasahttp group by host order by total_bytes desc limit 2"),
    ("IIIR", "select min(bytes), max(bytes), sum(bytes), avg(bytes) from nasahttp"),
    ("II", "select code, count(*) from nasahttp group by code order by code"),
    ("I", "select count(distinct host) from nasahttp"),
    ("I", "select count(distinct upper(request)) from nasahttp"),
    ("II", "select count(*) filter (where code = 404), count(*) filter (where bytes = 0) from nasahttp"),
    ("TI", "select host, count(*) as n from nasahttp group by host having count(*) > 150 order by n desc, host"),
    ("TI", "select request, count(*) as n from nasahttp group by request order by n desc, request limit 7"),
    ("III", "select code, min(bytes), max(bytes) from nasahttp where bytes > 0 group by code order by code"),
    ("R", "select round(avg(length(request)), 3) from nasahttp"),
    # filters
    ("I", "select count(*) from nasahttp where code = 404"),
    ("I", "select count(*) from nasahttp where code <> 200"),
    ("I", "select count(*) from nasahttp where code in (302, 403)"),
    ("I", "select count(*) from nasahttp where code not in (200, 304)"),
    ("I", "select count(*) from nasahttp where bytes between 1000 and 2000"),
    ("I", "select count(*) from nasahttp where bytes > 100000 and code = 200"),
    ("I", "select count(*) from nasahttp where bytes > 300000 or code = 403"),
    ("I", "select count(*) from nasahttp where not (code = 200 and bytes < 5000)"),
    ("I", "select count(*) from nasahttp where host like '%.edu'"),
    ("I", "select count(*) from nasahttp where host not like '%.com'"),
    ("I", "select count(*) from nasahttp where request like 'POST%'"),
    ("I", "select count(*) from nasahttp where request like '%/shuttle/missions/sts-6_/%'"),
    ("I", "select count(*) from nasahttp where length(request) > 80"),
    ("I", "select count(*) from nasahttp where lower(host) = 'piweba4y.prodigy.com'"),
    ("I", "select count(*) from nasahttp where bytes % 10 = 3"),
    ("I", "select count(*) from nasahttp where bytes * 2 + 1 > 200001"),
    ("I", "select count(*) from nasahttp where code = 200 and code = 404"),
    ("I", "select count(*) from nasahttp where false", "select count(*) from nasahttp where 0"),
    ("T", "select host from nasahttp where false", "select host from nasahttp where 0"),
    ("I", "select count(*) from nasahttp where at >= timestamp '1995-08-01T12:00:00'", "select count(*) from nasahttp where at >= 807278400"),
    ("I", "select count(*) from nasahttp where at < timestamp '1995-08-01T05:00:00Z'", "select count(*) from nasahttp where at < 807253200"),
    ("I", "select count(*) from nasahttp where at between '1995-08-01T06:00:00' and '1995-08-01T06:59:59'",
     "select count(*) from nasahttp where at between 807256800 and 807260399"),
    ("TTII", "select host, request, code, bytes from nasahttp where code = 403"),
    ("TTI", "select host, request, bytes from nasahttp where bytes = 0 and code = 302 and host like '%.uk'"),
    # projections and expressions
    ("TI", "select distinct host, code from nasahttp where code = 404 and host like 'a%'"),
    ("I", "select distinct code from nasahttp order by code"),
    ("TI", "select upper(substr(host, 1, 5)) as h, bytes / 1000 as kb from nasahttp where bytes > 350000"),
    ("TI", "select case when bytes = 0 then 'none' when bytes < 10000 then 'small' else 'large' end as size, count(*) from nasahttp group by 1"),
    ("TII", "select host, bytes, code from nasahttp order by bytes desc, host, request, at limit 6"),
    ("T", "select distinct host from nasahttp order by host limit 5 offset 100"),
    ("T", "select host from nasahttp limit 0"),
    ("I", "select sum(coalesce(nullif(bytes, 0), 1)) from nasahttp"),
    ("T", "select distinct split_part(request, ' ', 1) from nasahttp", "select distinct substr(request, 1, instr(request || ' ', ' ') - 1) from nasahttp"),
    ("II", "select extract(hour from at) as h, count(*) from nasahttp group by h order by h", "select at / 3600 % 24 as h, count(*) from nasahttp group by h order by h"),
    ("DI", "select date_trunc('hour', at) as h, sum(bytes) from nasahttp group by h order by h",
     "select strftime('%Y-%m-%dT%H:00:00', at, 'unixepoch') as h, sum(bytes) from nasahttp group by h order by h"),
    ("DD", "select min(at), max(at) from nasahttp",
     "select strftime('%Y-%m-%dT%H:%M:%S', min(at), 'unixepoch'), strftime('%Y-%m-%dT%H:%M:%S', max(at), 'unixepoch') from nasahttp"),
    # subqueries, CTEs, set operations, windows
    ("TI", "with totals as (select host, sum(bytes) as total from nasahttp group by host) select host, total from totals where total > 5000000 order by total desc"),
    ("I", "select count(*) from nasahttp where host in (select host from nasahttp where code = 403)"),
    ("TTI", "select host, request, bytes from nasahttp where bytes = (select max(bytes) from nasahttp)"),
    ("I", "select count(*) from (select host from nasahttp where code = 404 intersect select host from nasahttp where code = 302)"),
    ("I", "select count(*) from (select host from nasahttp where code = 404 except select host from nasahttp where code = 302)"),
    ("II", "select count(*), sum(bytes) from (select bytes from nasahttp union all select bytes from nasahttp)"),
    ("I", "select count(*) from (select host, code from nasahttp union select host, code from nasahttp)"),
    ("I", "select count(*) from nasahttp a join nasahttp b on a.host = b.host and a.at = b.at and a.request = b.request where a.code = 404"),
    ("III", "select a.code, b.code, count(*) from nasahttp a join nasahttp b on a.host = b.host where a.code = 403 and b.code <> 403 group by a.code, b.code"),
    ("TII", "select host, total, rank() over (order by total desc) as r from (select host, sum(bytes) as total from nasahttp group by host) t order by r limit 4"),
    ("ITI", "with ranked as (select code, host, count(*) as n, row_number() over (partition by code order by count(*) desc, host) as p from nasahttp group by code, host)"
     " select code, host, n from ranked where p = 1 order by code"),
    ("II", "select code, sum(count(*)) over (order by code) as running from nasahttp group by code order by code"),
    ("I", "select count(*) from nasahttp a where exists (select 1 from nasahttp b where b.host = a.host and b.code = 403)"),
    # small tables: NULLs, types, joins
    ("IIRBDT", "select id, customer, amount, paid, placed, note from orders order by id"),
    ("IIIII", "select count(*), count(customer), count(amount), count(paid), count(note) from orders"),
    ("I", "select id from orders where note is null"),
    ("I", "select id from orders where note = ''"),
    ("I", "select id from orders where note <> 'first'"),
    ("I", "select id from orders where customer is distinct from 10", "select id from orders where customer is not 10"),
    ("I", "select id from orders where paid"),
    ("I", "select id from orders where not paid"),
    ("I", "select id from orders where paid is null"),
    ("I", "select id from orders where amount = null"),
    ("I", "select id from orders where amount >= 5.25 and amount < 20"),
    ("I", "select id from orders where note like '%☃%'"),
    ("I", "select id from orders where placed = date '2026-01-03'", "select id from orders where placed = '2026-01-03'"),
    ("I", "select id from orders where placed > '2026-01-02' and placed < '2026-03-01'"),
    ("I", "select id from orders where customer not in (10, 20)"),
    ("I", "select id from orders where customer not in (select customer from orders where id in (1, 4))"),
    ("RRR", "select sum(amount), min(amount), max(amount) from orders"),
    ("IR", "select customer, sum(amount) from orders group by customer"),
    ("BI", "select paid, count(*) from orders group by paid"),
    ("I", "select id from orders order by amount desc nulls last, id"),
    ("I", "select id from orders order by customer nulls first, id desc"),
    ("I", "select id from orders order by length(note) nulls last, id limit 3 offset 1"),
    ("T", "select coalesce(note, 'nothing') from orders"),
    ("I", "select distinct customer from orders"),
    ("IT", "select o.id, c.name from orders o join customers c on o.customer = c.customer"),
    ("IT", "select o.id, c.name from orders o left join customers c on o.customer = c.customer"),
    ("TI", "select c.name, o.id from customers c left join orders o on o.customer = c.customer"),
    ("IT", "select id, name from orders full join customers using (customer)", "select id, name from orders full outer join customers using (customer)"),
    ("ITT", "select id, name, note from orders natural join customers"),
    ("TIR", "select c.name, count(o.id), sum(o.amount) from customers c left join orders o on c.customer = o.customer group by c.name order by c.name"),
    ("I", "select count(*) from orders cross join customers"),
    ("II", "select a.id, b.id from orders a join orders b on a.amount = b.amount and a.id < b.id"),
    ("ITT", "select * from customers"),
    ("T", "select name from customers where city is null"),
    ("I", "select o.id from orders o where exists (select 1 from customers c where c.customer = o.customer and c.city = 'London')"),
    ("IR", "select id, sum(amount) over (order by id rows between 1 preceding and current row) from orders where amount is not null order by id"),
    ("I", "select count(*) from vacant"),
    ("I", "select sum(id) from vacant"),
    ("I", "select id from vacant"),
    ("TI", "select name, id from customers left join vacant on customers.customer = vacant.id"),
    ("I", "select count(*) from orders, vacant"),
    ("I", "select 1 + 1"),
    ("TI", "select 'a' || 'b', 7 / 2"),
]


def shard_of(key):
    """The shard of a partition key in a stream of SHARDS shards."""
    return int.from_bytes(hashlib.md5(key.encode()).digest(), "big") // (2**128 // SHARDS)


def shard_id(number):
    return f"shardId-{number:012}"


def python_cases():
    """(types, statement, rows) that SQLite knows nothing about: hidden columns and functions of its own."""
    per_shard = Counter(shard_of(row[0]) for row in LOG)
    first = {}
    for row in LOG:
        first.setdefault(shard_of(row[0]), row)
    yield "TI", "select _shard_id, count(*) from nasahttp group by _shard_id", [(shard_id(n), count) for n, count in per_shard.items()]
    for number in range(SHARDS):
        yield "I", f"select count(*) from nasahttp where _shard_id = '{shard_id(number)}'", [(per_shard[number],)]
    yield "I", "select count(*) from nasahttp where _shard_id <> 'shardId-000000000002'", [(len(LOG) - per_shard[2],)]
    yield "I", "select count(*) from nasahttp where _shard_id in ('shardId-000000000000', 'no-such-shard')", [(per_shard[0],)]
    yield "I", "select count(*) from nasahttp where _shard_id = 'shardId-000000000003' and code = 404", \
        [(sum(shard_of(row[0]) == 3 and row[3] == 404 for row in LOG),)]
    yield "I", "select count(*) from nasahttp where _partition_key = host", [(len(LOG),)]
    yield "II", "select max(_segment_count), count(distinct _segment_count) from nasahttp", [(max(per_shard.values()),) * 2]
    yield "TTT", "select _shard_id, host, request from nasahttp where _segment_count = 1", \
        [(shard_id(n), row[0], row[2]) for n, row in first.items()]
    for number in range(2):
        rows = [row for row in LOG if shard_of(row[0]) == number][:3]
        yield "TT", f"select host, request from nasahttp where _shard_id = '{shard_id(number)}' order by _shard_sequence_id limit 3", \
            [(row[0], row[2]) for row in rows]
    yield "I", "select count(*) from nasahttp where host ~ '^[0-9.]+$'", [(sum(bool(re.fullmatch(r"[0-9.]+", row[0])) for row in LOG),)]
    yield "I", "select count(*) from nasahttp where starts_with(request, 'HEAD ')", [(sum(row[2].startswith("HEAD ") for row in LOG),)]
    yield "I", "select approx_distinct(code) from nasahttp", [(len({row[3] for row in LOG}),)]


def text_of(value):
    """A JSON scalar as text; None for what is none."""
    if isinstance(value, str) or value is None:
        return value
    return None if isinstance(value, (dict, list)) else json.dumps(value)


def compact(value):
    return None if value is None else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def as_put(value):
    """As the records spell it."""
    return None if value is None else json.dumps(value, ensure_ascii=False)


def json_cases():
    """JSON functions and operators over the bytes of records and over text."""
    orders, customers = lines("orders"), lines("customers")
    for path in ["id", "note", "amount", "paid", "nothing"]:
        yield "IT", f"select id, json_extract_scalar(_message, '$.{path}') from orders", [(row["id"], text_of(row.get(path))) for row in orders]
        yield "IT", f"select id, _message->>'{path}' from orders", [(row["id"], text_of(row.get(path))) for row in orders]
    yield "IT", "select customer, json_extract(_message, '$.address') from customers", \
        [(row["customer"], compact(row.get("address"))) for row in customers]
    yield "IT", "select customer, _message->'address' from customers", [(row["customer"], as_put(row.get("address"))) for row in customers]
    yield "IT", "select customer, _message->'name' from customers", [(row["customer"], compact(row.get("name"))) for row in customers]
    city = [(row["customer"], row.get("address", {}).get("city")) for row in customers]
    yield "IT", "select customer, _message->'address'->>'city' from customers", city
    yield "IT", "select customer, json_extract_scalar(_message, '$[\"address\"].city') from customers", city
    yield "IT", "select customer, json_get_str(_message, 'address', 'city') from customers", city
    yield "IT", "select customer, json_extract_scalar(json_extract(_message, '$.address'), '$.city') from customers", city
    yield "II", "select id, json_get_int(_message, 'customer') from orders", [(row["id"], row.get("customer")) for row in orders]
    yield "II", "select id, (_message->'customer')::bigint from orders", [(row["id"], row.get("customer")) for row in orders]
    yield "II", "select id, json_get(_message, 'customer')::bigint from orders", [(row["id"], row.get("customer")) for row in orders]
    yield "II", "select id, json_size(_message, '$') from orders", [(row["id"], len(row)) for row in orders]
    yield "IB", "select id, json_contains(_message, 'note') from orders", [(row["id"], "note" in row) for row in orders]
    yield "I", "select id from orders where json_extract_scalar(_message, '$.note') = 'first'", [(row["id"],) for row in orders if row.get("note") == "first"]
    yield "I", "select count(*) from nasahttp where json_extract_scalar(_message, '$.code') = '404'", [(sum(row[3] == 404 for row in LOG),)]
    yield "I", "select sum((_message->>'bytes')::bigint) from nasahttp", [(sum(row[4] for row in LOG),)]
    yield "I", "select count(*) from nasahttp where _message->>'host' = host", [(len(LOG),)]
    yield "I", "select count(*) from nasahttp where host = _message->>'host' and _message->>'code' in ('404', '403')", \
        [(sum(row[3] in (403, 404) for row in LOG),)]
    yield "I", "select id from orders where _message->>'note' is not null and not _message->>'note' like 'f%'", \
        [(row["id"],) for row in orders if row.get("note") is not None and not row["note"].startswith("f")]
    # Columns of type json and row, over the same records.
    yield "IT", "select customer, json_extract_scalar(address, '$.city') from addresses", city
    yield "IT", "select customer, address->>'city' from addresses", city
    yield "IT", "select customer, parts['city'] from addresses", city
    yield "II", "select customer, json_size(address, '$') from addresses", \
        [(row["customer"], len(row["address"]) if "address" in row else None) for row in customers]
    # A stream that a definition names needs none.
    yield "IT", "select s.customer, s.name from kinesis_stream('customers') s", [(row["customer"], row["name"]) for row in customers]
    yield "IT", "select customer, address['city'] from kinesis_stream('customers')", city
    yield "IT", "select o.id, c.name from kinesis_stream('orders') o join customers c on o.customer = c.customer where o._shard_id is not null", \
        [(o["id"], c["name"]) for o in orders for c in customers if o.get("customer") == c["customer"]]
    yield "I", "select count(*) from kinesis_stream('vacant')", [(0,)]
    valid = Counter()
    for line in (HERE / "records" / "trouble.ndjson").read_text(encoding="utf-8").splitlines():
        try:
            json.loads(line)
            valid["true"] += 1
        except ValueError:
            valid["false"] += 1
    yield "TI", "select cast(json_valid(_message) as varchar), count(*) from trouble group by 1", sorted(valid.items())
    document = {"a": [1, 2.5, "x", None, {"b": [True, []]}, -3], "k y": "v", "n": None}
    text = json.dumps(document)
    for function, path, value in [
        ("json_extract", "$", document),
        ("json_extract", "$.a", document["a"]),
        ("json_extract", "$.a[4].b", document["a"][4]["b"]),
        ("json_extract", "$.n", None),
        ("json_extract", "$.a[9]", None),
        ("json_extract_scalar", '$["k y"]', "v"),
        ("json_extract_scalar", "$.a[1]", 2.5),
        ("json_extract_scalar", "$.a[4]", None),
    ]:
        expected = compact(value) if function == "json_extract" else text_of(value)
        yield "T", f"select {function}('{text}', '{path}')", [(expected,)]
    for path, size in [("$.a", 6), ("$.a[4]", 1), ("$.a[0]", 0), ("$.missing", None)]:
        yield "I", f"select json_size('{text}', '{path}')", [(size,)]
    items = json.dumps(document["a"])
    yield "II", f"select json_array_length('{items}'), json_array_length('{text}')", [(6, None)]
    for index in [0, 2, 4, -1, -6, 3, 6, -7]:
        value = document["a"][index] if -6 <= index < 6 else None
        yield "T", f"select json_array_get('{items}', {index})", [(compact(value),)]
    yield "BBBBB", f"select json_array_contains('{items}', 1), json_array_contains('{items}', 2.5), json_array_contains('{items}', 'x'), " \
        f"json_array_contains('{items}', '1'), json_array_contains('{items}', true)", [(True, True, True, False, False)]
    yield "T", f"select json_format(json_parse('{text}'))", [(compact(document),)]
    yield "BBB", "select is_json_scalar('1'), is_json_scalar('[1]'), is_json_scalar('nothing')", [(True, False, None)]
    yield "BBB", "select json_valid('{}'), json_valid('{'), json_valid(null)", [(True, False, None)]


def cell(value, kind):
    if value is None:
        return "NULL"
    if value == "":
        return "(empty)"
    if kind == "B":
        return "true" if value else "false"
    if kind == "R":
        return repr(float(value))
    return str(value)


def record(types, statement, rows):
    ordered = re.search(r"\border by\b(?!.*\))", statement, re.IGNORECASE) is not None
    cells = [[cell(value, kind) for value, kind in zip(row, types)] for row in rows]
    if not ordered:
        cells.sort()
    text = [" ".join(row) for row in cells]
    letters = types.replace("B", "?").replace("D", "?")
    return "\n".join([f"query {letters} {'nosort' if ordered else 'rowsort'}", statement, "----", *text, ""])


def main():
    connection = database()
    parts = ["# Written by generate.py; the values are SQLite's and Python's.\n"]
    for types, statement, *other in CASES:
        rows = connection.execute(other[0] if other else statement).fetchall()
        if any(len(row) != len(types) for row in rows):
            sys.exit(f"{types} for {len(rows[0])} columns: {statement}")
        parts.append(record(types, statement, rows))
    for types, statement, rows in [*python_cases(), *json_cases()]:
        parts.append(record(types, statement, rows))
    (HERE / "generated.slt").write_text("\n".join(parts), encoding="utf-8")
    print(f"{len(parts) - 1} cases")


if __name__ == "__main__":
    main()
