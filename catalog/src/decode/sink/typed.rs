//! Values that a format has as arrays of its own types.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Field, Float32Type, Float64Type, Int32Type, Int64Type, Schema, TimeUnit,
    UInt64Type,
};
use arrow::error::ArrowError;
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;

use super::super::cell::Cell;
use super::values::Values;
use super::{Refusal, Sink};

type Told<'r> = &'r mut dyn FnMut(usize, Refusal);

/// Adds typed values to a sink.
pub(super) fn append(sink: &mut Sink, array: &ArrayRef, refused: Told<'_>) -> Result<(), ArrowError> {
    if *array.data_type() == sink.data_type && takes_as_is(sink) {
        if !array.is_empty() {
            sink.take_over(Arc::clone(array));
        }
        return Ok(());
    }
    match (array.data_type(), &mut sink.values) {
        (DataType::List(_), Values::List(_)) => list(sink, array, refused),
        (DataType::Map(..), Values::Map(_)) => map(sink, array, refused),
        (DataType::Struct(_), Values::Row(_)) => row(sink, array, refused),
        (DataType::LargeList(field) | DataType::FixedSizeList(field, _) | DataType::ListView(field), _) => {
            append(sink, &cast(array, &DataType::List(Arc::clone(field)))?, refused)
        }
        (DataType::List(_) | DataType::Map(..) | DataType::Struct(_) | DataType::Union(..), _) => as_json(sink, array, refused),
        (DataType::Dictionary(_, value), _) => append(sink, &cast(array, value)?, refused),
        (DataType::LargeUtf8 | DataType::Utf8View, _) => append(sink, &cast(array, &DataType::Utf8)?, refused),
        (DataType::LargeBinary | DataType::BinaryView, _) => append(sink, &cast(array, &DataType::Binary)?, refused),
        _ => scalars(sink, array, refused),
    }
}

/// Whether every value of the type in memory is one of the SQL type: not so of texts that have to be JSON or UUIDs.
fn takes_as_is(sink: &Sink) -> bool {
    match &sink.values {
        Values::Uuid(_) | Values::Json(_) | Values::EpochText(..) => false,
        Values::List(list) => takes_as_is(&list.element),
        Values::Map(map) => takes_as_is(&map.key) && takes_as_is(&map.value),
        Values::Row(row) => row.fields.iter().all(takes_as_is),
        _ => true,
    }
}

/// The parent of each of a list's elements; the elements that lie between values are left out.
fn parents(offsets: &[i32], array: &ArrayRef) -> (Vec<usize>, usize, usize) {
    let first = offsets.first().copied().unwrap_or(0) as usize;
    let last = offsets.last().copied().unwrap_or(0) as usize;
    let mut parents = Vec::with_capacity(last - first);
    for row in 0..array.len() {
        parents.extend(std::iter::repeat_n(row, (offsets[row + 1] - offsets[row]) as usize));
    }
    (parents, first, last)
}

fn list(sink: &mut Sink, array: &ArrayRef, refused: Told<'_>) -> Result<(), ArrowError> {
    let lists = array.as_list::<i32>();
    let (parents, first, last) = parents(lists.value_offsets(), array);
    let Values::List(values) = &mut sink.values else { return Ok(()) };
    let before = values.element.len();
    let elements = lists.values().slice(first, last - first);
    let offsets = lists.value_offsets();
    append(&mut values.element, &elements, &mut |index, refusal| {
        let row = parents[index];
        refused(row, within(&(index + first - offsets[row] as usize).to_string(), refusal));
    })?;
    for row in 0..lists.len() {
        values.close_at(before + offsets[row + 1] as usize - first, lists.is_valid(row));
    }
    Ok(())
}

fn map(sink: &mut Sink, array: &ArrayRef, refused: Told<'_>) -> Result<(), ArrowError> {
    let maps = array.as_map();
    let (parents, first, last) = parents(maps.value_offsets(), array);
    let Values::Map(values) = &mut sink.values else { return Ok(()) };
    let before = values.value.len();
    let offsets = maps.value_offsets();
    let mut bad_keys = 0;
    append(&mut values.key, &maps.keys().slice(first, last - first), &mut |index, refusal| {
        bad_keys += 1;
        refused(parents[index], refusal);
    })?;
    append(
        &mut values.value,
        &maps.values().slice(first, last - first),
        &mut |index, refusal| {
            refused(parents[index], refusal);
        },
    )?;
    for row in 0..maps.len() {
        values.close_at(before + offsets[row + 1] as usize - first, maps.is_valid(row));
    }
    match bad_keys {
        0 => Ok(()),
        // A key cannot be NULL, and a format's own keys are texts, so the definition asks for what it cannot have.
        _ => Err(ArrowError::CastError(format!("{bad_keys} keys are not {}", values.key.data_type))),
    }
}

fn row(sink: &mut Sink, array: &ArrayRef, refused: Told<'_>) -> Result<(), ArrowError> {
    let rows = array.as_struct();
    let Values::Row(values) = &mut sink.values else { return Ok(()) };
    let names = values.names().to_vec();
    for (name, field) in names.iter().zip(&mut values.fields) {
        match rows.column_by_name(name) {
            Some(column) => {
                // A NULL row's fields are whatever they are.
                let column = match rows.nulls() {
                    Some(nulls) => arrow::compute::nullif(column, &arrow::array::BooleanArray::new(!nulls.inner(), None))?,
                    None => Arc::clone(column),
                };
                append(field, &column, &mut |index, refusal| refused(index, within(name, refusal)))?;
            }
            None => nulls(field, rows.len()),
        }
    }
    for index in 0..rows.len() {
        values.close(rows.is_valid(index));
    }
    Ok(())
}

