//! The model of a table definition; both spellings (YAML, Presto/Trino JSON) become this.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};

/// `schema.table`, both lower case. The SQL catalog is always `kinesis`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    /// Schema, `default` unless said.
    pub schema: String,
    /// Table.
    pub table: String,
}

/// A definition, checked: everything in it is supported by this version.
#[derive(Debug, Clone, PartialEq)]
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
    /// Data columns, in order.
    pub columns: Vec<ColumnDefinition>,
    /// Comment on the table.
    pub comment: Option<String>,
    /// Where the stream is, where it differs from the server's configuration.
    pub kinesis: Option<KinesisOverrides>,
}

/// One data column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDefinition {
    /// Name in SQL, as written (case kept); lookups are by DataFusion's rules.
    pub name: String,
    /// Path in the document; empty = the whole document.
    pub path: Vec<String>,
    /// SQL type.
    pub column_type: ColumnType,
    /// strftime pattern of a date or timestamp given as text.
    pub format: Option<String>,
    /// Absent from `SELECT *` and DESCRIBE, selectable by name.
    pub hidden: bool,
    /// Shown by DESCRIBE.
    pub comment: Option<String>,
}

/// SQL types that this version can decode.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// `boolean`
    Boolean,
    /// `tinyint`
    TinyInt,
    /// `smallint`
    SmallInt,
    /// `integer`
    Integer,
    /// `bigint`
    BigInt,
    /// `real`
    Real,
    /// `double`
    Double,
    /// `varchar`, `varchar(n)`
    Varchar,
    /// `date`
    Date,
    /// `timestamp(unit)`, without zone = an instant in UTC
    Timestamp(arrow::datatypes::TimeUnit),
}

/// Row format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// One JSON value a record.
    Json,
    /// No message: hidden columns only.
    Dummy,
}

/// Compression of a record's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Recognised by magic bytes; in this version a compressed record fails the statement.
    Auto,
    /// Bytes are taken as they are.
    None,
}

/// What a record that cannot be decoded, or a field that cannot be converted, does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BadRecords {
    /// A row of NULLs (or the field NULL) with `_message_valid = false`.
    NullRow,
    /// The record gives no row.
    Skip,
    /// The statement fails.
    Fail,
}

/// Default start of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Start {
    /// The oldest record kept.
    TrimHorizon,
    /// Records that arrive after the statement.
    Latest,
    /// That long before the statement.
    Age(Duration),
    /// Records that arrived at or after this time.
    Timestamp(DateTime<Utc>),
}

/// Per-table AWS settings (`kinesis:` of the configuration, per table).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
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

/// Hash of everything in a definition that decides what rows look like; stable across processes and versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 16]);

impl TableDefinition {
    /// Schema of the data columns, in order, every field nullable, hidden ones included; comments as field metadata `comment`.
    pub fn arrow_schema(&self) -> SchemaRef {
        unimplemented!()
    }

    /// See [`Fingerprint`].
    pub fn fingerprint(&self) -> Fingerprint {
        unimplemented!()
    }

    /// Our YAML spelling, strict: unknown keys are errors with a suggestion.
    pub fn from_yaml(_text: &str) -> Result<Arc<Self>, DefinitionError> {
        unimplemented!()
    }

    /// A Presto/Trino table description, tolerant of unknown keys.
    pub fn from_presto_json(_text: &str, _default_schema: &str) -> Result<Arc<Self>, DefinitionError> {
        unimplemented!()
    }
}

impl std::str::FromStr for Start {
    type Err = String;
    /// `trim_horizon`, `latest`, `-24h`, RFC 3339 or `yyyy-MM-dd[ HH:mm:ss[.SSS]]` (UTC).
    fn from_str(_s: &str) -> Result<Self, Self::Err> {
        unimplemented!()
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
