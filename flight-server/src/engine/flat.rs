//! Results of flat columns: numbers, booleans, timestamps and text, for clients that know no other types (`flat_types`).

use std::fmt::Write as _;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, StringBuilder};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::writer::{EncoderOptions, make_encoder};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

/// The type in which a column is sent that would be of `sent` otherwise.
pub(super) fn flat_type(sent: DataType) -> DataType {
    match sent {
        DataType::Date32 | DataType::Date64 => DataType::Timestamp(TimeUnit::Nanosecond, None),
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Nanosecond, zone),
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => DataType::Float64,
        DataType::Float16 => DataType::Float32,
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Float32
        | DataType::Float64
        | DataType::Duration(_)
        | DataType::Utf8View => sent,
        _ => DataType::Utf8,
    }
}

/// The column as text, if it is of a type that becomes text in a way of its own: nested values as JSON, bytes in hexadecimal.
pub(super) fn text(column: &ArrayRef) -> Result<Option<ArrayRef>, ArrowError> {
    let data_type = column.data_type();
    if data_type.is_nested() {
        return json(column).map(Some);
    }
    match data_type {
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => hexadecimal(column).map(Some),
        _ => Ok(None),
    }
}

fn json(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let column = cast_with_options(column, &with_text_keys(column.data_type()), &options)?;
    let field: FieldRef = Arc::new(Field::new("value", column.data_type().clone(), true));
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(&field, column.as_ref(), &options)?;
    let mut texts = StringBuilder::new();
    let mut buffer = Vec::new();
    for row in 0..column.len() {
        if encoder.is_null(row) {
            texts.append_null();
            continue;
        }
        buffer.clear();
        encoder.encode(row, &mut buffer);
        texts.append_value(std::str::from_utf8(&buffer).map_err(|error| ArrowError::JsonError(error.to_string()))?);
    }
    Ok(Arc::new(texts.finish()))
}

/// The type with keys that JSON can have.
fn with_text_keys(data_type: &DataType) -> DataType {
    let nested = |field: &FieldRef| -> FieldRef {
        let data_type = with_text_keys(field.data_type());
        Arc::new(field.as_ref().clone().with_data_type(data_type))
    };
    match data_type {
        DataType::List(field) => DataType::List(nested(field)),
        DataType::LargeList(field) => DataType::LargeList(nested(field)),
        DataType::FixedSizeList(field, length) => DataType::FixedSizeList(nested(field), *length),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(nested).collect()),
        DataType::Map(entries, sorted) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                let key = fields[0].as_ref().clone().with_data_type(DataType::Utf8);
                let fields = DataType::Struct(vec![Arc::new(key), nested(&fields[1])].into());
                DataType::Map(Arc::new(entries.as_ref().clone().with_data_type(fields)), *sorted)
            }
            other => other.clone(),
        },
        other => other.clone(),
    }
}

fn hexadecimal(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = FormatOptions::new();
    let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
    let mut texts = StringBuilder::new();
    for row in 0..column.len() {
        if column.is_null(row) {
            texts.append_null();
        } else {
            write!(texts, "{}", formatter.value(row)).map_err(|error| ArrowError::CastError(error.to_string()))?;
            texts.append_value("");
        }
    }
    Ok(Arc::new(texts.finish()))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{AsArray as _, BinaryArray, Int64Array, ListArray, MapBuilder, StructArray};
    use datafusion::arrow::array::{Int32Builder, Int64Builder};
    use datafusion::arrow::datatypes::Int64Type;

    use super::*;

    fn texts(column: &ArrayRef) -> Vec<Option<String>> {
        let text = text(column).expect("converts").expect("a text");
        text.as_string::<i32>().iter().map(|value| value.map(str::to_owned)).collect()
    }

    #[test]
    fn nested_values_are_json() {
        let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None, Some(vec![])]);
        assert_eq!(
            texts(&(Arc::new(list) as ArrayRef)),
            [Some("[1,null]".into()), None, Some("[]".into())]
        );

        let inner: ArrayRef = Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\x00\xff".as_slice()), None]));
        let field = Field::new("b", DataType::Binary, true);
        let row = StructArray::from(vec![(Arc::new(field), inner)]);
        assert_eq!(
            texts(&(Arc::new(row) as ArrayRef)),
            [Some(r#"{"b":"00ff"}"#.into()), Some(r#"{"b":null}"#.into())]
        );
    }

    #[test]
    fn keys_of_maps_become_text() {
        let mut map = MapBuilder::new(None, Int32Builder::new(), Int64Builder::new());
        map.keys().append_value(7);
        map.values().append_null();
        map.append(true).expect("one entry");
        assert_eq!(texts(&(Arc::new(map.finish()) as ArrayRef)), [Some(r#"{"7":null}"#.into())]);
    }

    #[test]
    fn bytes_are_hexadecimal_and_the_rest_is_left_alone() {
        let bytes = BinaryArray::from_opt_vec(vec![Some(b"\x00a\xff".as_slice()), None, Some(b"")]);
        assert_eq!(
            texts(&(Arc::new(bytes) as ArrayRef)),
            [Some("0061ff".into()), None, Some(String::new())]
        );
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        assert!(text(&numbers).expect("no error").is_none());
    }

    #[test]
    fn no_type_is_left_that_is_neither_number_nor_time_nor_text() {
        let item = Arc::new(Field::new("item", DataType::Int64, true));
        for (sent, flat) in [
            (DataType::Date32, DataType::Timestamp(TimeUnit::Nanosecond, None)),
            (
                DataType::Timestamp(TimeUnit::Second, None),
                DataType::Timestamp(TimeUnit::Nanosecond, None),
            ),
            (DataType::Decimal256(76, 3), DataType::Float64),
            (DataType::Time64(TimeUnit::Nanosecond), DataType::Utf8),
            (DataType::List(item), DataType::Utf8),
            (DataType::Binary, DataType::Utf8),
            (DataType::Null, DataType::Utf8),
            (DataType::UInt64, DataType::UInt64),
        ] {
            assert_eq!(flat_type(sent), flat);
        }
    }
}
