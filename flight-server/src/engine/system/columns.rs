//! Fields and columns of system tables. Every column is nullable, as all columns of a result are.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMillisecondArray};
use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};

pub(super) fn text_field(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

pub(super) fn number_field(name: &str) -> Field {
    Field::new(name, DataType::Int64, true)
}

pub(super) fn flag_field(name: &str) -> Field {
    Field::new(name, DataType::Boolean, true)
}

pub(super) fn time_field(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, None), true)
}

pub(super) fn text<'a, T, S: ToString>(rows: &'a [T], value: impl Fn(&'a T) -> Option<S>) -> ArrayRef {
    Arc::new(
        rows.iter()
            .map(|row| value(row).map(|value| value.to_string()))
            .collect::<StringArray>(),
    )
}

/// Numbers too large for a bigint are NULL.
pub(super) fn number<T, N: TryInto<i64>>(rows: &[T], value: impl Fn(&T) -> Option<N>) -> ArrayRef {
    Arc::new(
        rows.iter()
            .map(|row| value(row).and_then(|value| value.try_into().ok()))
            .collect::<Int64Array>(),
    )
}

pub(super) fn ratio<T>(rows: &[T], value: impl Fn(&T) -> Option<f64>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<Float64Array>())
}

pub(super) fn flag<T>(rows: &[T], value: impl Fn(&T) -> Option<bool>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<BooleanArray>())
}

pub(super) fn bytes<T>(rows: &[T], value: impl Fn(&T) -> &[u8]) -> ArrayRef {
    Arc::new(rows.iter().map(|row| Some(value(row))).collect::<BinaryArray>())
}

/// Ms since the epoch.
pub(super) fn time<T>(rows: &[T], value: impl Fn(&T) -> Option<i64>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<TimestampMillisecondArray>())
}

pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
