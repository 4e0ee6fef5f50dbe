//! Builders of each type, and the rules of scalars.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, BinaryBuilder, BooleanBuilder, Int64Array, PrimitiveBuilder, StringBuilder};
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, i256,
};
use arrow::error::ArrowError;
use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::super::cell::Cell;
use super::super::time::{DateParser, Pattern, Reading, TimeParser, TimestampParser, day_of};
use super::super::{coerce, decimal, json, presto};
use super::Refusal;
use super::nested::{ListValues, MapValues, RowValues};
use crate::{ColumnType, Compat, FieldFormat};

/// Base64 with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How bytes are written as text.
#[derive(Debug, Clone, Copy)]
pub(super) enum BytesText {
    Utf8,
    Base64,
    Hex,
}

/// A value that did not convert: `None` = as a whole.
pub(super) type Refused = Option<Box<Refusal>>;

#[derive(Debug)]
pub(super) enum Values {
    Text(StringBuilder),
    /// A number of units since the epoch as ISO 8601 text.
    EpochText(StringBuilder, Reading, TimeUnit),
    Uuid(StringBuilder),
    Json(StringBuilder),
    Bytes(BinaryBuilder, BytesText),
    Boolean(BooleanBuilder, Compat),
    TinyInt(PrimitiveBuilder<Int8Type>, Compat),
    SmallInt(PrimitiveBuilder<Int16Type>, Compat),
    Integer(PrimitiveBuilder<Int32Type>, Compat),
    BigInt(PrimitiveBuilder<Int64Type>, Compat),
    Real(PrimitiveBuilder<Float32Type>, Compat),
    Double(PrimitiveBuilder<Float64Type>, Compat),
    Decimal(PrimitiveBuilder<Decimal128Type>, u8, u8),
    WideDecimal(PrimitiveBuilder<Decimal256Type>, u8, u8),
    Date(PrimitiveBuilder<Date32Type>, DateParser),
    Time(PrimitiveBuilder<Int64Type>, TimeParser),
    Timestamp(PrimitiveBuilder<Int64Type>, TimestampParser),
    List(Box<ListValues>),
    Map(Box<MapValues>),
    Row(Box<RowValues>),
}

impl Values {
    pub(super) fn new(column_type: &ColumnType, format: Option<&FieldFormat>, compat: Compat) -> Result<Self, String> {
        let timestamp = |unit: TimeUnit| {
            let reading = Reading::new(format, Pattern::timestamp)?;
            Ok::<_, String>(Self::Timestamp(
                PrimitiveBuilder::new(),
                TimestampParser::new(reading, unit, compat == Compat::Presto),
            ))
        };
        Ok(match column_type {
            ColumnType::Varchar => match format {
                Some(FieldFormat::Epoch(unit)) => Self::EpochText(StringBuilder::new(), Reading::Epoch(*unit), *unit),
                _ => Self::Text(StringBuilder::new()),
            },
            ColumnType::Uuid => Self::Uuid(StringBuilder::new()),
            ColumnType::Json => Self::Json(StringBuilder::new()),
            ColumnType::Varbinary => Self::Bytes(
                BinaryBuilder::new(),
                match format {
                    Some(FieldFormat::Base64) => BytesText::Base64,
                    Some(FieldFormat::Hex) => BytesText::Hex,
                    _ => BytesText::Utf8,
                },
            ),
            ColumnType::Boolean => Self::Boolean(BooleanBuilder::new(), compat),
            ColumnType::TinyInt => Self::TinyInt(PrimitiveBuilder::new(), compat),
            ColumnType::SmallInt => Self::SmallInt(PrimitiveBuilder::new(), compat),
            ColumnType::Integer => Self::Integer(PrimitiveBuilder::new(), compat),
            ColumnType::BigInt if format.is_some() => timestamp(TimeUnit::Millisecond)?,
            ColumnType::BigInt => Self::BigInt(PrimitiveBuilder::new(), compat),
            ColumnType::Real => Self::Real(PrimitiveBuilder::new(), compat),
            ColumnType::Double => Self::Double(PrimitiveBuilder::new(), compat),
            ColumnType::Decimal(precision, scale) if *precision <= DECIMAL128_MAX_PRECISION => {
                Self::Decimal(PrimitiveBuilder::new().with_data_type(column_type.data_type()), *precision, *scale)
            }
            ColumnType::Decimal(precision, scale) => {
                Self::WideDecimal(PrimitiveBuilder::new().with_data_type(column_type.data_type()), *precision, *scale)
            }
            ColumnType::Date => Self::Date(PrimitiveBuilder::new(), DateParser::new(Reading::new(format, Pattern::date)?)),
            ColumnType::Time(unit) => Self::Time(
                PrimitiveBuilder::new(),
                TimeParser::new(Reading::new(format, Pattern::time)?, *unit),
            ),
            ColumnType::Timestamp(unit) | ColumnType::TimestampWithZone(unit) => timestamp(*unit)?,
            ColumnType::Array(element) => Self::List(Box::new(ListValues::new(element, compat)?)),
            ColumnType::Map(key, value) => Self::Map(Box::new(MapValues::new(key, value, compat)?)),
            ColumnType::Row(fields) => Self::Row(Box::new(RowValues::new(fields, compat)?)),
        })
    }

