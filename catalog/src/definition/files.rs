//! A table over files: what lies at a location is its rows.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use super::check;
use super::cursor::Cursor;
use super::node::{Node, Problem};
use super::{ColumnType, DefinitionError, TableName};

/// Keys by which a definition is one of a table over files.
const OWN_KEYS: [&str; 2] = ["location", "stored_as"];
const KEYS: &[&str] = &[
    "table",
    "schema",
    "location",
    "stored_as",
    "columns",
    "partitioned_by",
    "csv",
    "comment",
];
const CSV_KEYS: &[&str] = &["header", "delimiter", "quote", "escape", "newlines_in_values"];
const COLUMN_KEYS: &[&str] = &["name", "type", "comment"];
const FORMATS: &[(&str, StoredAs)] = &[
    ("parquet", StoredAs::Parquet),
    ("csv", StoredAs::Csv),
    ("json", StoredAs::Json),
    ("delta", StoredAs::Delta),
];

/// A definition of a table over files, checked. Its serialised form is for a program's own use: tickets, not files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileTable {
    /// Name in SQL.
    pub name: TableName,
    /// `s3://BUCKET/PREFIX` or `file:///DIRECTORY`, or one file there.
    pub location: String,
    /// What the files are.
    pub stored_as: StoredAs,
    /// Columns in the order of the table: those in the files, then those of the folders.
    pub columns: Vec<FileColumn>,
    /// How many of the last columns are the folders' (`day=2024-07-01`), outermost first.
    pub partitions: usize,
    /// How lines are read, of `csv`.
    pub csv: CsvFiles,
    /// Comment on the table.
    pub comment: Option<String>,
}

/// Formats of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoredAs {
    /// Parquet; columns are found by name.
    Parquet,
    /// Lines with separators; columns are found by their place.
    Csv,
    /// A JSON document on each line; columns are found by name.
    Json,
    /// A Delta table: its log says which files, and how they are partitioned.
    Delta,
}

/// A column of files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileColumn {
    /// Name, as it is in the files.
    pub name: String,
    /// SQL type; values of others are cast.
    pub column_type: ColumnType,
    /// Shown by DESCRIBE.
    pub comment: Option<String>,
}

/// How lines of CSV files are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvFiles {
    /// The first line of each file holds names.
    pub header: bool,
    /// Between fields.
    pub delimiter: u8,
    /// Around fields.
    pub quote: u8,
    /// Before a quote that is meant.
    pub escape: Option<u8>,
    /// Fields may hold line ends.
    pub newlines_in_values: bool,
}

impl Default for CsvFiles {
    fn default() -> Self {
        Self {
            header: true,
            delimiter: b',',
            quote: b'"',
            escape: None,
            newlines_in_values: false,
        }
    }
}

impl StoredAs {
    /// As definitions and statements write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Delta => "delta",
        }
    }

    /// By its word, in any case.
    pub fn of_word(word: &str) -> Option<Self> {
        let same = |(known, _): &&(&str, Self)| known.eq_ignore_ascii_case(word);
        FORMATS.iter().find(same).map(|(_, format)| *format)
    }
}

impl FileTable {
    /// Schema of the columns, in order, every field nullable; comments as field metadata `comment`.
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

    /// How many of the columns are in the files.
    pub fn in_files(&self) -> usize {
        self.columns.len() - self.partitions
    }

    /// Our YAML spelling, of a table over files.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn from_yaml_in(text: &str, default_schema: &str) -> Result<Arc<Self>, DefinitionError> {
        let node = Node::from_yaml(text)?;
        table(&Cursor::root(&node), default_schema)
            .map(Arc::new)
            .map_err(|problem| problem.in_yaml(text))
    }
}

/// Whether a text is meant to define a table over files.
pub(super) fn is_meant(text: &str) -> bool {
    match Node::from_yaml(text) {
        Ok(Node::Map(entries)) => entries.iter().any(|(key, _)| OWN_KEYS.contains(&key.as_str())),
        _ => false,
    }
}

