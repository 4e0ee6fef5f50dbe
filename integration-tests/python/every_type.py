"""A table with a column of every type: its records, and what clients must make of them. Arguments:

put KINESIS              makes the stream `every_type` and puts its records
tables DIRECTORY         writes the table's definition
lines                    prints the rows as text, a line each, as EveryType.java prints them
check URL                reads the table with ADBC, pyarrow, pandas and polars
flat FRAME               checks the JSON of the Grafana stand-in, with flat_types
"""

import base64
import datetime
import decimal
import json
import math
import pathlib
import sys

STREAM = "every_type"
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
UTC = datetime.UTC

# column, type of the definition, further keys
COLUMNS = [
    ("id", "bigint", ""),
    ("b", "boolean", ""),
    ("i8", "tinyint", ""),
    ("i16", "smallint", ""),
    ("i32", "integer", ""),
    ("i64", "bigint", ""),
    ("f32", "real", ""),
    ("f64", "double", ""),
    ("dec", "decimal(20,4)", ""),
    ("big", "decimal(50,2)", ""),
    ("s", "varchar", ""),
    ("bin", "varbinary", ", format: base64"),
    ("d", "date", ""),
    ("t", "time(ms)", ""),
    ("t9", "time(ns)", ""),
    ("ts", "timestamp(ms)", ""),
    ("tz", "timestamp(us) with time zone", ""),
    ("u", "uuid", ""),
    ("j", "json", ""),
    ("list", "array<bigint>", ""),
    ("names", "array<varchar>", ""),
    ("m", "map<varchar, bigint>", ""),
    ("r", "row<a bigint, b varchar>", ""),
    ("deep", "array<row<x double, tags array<varchar>>>", ""),
]
NAMES = [name for name, _, _ in COLUMNS]

