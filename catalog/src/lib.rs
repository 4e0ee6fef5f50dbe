//! What a table is: definitions, columns, formats; a record's bytes become Arrow columns.
//!
//! This room knows no AWS client, no query engine and no gRPC.

mod decode;
mod definition;
mod directory;
mod encoding;

pub use decode::{BadRecord, Decoded, Decoder};
pub use definition::{
    BadRecords, ColumnDefinition, ColumnType, Compression, DEFAULT_SCHEMA, DefinitionError, EventTime, Fingerprint, Format, HIDDEN_COLUMNS,
    KinesisOverrides, Partitioning, Start, TableDefinition, TableName,
};
pub use directory::{CatalogError, CatalogSnapshot, DirectoryCatalog};
pub use encoding::{Encoding, unsupported_encoding};
