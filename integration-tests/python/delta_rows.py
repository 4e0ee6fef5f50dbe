"""Prints the rows of a Delta table, read by deltalake, as a list of JSON. Arguments: location, S3 endpoint or nothing."""

import json
import sys

from deltalake import DeltaTable

import lake_tables

location, endpoint = sys.argv[1:]
table = DeltaTable(location, storage_options=lake_tables.storage_options(endpoint))
print(json.dumps(table.to_pyarrow_table().to_pylist()))
