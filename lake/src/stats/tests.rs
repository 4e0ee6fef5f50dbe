use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Field, Schema};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn stats_of(columns: &[(&str, Vec<ArrayRef>)]) -> FileStats {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, parts)| Field::new(*name, parts[0].data_type().clone(), true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let mut builder = StatsBuilder::new(Arc::clone(&schema));
    for part in 0..columns[0].1.len() {
        let arrays = columns.iter().map(|(_, parts)| ArrayRef::clone(&parts[part])).collect();
        builder.add(&RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap());
    }
    builder.finish()
}

#[test]
fn bounds_over_batches() {
    let found = stats_of(&[
        (
            "number",
            vec![
                Arc::new(Int32Array::from(vec![Some(3), None])),
                Arc::new(Int32Array::from(vec![Some(-4), Some(2)])),
            ],
        ),
        (
            "text",
            vec![
                Arc::new(StringArray::from(vec![Some("b"), None])),
                Arc::new(StringArray::from(vec![Some(""), Some("ä")])),
            ],
        ),
        (
            "date",
            vec![
                Arc::new(Date32Array::from(vec![None::<i32>, None])),
                Arc::new(Date32Array::from(vec![Some(0), Some(-1)])),
            ],
        ),
        (
            "flag",
            vec![
                Arc::new(BooleanArray::from(vec![true, false])),
                Arc::new(BooleanArray::from(vec![true, false])),
            ],
        ),
        (
            "never",
            vec![
                Arc::new(Int32Array::from(vec![None::<i32>, None])),
                Arc::new(Int32Array::from(vec![None::<i32>, None])),
            ],
        ),
    ]);
    let expected = json!({
        "numRecords": 4,
        "minValues": {"number": -4, "text": "", "date": "1969-12-31"},
        "maxValues": {"number": 3, "text": "ä", "date": "1970-01-01"},
        "nullCount": {"number": 1, "text": 1, "date": 2, "flag": 0, "never": 4},
    });
    assert_eq!(serde_json::to_value(&found).unwrap(), expected);
}

#[test]
fn no_bounds_where_they_would_not_be_exact() {
    let found = stats_of(&[
        ("nan", vec![Arc::new(Float64Array::from(vec![1.0, f64::NAN]))]),
        ("infinite", vec![Arc::new(Float64Array::from(vec![1.0, f64::INFINITY]))]),
        ("long", vec![Arc::new(StringArray::from(vec!["a".repeat(300), "b".into()]))]),
        (
            "year",
            vec![Arc::new(TimestampMicrosecondArray::from(vec![0, 400_000_000_000_000_000]))],
        ),
    ]);
    assert_eq!(found.min_values, Map::new());
    assert_eq!(found.max_values, Map::new());
}

proptest! {
    #[test]
    fn bounds_come_back_from_json(number in any::<i64>(), days in -719_000_i32..2_900_000, micros in -60_000_000_000_000_000_i64..250_000_000_000_000_000) {
        let found = stats_of(&[
            ("number", vec![Arc::new(Int64Array::from(vec![number]))]),
            ("day", vec![Arc::new(Date32Array::from(vec![days]))]),
            ("at", vec![Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC"))]),
        ]);
        let text = serde_json::to_string(&found).unwrap();
        let found: FileStats = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(bound_value(found.min_values.get("number"), &DataType::Int64), Some(ScalarValue::Int64(Some(number))));
        prop_assert_eq!(bound_value(found.max_values.get("day"), &DataType::Date32), Some(ScalarValue::Date32(Some(days))));
        let zone = || Some("UTC".into());
        let time = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, zone());
        prop_assert_eq!(bound_value(found.max_values.get("at"), &time), Some(ScalarValue::TimestampMicrosecond(Some(micros), zone())));
    }
}
