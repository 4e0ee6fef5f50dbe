//! A table description of the Presto and Trino Kinesis connectors: JSON, unknown keys tolerated.

use arrow::datatypes::TimeUnit;

use super::check::{self, ColumnPlaces};
use super::column_syntax::{self, ENCODINGS};
use super::cursor::Cursor;
use super::format::TWITTER_PATTERN;
use super::node::{Node, Problem};
use super::yaml::COMPATS;
use super::{
    BadRecords, ColumnDefinition, ColumnType, Compat, CsvFormat, DefinitionError, FieldFormat, Format, JsonFormat, Partitioning,
    RawEncoding, RawField, RawFormat, Start, TableDefinition, joda,
};
use crate::{Codec, Compression};

/// The connectors' row decoders.
#[derive(Debug, Clone, Copy)]
enum MessageFormat {
    Json,
    Csv,
    Raw,
    Dummy,
}
const FORMATS: &[(&str, MessageFormat)] = &[
    ("json", MessageFormat::Json),
    ("csv", MessageFormat::Csv),
    ("raw", MessageFormat::Raw),
    ("dummy", MessageFormat::Dummy),
];
const FORMATS_LATER: &[&str] = &["avro"];
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
enum FieldDecoder {
    Default,
    Iso8601,
    Rfc2822,
    Custom,
    Milliseconds,
    Seconds,
}
const FIELD_DECODERS: &[(&str, FieldDecoder)] = &[
    ("_default", FieldDecoder::Default),
    ("iso8601", FieldDecoder::Iso8601),
    ("rfc2822", FieldDecoder::Rfc2822),
    ("custom-date-time", FieldDecoder::Custom),
    ("milliseconds-since-epoch", FieldDecoder::Milliseconds),
    ("seconds-since-epoch", FieldDecoder::Seconds),
];

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
        let place = message.require("dataFormat")?;
        format = match place.choice(FORMATS, FORMATS_LATER)? {
            MessageFormat::Json => Format::Json(JsonFormat::default()),
            // What opencsv does unasked, and an empty field is NULL.
            MessageFormat::Csv => Format::Csv(CsvFormat {
                escape: Some(b'\\'),
                null: Some(String::new()),
                ..CsvFormat::default()
            }),
            MessageFormat::Raw => Format::Raw(RawFormat::default()),
            MessageFormat::Dummy => Format::Dummy,
        };
        if let Some(codec) = message.get_non_null("compressionCodec")? {
            compression = match codec.choice(CODECS, &[])? {
                MessageCodec::Uncompressed => Compression::None,
                MessageCodec::Automatic => Compression::Auto,
                MessageCodec::Gzip => Compression::Chain(vec![Codec::Gzip]),
            };
        }
        let fields = message.require("fields")?;
        if format == Format::Dummy && !fields.items()?.is_empty() {
            return Err(fields.keyed_problem("a message of format dummy has no fields"));
        }
        for field in fields.items()? {
            column(&field, &format, &mut columns)?;
        }
    }
    let compat = match root.get_non_null("compat")? {
        Some(compat) => compat.choice(COMPATS, &[])?,
        None => Compat::None,
    };
    Ok(TableDefinition {
        name,
        stream,
        format,
        compression,
        start: Start::TrimHorizon,
        bad_records: BadRecords::NullRow,
        compat,
        partitioning: Partitioning::Unknown,
        partition_key: None,
        event_time: None,
        columns,
        comment: comment(root)?,
        kinesis: None,
        history: None,
    })
}

