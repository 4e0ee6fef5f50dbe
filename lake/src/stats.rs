//! Statistics of a file's columns, in Delta's form.
//!
//! A bound is given only if it is exact: some readers answer `min(x)` from it. So long texts, floats with NaN and decimals (which JSON's numbers may round)
//! have none; neither have booleans, binary and nested columns.

use std::cmp::Ordering;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::{max, max_string, min, min_string};
use arrow::datatypes::{
    DataType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, SchemaRef, TimestampMicrosecondType,
};
use chrono::{DateTime, NaiveDate};
use datafusion::scalar::ScalarValue;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Texts that are longer (bytes) are no bounds.
const LONGEST_TEXT: usize = 256;

/// Statistics of a file, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FileStats {
    /// Rows.
    pub(crate) num_records: u64,
    /// By column.
    #[serde(default)]
    pub(crate) min_values: Map<String, Value>,
    /// By column.
    #[serde(default)]
    pub(crate) max_values: Map<String, Value>,
    /// NULLs by column.
    #[serde(default)]
    pub(crate) null_count: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq)]
enum Bound {
    Int(i64),
    Float(f64),
    Text(String),
}

impl Bound {
    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            // One column has bounds of one kind.
            _ => Ordering::Equal,
        }
    }
}

#[derive(Clone, Debug)]
enum Range {
    /// No value yet.
    Empty,
    Between(Bound, Bound),
    /// Nothing can be said.
    Unknown,
}

/// Gathers the statistics of a file while it is written.
#[derive(Debug)]
pub(crate) struct StatsBuilder {
    schema: SchemaRef,
    rows: u64,
    columns: Vec<(u64, Range)>,
}

impl StatsBuilder {
    pub(crate) fn new(schema: SchemaRef) -> Self {
        let columns = vec![(0, Range::Empty); schema.fields().len()];
        Self { schema, rows: 0, columns }
    }

    pub(crate) fn add(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows() as u64;
        for ((nulls, range), array) in self.columns.iter_mut().zip(batch.columns()) {
            *nulls += array.null_count() as u64;
            if array.null_count() == array.len() || matches!(range, Range::Unknown) {
                continue;
            }
            let seen = match bounds(array.as_ref()) {
                Some(seen) => seen,
                None => {
                    *range = Range::Unknown;
                    continue;
                }
            };
            *range = match std::mem::replace(range, Range::Unknown) {
                Range::Empty => Range::Between(seen.0, seen.1),
                Range::Between(least, most) => Range::Between(
                    if seen.0.order(&least).is_lt() { seen.0 } else { least },
                    if seen.1.order(&most).is_gt() { seen.1 } else { most },
                ),
                Range::Unknown => Range::Unknown,
            };
        }
    }

    pub(crate) fn finish(self) -> FileStats {
        let mut stats = FileStats {
            num_records: self.rows,
            ..FileStats::default()
        };
        for (field, (nulls, range)) in self.schema.fields().iter().zip(self.columns) {
            if !field.data_type().is_nested() {
                stats.null_count.insert(field.name().clone(), nulls.into());
            }
            if let Range::Between(least, most) = range
                && let (Some(least), Some(most)) = (json(&least, field.data_type()), json(&most, field.data_type()))
            {
                stats.min_values.insert(field.name().clone(), least);
                stats.max_values.insert(field.name().clone(), most);
            }
        }
        stats
    }
}

/// The bounds of an array that has a value; `None`: nothing can be said.
fn bounds(array: &dyn Array) -> Option<(Bound, Bound)> {
    macro_rules! of {
        ($type:ty, $bound:expr) => {{
            let array = array.as_primitive::<$type>();
            (min(array).map($bound)?, max(array).map($bound)?)
        }};
    }
    let found = match array.data_type() {
        DataType::Int8 => of!(Int8Type, |value| Bound::Int(value.into())),
        DataType::Int16 => of!(Int16Type, |value| Bound::Int(value.into())),
        DataType::Int32 => of!(Int32Type, |value| Bound::Int(value.into())),
        DataType::Int64 => of!(Int64Type, Bound::Int),
        DataType::Date32 => of!(Date32Type, |value| Bound::Int(value.into())),
        DataType::Timestamp(_, _) => of!(TimestampMicrosecondType, Bound::Int),
        DataType::Float32 => of!(Float32Type, |value| Bound::Float(value.into())),
        DataType::Float64 => of!(Float64Type, Bound::Float),
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            (
                Bound::Text(min_string(array)?.to_owned()),
                Bound::Text(max_string(array)?.to_owned()),
            )
        }
        _ => return None,
    };
    let usable = |bound: &Bound| match bound {
        Bound::Int(_) => true,
        Bound::Float(value) => value.is_finite(),
        Bound::Text(text) => text.len() <= LONGEST_TEXT,
    };
    (usable(&found.0) && usable(&found.1)).then_some(found)
}

fn json(bound: &Bound, data_type: &DataType) -> Option<Value> {
    Some(match (bound, data_type) {
        (Bound::Int(days), DataType::Date32) => {
            let date = NaiveDate::from_epoch_days(i32::try_from(*days).ok()?)?;
            Value::String(plain_year(&date.format("%Y-%m-%d").to_string())?)
        }
        (Bound::Int(micros), DataType::Timestamp(_, _)) => {
            let time = DateTime::from_timestamp_micros(*micros)?;
            Value::String(plain_year(&time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())?)
        }
        (Bound::Int(value), _) => Value::from(*value),
        (Bound::Float(value), _) => Value::from(*value),
        (Bound::Text(text), _) => Value::from(text.as_str()),
    })
}

/// Years of four digits only: readers differ about others.
fn plain_year(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    (bytes.get(4) == Some(&b'-') && bytes[..4].iter().all(u8::is_ascii_digit)).then(|| text.to_owned())
}

/// The value of a bound; `None`: there is none, or it is none of this type. None for floats: they may be parsed to a neighbour of what was written.
pub(crate) fn bound_value(json: Option<&Value>, data_type: &DataType) -> Option<ScalarValue> {
    let json = json?;
    Some(match data_type {
        DataType::Int8 => ScalarValue::Int8(Some(json.as_i64()?.try_into().ok()?)),
        DataType::Int16 => ScalarValue::Int16(Some(json.as_i64()?.try_into().ok()?)),
        DataType::Int32 => ScalarValue::Int32(Some(json.as_i64()?.try_into().ok()?)),
        DataType::Int64 => ScalarValue::Int64(Some(json.as_i64()?)),
        DataType::Utf8 => ScalarValue::Utf8(Some(json.as_str()?.to_owned())),
        DataType::Date32 => {
            let date: NaiveDate = json.as_str()?.parse().ok()?;
            ScalarValue::Date32(Some(date.to_epoch_days()))
        }
        DataType::Timestamp(_, zone) => {
            let time = DateTime::parse_from_rfc3339(json.as_str()?).ok()?;
            ScalarValue::TimestampMicrosecond(Some(time.timestamp_micros()), zone.clone())
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
