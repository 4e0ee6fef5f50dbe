//! Rules that both spellings share.

use super::cursor::Cursor;
use super::node::Problem;
use super::{ColumnDefinition, ColumnType, FieldFormat, Format, TableName};
use crate::decode::Pattern;

/// Hidden columns of every table: names that no data column may have.
pub const HIDDEN_COLUMNS: [&str; 15] = [
    "_shard_id",
    "_shard_sequence_id",
    "_sub_sequence",
    "_segment_start",
    "_segment_end",
    "_segment_count",
    "_partition_key",
    "_message_timestamp",
    "_message",
    "_message_length",
    "_message_valid",
    "_message_error",
    "_row_index",
    "_row_id",
    "_hash_in_range",
];

/// Schemas that hold the server's own tables.
const RESERVED_SCHEMAS: [&str; 2] = ["system", "information_schema"];

pub(super) fn table_name(table: &Cursor<'_>, schema: Option<&Cursor<'_>>, default_schema: &str) -> Result<TableName, Problem> {
    let name = table.non_empty_text()?.trim().to_lowercase();
    let schema_name = match schema {
        Some(schema) => schema.non_empty_text()?.trim().to_lowercase(),
        None => default_schema.trim().to_lowercase(),
    };
    if RESERVED_SCHEMAS.contains(&&*schema_name) {
        let place = schema.unwrap_or(table);
        return Err(place.keyed_problem(format!("schema `{schema_name}` belongs to the server: choose another")));
    }
    Ok(TableName {
        schema: schema_name,
        table: name,
    })
}

/// A stream's name (1 to 128 of `a-zA-Z0-9_.-`, API reference of CreateStream) or ARN.
pub(super) fn stream(place: &Cursor<'_>) -> Result<String, Problem> {
    let text = place.non_empty_text()?.trim();
    let name = match text.strip_prefix("arn:") {
        None => text,
        Some(rest) => {
            // partition:kinesis:region:account:stream/name
            let parts: Vec<&str> = rest.splitn(5, ':').collect();
            match parts[..] {
                [_, "kinesis", region, account, resource] if !region.is_empty() && !account.is_empty() => resource.strip_prefix("stream/"),
                _ => None,
            }
            .ok_or_else(|| {
                place.keyed_problem(format!(
                    "`{text}` is not a stream's ARN (arn:aws:kinesis:REGION:ACCOUNT:stream/NAME)"
                ))
            })?
        }
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.is_empty() || name.len() > 128 || !name.chars().all(allowed) {
        return Err(place.keyed_problem(format!("`{name}` is not a stream name: 1 to 128 letters, digits, `_`, `.` or `-`")));
    }
    Ok(text.to_owned())
}

/// The text at a key, if there is one.
pub(super) fn text_at(place: &Cursor<'_>, key: &str) -> Result<Option<String>, Problem> {
    place.get(key)?.map(|text| text.text().map(str::to_owned)).transpose()
}

/// The column whose values become partition keys.
pub(super) fn partition_key(place: &Cursor<'_>, columns: &[ColumnDefinition]) -> Result<String, Problem> {
    let wanted = place.non_empty_text()?;
    let column = columns
        .iter()
        .find(|column| column.name.eq_ignore_ascii_case(wanted))
        .ok_or_else(|| place.keyed_problem(format!("there is no column `{wanted}`")))?;
    match column.column_type.is_nested() || column.column_type == ColumnType::Varbinary {
        true => Err(place.keyed_problem(format!("`{wanted}` is a {}: a partition key is a text", column.column_type))),
        false => Ok(column.name.clone()),
    }
}

/// `a/b/c`, empty segments omitted; where `escapes`, `~1` stands for `/` and `~0` for `~` (RFC 6901).
pub(super) fn path(text: &str, escapes: bool) -> Result<Vec<String>, String> {
    let segments = text.split('/').filter(|segment| !segment.is_empty());
    if !escapes {
        return Ok(segments.map(str::to_owned).collect());
    }
    segments
        .map(unescape)
        .collect::<Option<_>>()
        .ok_or_else(|| format!("`{text}`: `~` is written `~0`, and `/` in a key `~1`"))
}

fn unescape(segment: &str) -> Option<String> {
    let mut parts = segment.split('~');
    let mut key = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        key.push(match part.as_bytes().first()? {
            b'0' => '~',
            b'1' => '/',
            _ => return None,
        });
        key.push_str(&part[1..]);
    }
    Some(key)
}

