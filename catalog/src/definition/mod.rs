//! The model of a table definition; both spellings (YAML, Presto/Trino JSON) become this.

mod avro_syntax;
mod beside;
mod check;
mod column_syntax;
mod column_type;
mod compiled;
mod cursor;
mod either;
mod files;
mod fingerprint;
mod format;
mod format_syntax;
#[cfg(test)]
mod format_tests;
mod joda;
mod node;
mod presto;
mod promises;
mod start;
mod suggestion;
#[cfg(test)]
mod tests;
mod type_parser;
mod write;
mod write_format;
mod yaml;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

pub(crate) use beside::Beside;
pub use check::HIDDEN_COLUMNS;
pub use column_type::{ColumnType, UTC};
pub use either::Definition;
pub use files::{CsvFiles, FileColumn, FileTable, StoredAs};
pub use fingerprint::Fingerprint;
pub use format::{
    AvroFormat, AvroFraming, Compat, CsvFormat, Endian, FieldFormat, Format, JsonFormat, JsonRows, LogLines, ProtobufFormat,
    ProtobufFraming, RawEncoding, RawField, RawFormat, RegexFormat, RegexRows,
};
pub use promises::{EventTime, Partitioning};
pub use start::Start;
pub(crate) use suggestion::did_you_mean;

use crate::Compression;

/// Schema of a table whose definition names none, unless the catalog says another.
pub const DEFAULT_SCHEMA: &str = "default";

/// `schema.table`, both lower case. The SQL catalog is always `kinesis`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableName {
    /// Schema, `default` unless said.
    pub schema: String,
    /// Table.
    pub table: String,
}

/// A definition, checked: everything in it is supported by this version. Its serialised form is for a program's own use: tickets, not files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableDefinition {
    /// Name in SQL.
    pub name: TableName,
    /// Stream name or ARN.
    pub stream: String,
    /// How bytes become columns.
    pub format: Format,
    /// Compression of a record's bytes.
    pub compression: Compression,
    /// Default start of a query.
    pub start: Start,
    /// What a bad record does to a statement.
    pub bad_records: BadRecords,
    /// Whose rules of conversion apply.
    pub compat: Compat,
    /// What decides which shard a record goes to.
    pub partitioning: Partitioning,
    /// Column whose values become the partition keys of records that are written.
    #[serde(default)]
    pub partition_key: Option<String>,
    /// How far the time in a record lies from its arrival, where that is promised.
    pub event_time: Option<EventTime>,
    /// Data columns, in order.
    pub columns: Vec<ColumnDefinition>,
    /// Comment on the table.
    pub comment: Option<String>,
    /// Where the stream is, where it differs from the server's configuration.
    pub kinesis: Option<KinesisOverrides>,
    /// Name of the offload job that has the older rows: what it has published comes before what the stream has behind that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<String>,
}

/// One data column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnDefinition {
    /// Name in SQL, as written (case kept); lookups are by DataFusion's rules.
    pub name: String,
    /// Path in the document (empty = the whole document); of a format without documents one name: of a CSV header, of a group, of a part of a
    /// log line.
    pub path: Vec<String>,
    /// Field of a CSV line, from 0; it wins over the path.
    pub index: Option<usize>,
    /// Bytes of a `raw` record; every column of that format has them.
    pub raw: Option<RawField>,
    /// SQL type.
    pub column_type: ColumnType,
    /// How the value is written. Without it, a date is ISO 8601 (`2024-07-01`), and a timestamp is ISO 8601 or RFC 3339 text (no offset = UTC, a date
    /// alone = midnight) or an integer, which is milliseconds since the epoch.
    pub format: Option<FieldFormat>,
    /// Absent from `SELECT *` and DESCRIBE, selectable by name.
    pub hidden: bool,
    /// Shown by DESCRIBE.
    pub comment: Option<String>,
}

/// What a record that cannot be decoded, or a field that cannot be converted, does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BadRecords {
    /// A row of NULLs (or the field NULL) with `_message_valid = false`.
    NullRow,
    /// The record gives no row.
    Skip,
    /// The statement fails.
    Fail,
}

/// Per-table AWS settings (`kinesis:` of the configuration, per table).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KinesisOverrides {
    /// Region.
    pub region: Option<String>,
    /// Endpoint URL.
    pub endpoint: Option<String>,
    /// Profile.
    pub profile: Option<String>,
    /// Role to assume.
    pub role_arn: Option<String>,
    /// External id for it.
    pub external_id: Option<String>,
    /// Session name for it.
    pub session_name: Option<String>,
}

impl TableDefinition {
    /// Schema of the data columns, in order, every field nullable, hidden ones included; comments as field metadata `comment`.
    pub fn arrow_schema(&self) -> SchemaRef {
        let fields = self.columns.iter().map(|column| {
            let field = Field::new(&column.name, column.column_type.data_type(), true);
            match &column.comment {
                Some(comment) => field.with_metadata(HashMap::from([("comment".to_owned(), comment.clone())])),
                None => field,
            }
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// Our YAML spelling, strict: unknown keys are errors with a suggestion. Without `schema` the table is in [`DEFAULT_SCHEMA`].
    pub fn from_yaml(text: &str) -> Result<Arc<Self>, DefinitionError> {
        Self::from_yaml_in(text, DEFAULT_SCHEMA)
    }

    /// As [`Self::from_yaml`], with the schema of definitions that name none.
    pub fn from_yaml_in(text: &str, default_schema: &str) -> Result<Arc<Self>, DefinitionError> {
        yaml::parse(text, default_schema, &Beside::new(None)).map(Arc::new)
    }

    /// As [`Self::from_yaml_in`], of a file in that directory: files that the definition names are found beside it. They are read now, and what is in
    /// them becomes part of the definition; a catalog reads both again when they change.
    pub fn from_yaml_file(text: &str, default_schema: &str, directory: &Path) -> Result<Arc<Self>, DefinitionError> {
        Self::from_yaml_beside(text, default_schema, &Beside::new(Some(directory)))
    }

    /// As [`Self::from_yaml_file`], and tells which files that was.
    pub(crate) fn from_yaml_beside(text: &str, default_schema: &str, beside: &Beside) -> Result<Arc<Self>, DefinitionError> {
        yaml::parse(text, default_schema, beside).map(Arc::new)
    }

    /// A Presto/Trino table description, tolerant of unknown keys.
    ///
    /// As in those connectors column names are lower case and paths know no escapes. A top-level key of ours, `"compat": "presto"`, asks for the
    /// connectors' conversions.
    pub fn from_presto_json(text: &str, default_schema: &str) -> Result<Arc<Self>, DefinitionError> {
        presto::parse(text, default_schema).map(Arc::new)
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// Why a definition is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DefinitionError {
    /// 1-based line, where known.
    pub line: Option<usize>,
    /// 1-based column, where known.
    pub column: Option<usize>,
    /// What is wrong and what to do.
    pub message: String,
}
