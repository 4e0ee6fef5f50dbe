use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};

use super::*;
use crate::read::read_rows;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("text", DataType::Utf8, true),
    ]))
}

fn batch(from: i64, rows: i64) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(from..from + rows)),
        Arc::new(StringArray::from_iter(
            (from..from + rows).map(|id| (id % 3 != 0).then(|| id.to_string())),
        )),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

fn file(format: LakeFormat, batches: &[RecordBatch]) -> Encoded {
    let origin = Origin {
        job: "nightly".parse().unwrap(),
        iteration: Some(IterationNumber(3)),
    };
    let mut encoder = Encoder::new(format, &schema(), &origin).unwrap();
    for batch in batches {
        encoder.write(batch).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    for format in [LakeFormat::Parquet, LakeFormat::Orc] {
        let one = file(format, &[batch(0, 5000), batch(5000, 100)]);
        assert_eq!(one.bytes, file(format, &[batch(0, 5000), batch(5000, 100)]).bytes, "{format:?}");
        let rows = read_rows(format, one.bytes, &schema()).unwrap();
        assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 5100, "{format:?}");
    }
}

/// What the footer of a Parquet file says tells it from one of other rows, even if nothing else in the footer does.
#[test]
fn the_footer_tells_files_apart() {
    let text = |value: &str| {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![1, 2, 3])),
            Arc::new(StringArray::from(vec!["a", value, "z"])),
        ];
        file(LakeFormat::Parquet, &[RecordBatch::try_new(schema(), columns).unwrap()])
    };
    let (one, other) = (text("k"), text("m"));
    assert_eq!(one.bytes.len(), other.bytes.len());
    let tail = |file: &Encoded| file.bytes.slice(file.bytes.len() - file.telling..);
    assert!(one.telling < one.bytes.len());
    assert_ne!(tail(&one), tail(&other));
    assert_eq!(tail(&one), tail(&text("k")));
}
