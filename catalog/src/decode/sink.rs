//! Columns being built from texts.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, BooleanBuilder, PrimitiveBuilder, StringArray, StringBuilder};
use arrow::compute::concat;
use arrow::datatypes::{
    Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow::error::ArrowError;

use super::coerce;
use super::time::{DateParser, Pattern, TimestampParser};
use crate::{ColumnDefinition, ColumnType};

/// Converts texts of one column and keeps the values; a text that does not convert becomes NULL and is reported.
#[derive(Debug)]
pub(super) enum Sink {
    Text(TextSink),
    Boolean(BooleanBuilder),
    TinyInt(PrimitiveBuilder<Int8Type>),
    SmallInt(PrimitiveBuilder<Int16Type>),
    Integer(PrimitiveBuilder<Int32Type>),
    BigInt(PrimitiveBuilder<Int64Type>),
    Real(PrimitiveBuilder<Float32Type>),
    Double(PrimitiveBuilder<Float64Type>),
    Date(PrimitiveBuilder<Date32Type>, DateParser),
    Timestamp(PrimitiveBuilder<Int64Type>, TimestampParser, TimeUnit),
}

impl Sink {
    pub(super) fn new(column: &ColumnDefinition) -> Result<Self, String> {
        let pattern = |compile: fn(&str) -> Result<Pattern, String>| column.format.as_deref().map(compile).transpose();
        Ok(match column.column_type {
            ColumnType::Varchar => Self::Text(TextSink::default()),
            ColumnType::Boolean => Self::Boolean(BooleanBuilder::new()),
            ColumnType::TinyInt => Self::TinyInt(PrimitiveBuilder::new()),
            ColumnType::SmallInt => Self::SmallInt(PrimitiveBuilder::new()),
            ColumnType::Integer => Self::Integer(PrimitiveBuilder::new()),
            ColumnType::BigInt => Self::BigInt(PrimitiveBuilder::new()),
            ColumnType::Real => Self::Real(PrimitiveBuilder::new()),
            ColumnType::Double => Self::Double(PrimitiveBuilder::new()),
            ColumnType::Date => Self::Date(PrimitiveBuilder::new(), DateParser::new(pattern(Pattern::date)?)),
            ColumnType::Timestamp(unit) => Self::Timestamp(
                PrimitiveBuilder::new(),
                TimestampParser::new(pattern(Pattern::timestamp)?, unit),
                unit,
            ),
        })
    }

    /// Makes room for so many values.
    pub(super) fn reserve(&mut self, rows: usize) {
        match self {
            Self::Text(_) => {}
            Self::Boolean(builder) => *builder = BooleanBuilder::with_capacity(rows),
            Self::TinyInt(builder) => *builder = PrimitiveBuilder::with_capacity(rows),
            Self::SmallInt(builder) => *builder = PrimitiveBuilder::with_capacity(rows),
            Self::Integer(builder) => *builder = PrimitiveBuilder::with_capacity(rows),
            Self::BigInt(builder) | Self::Timestamp(builder, ..) => *builder = PrimitiveBuilder::with_capacity(rows),
            Self::Real(builder) => *builder = PrimitiveBuilder::with_capacity(rows),
            Self::Double(builder) => *builder = PrimitiveBuilder::with_capacity(rows),
            Self::Date(builder, _) => *builder = PrimitiveBuilder::with_capacity(rows),
        }
    }

    /// Adds a run of texts; rows whose text does not convert are added to `refused`.
    pub(super) fn append_run(&mut self, texts: &StringArray, rows: Range<usize>, refused: &mut Vec<usize>) {
        match self {
            Self::Text(sink) => sink.append_run(texts, rows),
            Self::Boolean(builder) => {
                for row in rows {
                    if texts.is_null(row) {
                        builder.append_null();
                        continue;
                    }
                    let value = coerce::boolean(texts.value(row));
                    if value.is_none() {
                        refused.push(row);
                    }
                    builder.append_option(value);
                }
            }
            Self::TinyInt(builder) => run(builder, texts, rows, refused, coerce::narrow),
            Self::SmallInt(builder) => run(builder, texts, rows, refused, coerce::narrow),
            Self::Integer(builder) => run(builder, texts, rows, refused, coerce::narrow),
            Self::BigInt(builder) => run(builder, texts, rows, refused, coerce::integer),
            Self::Real(builder) => run(builder, texts, rows, refused, coerce::float),
            Self::Double(builder) => run(builder, texts, rows, refused, coerce::float),
            Self::Date(builder, parser) => run(builder, texts, rows, refused, |text| parser.parse(text)),
            Self::Timestamp(builder, parser, _) => run(builder, texts, rows, refused, |text| parser.parse(text)),
        }
    }

    /// Adds one text; false if it does not convert (NULL is added).
    pub(super) fn append(&mut self, text: Option<&str>) -> bool {
        match self {
            Self::Text(sink) => {
                sink.builder.append_option(text);
                true
            }
            Self::Boolean(builder) => {
                let value = text.and_then(coerce::boolean);
                builder.append_option(value);
                value.is_some() || text.is_none()
            }
            Self::TinyInt(builder) => one(builder, text, coerce::narrow),
            Self::SmallInt(builder) => one(builder, text, coerce::narrow),
            Self::Integer(builder) => one(builder, text, coerce::narrow),
            Self::BigInt(builder) => one(builder, text, coerce::integer),
            Self::Real(builder) => one(builder, text, coerce::float),
            Self::Double(builder) => one(builder, text, coerce::float),
            Self::Date(builder, parser) => one(builder, text, |text| parser.parse(text)),
            Self::Timestamp(builder, parser, _) => one(builder, text, |text| parser.parse(text)),
        }
    }

    /// All values added since the last call.
    pub(super) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(sink) => sink.finish(),
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::TinyInt(builder) => Arc::new(builder.finish()),
            Self::SmallInt(builder) => Arc::new(builder.finish()),
            Self::Integer(builder) => Arc::new(builder.finish()),
            Self::BigInt(builder) => Arc::new(builder.finish()),
            Self::Real(builder) => Arc::new(builder.finish()),
            Self::Double(builder) => Arc::new(builder.finish()),
            Self::Date(builder, _) => Arc::new(builder.finish()),
            Self::Timestamp(builder, _, unit) => {
                let values = builder.finish();
                match unit {
                    TimeUnit::Second => Arc::new(values.reinterpret_cast::<TimestampSecondType>()),
                    TimeUnit::Millisecond => Arc::new(values.reinterpret_cast::<TimestampMillisecondType>()),
                    TimeUnit::Microsecond => Arc::new(values.reinterpret_cast::<TimestampMicrosecondType>()),
                    TimeUnit::Nanosecond => Arc::new(values.reinterpret_cast::<TimestampNanosecondType>()),
                }
            }
        }
    }
}