/// Where the parts of a column stand.
pub(super) struct ColumnPlaces<'a, 'n> {
    pub(super) column: &'a Cursor<'n>,
    pub(super) name: &'a Cursor<'n>,
    pub(super) path: Option<&'a Cursor<'n>>,
    pub(super) format: Option<&'a Cursor<'n>>,
}

/// Whether a format has what a column names.
pub(super) fn place(format: &Format, column: &ColumnDefinition) -> Result<(), String> {
    let name = column.path.first().map_or("", String::as_str);
    match format {
        Format::Avro(avro) => crate::decode::check_avro_path(avro, &column.path),
        Format::Protobuf(protobuf) => crate::decode::check_protobuf_path(protobuf, &column.path),
        Format::LogLines(lines) => crate::decode::check_log_part(*lines, name),
        Format::Regex(regex) => crate::decode::check_group(regex, name),
        _ => Ok(()),
    }
}

/// Adds a column after all checks.
pub(super) fn add_column(
    columns: &mut Vec<ColumnDefinition>,
    column: ColumnDefinition,
    places: &ColumnPlaces<'_, '_>,
) -> Result<(), Problem> {
    let name = column.name.to_lowercase();
    if name.trim().is_empty() {
        return Err(places.name.keyed_problem("must not be empty"));
    }
    if HIDDEN_COLUMNS.contains(&&*name) {
        return Err(places
            .name
            .keyed_problem(format!("`{}` is the name of a hidden column of every table", column.name)));
    }
    if columns.iter().any(|other| other.name.to_lowercase() == name) {
        return Err(places.name.keyed_problem(format!(
            "column `{}` is given twice (upper and lower case count as the same)",
            column.name
        )));
    }
    if column.path.is_empty() && !holds_documents(&column.column_type) {
        let place = places.path.unwrap_or(places.column);
        return Err(place.keyed_problem(format!(
            "the whole document (`/`) is a varchar, a json or a nested type, not a {}",
            column.column_type
        )));
    }
    if let Some(raw) = &column.raw {
        crate::decode::check_raw(raw, &column.column_type)
            .map_err(|message| places.path.unwrap_or(places.column).keyed_problem(message))?;
    }
    if let Some(format) = &column.format {
        let place = places.format.unwrap_or(places.column);
        field_format(format, &column.column_type).map_err(|message| place.keyed_problem(message))?;
    }
    columns.push(column);
    Ok(())
}

fn holds_documents(column_type: &ColumnType) -> bool {
    matches!(column_type, ColumnType::Varchar | ColumnType::Varbinary | ColumnType::Json) || column_type.is_nested()
}

/// Whether values of a type can be written so. An instant may also become a bigint (milliseconds since the epoch), and a number of units since the epoch a
/// varchar (ISO 8601), as in the Presto and Trino connectors.
fn field_format(format: &FieldFormat, column_type: &ColumnType) -> Result<(), String> {
    match (format, column_type) {
        (FieldFormat::Base64 | FieldFormat::Hex, ColumnType::Varbinary) => Ok(()),
        (FieldFormat::Base64 | FieldFormat::Hex, other) => Err(format!("`{format}` is how a varbinary is written, not a {other}")),
        (FieldFormat::Epoch(_), ColumnType::Varchar) => Ok(()),
        (FieldFormat::Pattern(pattern), ColumnType::Date) => Pattern::date(pattern).map(drop),
        (FieldFormat::Pattern(pattern), ColumnType::Time(_)) => Pattern::time(pattern).map(drop),
        (FieldFormat::Pattern(pattern), ColumnType::Timestamp(_) | ColumnType::TimestampWithZone(_) | ColumnType::BigInt) => {
            Pattern::timestamp(pattern).map(drop)
        }
        (FieldFormat::Rfc2822, ColumnType::Time(_)) => Err("rfc2822 says an instant, not a time of day".to_owned()),
        (_, ColumnType::BigInt) => Ok(()),
        (_, other) if other.is_time() => Ok(()),
        (_, other) => Err(format!(
            "a {other} takes no format; date, time, timestamp and bigint do, and a varbinary takes base64 or hex"
        )),
    }
}