    pub(super) fn len(&self) -> usize {
        use arrow::array::ArrayBuilder;
        match self {
            Self::Text(builder) | Self::EpochText(builder, ..) | Self::Uuid(builder) | Self::Json(builder) => builder.len(),
            Self::Bytes(builder, _) => builder.len(),
            Self::Boolean(builder, _) => builder.len(),
            Self::TinyInt(builder, _) => builder.len(),
            Self::SmallInt(builder, _) => builder.len(),
            Self::Integer(builder, _) => builder.len(),
            Self::BigInt(builder, _) | Self::Time(builder, _) | Self::Timestamp(builder, _) => builder.len(),
            Self::Real(builder, _) => builder.len(),
            Self::Double(builder, _) => builder.len(),
            Self::Decimal(builder, ..) => builder.len(),
            Self::WideDecimal(builder, ..) => builder.len(),
            Self::Date(builder, _) => builder.len(),
            Self::List(list) => list.len(),
            Self::Map(map) => map.len(),
            Self::Row(row) => row.len(),
        }
    }

    pub(super) fn cells(&self) -> usize {
        match self {
            Self::List(list) => list.cells(),
            Self::Map(map) => map.cells(),
            Self::Row(row) => row.cells(),
            scalar => scalar.len(),
        }
    }

    /// Bytes of text or bytes that are being built.
    pub(super) fn text_bytes(&self) -> usize {
        match self {
            Self::Text(builder) | Self::EpochText(builder, ..) | Self::Uuid(builder) | Self::Json(builder) => builder.values_slice().len(),
            Self::Bytes(builder, _) => builder.values_slice().len(),
            _ => 0,
        }
    }

    pub(super) fn reserve(&mut self, rows: usize) {
        if self.len() > 0 {
            return;
        }
        match self {
            Self::TinyInt(builder, _) => *builder = PrimitiveBuilder::with_capacity(rows),
            Self::SmallInt(builder, _) => *builder = PrimitiveBuilder::with_capacity(rows),
            Self::Integer(builder, _) => *builder = PrimitiveBuilder::with_capacity(rows),
            Self::BigInt(builder, _) | Self::Time(builder, _) | Self::Timestamp(builder, _) => {
                *builder = PrimitiveBuilder::with_capacity(rows);
            }
            Self::Real(builder, _) => *builder = PrimitiveBuilder::with_capacity(rows),
            Self::Double(builder, _) => *builder = PrimitiveBuilder::with_capacity(rows),
            Self::Date(builder, _) => *builder = PrimitiveBuilder::with_capacity(rows),
            _ => {}
        }
    }

