//! What a table is: definitions, columns, formats; a record's bytes become Arrow columns, and rows become records.
//!
//! This room knows no AWS client, no query engine and no gRPC.

mod compression;
mod decode;
mod definition;
mod directory;
mod encode;
mod infer;

pub use compression::{Codec, Compression, MOST_INFLATED};
pub use decode::{BadRecord, DecodeError, Decoded, Decoder, MOST_INFLATED_IN_ALL};
pub use definition::{
    AvroFormat, AvroFraming, BadRecords, ColumnDefinition, ColumnType, Compat, CsvFiles, CsvFormat, DEFAULT_SCHEMA, Definition,
    DefinitionError, Endian, EventTime, FieldFormat, FileColumn, FileTable, Fingerprint, Format, HIDDEN_COLUMNS, JsonFormat, JsonRows,
    KinesisOverrides, LogLines, Partitioning, ProtobufFormat, ProtobufFraming, RawEncoding, RawField, RawFormat, RegexFormat, RegexRows,
    Start, StoredAs, TableDefinition, TableName, UTC,
};
pub use directory::{CatalogError, CatalogSnapshot, CatalogWriteError, DirectoryCatalog, Existing, FetchSchemas};
pub use encode::{EncodeError, Encoder};
pub use infer::{Inferred, InferredColumn, infer, infer_json};