fn column(field: &Cursor<'_>, format: &Format, columns: &mut Vec<ColumnDefinition>) -> Result<(), Problem> {
    let name = field.require("name")?;
    let mapping = match format {
        Format::Raw(_) => field.get_non_null("mapping")?,
        _ => Some(field.require("mapping")?),
    };
    let type_place = field.require("type")?;
    let column_type = ColumnType::parse(type_place.text()?).map_err(|message| type_place.keyed_problem(message))?;
    let data_format = field.get_non_null("dataFormat")?;
    let hint = field.get_non_null("formatHint")?;
    // The connectors' names are lower case whatever a description writes.
    let lower = name.text()?.to_lowercase();
    let mut column = ColumnDefinition {
        path: vec![lower.clone()],
        name: lower,
        index: None,
        raw: None,
        format: None,
        column_type,
        hidden: hidden(field)?,
        comment: comment(field)?,
    };
    match (format, &mapping) {
        (Format::Raw(_), mapping) => column.raw = Some(raw(mapping.as_ref(), data_format.as_ref())?),
        (Format::Csv(_), Some(mapping)) => column.index = Some(index(mapping)?),
        (_, Some(mapping)) => {
            column.path = check::path(mapping.text()?, false).map_err(|message| mapping.keyed_problem(message))?;
            if let Some(data_format) = &data_format {
                column.format = field_format(data_format, hint.as_ref(), &column.column_type)?;
            }
        }
        (_, None) => {}
    }
    check::add_column(
        columns,
        column,
        &ColumnPlaces {
            column: field,
            name: &name,
            path: mapping.as_ref(),
            format: hint.as_ref().or(data_format.as_ref()),
        },
    )
}

/// The index of a field, as text or as a number.
fn index(mapping: &Cursor<'_>) -> Result<usize, Problem> {
    match mapping.node {
        Node::Text(text) | Node::Number(text) => text.trim().parse().ok().filter(|index| *index < 65_536),
        _ => None,
    }
    .ok_or_else(|| mapping.keyed_problem("the mapping of a csv field is its index, from 0"))
}

fn raw(mapping: Option<&Cursor<'_>>, data_format: Option<&Cursor<'_>>) -> Result<RawField, Problem> {
    let (start, end) = match mapping {
        Some(mapping) => column_syntax::range(mapping.text()?).map_err(|message| mapping.keyed_problem(message))?,
        None => (0, None),
    };
    let encoding = match data_format {
        Some(place) if place.text()? == "_default" => RawEncoding::Byte,
        Some(place) => place.choice(ENCODINGS, &[])?,
        None => RawEncoding::Byte,
    };
    Ok(RawField {
        start,
        end,
        encoding,
        endian: None,
    })
}

/// What a field's decoder stands for. Types that a decoder does not apply to fall back to the default, as there.
fn field_format(place: &Cursor<'_>, hint: Option<&Cursor<'_>>, column_type: &ColumnType) -> Result<Option<FieldFormat>, Problem> {
    let decoder = place.choice(FIELD_DECODERS, &[])?;
    let epoch = match decoder {
        FieldDecoder::Milliseconds => Some(TimeUnit::Millisecond),
        FieldDecoder::Seconds => Some(TimeUnit::Second),
        _ => None,
    };
    match column_type {
        ColumnType::Varchar => Ok(epoch.map(FieldFormat::Epoch)),
        ColumnType::BigInt => instant(place, hint, decoder, epoch),
        other if other.is_time() => instant(place, hint, decoder, epoch),
        _ => Ok(None),
    }
}

fn instant(
    place: &Cursor<'_>,
    hint: Option<&Cursor<'_>>,
    decoder: FieldDecoder,
    epoch: Option<TimeUnit>,
) -> Result<Option<FieldFormat>, Problem> {
    Ok(match decoder {
        FieldDecoder::Default => None,
        FieldDecoder::Iso8601 => Some(FieldFormat::Iso8601),
        FieldDecoder::Rfc2822 => Some(FieldFormat::Pattern(TWITTER_PATTERN.to_owned())),
        FieldDecoder::Custom => {
            let hint = hint.ok_or_else(|| place.keyed_problem("`custom-date-time` needs a `formatHint`"))?;
            let pattern = joda::to_strftime(hint.non_empty_text()?).map_err(|message| hint.keyed_problem(message))?;
            Some(FieldFormat::Pattern(pattern))
        }
        FieldDecoder::Milliseconds | FieldDecoder::Seconds => epoch.map(FieldFormat::Epoch),
    })
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
