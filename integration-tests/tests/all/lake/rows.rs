//! The rows of these tests. `integration-tests/python/lake_readers.py` makes the same ones on its own.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// Columns; `wide` has one that ORC files cannot hold, and `late` one that came later.
pub(super) fn schema(wide: bool, late: bool) -> SchemaRef {
    let mut fields = vec![
        Field::new("id", DataType::Int64, false),
        Field::new("host", DataType::Utf8, true),
        Field::new("day", DataType::Utf8, true),
        Field::new("size", DataType::Float64, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, None), true),
        Field::new("ok", DataType::Boolean, true),
    ];
    if wide {
        fields.push(Field::new("total", DataType::UInt64, true));
    }
    if late {
        fields.push(Field::new("status", DataType::Int32, true));
    }
    Arc::new(Schema::new(fields))
}

pub(super) fn batch(ids: std::ops::Range<i64>, wide: bool, late: bool) -> RecordBatch {
    let host = |id: i64| (id % 7 != 0).then(|| format!("host-{id}/ä"));
    let day = |id: i64| match id % 5 {
        0 => None,
        1 => Some("a/b=c% ü".to_owned()),
        other => Some(format!("2024-01-0{other}")),
    };
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(ids.clone())),
        Arc::new(StringArray::from_iter(ids.clone().map(host))),
        Arc::new(StringArray::from_iter(ids.clone().map(day))),
        Arc::new(Float64Array::from_iter_values(ids.clone().map(|id| id as f64 / 4.0))),
        Arc::new(TimestampMillisecondArray::from_iter_values(
            ids.clone().map(|id| 1_700_000_000_000 + id * 1001),
        )),
        Arc::new(BooleanArray::from_iter(ids.clone().map(|id| (id % 3 != 0).then_some(id % 2 == 0)))),
    ];
    if wide {
        columns.push(Arc::new(UInt64Array::from_iter_values(
            ids.clone().map(|id| u64::MAX - id.unsigned_abs()),
        )));
    }
    if late {
        columns.push(Arc::new(Int32Array::from_iter(
            ids.map(|id| Some(200 + i32::try_from(id % 2).unwrap())),
        )));
    }
    RecordBatch::try_new(schema(wide, late), columns).unwrap()
}
