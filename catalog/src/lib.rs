//! What a table is: definitions, columns, formats; a record's bytes become Arrow columns.
//!
//! This room knows no AWS client, no query engine and no gRPC.

mod compression;
mod decode;
mod definition;
mod directory;
mod infer;

pub use compression::{Codec, Compression, MOST_INFLATED};
pub use decode::{BadRecord, DecodeError, Decoded, Decoder, MOST_INFLATED_IN_ALL};
pub use definition::{
    BadRecords, ColumnDefinition, ColumnType, DEFAULT_SCHEMA, DefinitionError, EventTime, Fingerprint, Format, HIDDEN_COLUMNS,
    KinesisOverrides, Partitioning, Start, TableDefinition, TableName,
};
pub use directory::{CatalogError, CatalogSnapshot, CatalogWriteError, DirectoryCatalog, Existing};
pub use infer::{Inferred, InferredColumn, infer_json};
