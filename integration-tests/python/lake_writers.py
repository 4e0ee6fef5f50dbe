"""Writes to the Delta table of the lake's tests as another program would. Arguments: URL of the directory, S3 endpoint or nothing."""

import sys

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

import checks
import lake_tables


def check_others_append_compact_and_clean(url, endpoint):
    options = lake_tables.storage_options(endpoint)
    table = DeltaTable(f"{url}/delta", storage_options=options)
    schema = pa.schema(list(lake_tables.types(["id", "host", "day", "size", "at", "ok", "total", "status"]).items()))
    before = table.version()
    rows = [dict(lake_tables.row(0), id=-1)]
    write_deltalake(table, pa.Table.from_pylist(rows, schema=schema), mode="append")
    table.delete("id = -1")
    table.optimize.compact()
    table.create_checkpoint()
    removed = table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    if any("_shardflight" in path for path in removed):
        raise AssertionError(f"vacuum took {removed}")
    if not removed:
        raise AssertionError("nothing was there to be cleaned")
    checks.equal(DeltaTable(f"{url}/delta", storage_options=options).version() > before, True, "committed")


if __name__ == "__main__":
    try:
        checks.run(globals(), *sys.argv[1:])
    except SystemExit as end:
        checks.leave(end.code)
