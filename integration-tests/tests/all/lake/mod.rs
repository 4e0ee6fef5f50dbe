//! Tables of a lake as others read them: deltalake, DuckDB, polars and pyarrow, from a directory and from object storage.

mod readers;
mod rows;
