//! One value as text.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use base64::Engine;
use serde_json::value::RawValue;
use std::fmt::Write;
use uuid::Uuid;

use super::time::TimeWriter;
use crate::decode::{compact_json, json_text};
use crate::{ColumnDefinition, ColumnType, FieldFormat};

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// There is none.
    Null,
    /// A number or a boolean.
    Bare,
    /// A text.
    Text,
    /// JSON.
    Json,
}

/// Writes the values of one column.
#[derive(Debug)]
pub(super) struct Scalar {
    column_type: ColumnType,
    format: Option<FieldFormat>,
    time: Option<TimeWriter>,
}

impl Scalar {
    pub(super) fn of(column: &ColumnDefinition) -> Result<Self, String> {
        Self::new(&column.column_type, column.format.as_ref())
    }

    pub(super) fn new(column_type: &ColumnType, format: Option<&FieldFormat>) -> Result<Self, String> {
        Ok(Self {
            time: TimeWriter::of(column_type, format)?,
            column_type: column_type.clone(),
            format: format.cloned(),
        })
    }

    /// Adds a value to `out`, as plain text without quotes.
    pub(super) fn write(&self, array: &dyn Array, row: usize, out: &mut String) -> Result<Kind, String> {
        if array.is_null(row) {
            return Ok(Kind::Null);
        }
        if let Some(time) = &self.time {
            return time.write(moment(array, row)?, out);
        }
        if let (ColumnType::Varbinary, DataType::Binary) = (&self.column_type, array.data_type()) {
            let bytes = array.as_binary::<i32>().value(row);
            match self.format {
                Some(FieldFormat::Base64) => base64::engine::general_purpose::STANDARD.encode_string(bytes, out),
                Some(FieldFormat::Hex) => bytes.iter().for_each(|byte| {
                    let _ = write!(out, "{byte:02x}");
                }),
                _ => out.push_str(
                    std::str::from_utf8(bytes)
                        .map_err(|_| "the bytes are no text; a definition's `format: base64` or `hex` writes any bytes".to_owned())?,
                ),
            }
            return Ok(Kind::Text);
        }
        write_value(&self.column_type, array, row, out)
    }
}

