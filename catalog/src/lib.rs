//! What a table is: definitions, columns, formats; a record's bytes become Arrow columns.
//!
//! This room knows no AWS client, no query engine and no gRPC.

mod decode;
mod definition;
mod directory;

pub use decode::{BadRecord, Decoded, Decoder, Encoding, unsupported_encoding};
pub use definition::{
    BadRecords, ColumnDefinition, ColumnType, Compression, DefinitionError, Fingerprint, Format, KinesisOverrides, Start, TableDefinition,
    TableName,
};
pub use directory::{CatalogError, CatalogSnapshot, DirectoryCatalog};