#[inline]
fn run<T: ArrowPrimitiveType>(
    builder: &mut PrimitiveBuilder<T>,
    texts: &StringArray,
    rows: Range<usize>,
    refused: &mut Vec<usize>,
    mut parse: impl FnMut(&str) -> Option<T::Native>,
) {
    let has_nulls = texts.null_count() > 0;
    for row in rows {
        if has_nulls && texts.is_null(row) {
            builder.append_null();
            continue;
        }
        match parse(texts.value(row)) {
            Some(value) => builder.append_value(value),
            None => {
                builder.append_null();
                refused.push(row);
            }
        }
    }
}

fn one<T: ArrowPrimitiveType>(
    builder: &mut PrimitiveBuilder<T>,
    text: Option<&str>,
    parse: impl FnOnce(&str) -> Option<T::Native>,
) -> bool {
    let value = text.and_then(parse);
    builder.append_option(value);
    value.is_some() || text.is_none()
}

/// Texts are taken over as they were decoded; only what lies between bad records is copied.
#[derive(Debug, Default)]
pub(super) struct TextSink {
    pieces: Vec<ArrayRef>,
    /// Values after the last piece.
    builder: StringBuilder,
}

impl TextSink {
    fn append_run(&mut self, texts: &StringArray, rows: Range<usize>) {
        if rows.is_empty() {
            return;
        }
        if rows.len() == texts.len() {
            self.close_piece();
            self.pieces.push(Arc::new(texts.clone()));
            return;
        }
        for row in rows {
            self.builder.append_option(texts.is_valid(row).then(|| texts.value(row)));
        }
    }

    fn close_piece(&mut self) {
        if self.builder.values_slice().is_empty() && self.builder.offsets_slice().len() <= 1 {
            return;
        }
        self.pieces.push(Arc::new(self.builder.finish()));
    }

    fn finish(&mut self) -> ArrayRef {
        self.close_piece();
        let pieces = std::mem::take(&mut self.pieces);
        match &pieces[..] {
            [] => Arc::new(self.builder.finish()),
            [piece] => Arc::clone(piece),
            several => joined(several).unwrap_or_else(|_| Arc::new(StringArray::new_null(several.iter().map(|piece| piece.len()).sum()))),
        }
    }
}

fn joined(pieces: &[ArrayRef]) -> Result<ArrayRef, ArrowError> {
    concat(&pieces.iter().map(|piece| &**piece as &dyn Array).collect::<Vec<_>>())
}