/// A time, in units of nanoseconds: since the epoch, or since midnight.
pub(super) fn moment(array: &dyn Array, row: usize) -> Result<i128, String> {
    const DAY: i128 = 86_400_000_000_000;
    let (value, unit) = match array.data_type() {
        DataType::Date32 => return Ok(i128::from(array.as_primitive::<Date32Type>().value(row)) * DAY),
        DataType::Time32(TimeUnit::Second) => (i64::from(array.as_primitive::<Time32SecondType>().value(row)), 1_000_000_000),
        DataType::Time32(_) => (i64::from(array.as_primitive::<Time32MillisecondType>().value(row)), 1_000_000),
        DataType::Time64(TimeUnit::Microsecond) => (array.as_primitive::<Time64MicrosecondType>().value(row), 1_000),
        DataType::Time64(_) => (array.as_primitive::<Time64NanosecondType>().value(row), 1),
        DataType::Timestamp(TimeUnit::Second, _) => (array.as_primitive::<TimestampSecondType>().value(row), 1_000_000_000),
        DataType::Timestamp(TimeUnit::Millisecond, _) => (array.as_primitive::<TimestampMillisecondType>().value(row), 1_000_000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => (array.as_primitive::<TimestampMicrosecondType>().value(row), 1_000),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => (array.as_primitive::<TimestampNanosecondType>().value(row), 1),
        DataType::Int64 => (array.as_primitive::<Int64Type>().value(row), 1_000_000),
        other => return Err(format!("a {other} is no time")),
    };
    Ok(i128::from(value) * unit)
}

fn write_value(column_type: &ColumnType, array: &dyn Array, row: usize, out: &mut String) -> Result<Kind, String> {
    match array.data_type() {
        DataType::Boolean => out.push_str(if array.as_boolean().value(row) { "true" } else { "false" }),
        DataType::Int8 => push(out, array.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => push(out, array.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => push(out, array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => push(out, array.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => {
            let value = array.as_primitive::<Float32Type>().value(row);
            finite(value.is_finite(), f64::from(value))?;
            let _ = write!(out, "{value:?}");
        }
        DataType::Float64 => {
            let value = array.as_primitive::<Float64Type>().value(row);
            finite(value.is_finite(), value)?;
            let _ = write!(out, "{value:?}");
        }
        DataType::Decimal128(..) => out.push_str(&array.as_primitive::<Decimal128Type>().value_as_string(row)),
        DataType::Decimal256(..) => out.push_str(&array.as_primitive::<Decimal256Type>().value_as_string(row)),
        DataType::Utf8 => {
            let text = array.as_string::<i32>().value(row);
            match column_type {
                ColumnType::Json => {
                    serde_json::from_str::<&RawValue>(text).map_err(|error| format!("the text is not JSON: {error}"))?;
                    out.push_str(&compact_json(text));
                    return Ok(Kind::Json);
                }
                ColumnType::Uuid => {
                    let uuid = Uuid::try_parse(text).map_err(|_| "the text is not a UUID".to_owned())?;
                    let _ = write!(out, "{uuid}");
                }
                _ => out.push_str(text),
            }
            return Ok(Kind::Text);
        }
        DataType::List(_) | DataType::Map(..) | DataType::Struct(_) => {
            write_json(column_type, array, row, out)?;
            return Ok(Kind::Json);
        }
        other => return Err(format!("a {other} cannot be written as a {column_type}")),
    }
    Ok(Kind::Bare)
}

fn push(out: &mut String, value: impl std::fmt::Display) {
    let _ = write!(out, "{value}");
}

fn finite(is_finite: bool, value: f64) -> Result<(), String> {
    match is_finite {
        true => Ok(()),
        false => Err(format!("{value} has no form as text")),
    }
}

/// A value within another, as JSON.
fn write_json(column_type: &ColumnType, array: &dyn Array, row: usize, out: &mut String) -> Result<(), String> {
    if array.is_null(row) {
        out.push_str("null");
        return Ok(());
    }
    let at = |inside: String| move |reason: String| format!("{inside}: {reason}");
    match column_type {
        ColumnType::Array(element) => {
            let items = array.as_list::<i32>().value(row);
            out.push('[');
            for item in 0..items.len() {
                comma(item > 0, out);
                write_json(element, items.as_ref(), item, out).map_err(at(format!("/{item}")))?;
            }
            out.push(']');
        }
        ColumnType::Map(key, value) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            let writer = Scalar::new(key, None)?;
            let mut seen = std::collections::BTreeSet::new();
            out.push('{');
            for entry in 0..entries.len() {
                comma(entry > 0, out);
                let mut text = String::new();
                writer.write(keys.as_ref(), entry, &mut text)?;
                json_text(&text, out);
                out.push(':');
                write_json(value, values.as_ref(), entry, out).map_err(at(format!("/{text}")))?;
                if let Some(text) = seen.replace(text) {
                    return Err(format!("the key `{text}` is in the map twice"));
                }
            }
            out.push('}');
        }
        ColumnType::Row(fields) => {
            let columns = array.as_struct();
            let mut first = true;
            out.push('{');
            for (index, (name, field)) in fields.iter().enumerate() {
                let values = columns.column(index);
                if values.is_null(row) {
                    continue;
                }
                comma(!std::mem::take(&mut first), out);
                json_text(name, out);
                out.push(':');
                write_json(field, values.as_ref(), row, out).map_err(at(format!("/{name}")))?;
            }
            out.push('}');
        }
        scalar => {
            let mut text = String::new();
            let kind = Scalar::new(scalar, None)?.write(array, row, &mut text)?;
            write_kind(kind, &text, out);
        }
    }
    Ok(())
}

/// A text of that kind, as JSON.
pub(super) fn write_kind(kind: Kind, text: &str, out: &mut String) {
    match kind {
        Kind::Null => out.push_str("null"),
        Kind::Bare | Kind::Json => out.push_str(text),
        Kind::Text => json_text(text, out),
    }
}

fn comma(wanted: bool, out: &mut String) {
    if wanted {
        out.push(',');
    }
}