    /// Adds the texts of these rows, each by its index.
    pub(super) fn append_texts<'a>(&mut self, rows: Range<usize>, text: impl Fn(usize) -> Option<&'a str>, refused: &mut Vec<usize>) {
        match self {
            Self::Text(builder) => rows.for_each(|row| builder.append_option(text(row))),
            Self::TinyInt(builder, Compat::None) => run(builder, rows, text, refused, coerce::narrow),
            Self::SmallInt(builder, Compat::None) => run(builder, rows, text, refused, coerce::narrow),
            Self::Integer(builder, Compat::None) => run(builder, rows, text, refused, coerce::narrow),
            Self::BigInt(builder, Compat::None) => run(builder, rows, text, refused, coerce::integer),
            Self::Real(builder, Compat::None) => run(builder, rows, text, refused, coerce::float),
            Self::Double(builder, Compat::None) => run(builder, rows, text, refused, coerce::float),
            Self::Decimal(builder, precision, scale) => {
                run(builder, rows, text, refused, |text| decimal::decimal128(text, *precision, *scale))
            }
            Self::Date(builder, parser) => run(builder, rows, text, refused, |text| parser.parse(text)),
            Self::Time(builder, parser) => run(builder, rows, text, refused, |text| parser.parse(text)),
            Self::Timestamp(builder, parser) => run(builder, rows, text, refused, |text| parser.parse(text)),
            other => {
                for row in rows {
                    if other.append(text(row).map_or(Cell::Null, Cell::Text)).is_err() {
                        refused.push(row);
                    }
                }
            }
        }
    }

    /// Adds one value, or NULL where it does not convert.
    pub(super) fn append(&mut self, cell: Cell<'_>) -> Result<(), Refused> {
        match self {
            Self::Text(builder) => {
                if let Cell::Text(text) = cell {
                    builder.append_value(text);
                    return Ok(());
                }
                let text = match cell {
                    Cell::Json(raw) => Some(json::compact(raw)),
                    other => other.text(),
                };
                builder.append_option(text.as_deref());
                taken(cell, text.is_some())
            }
            Self::EpochText(builder, reading, unit) => {
                let text = match cell {
                    Cell::Instant(..) => cell.text(),
                    other => other.text().and_then(|text| iso_text(reading.instant(&text)?, *unit)),
                };
                builder.append_option(text.as_deref());
                taken(cell, text.is_some())
            }
            Self::Uuid(builder) => {
                let mut buffer = [0; 36];
                let valid = match cell {
                    Cell::Bytes(bytes) if bytes.len() == 16 => uuid::Uuid::from_slice(bytes)
                        .map(|value| value.hyphenated().encode_lower(&mut buffer).len())
                        .is_ok(),
                    other => other.text().is_some_and(|text| coerce::uuid(&text, &mut buffer)),
                };
                builder.append_option(std::str::from_utf8(&buffer).ok().filter(|_| valid));
                taken(cell, valid)
            }
            Self::Json(builder) => {
                let text = as_json(cell);
                builder.append_option(text.as_deref());
                taken(cell, text.is_some())
            }
            Self::Bytes(builder, text) => {
                let bytes = as_bytes(cell, *text);
                builder.append_option(bytes.as_deref());
                taken(cell, bytes.is_some())
            }
            Self::Boolean(builder, compat) => {
                let value = match (cell, compat) {
                    (Cell::Boolean(value), _) => Some(value),
                    (Cell::Json(raw), Compat::Presto) => Some(presto::boolean(raw)),
                    (Cell::Null, _) => None,
                    (other, Compat::Presto) => Some(other.text().is_some_and(|text| coerce::boolean(&text) == Some(true))),
                    (other, Compat::None) => other.text().and_then(|text| coerce::boolean(&text)),
                };
                builder.append_option(value);
                taken(cell, value.is_some())
            }
            Self::TinyInt(builder, compat) => put(builder, cell, integer(cell, *compat)),
            Self::SmallInt(builder, compat) => put(builder, cell, integer(cell, *compat)),
            Self::Integer(builder, compat) => put(builder, cell, integer(cell, *compat)),
            Self::BigInt(builder, compat) => put(builder, cell, integer(cell, *compat)),
            Self::Real(builder, compat) => {
                let value = match cell {
                    Cell::Real(value) => Some(value),
                    Cell::Double(value) => Some(value as f32).filter(|narrow| narrow.is_finite() == value.is_finite()),
                    Cell::Json(raw) if *compat == Compat::Presto => presto::double(raw).map(|value| value as f32),
                    Cell::Json(_) => None,
                    other => other.text().and_then(|text| coerce::float(&text)),
                };
                put(builder, cell, value)
            }
            Self::Double(builder, compat) => {
                let value = match cell {
                    Cell::Double(value) => Some(value),
                    Cell::Real(value) => Some(f64::from(value)),
                    Cell::Json(raw) if *compat == Compat::Presto => presto::double(raw),
                    Cell::Json(_) => None,
                    other => other.text().and_then(|text| coerce::float(&text)),
                };
                put(builder, cell, value)
            }
            Self::Decimal(builder, precision, scale) => {
                let value: Option<i128> = match cell {
                    Cell::Decimal(bytes, places) if places == *scale => decimal::within(i128::from_be_bytes(bytes), *precision),
                    other => scalar(other).and_then(|text| decimal::decimal128(&text, *precision, *scale)),
                };
                put(builder, cell, value)
            }
            Self::WideDecimal(builder, precision, scale) => {
                let value: Option<i256> = scalar(cell).and_then(|text| decimal::decimal256(&text, *precision, *scale));
                put(builder, cell, value)
            }
            Self::Date(builder, parser) => {
                let value = match cell {
                    Cell::Date(days) => Some(days),
                    Cell::Instant(seconds, _) => day_of(seconds),
                    other => scalar(other).and_then(|text| parser.parse(&text)),
                };
                put(builder, cell, value)
            }
            Self::Time(builder, parser) => {
                let value = match cell {
                    Cell::Time(nanos) => parser.of(nanos),
                    other => scalar(other).and_then(|text| parser.parse(&text)),
                };
                put(builder, cell, value)
            }
            Self::Timestamp(builder, parser) => {
                let value = match cell {
                    Cell::Instant(seconds, nanos) => parser.of(seconds, nanos),
                    Cell::Date(days) => parser.of(i64::from(days) * 86_400, 0),
                    other => scalar(other).and_then(|text| parser.parse(&text)),
                };
                put(builder, cell, value)
            }
            Self::List(list) => list.append(cell),
            Self::Map(map) => map.append(cell),
            Self::Row(row) => row.append(cell),
        }
    }

    pub(super) fn finish(&mut self, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Text(builder) | Self::EpochText(builder, ..) | Self::Uuid(builder) | Self::Json(builder) => Arc::new(builder.finish()),
            Self::Bytes(builder, _) => Arc::new(builder.finish()),
            Self::Boolean(builder, _) => Arc::new(builder.finish()),
            Self::TinyInt(builder, _) => Arc::new(builder.finish()),
            Self::SmallInt(builder, _) => Arc::new(builder.finish()),
            Self::Integer(builder, _) => Arc::new(builder.finish()),
            Self::BigInt(builder, _) => Arc::new(builder.finish()),
            Self::Real(builder, _) => Arc::new(builder.finish()),
            Self::Double(builder, _) => Arc::new(builder.finish()),
            Self::Decimal(builder, ..) => Arc::new(builder.finish()),
            Self::WideDecimal(builder, ..) => Arc::new(builder.finish()),
            Self::Date(builder, _) => Arc::new(builder.finish()),
            Self::Time(builder, _) | Self::Timestamp(builder, _) => typed_time(builder.finish(), data_type),
            Self::List(list) => list.finish(data_type)?,
            Self::Map(map) => map.finish(data_type)?,
            Self::Row(row) => row.finish(data_type)?,
        })
    }
}

