//! Columns as our YAML writes them.

use super::check::{self, ColumnPlaces};
use super::cursor::Cursor;
use super::format::{RawEncoding, RawField};
use super::format_syntax;
use super::node::{Node, Problem};
use super::{ColumnDefinition, ColumnType, FieldFormat, Format};

const KEYS: &[&str] = &["name", "path", "type", "format", "hidden", "comment"];
const CSV_KEYS: &[&str] = &["name", "path", "index", "type", "format", "hidden", "comment"];
const RAW_KEYS: &[&str] = &["name", "bytes", "encoding", "endian", "type", "format", "hidden", "comment"];

pub(super) const ENCODINGS: &[(&str, RawEncoding)] = &[
    ("byte", RawEncoding::Byte),
    ("text", RawEncoding::Text),
    ("short", RawEncoding::Short),
    ("int", RawEncoding::Int),
    ("long", RawEncoding::Long),
    ("float", RawEncoding::Float),
    ("double", RawEncoding::Double),
];

pub(super) fn column(item: &Cursor<'_>, format: &Format, columns: &mut Vec<ColumnDefinition>) -> Result<(), Problem> {
    item.check_keys(
        match format {
            Format::Csv(_) => CSV_KEYS,
            Format::Raw(_) => RAW_KEYS,
            _ => KEYS,
        },
        &[],
    )?;
    let name = item.require("name")?;
    let column_type = item.require("type")?;
    let path = item.get("path")?;
    let field_format = item.get("format")?;
    let column = ColumnDefinition {
        name: name.text()?.to_owned(),
        path: match &path {
            Some(path) if has_paths(format) => check::path(path.text()?, true).map_err(|message| path.keyed_problem(message))?,
            Some(path) => vec![path.non_empty_text()?.to_owned()],
            None => vec![name.text()?.to_owned()],
        },
        index: index(item, format, columns.len())?,
        raw: match format {
            Format::Raw(_) => Some(raw(item)?),
            _ => None,
        },
        column_type: ColumnType::parse(column_type.text()?).map_err(|message| column_type.keyed_problem(message))?,
        format: field_format
            .as_ref()
            .map(|format| format.non_empty_text().map(FieldFormat::parse))
            .transpose()?,
        hidden: item.get("hidden")?.map(|hidden| hidden.boolean()).transpose()?.unwrap_or(false),
        comment: check::text_at(item, "comment")?,
    };
    let column = match (format, &column.format) {
        (Format::LogLines(_), None) if column.path[..] == [crate::decode::LOG_TIME] && is_instant(&column.column_type) => {
            ColumnDefinition {
                format: Some(FieldFormat::Pattern(crate::decode::LOG_TIME_PATTERN.to_owned())),
                ..column
            }
        }
        _ => column,
    };
    check::place(format, &column).map_err(|message| path.as_ref().unwrap_or(&name).keyed_problem(message))?;
    check::add_column(
        columns,
        column,
        &ColumnPlaces {
            column: item,
            name: &name,
            path: path.as_ref(),
            format: field_format.as_ref(),
        },
    )
}

fn is_instant(column_type: &ColumnType) -> bool {
    matches!(column_type, ColumnType::Timestamp(_) | ColumnType::TimestampWithZone(_))
}

/// Whether a path leads into a document; otherwise it is a name.
pub(super) fn has_paths(format: &Format) -> bool {
    match format {
        Format::Json(_) | Format::Avro(_) | Format::Protobuf(_) | Format::CloudWatchLogs | Format::CloudEvents => true,
        Format::Csv(_) | Format::Raw(_) | Format::LogLines(_) | Format::Regex(_) | Format::Dummy => false,
    }
}

/// A CSV column's field: said, or by name, or where there are no names the column's own place in the list.
fn index(item: &Cursor<'_>, format: &Format, place: usize) -> Result<Option<usize>, Problem> {
    let Format::Csv(csv) = format else { return Ok(None) };
    match (item.get("index")?, item.get("path")?) {
        (Some(index), Some(_)) => Err(index.keyed_problem("give `index` or `path`, not both")),
        (Some(index), None) => match index.node {
            Node::Number(text) => text.parse().ok(),
            _ => None,
        }
        .filter(|index| *index < MOST_FIELDS)
        .map(Some)
        .ok_or_else(|| index.keyed_problem(format!("a number from 0 to {}", MOST_FIELDS - 1))),
        (None, Some(path)) if !csv.header => Err(path.keyed_problem("fields have names only with `header: true`; use `index`")),
        (None, _) if csv.header => Ok(None),
        (None, _) => Ok(Some(place)),
    }
}

/// Fields of a line.
const MOST_FIELDS: usize = 65_536;

fn raw(item: &Cursor<'_>) -> Result<RawField, Problem> {
    let encoding = match item.get("encoding")? {
        Some(encoding) => encoding.choice(ENCODINGS, &[])?,
        None => RawEncoding::Byte,
    };
    let (start, end) = match item.get("bytes")? {
        Some(bytes) => range(bytes.text()?).map_err(|message| bytes.keyed_problem(message))?,
        None => (0, None),
    };
    Ok(RawField {
        start,
        end,
        encoding,
        endian: format_syntax::endian(item)?,
    })
}

/// `start` or `start:end`, the end exclusive.
pub(super) fn range(text: &str) -> Result<(usize, Option<usize>), String> {
    let number = |text: &str| text.trim().parse::<usize>().ok();
    match text.split_once(':') {
        None => number(text).map(|start| (start, None)),
        Some((start, end)) => match (number(start), number(end)) {
            (Some(start), Some(end)) if start < end => Some((start, Some(end))),
            _ => None,
        },
    }
    .ok_or_else(|| format!("`{text}` is not a range of bytes: write the first, or the first and the one after the last: \"8:12\""))
}
