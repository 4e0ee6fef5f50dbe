//! Statements about table definitions.
//!
//! They are read here and not by the query engine's parser, so that a column's type is written as definitions write it (`timestamp(ms)`,
//! `row<a bigint, b array<varchar>>`) and its other keys stand beside it (`PATH 'a/b'`, `FORMAT '%d/%b/%Y'`, `COMMENT 'text'`, `HIDDEN`).

mod cursor;
mod offload;
mod parse;
#[cfg(test)]
mod tests;

use catalog::StoredAs;
use datafusion::sql::sqlparser::ast::ObjectName;

pub use offload::CreateOffload;
pub(crate) use offload::OffloadStatement;
pub(super) use offload::{parse as parse_offload, shown as shown_offloads};
pub(super) use parse::parse;

/// A value as it was written, without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Literal {
    /// In quotes, or a word.
    Text(String),
    /// Digits.
    Number(String),
    /// `true` or `false`.
    Boolean(bool),
}

/// A column of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DdlColumn {
    /// Its name.
    pub(crate) name: String,
    /// Its type, as definitions write it.
    pub(crate) column_type: String,
    /// Further keys, as definitions name them.
    pub(crate) keys: Vec<(String, Literal)>,
}

/// `CREATE [OR REPLACE] EXTERNAL TABLE`
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CreateTable {
    /// Name as written.
    pub(crate) name: ObjectName,
    /// Nothing happens where the table exists.
    pub(crate) if_not_exists: bool,
    /// A table of the name is replaced.
    pub(crate) or_replace: bool,
    /// Columns; `None` = inferred.
    pub(crate) columns: Option<Vec<DdlColumn>>,
    /// What the table is over: files of a format, or with `None` a stream.
    pub(crate) stored_as: Option<StoredAs>,
    /// `kinesis://` and a stream's name or ARN, or where the files are.
    pub(crate) location: String,
    /// Columns whose values are names of folders, outermost first.
    pub(crate) partitioned_by: Vec<String>,
    /// Further keys of the definition; dots lead into maps.
    pub(crate) options: Vec<(String, Literal)>,
}

/// A statement about definitions.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum DdlStatement {
    /// `CREATE [OR REPLACE] EXTERNAL TABLE [IF NOT EXISTS] name [(columns)] STORED AS KINESIS LOCATION 'kinesis://stream' [OPTIONS (…)]`, or over files:
    /// `STORED AS PARQUET | CSV | JSON | DELTA LOCATION 's3://…' [PARTITIONED BY (…)] [OPTIONS (…)]`
    Create(CreateTable),
    /// `DROP TABLE [IF EXISTS] name`
    Drop {
        /// Name as written.
        name: ObjectName,
        /// Nothing happens where there is no such table.
        if_exists: bool,
    },
    /// `ALTER TABLE name ADD [COLUMN] [IF NOT EXISTS] column`
    AddColumn {
        /// Name as written.
        name: ObjectName,
        /// The column.
        column: DdlColumn,
        /// Nothing happens where the column exists.
        if_not_exists: bool,
    },
    /// `SHOW CREATE TABLE name`, `SHOW CREATE VIEW name`
    ShowCreate(ObjectName),
    /// `DESCRIBE name`
    Describe(ObjectName),
}
