"""Compares a table of an offload with the ledger of its stream, row by row: what PutRecords acknowledged, with shard and sequence number.

Arguments: format (`delta` or `parquet`), location, S3 endpoint or nothing, job, file of the ledger. Delta tables are read by deltalake, plain files by their manifests.
"""

import json
import pathlib
import sys
from collections import Counter

import pyarrow as pa
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet
from deltalake import DeltaTable

import checks
import lake_tables

COLUMNS = ["n", "shard", "position"]


def delta(location, endpoint, job):
    """Rows and iterations of a Delta table."""
    table = DeltaTable(location, storage_options=lake_tables.storage_options(endpoint))
    marks = [commit["shardflight"] for commit in table.history() if "shardflight" in commit]
    # without threads of its own: a process that ends while they begin is aborted
    options = pyarrow.dataset.ParquetFragmentScanOptions(pre_buffer=False)
    rows = table.to_pyarrow_dataset().to_table(columns=COLUMNS, use_threads=False, fragment_scan_options=options)
    return rows, [mark["mark"]["iteration"] for mark in marks if mark["job"] == job]


def parquet(location, endpoint, job):
    """Rows and iterations of plain files."""
    files = lake_tables.file_system(endpoint)
    root = lake_tables.path(location)
    selector = pyarrow.fs.FileSelector(f"{root}/_shardflight/{job}/manifests")
    present, iterations = {}, set()
    for expected, path in enumerate(sorted(info.path for info in files.get_file_info(selector)), start=1):
        checks.equal(int(pathlib.PurePath(path).stem), expected, "manifests follow each other")
        with files.open_input_file(path) as file:
            manifest = json.loads(file.read())
        for gone in manifest["remove"]:
            del present[gone]
        present.update({added["path"]: added["rows"] for added in manifest["add"]})
        iterations.add(manifest["mark"]["iteration"])
    tables = []
    for path, rows in present.items():
        with files.open_input_file(f"{root}/{path}") as file:
            table = pyarrow.parquet.read_table(file, columns=COLUMNS, use_threads=False, pre_buffer=False)
        checks.equal(table.num_rows, rows, path)
        tables.append(table)
    return pa.concat_tables(tables), iterations


def main():
    """Exits 1 with the rows that are missing, or there too often."""
    kind, location, endpoint, job, ledger = sys.argv[1:]
    table, iterations = {"delta": delta, "parquet": parquet}[kind](location, endpoint, job)
    held = Counter((row["n"], row["shard"], int(row["position"])) for row in table.to_pylist())
    lines = map(str.split, pathlib.Path(ledger).read_text().splitlines())
    wanted = Counter((int(n), shard, int(position)) for n, shard, position in lines)
    lost, more = wanted - held, held - wanted
    if lost or more:
        print(f"{location}: {held.total()} rows of {wanted.total()}; missing: {sorted(lost.elements())}; too many: {sorted(more.elements())}")
        checks.leave(1)
    checks.equal(sorted(iterations), list(range(len(iterations))), "iterations")
    print(f"{held.total()} rows in {len(iterations)} iterations")


main()
checks.leave()
