"""Dictionary-encoded columns, as clients read them. Arguments: the address (grpc://host:port); the table `words` has the ids below 300, each once, in three
shards."""

import sys

import adbc_driver_flightsql.dbapi as flight_sql
import pyarrow
import pyarrow.flight as flight

import checks
from flight_wire import statement, with_headers

COUNT = 300
WORDS = {0: "fizz", 1: "buzz", 2: None}
DICTIONARY = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
WORD = "arrow_cast(case id % 3 when 0 then 'fizz' when 1 then 'buzz' end, 'Dictionary(Int32, Utf8)')"
ROWS = f"select id, {WORD} as word, arrow_cast(id % 7, 'Dictionary(Int8, Int64)') as day from words"
GROUPS = f"select {WORD} as word, count(*) as n from words group by 1 order by 1 nulls last"
KEPT = with_headers(endpoints="shard", dictionaries="true")


def wanted():
    return {number: (WORDS[number % 3], number % 7) for number in range(COUNT)}


def as_rows(table):
    return {row["id"]: (row["word"], row["day"]) for row in table.to_pylist()}


def fetched(client, sql, options=KEPT):
    """Tables of all endpoints; each stream's schema is the one that was announced, to the bit."""
    info = client.get_flight_info(statement(sql), options)
    tables = []
    for endpoint in info.endpoints:
        reader = client.do_get(endpoint.ticket)
        checks.equal(reader.schema.equals(info.schema, check_metadata=True), True, f"schema {reader.schema} of {info.schema}")
        checks.equal(reader.schema.serialize().to_pybytes(), info.schema.serialize().to_pybytes(), "bytes of the schema")
        tables.append(reader.read_all())
    checks.equal(client.get_schema(statement(sql), options).schema.serialize().to_pybytes(), info.schema.serialize().to_pybytes(), "GetSchema")
    return info.schema, tables


def check_pyarrow_reads_dictionaries(url):
    schema, tables = fetched(flight.connect(url), ROWS)
    checks.equal(len(tables), 3, "endpoints")
    checks.equal(schema.types, [pyarrow.int64(), DICTIONARY, pyarrow.dictionary(pyarrow.int8(), pyarrow.int64())], "types")
    checks.equal(as_rows(pyarrow.concat_tables(tables).unify_dictionaries()), wanted(), "rows")


def check_values_without_the_option(url):
    schema, tables = fetched(flight.connect(url), ROWS, with_headers(endpoints="shard"))
    checks.equal(schema.types, [pyarrow.int64(), pyarrow.string(), pyarrow.int64()], "types")
    checks.equal(as_rows(pyarrow.concat_tables(tables)), wanted(), "rows")


def check_flat_types_know_none(url):
    schema, _ = fetched(flight.connect(url), ROWS, with_headers(dictionaries="true", flat_types="true"))
    checks.equal(schema.types, [pyarrow.int64(), pyarrow.string(), pyarrow.int64()], "types")


def check_results_without_rows(url):
    for sql in [f"{ROWS} where id < 0", f"{GROUPS} limit 0"]:
        _, tables = fetched(flight.connect(url), sql)
        checks.equal(sum(table.num_rows for table in tables), 0, "rows")


def check_groups(url):
    schema, tables = fetched(flight.connect(url), GROUPS)
    checks.equal(schema.types, [DICTIONARY, pyarrow.int64()], "types")
    got = [(row["word"], row["n"]) for row in tables[0].to_pylist()]
    checks.equal(got, [("buzz", 100), ("fizz", 100), (None, 100)], "groups")


def check_adbc_reads_dictionaries(url):
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("set kinesis.dictionaries = true")
        for _ in range(2):
            cursor.execute(ROWS)
            table = cursor.fetch_arrow_table()
            checks.equal(table.schema.field("word").type, DICTIONARY, "type")
            checks.equal(as_rows(table), wanted(), "rows")
        cursor.execute(f"{ROWS} where id = $1", (10,))
        checks.equal(cursor.fetchall(), [(10, "buzz", 3)], "a row")
        cursor.execute(f"{ROWS} where id < 0")
        checks.equal(cursor.fetch_arrow_table().num_rows, 0, "no rows")
        partitions, schema = cursor.adbc_execute_partitions(ROWS)
        tables = []
        for partition in partitions:
            cursor.adbc_read_partition(partition)
            tables.append(cursor.fetch_arrow_table())
        checks.equal((len(tables), {table.schema.field("word").type for table in tables}), (3, {DICTIONARY}), "partitions")
        checks.equal(as_rows(pyarrow.concat_tables(tables)), wanted(), "rows of partitions")


if __name__ == "__main__":
    checks.run(globals(), sys.argv[1])
