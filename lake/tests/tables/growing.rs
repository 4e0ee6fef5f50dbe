//! Columns that come later, types, and what is refused.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array, Int64Array,
    ListArray, RecordBatch, StringArray, StringViewArray, StructArray, TimestampMillisecondArray, TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, TimeUnit};
use lake::{LakeErrorKind, LakeFormat, LakeSpec, LakeTable};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path;
use shard_reader::checkpoints::IterationNumber;

use crate::rows::{mark, offload, open, query, spec, stream};

const FORMATS: [LakeFormat; 3] = [LakeFormat::Delta, LakeFormat::Parquet, LakeFormat::Orc];

fn with_schema(format: LakeFormat, schema: &Arc<Schema>, partitioned_by: &[&str]) -> LakeSpec {
    LakeSpec {
        schema: Arc::clone(schema),
        partitioned_by: partitioned_by.iter().map(ToString::to_string).collect(),
        ..spec("s3://bucket/table", format)
    }
}

fn opened(spec: &LakeSpec, store: &Arc<dyn ObjectStore>) -> Result<Arc<dyn LakeTable>, lake::LakeError> {
    lake::open(spec, Arc::clone(store), Path::from("table"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_comes_later() {
    for format in FORMATS {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        offload(open(format, &store).as_ref(), 0, 0..2).await.unwrap();

        let fields = [
            Field::new("bytes", DataType::Int64, false),
            Field::new("id", DataType::Int64, false),
            Field::new("day", DataType::Utf8, true),
        ];
        let schema = Arc::new(Schema::new(fields.to_vec()));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![7])),
            Arc::new(Int64Array::from(vec![2])),
            Arc::new(StringArray::from(vec!["2024-01-01"])),
        ];
        let rows = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        let table = opened(&with_schema(format, &schema, &["day"]), &store).unwrap();
        let files = table
            .write(IterationNumber(1), stream(vec![rows], Arc::clone(&schema)))
            .await
            .unwrap();
        table.publish(&mark(1), &files).await.unwrap();

        let snapshot = table.snapshot(None).await.unwrap();
        let answer = query(&snapshot, "select id, host, day, bytes from t order by id").await;
        assert_eq!(
            answer,
            "+----+--------+------------+-------+\n\
             | id | host   | day        | bytes |\n\
             +----+--------+------------+-------+\n\
             | 0  |        | 2024-01-01 |       |\n\
             | 1  | host-1 | 2024-01-02 |       |\n\
             | 2  |        | 2024-01-01 | 7     |\n\
             +----+--------+------------+-------+",
            "{format:?}"
        );
        assert_eq!(
            query(&snapshot, "select id from t where bytes > 6").await.lines().count(),
            5,
            "{format:?}"
        );
        table.compact().await.unwrap();
        let compacted = table.snapshot(None).await.unwrap();
        assert_eq!(
            query(&compacted, "select id, host, day, bytes from t order by id").await,
            answer,
            "{format:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_type_or_partition_is_refused() {
    for format in FORMATS {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        offload(open(format, &store).as_ref(), 0, 0..2).await.unwrap();
        let fields = [Field::new("id", DataType::Utf8, true), Field::new("day", DataType::Utf8, true)];
        let schema = Arc::new(Schema::new(fields.to_vec()));
        for (partitioned_by, word) in [(&["day"][..], "id"), (&[][..], "partitioned")] {
            let table = opened(&with_schema(format, &schema, partitioned_by), &store).unwrap();
            let error = table.publish(&mark(1), &[]).await.unwrap_err();
            assert_eq!(error.kind, LakeErrorKind::Unsupported, "{format:?}: {error}");
            assert!(error.message.contains(word), "{format:?}: {error}");
        }
        assert_eq!(open(format, &store).published().await.unwrap().unwrap().mark, mark(0), "{format:?}");
    }
}

#[tokio::test]
async fn columns_without_a_form_are_refused_by_name() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let refused = |format, name: &str, data_type| {
        let fields = vec![Field::new("id", DataType::Int64, false), Field::new(name, data_type, true)];
        let error = opened(&with_schema(format, &Arc::new(Schema::new(fields)), &[]), &store).unwrap_err();
        assert_eq!(error.kind, LakeErrorKind::Unsupported);
        assert!(error.message.contains(&format!("{name:?}")), "{error}");
    };
    for format in FORMATS {
        refused(format, "took", DataType::Duration(TimeUnit::Second));
        refused(format, "nothing", DataType::Null);
        refused(format, "at", DataType::Time64(TimeUnit::Microsecond));
        refused(format, "ID", DataType::Int64);
    }
    refused(LakeFormat::Delta, "count(*)", DataType::Int64);
    refused(LakeFormat::Orc, "price", DataType::Decimal128(10, 2));
    refused(LakeFormat::Orc, "total", DataType::UInt64);
    refused(LakeFormat::Orc, "tags", DataType::new_list(DataType::Utf8, true));
}

fn scalars() -> (Vec<Field>, Vec<ArrayRef>) {
    let named: Vec<(&str, ArrayRef)> = vec![
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("number", Arc::new(Int32Array::from(vec![Some(i32::MIN), None]))),
        ("single", Arc::new(Float32Array::from(vec![Some(0.1), Some(f32::NAN)]))),
        ("double", Arc::new(Float64Array::from(vec![Some(0.1), Some(f64::INFINITY)]))),
        (
            "text",
            Arc::new(StringViewArray::from(vec![
                Some("a long text that is not kept inline: ß\u{1f600}"),
                Some(""),
            ])),
        ),
        ("raw", Arc::new(BinaryArray::from(vec![Some(&b"\x00\xff"[..]), None]))),
        ("date", Arc::new(Date32Array::from(vec![Some(-1), None]))),
        (
            "milli",
            Arc::new(TimestampMillisecondArray::from(vec![Some(1_700_000_000_123), None])),
        ),
        (
            "nano",
            Arc::new(TimestampNanosecondArray::from(vec![Some(1_700_000_000_123_456_789), None]).with_timezone("UTC")),
        ),
    ];
    named
        .into_iter()
        .map(|(name, array)| (Field::new(name, array.data_type().clone(), true), array))
        .unzip()
}

#[tokio::test(flavor = "multi_thread")]
async fn scalars_come_back() {
    for format in FORMATS {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let (fields, columns) = scalars();
        let schema = Arc::new(Schema::new(fields));
        let table = opened(&with_schema(format, &schema, &[]), &store).unwrap();
        let rows = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        let files = table
            .write(IterationNumber(0), stream(vec![rows], Arc::clone(&schema)))
            .await
            .unwrap();
        table.publish(&mark(0), &files).await.unwrap();
        let snapshot = table.snapshot(None).await.unwrap();
        let found = query(
            &snapshot,
            "select flag, number, single, double, text, raw, date, milli, nano from t",
        )
        .await;
        let expected = "\
| true | -2147483648 | 0.1    | 0.1    | a long text that is not kept inline: ß😀 | 00ff | 1969-12-31 | 2023-11-14T22:13:20.123Z | 2023-11-14T22:13:20.123456Z |
|      |             | NaN    | inf    |                                          |      |            |                          |                             |";
        assert_eq!(cells(&found), cells(expected), "{format:?}");
        // A file with NaN and infinity is not skipped: no bound is kept for them.
        assert_eq!(
            query(&snapshot, "select text from t where double > 1e300").await.lines().count(),
            5,
            "{format:?}"
        );
        assert_eq!(
            query(&snapshot, "select text from t where milli = timestamp '2023-11-14T22:13:20.123Z'")
                .await
                .lines()
                .count(),
            5,
            "{format:?}"
        );
    }
}

/// The cells of a printed table's rows.
fn cells(printed: &str) -> Vec<Vec<String>> {
    let rows = printed.lines().filter(|line| line.starts_with('|') && !line.contains("| flag "));
    rows.map(|line| line.split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_and_wide_values_come_back() {
    for format in [LakeFormat::Delta, LakeFormat::Parquet] {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let price = Decimal128Array::from(vec![Some(-12_345), None])
            .with_precision_and_scale(10, 2)
            .unwrap();
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None]), Some(vec![])]);
        let inner: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None]));
        let pair = StructArray::from(vec![(Arc::new(Field::new("name", DataType::Utf8, true)), inner)]);
        let named: Vec<(&str, ArrayRef)> = vec![
            ("price", Arc::new(price)),
            ("total", Arc::new(UInt64Array::from(vec![Some(u64::MAX), Some(0)]))),
            ("items", Arc::new(list)),
            ("pair", Arc::new(pair)),
        ];
        let (fields, columns): (Vec<_>, Vec<_>) = named
            .into_iter()
            .map(|(name, array)| (Field::new(name, array.data_type().clone(), true), array))
            .unzip();
        let schema = Arc::new(Schema::new(fields));
        let table = opened(&with_schema(format, &schema, &[]), &store).unwrap();
        let rows = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        let files = table
            .write(IterationNumber(0), stream(vec![rows], Arc::clone(&schema)))
            .await
            .unwrap();
        table.publish(&mark(0), &files).await.unwrap();
        // The columns are those that the table has, nested ones too.
        table.publish(&mark(1), &[]).await.unwrap();
        let snapshot = table.snapshot(None).await.unwrap();
        let answer = query(&snapshot, "select price, total, items, pair from t").await;
        assert!(
            answer.contains("| -123.45 | 18446744073709551615 | [1, ] | {name: x} |"),
            "{format:?}: {answer}"
        );
        assert!(
            answer.contains("|         | 0                    | []    | {name: }  |"),
            "{format:?}: {answer}"
        );
    }
}
