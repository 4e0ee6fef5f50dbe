//! Which bytes can be which types.

use super::Reading;
use crate::{ColumnType, RawEncoding, RawField};

/// Bytes of a number; of text, of which there can be none, 0.
pub(super) fn size(encoding: RawEncoding) -> usize {
    match encoding {
        RawEncoding::Text => 0,
        RawEncoding::Byte => 1,
        RawEncoding::Short => 2,
        RawEncoding::Int | RawEncoding::Float => 4,
        RawEncoding::Long | RawEncoding::Double => 8,
    }
}

/// How the bytes of a column are read.
pub(super) fn reading(encoding: RawEncoding, column_type: &ColumnType) -> Reading {
    match (encoding, column_type) {
        (RawEncoding::Text, _) => Reading::Bytes,
        (_, ColumnType::Boolean) => Reading::Truth(encoding),
        (
            RawEncoding::Byte,
            ColumnType::TinyInt | ColumnType::SmallInt | ColumnType::Integer | ColumnType::BigInt | ColumnType::Real | ColumnType::Double,
        ) => Reading::Number(encoding),
        (RawEncoding::Byte, _) => Reading::Bytes,
        _ => Reading::Number(encoding),
    }
}

/// Whether a column can be read from such bytes.
pub(crate) fn check(raw: &RawField, column_type: &ColumnType) -> Result<(), String> {
    let (encoding, bytes) = (raw.encoding, size(raw.encoding));
    if raw.start.checked_add(bytes).is_none() {
        return Err(format!("no record has {} bytes", raw.start));
    }
    if let Some(end) = raw.end
        && reading(encoding, column_type) != Reading::Bytes
        && end.saturating_sub(raw.start) < bytes
    {
        return Err(format!(
            "{} bytes are too few for what takes {bytes}",
            end.saturating_sub(raw.start)
        ));
    }
    let number = !matches!(reading(encoding, column_type), Reading::Bytes);
    let fraction = matches!(encoding, RawEncoding::Float | RawEncoding::Double);
    match column_type {
        ColumnType::Boolean if fraction => Err("a boolean is read from an integer, not from a fraction".to_owned()),
        ColumnType::Varbinary | ColumnType::Uuid | ColumnType::Json | ColumnType::Date if number => Err(format!(
            "a {column_type} is read from bytes (encoding byte or text), not from a number"
        )),
        nested if nested.is_nested() && number => Err(format!(
            "a {nested} is read from JSON text (encoding byte or text), not from a number"
        )),
        _ => Ok(()),
    }
}