# Values as Python has them; nanoseconds of a day for t9, which no Python class holds.
FULL = {
    "id": 0,
    "b": True,
    "i8": 7,
    "i16": 300,
    "i32": 70000,
    "i64": 5_000_000_000,
    "f32": 1.5,
    "f64": -2.25,
    "dec": decimal.Decimal("1234567890.1250"),
    "big": decimal.Decimal("123456789012345678901234567890123456789012345678.25"),
    "s": "Grüße, 東京 🚀",
    "bin": b"\x00a\xff",
    "d": datetime.date(1995, 8, 1),
    "t": datetime.time(9, 55, 6, 123000),
    "t9": ((9 * 60 + 55) * 60 + 6) * 1_000_000_000 + 123_456_789,
    "ts": datetime.datetime(2024, 2, 29, 23, 59, 59, 999000),
    "tz": datetime.datetime(2024, 7, 1, 12, 0, 0, 123456, tzinfo=UTC),
    "u": "0190d1a4-5f4b-7c3e-8d2f-1a2b3c4d5e6f",
    "j": '{"a":[1,2]}',
    "list": [1, None, 3],
    "names": ["x", None, ""],
    "m": [("one", 1), ("none", None)],
    "r": {"a": 1, "b": "x"},
    "deep": [{"x": 0.5, "tags": ["p", "q"]}, None, {"x": None, "tags": []}],
}
EMPTY = {name: None for name in NAMES} | {"id": 1}
EXTREME = EMPTY | {
    "id": 2,
    "b": False,
    "i8": -128,
    "i16": -32768,
    "i32": -(2**31),
    "i64": -(2**63),
    "dec": decimal.Decimal("-0.0001"),
    "big": decimal.Decimal("-0.01"),
    "s": "",
    "bin": b"",
    "d": datetime.date(1900, 1, 1),
    "t": datetime.time(0, 0, 0),
    "t9": 24 * 3600 * 1_000_000_000 - 1,
    "ts": datetime.datetime(1969, 12, 31, 23, 59, 59, 1000),
    "tz": datetime.datetime(1901, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    "list": [],
    "m": [],
    "r": {"a": None, "b": None},
    "deep": [],
}
ROWS = [FULL, EMPTY, EXTREME]


def clock(ns):
    seconds, fraction = divmod(ns, 1_000_000_000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:09}"


def of_day(value):
    return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000_000 + value.microsecond * 1000


def epoch_ns(value):
    since = (value if value.tzinfo else value.replace(tzinfo=UTC)) - EPOCH
    return ((since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


def record(row):
    """The row as a producer would write it; NULL is a missing name in one row and null in another."""
    texts = {}
    for name, value in row.items():
        if value is None:
            if row["id"] == 2:
                texts[name] = "null"
        elif isinstance(value, decimal.Decimal):
            texts[name] = str(value)
        elif isinstance(value, bytes):
            texts[name] = json.dumps(base64.b64encode(value).decode())
        elif name == "t9":
            texts[name] = json.dumps(clock(value))
        elif name == "m":
            texts[name] = json.dumps(dict(value))
        elif name == "j":
            texts[name] = value
        elif name == "tz":
            shifted = value.astimezone(datetime.timezone(datetime.timedelta(hours=2)))
            texts[name] = json.dumps(shifted.isoformat())
        elif isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
            texts[name] = json.dumps(value.isoformat())
        else:
            texts[name] = json.dumps(value)
    return "{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in texts.items()) + "}"


def put(endpoint):
    import boto3

    client = boto3.client("kinesis", endpoint_url=endpoint)
    client.create_stream(StreamName=STREAM, ShardCount=2)
    client.get_waiter("stream_exists").wait(StreamName=STREAM)
    for row in ROWS:
        client.put_record(StreamName=STREAM, PartitionKey=f"key-{row['id']}", Data=record(row).encode())


def tables(directory):
    columns = [f'  - {{ name: {name}, path: {name}, type: "{kind}"{more} }}' for name, kind, more in COLUMNS]
    text = "\n".join([f"table: {STREAM}", f"stream: {STREAM}", "format: json", "bad_records: fail", "columns:", *columns])
    pathlib.Path(directory, f"{STREAM}.yaml").write_text(text + "\n")


def line_text(name, value):
    if value is None:
        return "NULL"
    if name in ("ts", "tz"):
        return str(epoch_ns(value))
    if name == "d":
        return str((value - EPOCH.date()).days)
    if name in ("t", "t9"):
        # JDBC's times are milliseconds
        return str((value if name == "t9" else of_day(value)) // 1_000_000)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, decimal.Decimal):
        return f"{value:f}"
    if isinstance(value, bytes):
        return value.hex()
    if name == "m":
        return json.dumps(dict(value), separators=(",", ":"))
    # the driver leaves out what is NULL in a row
    if name == "r":
        value = {key: part for key, part in value.items() if part is not None}
    if name == "deep":
        value = [item and {key: part for key, part in item.items() if part is not None} for item in value]
    if isinstance(value, (list, dict)):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return str(value)


def lines():
    for row in ROWS:
        print("\t".join(["row", *(line_text(name, row[name]) for name in NAMES)]))


def as_arrow(row):
    """The row as pyarrow's to_pylist gives it: times as integers, see `plain`."""
    return {name: epoch_ns(value) if name in ("ts", "tz") and value is not None else of_day(value) if name == "t" and value is not None else value for name, value in row.items()}


def plain(table):
    """A table's rows, with times as integers of nanoseconds."""
    import pyarrow as pa

    columns = {}
    for name in table.schema.names:
        column = table[name]
        if pa.types.is_timestamp(column.type):
            unit = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[column.type.unit]
            columns[name] = [None if value is None else value * unit for value in column.cast(pa.int64()).to_pylist()]
        elif pa.types.is_time(column.type):
            unit = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[column.type.unit]
            whole = pa.int32() if column.type.bit_width == 32 else pa.int64()
            columns[name] = [None if value is None else value * unit for value in column.cast(whole).to_pylist()]
        else:
            columns[name] = column.to_pylist()
    return [{name: columns[name][i] for name in columns} for i in range(table.num_rows)]


SQL = f"select {', '.join(NAMES)} from {STREAM} order by id"


def check(url):
    import checks

    checks.run(globals(), url)


def check_adbc(url):
    import adbc_driver_flightsql.dbapi as flight_sql
    import checks

    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        for sql in [SQL, f"select {', '.join(NAMES)} from {STREAM}"]:
            cursor.execute(sql)
            rows = sorted(plain(cursor.fetch_arrow_table()), key=lambda row: row["id"])
            for got, wanted in zip(rows, ROWS, strict=True):
                for name in NAMES:
                    checks.equal(got[name], as_arrow(wanted)[name], f"{name} of row {wanted['id']}")
        # one column alone, so that the types are seen to be independent of each other
        for name in NAMES:
            cursor.execute(f"select {name} from {STREAM} order by id")
            checks.equal([row[name] for row in plain(cursor.fetch_arrow_table())], [as_arrow(row)[name] for row in ROWS], name)


def check_pyarrow(url):
    import checks
    import pyarrow.flight as flight
    from flight_wire import statement

    client = flight.connect(url)
    info = client.get_flight_info(statement(SQL))
    table = client.do_get(info.endpoints[0].ticket).read_all()
    checks.equal(plain(table), [as_arrow(row) for row in ROWS], "rows")
    checks.equal(table.schema.remove_metadata(), info.schema.remove_metadata(), "the schema as announced")


def check_pandas(url):
    import adbc_driver_flightsql.dbapi as flight_sql
    import checks
    import pandas
    import pyarrow

    with flight_sql.connect(url, autocommit=True) as connection:
        frame = pandas.read_sql(SQL, connection, dtype_backend="pyarrow")
    checks.equal(plain(pyarrow.Table.from_pandas(frame, preserve_index=False)), [as_arrow(row) for row in ROWS], "rows")


def check_polars(url):
    import adbc_driver_flightsql.dbapi as flight_sql
    import checks
    import polars

    # polars has decimals to 38 digits
    names = [name for name in NAMES if name != "big"]
    with flight_sql.connect(url, autocommit=True) as connection:
        frame = polars.read_database(f"select {', '.join(names)} from {STREAM} order by id", connection)
    got = plain(frame.to_arrow())
    for row, wanted in zip(got, ROWS, strict=True):
        for name in names:
            checks.equal(row[name], as_arrow(wanted)[name], f"{name} of row {wanted['id']}")


def flat(file):
    frame = json.loads(pathlib.Path(file).read_text())
    if frame["names"] != NAMES:
        raise AssertionError(f"columns: {frame['names']}")
    for name, values in zip(frame["names"], frame["values"], strict=True):
        for value, row in zip(values, ROWS, strict=True):
            got, wanted = flat_got(name, value), flat_wanted(name, row[name])
            # a decimal is divided by its scale as a double, which rounds twice
            same = math.isclose(got, wanted, rel_tol=1e-15) if isinstance(row[name], decimal.Decimal) else got == wanted
            if not same:
                raise AssertionError(f"{name} of row {row['id']}: got {got}, wanted {wanted}")


def flat_got(name, value):
    if value is None:
        return None
    if name in ("d", "ts", "tz"):
        fraction = value.rstrip("Z").partition(".")[2].ljust(9, "0")
        whole = datetime.datetime.fromisoformat(value[:19] + "+00:00")
        return epoch_ns(whole) + int(fraction)
    if name in ("list", "names", "m", "r", "deep"):
        return json.loads(value)
    if name in ("t", "t9"):
        return value[:8] + "." + value[9:].ljust(9, "0")
    return value


def flat_wanted(name, value):
    if value is None:
        return None
    if name == "d":
        return epoch_ns(datetime.datetime(value.year, value.month, value.day))
    if name in ("ts", "tz"):
        return epoch_ns(value)
    if name in ("dec", "big"):
        return float(value)
    if name == "bin":
        return value.hex()
    if name in ("t", "t9"):
        return clock(value if name == "t9" else of_day(value))
    if name == "m":
        return dict(value)
    return value


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    {"put": put, "tables": tables, "lines": lines, "check": check, "flat": flat}[command](*arguments)
