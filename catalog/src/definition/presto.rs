//! A table description of the Presto and Trino Kinesis connectors: JSON, unknown keys tolerated.

use super::check::{self, ColumnPlaces};
use super::cursor::Cursor;
use super::joda;
use super::node::{Node, Problem};
use super::{BadRecords, ColumnDefinition, ColumnType, DefinitionError, Format, Partitioning, Start, TableDefinition};
use crate::{Codec, Compression};

const FORMATS: &[(&str, Format)] = &[("json", Format::Json), ("dummy", Format::Dummy)];
const FORMATS_LATER: &[&str] = &["raw", "csv", "avro"];
/// The connectors' codecs.
#[derive(Debug, Clone, Copy)]
enum MessageCodec {
    Uncompressed,
    Automatic,
    Gzip,
}
const CODECS: &[(&str, MessageCodec)] = &[
    ("uncompressed", MessageCodec::Uncompressed),
    ("automatic", MessageCodec::Automatic),
    ("gzip", MessageCodec::Gzip),
];

/// Field decoders of the connectors' `json` format.
#[derive(Debug, Clone, Copy, PartialEq)]
enum FieldFormat {
    Default,
    Iso8601,
    Rfc2822,
    Custom,
}
const FIELD_FORMATS: &[(&str, FieldFormat)] = &[
    ("_default", FieldFormat::Default),
    ("iso8601", FieldFormat::Iso8601),
    ("rfc2822", FieldFormat::Rfc2822),
    ("custom-date-time", FieldFormat::Custom),
];
const FIELD_FORMATS_LATER: &[&str] = &["milliseconds-since-epoch", "seconds-since-epoch"];

/// What the connectors' `rfc2822` decoder really reads: Twitter's `created_at`.
const TWITTER_PATTERN: &str = "EEE MMM dd HH:mm:ss Z yyyy";

pub(super) fn parse(text: &str, default_schema: &str) -> Result<TableDefinition, DefinitionError> {
    let node = Node::from_json(text)?;
    table(&Cursor::root(&node), default_schema).map_err(|problem| problem.in_json(text))
}

fn table(root: &Cursor<'_>, default_schema: &str) -> Result<TableDefinition, Problem> {
    let name = check::table_name(
        &root.require("tableName")?,
        root.get_non_null("schemaName")?.as_ref(),
        default_schema,
    )?;
    let stream = check::stream(&root.require("streamName")?)?;
    let mut format = Format::Dummy;
    // A compressed record must never pass for a bad one, so only an explicit `UNCOMPRESSED` switches recognition off.
    let mut compression = Compression::Auto;
    let mut columns = Vec::new();
    if let Some(message) = root.get_non_null("message")? {
        format = message.require("dataFormat")?.choice(FORMATS, FORMATS_LATER)?;
        if let Some(codec) = message.get_non_null("compressionCodec")? {
            compression = match codec.choice(CODECS, &[])? {
                MessageCodec::Uncompressed => Compression::None,
                MessageCodec::Automatic => Compression::Auto,
                MessageCodec::Gzip => Compression::Chain(vec![Codec::Gzip]),
            };
        }
        let fields = message.require("fields")?;
        if format == Format::Json {
            for field in fields.items()? {
                column(&field, &mut columns)?;
            }
        } else if !fields.items()?.is_empty() {
            return Err(fields.keyed_problem("a message of format dummy has no fields"));
        }
    }
    Ok(TableDefinition {
        name,
        stream,
        format,
        compression,
        start: Start::TrimHorizon,
        bad_records: BadRecords::NullRow,
        partitioning: Partitioning::Unknown,
        event_time: None,
        columns,
        comment: comment(root)?,
        kinesis: None,
    })
}

fn column(field: &Cursor<'_>, columns: &mut Vec<ColumnDefinition>) -> Result<(), Problem> {
    let name = field.require("name")?;
    let mapping = field.require("mapping")?;
    let type_place = field.require("type")?;
    let column_type = ColumnType::parse(type_place.text()?).map_err(|message| type_place.keyed_problem(message))?;
    let data_format = field.get_non_null("dataFormat")?;
    let hint = field.get_non_null("formatHint")?;
    let format = match &data_format {
        Some(data_format) => pattern(data_format, hint.as_ref(), &column_type)?,
        None => None,
    };
    let column = ColumnDefinition {
        // The connectors' names are lower case whatever a description writes.
        name: name.text()?.to_lowercase(),
        path: check::path(mapping.text()?, false).map_err(|message| mapping.keyed_problem(message))?,
        column_type,
        format,
        hidden: hidden(field)?,
        comment: comment(field)?,
    };
    check::add_column(
        columns,
        column,
        &ColumnPlaces {
            column: field,
            name: &name,
            path: Some(&mapping),
            format: hint.as_ref(),
        },
    )
}

/// The strftime pattern that a field's decoder stands for.
fn pattern(data_format: &Cursor<'_>, hint: Option<&Cursor<'_>>, column_type: &ColumnType) -> Result<Option<String>, Problem> {
    let choice = data_format.choice(FIELD_FORMATS, FIELD_FORMATS_LATER)?;
    let is_time = matches!(column_type, ColumnType::Date | ColumnType::Timestamp(_));
    let joda = match choice {
        FieldFormat::Default => return Ok(None),
        // Into a varchar these decoders hand on the text unchanged.
        _ if *column_type == ColumnType::Varchar => return Ok(None),
        _ if !is_time => {
            return Err(data_format.keyed_problem(format!("`{}` into a {column_type} is not supported yet", data_format.text()?)));
        }
        FieldFormat::Iso8601 => return Ok(None),
        FieldFormat::Rfc2822 => (data_format, TWITTER_PATTERN),
        FieldFormat::Custom => match hint {
            Some(hint) => (hint, hint.non_empty_text()?),
            None => return Err(data_format.keyed_problem("`custom-date-time` needs a `formatHint`")),
        },
    };
    joda::to_strftime(joda.1).map(Some).map_err(|message| joda.0.keyed_problem(message))
}

/// `true`, `false`, or the same as text.
fn hidden(field: &Cursor<'_>) -> Result<bool, Problem> {
    let Some(hidden) = field.get_non_null("hidden")? else {
        return Ok(false);
    };
    match hidden.node {
        Node::Text(_) => hidden.choice(&[("true", true), ("false", false)], &[]),
        _ => hidden.boolean(),
    }
}

/// Descriptions carry comments of any shape; only text is one for us.
fn comment(place: &Cursor<'_>) -> Result<Option<String>, Problem> {
    Ok(place.get("comment")?.and_then(|comment| match comment.node {
        Node::Text(text) => Some(text.clone()),
        _ => None,
    }))
}
