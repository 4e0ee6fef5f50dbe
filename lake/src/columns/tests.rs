use arrow::array::{Array, AsArray, Int64Array, StringArray, TimestampNanosecondArray};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};

use super::*;

fn spec(fields: Vec<Field>, partitioned_by: &[&str]) -> LakeSpec {
    LakeSpec {
        location: "s3://bucket/table".into(),
        format: LakeFormat::Delta,
        schema: Arc::new(Schema::new(fields)),
        partitioned_by: partitioned_by.iter().map(ToString::to_string).collect(),
        job: "nightly".parse().unwrap(),
        target_file_bytes: 1 << 20,
    }
}

#[test]
fn times_before_the_epoch_and_without_a_zone() {
    let columns = Columns::new(&spec(
        vec![Field::new("at", DataType::Timestamp(TimeUnit::Nanosecond, None), false)],
        &[],
    ))
    .unwrap();
    let at: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_999, -1_000]));
    let rows = RecordBatch::try_from_iter_with_nullable([("at", at, false)]).unwrap();
    let stored = columns.convert(&rows).unwrap();
    assert_eq!(
        stored.schema().field(0).data_type(),
        &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
    );
    assert_eq!(stored.column(0).as_primitive::<TimestampMicrosecondType>().values(), &[1, -1]);
}

#[test]
fn a_dictionary_is_written_as_its_values() {
    let dictionary: ArrayRef = Arc::new(
        vec![Some("a"), None, Some("a")]
            .into_iter()
            .collect::<arrow::array::DictionaryArray<Int32Type>>(),
    );
    let field = Field::new("host", dictionary.data_type().clone(), true);
    let columns = Columns::new(&spec(vec![field], &[])).unwrap();
    let stored = columns
        .convert(&RecordBatch::try_from_iter([("host", dictionary)]).unwrap())
        .unwrap();
    assert_eq!(
        stored.column(0).as_string::<i32>().iter().collect::<Vec<_>>(),
        [Some("a"), None, Some("a")]
    );
}

#[test]
fn partitions_need_a_column_of_a_plain_type_and_another_beside_it() {
    let fields = || vec![Field::new("id", DataType::Int64, true), Field::new("size", DataType::Float64, true)];
    for (partitioned_by, word) in [
        (&["day"][..], "no column \"day\""),
        (&["size"][..], "Float64"),
        (&["id", "id"][..], "twice"),
    ] {
        let error = Columns::new(&spec(fields(), partitioned_by)).unwrap_err();
        assert_eq!(error.kind, LakeErrorKind::Unsupported);
        assert!(error.message.contains(word), "{error}");
    }
    let error = Columns::new(&spec(vec![Field::new("id", DataType::Int64, true)], &["id"])).unwrap_err();
    assert!(error.message.contains("not partitioned by"), "{error}");
}

#[test]
fn other_rows_than_those_it_was_opened_with_are_refused() {
    let columns = Columns::new(&spec(vec![Field::new("id", DataType::Int64, true)], &[])).unwrap();
    let other: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let error = columns
        .convert(&RecordBatch::try_from_iter([("number", other)]).unwrap())
        .unwrap_err();
    assert_eq!(error.kind, LakeErrorKind::Rows);
    let text: ArrayRef = Arc::new(StringArray::from(vec!["one"]));
    let error = columns.convert(&RecordBatch::try_from_iter([("id", text)]).unwrap()).unwrap_err();
    assert!(error.message.contains("\"id\""), "{error}");
}

#[test]
fn a_table_grows_by_columns_at_its_end() {
    let table = Schema::new(vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Utf8, true)]);
    let rows = Schema::new(vec![Field::new("c", DataType::Utf8, true), Field::new("a", DataType::Int64, true)]);
    let names: Vec<String> = grown(&table, &rows)
        .unwrap()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(grown(&table, &Schema::new(vec![Field::new("A", DataType::Int64, true)])).is_err());
    assert!(grown(&table, &Schema::new(vec![Field::new("a", DataType::Int32, true)])).is_err());
}