fn nulls(sink: &mut Sink, count: usize) {
    for _ in 0..count {
        // NULL converts into everything.
        let _converted = sink.append(Cell::Null);
    }
}

fn within(step: &str, refusal: Refusal) -> Refusal {
    Refusal {
        inside: format!("/{step}{}", refusal.inside),
        reason: refusal.reason,
    }
}

/// Nested values into a type that holds none: as their JSON.
fn as_json(sink: &mut Sink, array: &ArrayRef, refused: Told<'_>) -> Result<(), ArrowError> {
    let schema = Arc::new(Schema::new(vec![Field::new("v", array.data_type().clone(), true)]));
    let mut text = Vec::new();
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut text);
    writer.write(&RecordBatch::try_new(schema, vec![Arc::clone(array)])?)?;
    writer.finish()?;
    drop(writer);
    let text = String::from_utf8(text).map_err(|error| ArrowError::JsonError(error.to_string()))?;
    for (row, line) in text.lines().enumerate() {
        let json = line.strip_prefix("{\"v\":").and_then(|rest| rest.strip_suffix('}'));
        let cell = match json {
            Some(json) if array.is_valid(row) => Cell::Json(json),
            _ => Cell::Null,
        };
        if let Err(refusal) = sink.append(cell) {
            refused(row, refusal);
        }
    }
    Ok(())
}

fn scalars(sink: &mut Sink, array: &ArrayRef, refused: Told<'_>) -> Result<(), ArrowError> {
    let mut put = |row: usize, cell: Cell<'_>| {
        let cell = if array.is_null(row) { Cell::Null } else { cell };
        if let Err(refusal) = sink.append(cell) {
            refused(row, refusal);
        }
    };
    let rows = 0..array.len();
    match array.data_type() {
        DataType::Null => rows.for_each(|row| put(row, Cell::Null)),
        DataType::Utf8 => {
            let texts = array.as_string::<i32>();
            rows.for_each(|row| put(row, Cell::Text(texts.value(row))));
        }
        DataType::Binary => {
            let bytes = array.as_binary::<i32>();
            rows.for_each(|row| put(row, Cell::Bytes(bytes.value(row))));
        }
        DataType::FixedSizeBinary(_) => {
            let bytes = array.as_fixed_size_binary();
            rows.for_each(|row| put(row, Cell::Bytes(bytes.value(row))));
        }
        DataType::Boolean => {
            let values = array.as_boolean();
            rows.for_each(|row| put(row, Cell::Boolean(values.value(row))));
        }
        DataType::UInt64 => {
            let values = array.as_primitive::<UInt64Type>();
            for row in rows {
                match i64::try_from(values.value(row)) {
                    Ok(value) => put(row, Cell::Integer(value)),
                    Err(_) => put(row, Cell::Text(&values.value(row).to_string())),
                }
            }
        }
        integer if integer.is_integer() => {
            let values = cast(array, &DataType::Int64)?;
            let values = values.as_primitive::<Int64Type>();
            rows.for_each(|row| put(row, Cell::Integer(values.value(row))));
        }
        DataType::Float16 | DataType::Float32 => {
            let values = cast(array, &DataType::Float32)?;
            let values = values.as_primitive::<Float32Type>();
            rows.for_each(|row| put(row, Cell::Real(values.value(row))));
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>();
            rows.for_each(|row| put(row, Cell::Double(values.value(row))));
        }
        DataType::Decimal128(..) => {
            let values = array.as_primitive::<Decimal128Type>();
            rows.for_each(|row| put(row, Cell::Text(&values.value_as_string(row))));
        }
        DataType::Decimal256(..) => {
            let values = array.as_primitive::<Decimal256Type>();
            rows.for_each(|row| put(row, Cell::Text(&values.value_as_string(row))));
        }
        DataType::Date32 => {
            let values = array.as_primitive::<Date32Type>();
            rows.for_each(|row| put(row, Cell::Date(values.value(row))));
        }
        DataType::Time32(unit) => {
            let scale = if *unit == TimeUnit::Second { 1_000_000_000 } else { 1_000_000 };
            let values = cast(array, &DataType::Int32)?;
            let values = values.as_primitive::<Int32Type>();
            rows.for_each(|row| put(row, Cell::Time(i64::from(values.value(row)) * scale)));
        }
        DataType::Time64(unit) => {
            let scale = if *unit == TimeUnit::Microsecond { 1_000 } else { 1 };
            let values = cast(array, &DataType::Int64)?;
            let values = values.as_primitive::<Int64Type>();
            rows.for_each(|row| put(row, Cell::Time(values.value(row).saturating_mul(scale))));
        }
        DataType::Timestamp(unit, _) => {
            let per_second: i64 = match unit {
                TimeUnit::Second => 1,
                TimeUnit::Millisecond => 1_000,
                TimeUnit::Microsecond => 1_000_000,
                TimeUnit::Nanosecond => 1_000_000_000,
            };
            let values = cast(array, &DataType::Int64)?;
            let values = values.as_primitive::<Int64Type>();
            for row in rows {
                let value = values.value(row);
                let nanos = value.rem_euclid(per_second) * (1_000_000_000 / per_second);
                put(row, Cell::Instant(value.div_euclid(per_second), u32::try_from(nanos).unwrap_or(0)));
            }
        }
        other => return Err(ArrowError::CastError(format!("values of type {other} are of no use here"))),
    }
    Ok(())
}
