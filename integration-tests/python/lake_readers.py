"""Reads a table of the lake's tests with programs that others wrote. Arguments: name, URL of the directory, S3 endpoint or nothing, number of rows."""

import json
import sys

import duckdb
import polars
import pyarrow as pa
import pyarrow.fs
import pyarrow.orc
import pyarrow.parquet
from deltalake import DeltaTable

import checks
import lake_tables

COLUMNS = ["id", "host", "day", "size", "at", "ok", "total", "status"]


def columns(name, count):
    late = count > lake_tables.LATE
    return [column for column in COLUMNS if (column != "status" or late) and (column != "total" or name != "orc")]


def same(table, name, count):
    """An Arrow table holds the rows, and has the types."""
    wanted = columns(name, count)
    checks.equal(set(table.column_names), set(wanted), "columns")
    table = table.select(wanted).sort_by("id")
    checks.equal({field.name: field.type for field in table.schema}, lake_tables.types(wanted), "types")
    checks.equal(table.to_pylist(), lake_tables.expected(count, wanted), "rows")


def plain(table):
    """Without large and view types, which are a reader's own choice."""
    kinds = {pa.large_string(): pa.string(), pa.string_view(): pa.string()}
    schema = pa.schema([pa.field(field.name, kinds.get(field.type, field.type)) for field in table.schema])
    return table.cast(schema)


def check_deltalake(name, url, endpoint, count):
    table = DeltaTable(f"{url}/{name}", storage_options=lake_tables.storage_options(endpoint))
    same(plain(table.to_pyarrow_table()), name, count)
    protocol = table.protocol()
    checks.equal((protocol.min_reader_version, protocol.min_writer_version), (1, 2), "protocol")
    commits = [commit for commit in table.history() if "shardflight" in commit]
    checks.equal(commits[0]["shardflight"]["mark"]["iteration"], count // lake_tables.ITERATION - 1, "iteration")


def check_deltalake_skips_files(name, url, endpoint, count):
    table = DeltaTable(f"{url}/{name}", storage_options=lake_tables.storage_options(endpoint))
    adds = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    checks.equal(sum(add["num_records"] for add in adds), count, "rows by statistics")
    checks.equal((min(add["min.id"] for add in adds), max(add["max.id"] for add in adds)), (0, count - 1), "bounds")
    hosts = sum(1 for number in range(count) if lake_tables.row(number)["host"] is None)
    checks.equal(sum(add["null_count.host"] for add in adds), hosts, "NULLs")


def check_polars(name, url, endpoint, count):
    options = lake_tables.storage_options(endpoint)
    frame = polars.read_delta(f"{url}/{name}", storage_options=options or None)
    same(plain(frame.to_arrow()), name, count)
    scanned = polars.scan_delta(f"{url}/{name}", storage_options=options or None)
    filtered = scanned.filter((polars.col("day") == "a/b=c% ü") & (polars.col("id") < 100)).select("id").collect()
    checks.equal(sorted(filtered["id"].to_list()), [number for number in range(100) if number % 5 == 1], "filtered")


def check_duckdb(name, url, endpoint, count):
    table = DeltaTable(f"{url}/{name}", storage_options=lake_tables.storage_options(endpoint))
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    connection.register("rows", table.to_pyarrow_dataset())
    found = connection.execute("select day, count(*), sum(id), sum(size), max(\"at\"), sum(total) from rows group by day order by day nulls first").fetchall()
    checks.equal(found, sums(count), "sums")
    if endpoint:
        return
    # The files themselves, without the log.
    files = [file.removeprefix("file://") for file in table.file_uris()]
    found = connection.execute(
        "select count(*), sum(id), count(host), sum(total) from read_parquet(?, union_by_name = true, hive_partitioning = false)", [files]
    ).fetchone()
    rows = lake_tables.expected(count, COLUMNS)
    wanted = (count, sum(row["id"] for row in rows), sum(row["host"] is not None for row in rows), sum(row["total"] for row in rows))
    checks.equal(found, wanted, "files")


def sums(count):
    days = {}
    for row in lake_tables.expected(count, COLUMNS):
        days.setdefault(row["day"], []).append(row)
    found = []
    for day in sorted(days, key=lambda day: (day is not None, day)):
        rows = days[day]
        columns = [sum(row[name] for row in rows) for name in ("id", "size", "total")]
        found.append((day, len(rows), columns[0], columns[1], max(row["at"] for row in rows), columns[2]))
    return found


def check_manifests(name, url, endpoint, count):
    files = lake_tables.file_system(endpoint)
    root = f"{lake_tables.path(url)}/{name}"
    selector = pyarrow.fs.FileSelector(f"{root}/_shardflight/nightly/manifests")
    present = {}
    for info in sorted(files.get_file_info(selector), key=lambda info: info.path):
        with files.open_input_file(info.path) as file:
            manifest = json.loads(file.read())
        for path in manifest["remove"]:
            del present[path]
        present.update({added["path"]: added for added in manifest["add"]})
    checks.equal(manifest["mark"]["iteration"], count // lake_tables.ITERATION - 1, "iteration")
    wanted = lake_tables.types(columns(name, count))
    tables = []
    for path, added in present.items():
        with files.open_input_file(f"{root}/{path}") as file:
            table = pyarrow.orc.read_table(file) if name == "orc" else pyarrow.parquet.read_table(file)
        checks.equal(table.num_rows, added["rows"], path)
        [[column, value]] = added["partition"]
        table = table.append_column(column, pa.array([value] * table.num_rows, pa.string()))
        for missing in set(wanted) - set(table.column_names):
            table = table.append_column(missing, pa.nulls(table.num_rows, wanted[missing]))
        if name == "orc":
            # ORC knows nanoseconds alone.
            table = table.set_column(table.column_names.index("at"), "at", table["at"].cast(wanted["at"]))
        tables.append(table.select(list(wanted)))
    same(pa.concat_tables(tables), name, count)


if __name__ == "__main__":
    kind, location, storage, rows = sys.argv[1:]
    mine = {
        name: check
        for name, check in list(globals().items())
        if name.startswith("check_") and (name == "check_manifests") == (kind != "delta")
    }
    try:
        checks.run(mine, kind, location, storage, int(rows))
    except SystemExit as end:
        checks.leave(end.code)