fn typed_time(values: Int64Array, data_type: &DataType) -> ArrayRef {
    // Seconds and milliseconds of a day fit in 32 bits.
    let short = |value: i64| i32::try_from(value).unwrap_or(0);
    match data_type {
        DataType::Timestamp(unit, zone) => match unit {
            TimeUnit::Second => Arc::new(values.reinterpret_cast::<TimestampSecondType>().with_timezone_opt(zone.clone())),
            TimeUnit::Millisecond => Arc::new(
                values
                    .reinterpret_cast::<TimestampMillisecondType>()
                    .with_timezone_opt(zone.clone()),
            ),
            TimeUnit::Microsecond => Arc::new(
                values
                    .reinterpret_cast::<TimestampMicrosecondType>()
                    .with_timezone_opt(zone.clone()),
            ),
            TimeUnit::Nanosecond => Arc::new(values.reinterpret_cast::<TimestampNanosecondType>().with_timezone_opt(zone.clone())),
        },
        DataType::Time32(TimeUnit::Second) => Arc::new(values.unary::<_, Time32SecondType>(short)),
        DataType::Time32(_) => Arc::new(values.unary::<_, Time32MillisecondType>(short)),
        DataType::Time64(TimeUnit::Microsecond) => Arc::new(values.reinterpret_cast::<Time64MicrosecondType>()),
        DataType::Time64(_) => Arc::new(values.reinterpret_cast::<Time64NanosecondType>()),
        _ => Arc::new(values),
    }
}

