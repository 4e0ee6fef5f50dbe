use std::sync::Arc;

use arrow::array::{Date32Array, Decimal128Array, Int64Array, TimestampMicrosecondArray};
use arrow::datatypes::{Field, Schema, TimeUnit};
use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn values_come_back_from_folders(values in prop::collection::vec((".{1,12}", prop::option::of(".{0,12}")), 0..4)) {
        let folder = folder(&values);
        prop_assert!(folder.is_ascii());
        prop_assert_eq!(folder.split('/').filter(|segment| !segment.is_empty()).count(), values.len());
        prop_assert_eq!(parse_folder(&folder), Some(values));
    }

    #[test]
    fn folders_differ_where_values_do(one in prop::option::of("\\PC{0,300}"), other in prop::option::of("\\PC{0,300}")) {
        let folder_of = |value: &Option<String>| folder(&[("a".to_owned(), value.clone())]);
        prop_assert_eq!(folder_of(&one) == folder_of(&other), one == other);
        prop_assert!(folder_of(&one).len() < 200);
    }
}

#[test]
fn folders_of_odd_values() {
    let folder_of = |value: Option<&str>| folder(&[("host name".to_owned(), value.map(str::to_owned))]);
    assert_eq!(folder_of(None), "host%20name=__HIVE_DEFAULT_PARTITION__");
    assert_eq!(folder_of(Some("")), "host%20name=");
    assert_eq!(
        folder_of(Some("__HIVE_DEFAULT_PARTITION__")),
        "host%20name=%5F_HIVE_DEFAULT_PARTITION__"
    );
    assert_eq!(folder_of(Some("a/b=c%")), "host%20name=a%2Fb%3Dc%25");
    assert_eq!(folder_of(Some("..")), "host%20name=..");
    assert_eq!(folder_of(Some("ä")), "host%20name=%C3%A4");
}

#[test]
fn rows_are_split_in_the_order_of_their_partitions() {
    let schema = Arc::new(Schema::new(vec![
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        Field::new("id", DataType::Int64, false),
        Field::new("day", DataType::Date32, true),
        Field::new("price", DataType::Decimal128(5, 2), true),
    ]));
    let at =
        TimestampMicrosecondArray::from(vec![Some(1_700_000_000_000_001), None, Some(1_700_000_000_000_001), None]).with_timezone("UTC");
    let price = Decimal128Array::from(vec![Some(-150), None, Some(-150), None])
        .with_precision_and_scale(5, 2)
        .unwrap();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(at),
        Arc::new(Int64Array::from(vec![1, 2, 3, 4])),
        Arc::new(Date32Array::from(vec![Some(0), None, Some(0), None])),
        Arc::new(price),
    ];
    let batch = RecordBatch::try_new(schema, columns).unwrap();
    let parts = split(&batch, &[2, 0, 3]).unwrap();
    let text = |values: &[(String, Option<String>)]| {
        values
            .iter()
            .map(|(_, value)| value.clone().unwrap_or("-".into()))
            .collect::<Vec<_>>()
    };
    let ids = |batch: &RecordBatch| batch.column(1).as_primitive::<arrow::datatypes::Int64Type>().values().to_vec();
    assert_eq!(parts.len(), 2);
    assert_eq!(text(&parts[0].0), ["1970-01-01", "2023-11-14 22:13:20.000001", "-1.50"]);
    assert_eq!(ids(&parts[0].1), [1, 3]);
    assert_eq!(text(&parts[1].0), ["-", "-", "-"]);
    assert_eq!(ids(&parts[1].1), [2, 4]);
    for (index, (_, text)) in [2, 0, 3].into_iter().zip(&parts[0].0) {
        let column = batch.column(index);
        assert_eq!(
            value(text.as_deref(), column.data_type()).unwrap(),
            ScalarValue::try_from_array(column, 0).unwrap()
        );
    }
}
