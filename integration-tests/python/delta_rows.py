"""Prints the rows of a Delta table, read by deltalake, as a list of JSON. Arguments: location, S3 endpoint or nothing."""

import json
import sys

import pyarrow.dataset
from deltalake import DeltaTable

import checks
import lake_tables

location, endpoint = sys.argv[1:]
table = DeltaTable(location, storage_options=lake_tables.storage_options(endpoint))
# without threads of its own: a process that ends while they begin is aborted
options = pyarrow.dataset.ParquetFragmentScanOptions(pre_buffer=False)
print(json.dumps(table.to_pyarrow_dataset().to_table(use_threads=False, fragment_scan_options=options).to_pylist()))
checks.leave()