/// NULL is a value too.
fn taken(cell: Cell<'_>, converted: bool) -> Result<(), Refused> {
    if converted || cell == Cell::Null { Ok(()) } else { Err(None) }
}

fn put<T: ArrowPrimitiveType>(builder: &mut PrimitiveBuilder<T>, cell: Cell<'_>, value: Option<T::Native>) -> Result<(), Refused> {
    builder.append_option(value);
    taken(cell, value.is_some())
}

/// The text of a scalar.
fn scalar(cell: Cell<'_>) -> Option<Cow<'_, str>> {
    match cell {
        Cell::Json(_) => None,
        other => other.text(),
    }
}

fn integer<T: TryFrom<i64>>(cell: Cell<'_>, compat: Compat) -> Option<T> {
    let value = match cell {
        Cell::Integer(value) => Some(value),
        Cell::Json(raw) if compat == Compat::Presto => presto::integer(raw),
        Cell::Text(text) => coerce::integer(text),
        other => scalar(other).and_then(|text| coerce::integer(&text)),
    };
    value.and_then(|value| T::try_from(value).ok())
}

/// A JSON value as compact text. A text has to be JSON.
fn as_json(cell: Cell<'_>) -> Option<Cow<'_, str>> {
    match cell {
        Cell::Json(raw) => Some(json::compact(raw)),
        Cell::Text(_) | Cell::Bytes(_) => match cell.text()? {
            Cow::Borrowed(text) => json::is_json(text).then(|| json::compact(text.trim_ascii())),
            Cow::Owned(_) => None,
        },
        Cell::Boolean(_) | Cell::Integer(_) | Cell::Decimal(..) => cell.text(),
        Cell::Double(value) => value.is_finite().then(|| Cow::Owned(json::number(value))),
        Cell::Real(value) => value.is_finite().then(|| cell.text()).flatten(),
        Cell::Date(_) | Cell::Time(_) | Cell::Instant(..) => cell.text().map(|text| Cow::Owned(format!("\"{text}\""))),
        Cell::Null => None,
    }
}

fn as_bytes(cell: Cell<'_>, text: BytesText) -> Option<Cow<'_, [u8]>> {
    let bytes_of = |text: Cow<'_, str>| Cow::Owned::<[u8]>(text.into_owned().into_bytes());
    match cell {
        Cell::Bytes(bytes) => Some(Cow::Borrowed(bytes)),
        Cell::Text(value) => match text {
            BytesText::Utf8 => Some(Cow::Borrowed(value.as_bytes())),
            BytesText::Base64 => {
                let value = value.trim_ascii();
                let engine = if value.contains(['-', '_']) { &BASE64_URL } else { &BASE64 };
                engine.decode(value).ok().map(Cow::Owned)
            }
            BytesText::Hex => unhex(value.trim_ascii()).map(Cow::Owned),
        },
        Cell::Json(raw) => match text {
            BytesText::Utf8 => Some(bytes_of(json::compact(raw))),
            BytesText::Base64 | BytesText::Hex => None,
        },
        other => other.text().map(bytes_of),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let text = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

/// As the connectors print it: with milliseconds, or where the unit is seconds without.
fn iso_text(instant: (i64, u32), unit: TimeUnit) -> Option<Cow<'static, str>> {
    use chrono::{DateTime, SecondsFormat, Utc};
    let form = match unit {
        TimeUnit::Second => SecondsFormat::Secs,
        TimeUnit::Millisecond => SecondsFormat::Millis,
        TimeUnit::Microsecond => SecondsFormat::Micros,
        TimeUnit::Nanosecond => SecondsFormat::Nanos,
    };
    Some(Cow::Owned(
        DateTime::<Utc>::from_timestamp(instant.0, instant.1)?.to_rfc3339_opts(form, true),
    ))
}

#[inline]
fn run<'a, T: ArrowPrimitiveType>(
    builder: &mut PrimitiveBuilder<T>,
    rows: Range<usize>,
    text: impl Fn(usize) -> Option<&'a str>,
    refused: &mut Vec<usize>,
    mut parse: impl FnMut(&str) -> Option<T::Native>,
) {
    for row in rows {
        let Some(text) = text(row) else {
            builder.append_null();
            continue;
        };
        match parse(text) {
            Some(value) => builder.append_value(value),
            None => {
                builder.append_null();
                refused.push(row);
            }
        }
    }
}