fn table(root: &Cursor<'_>, default_schema: &str) -> Result<FileTable, Problem> {
    root.check_keys(KEYS, &[])?;
    let name = check::table_name(&root.require("table")?, root.get("schema")?.as_ref(), default_schema)?;
    let location = root.require("location")?.non_empty_text()?.to_owned();
    let stored_as = root.require("stored_as")?.choice(FORMATS, &[])?;
    let mut columns = Vec::new();
    for item in root.require("columns")?.items()? {
        let column = column(&item)?;
        if columns
            .iter()
            .any(|known: &FileColumn| known.name.eq_ignore_ascii_case(&column.name))
        {
            return Err(item.problem(format!("column `{}` is there twice", column.name)));
        }
        columns.push(column);
    }
    let mut folders = Vec::new();
    if let Some(list) = root.get("partitioned_by")? {
        if stored_as == StoredAs::Delta {
            return Err(list.problem("partitioned_by: the log of a Delta table says how it is partitioned"));
        }
        for item in list.items()? {
            let wanted = item.non_empty_text()?;
            let Some(at) = columns.iter().position(|column| column.name == wanted) else {
                return Err(item.problem(format!("partitioned_by: there is no column `{wanted}`, or it is named twice")));
            };
            let column = columns.remove(at);
            if column.column_type.is_nested() || column.column_type == ColumnType::Varbinary {
                return Err(item.problem(format!("`{wanted}` is a {}: the name of a folder is a text", column.column_type)));
            }
            folders.push(column);
        }
    }
    if columns.is_empty() {
        return Err(root.problem("columns: there is none in the files"));
    }
    let partitions = folders.len();
    columns.extend(folders);
    let csv = match root.get("csv")? {
        Some(place) if stored_as != StoredAs::Csv => return Err(place.problem("csv: the table is not stored as csv")),
        Some(place) => csv(&place)?,
        None => CsvFiles::default(),
    };
    Ok(FileTable {
        name,
        location,
        stored_as,
        columns,
        partitions,
        csv,
        comment: check::text_at(root, "comment")?,
    })
}

fn column(item: &Cursor<'_>) -> Result<FileColumn, Problem> {
    item.check_keys(COLUMN_KEYS, &[])?;
    let column_type = item.require("type")?;
    Ok(FileColumn {
        name: item.require("name")?.non_empty_text()?.to_owned(),
        column_type: ColumnType::parse(column_type.text()?).map_err(|message| column_type.keyed_problem(message))?,
        comment: check::text_at(item, "comment")?,
    })
}

fn csv(place: &Cursor<'_>) -> Result<CsvFiles, Problem> {
    place.check_keys(CSV_KEYS, &[])?;
    let flag = |key: &str, otherwise: bool| Ok(place.get(key)?.map(|flag| flag.boolean()).transpose()?.unwrap_or(otherwise));
    let byte = |key: &str| {
        let Some(place) = place.get(key)? else { return Ok(None) };
        match place.text()? {
            "tab" => Ok(Some(b'\t')),
            text if text.len() == 1 => Ok(text.bytes().next()),
            text => Err(place.keyed_problem(format!("`{text}` is no character of one byte"))),
        }
    };
    let usual = CsvFiles::default();
    Ok(CsvFiles {
        header: flag("header", usual.header)?,
        delimiter: byte("delimiter")?.unwrap_or(usual.delimiter),
        quote: byte("quote")?.unwrap_or(usual.quote),
        escape: byte("escape")?,
        newlines_in_values: flag("newlines_in_values", usual.newlines_in_values)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_the_last_columns() {
        let text = "table: T\nlocation: s3://b/p\nstored_as: CSV\ncsv: { header: false, delimiter: tab }\npartitioned_by: [day, host]\ncolumns:\n  - { name: host, type: varchar }\n  - { name: day, type: date }\n  - { name: n, type: bigint, comment: how many }\n";
        assert!(is_meant(text));
        let table = FileTable::from_yaml_in(text, "web").unwrap();
        let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!((names, table.partitions, table.in_files()), (vec!["n", "day", "host"], 2, 1));
        assert_eq!(table.name.to_string(), "web.t");
        assert_eq!((table.csv.header, table.csv.delimiter), (false, b'\t'));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let columns = "columns:\n  - { name: a, type: bigint }\n";
        for (text, part) in [
            (format!("table: t\nlocation: s3://b\n{columns}"), "`stored_as` is missing"),
            ("table: t\nlocation: s3://b\nstored_as: csv\n".to_owned(), "`columns` is missing"),
            (
                format!("table: t\nlocation: s3://b\nstored_as: orc\n{columns}"),
                "unknown value `orc`",
            ),
            (
                format!("table: t\nlocation: s3://b\nstored_as: json\nstream: s\n{columns}"),
                "unknown key `stream`",
            ),
            (
                format!("table: t\nlocation: s3://b\nstored_as: json\ncsv: {{}}\n{columns}"),
                "not stored as csv",
            ),
            (
                format!("table: t\nlocation: s3://b\nstored_as: json\npartitioned_by: [b]\n{columns}"),
                "no column `b`",
            ),
            (
                format!("table: t\nlocation: s3://b\nstored_as: delta\npartitioned_by: [a]\n{columns}"),
                "log of a Delta table",
            ),
            (
                format!("table: t\nlocation: s3://b\nstored_as: json\npartitioned_by: [a]\n{columns}"),
                "none in the files",
            ),
            (
                format!("table: t\nlocation: s3://b\nstored_as: json\n{columns}  - {{ name: A, type: bigint }}\n"),
                "twice",
            ),
        ] {
            let error = FileTable::from_yaml_in(&text, "default").unwrap_err();
            assert!(error.message.contains(part), "{text}: {}", error.message);
        }
        assert!(!is_meant("table: t\nstream: s\n"));
        assert!(!is_meant("no: [definition"));
    }
}
