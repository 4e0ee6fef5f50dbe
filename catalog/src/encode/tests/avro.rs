use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::Int64Type;
use arrow_avro::reader::ReaderBuilder;
use proptest::prelude::*;

use super::super::Encoder;
use super::{encode, one, round, table, text};

const SCHEMA: &str = r#"{"type":"record","name":"r","fields":[
 {"name":"a","type":["null","long"]},{"name":"b","type":["string","null"]},{"name":"c","type":["null",{"type":"bytes","logicalType":"decimal","precision":38,"scale":10}]},
 {"name":"d","type":["null",{"type":"int","logicalType":"date"}]},{"name":"e","type":["null",{"type":"long","logicalType":"timestamp-micros"}]},
 {"name":"f","type":["null",{"type":"long","logicalType":"time-micros"}]},{"name":"g","type":["null","double"]},{"name":"h","type":["null","float"]},
 {"name":"i","type":["null","boolean"]},{"name":"j","type":["null","bytes"]},{"name":"k","type":["null",{"type":"array","items":["null","long"]}]},
 {"name":"l","type":["null",{"type":"map","values":["null","double"]}]},
 {"name":"m","type":["null",{"type":"record","name":"s","fields":[{"name":"x","type":["null","int"]},{"name":"y","type":["null",{"type":"fixed","name":"u","size":16,"logicalType":"uuid"}]},
   {"name":"z","type":["null","string"]}]}]},
 {"name":"n","type":["null",{"type":"fixed","name":"v","size":32,"logicalType":"decimal","precision":76,"scale":30}]}]}"#;

fn avro(framing: &str) -> String {
    format!(
        "format: {{ avro: {{ framing: {framing}, schema: '{}' }} }}",
        SCHEMA.replace('\n', "")
    )
}

fn avro_columns() -> Vec<String> {
    [
        ("a", "a", "bigint"),
        ("b", "b", "varchar"),
        ("c", "c", "decimal(38,10)"),
        ("d", "d", "date"),
        ("e", "e", "timestamp(us)"),
        ("f", "f", "time(us)"),
        ("g", "g", "double"),
        ("h", "h", "real"),
        ("i", "i", "boolean"),
        ("j", "j", "varbinary"),
        ("k", "k", "array<bigint>"),
        ("l", "l", "map<varchar, double>"),
        ("x", "m/x", "integer"),
        ("y", "m/y", "uuid"),
        ("z", "m/z", "varchar"),
        ("n", "n", "decimal(76,30)"),
    ]
    .map(|(name, path, of)| format!("name: {name}, path: '{path}', type: '{of}'"))
    .to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn avro_is_read_again(seed: u64, rows in 1_usize..6) {
        for framing in ["datum", "single_object", "container"] {
            round(&avro(framing), &avro_columns(), seed, rows, true)?;
        }
        for (framing, id) in [("confluent", "7"), ("glue", "00112233-4455-6677-8899-aabbccddeeff")] {
            let format = format!("format: {{ avro: {{ framing: {framing}, registry: {{ '{id}': '{}' }} }} }}", SCHEMA.replace('\n', ""));
            round(&format, &avro_columns(), seed, rows, true)?;
        }
    }
}

/// As the specification's examples write numbers and texts ("Binary encoding"), behind an array of two items.
#[test]
fn avro_as_the_specification_writes_it() {
    let schema = r#"{"type":"record","name":"t","fields":[{"name":"a","type":"long"},{"name":"b","type":"string"},{"name":"c","type":{"type":"array","items":"long"}}]}"#;
    let format = format!("format: {{ avro: {{ framing: datum, schema: '{schema}' }} }}");
    let table = table(
        &format,
        &["name: a, type: bigint", "name: b, type: varchar", "name: c, type: 'array<bigint>'"],
    );
    let item = |values: Vec<i64>| -> ArrayRef {
        let mut list = arrow::array::ListBuilder::new(arrow::array::Int64Builder::new());
        list.append_value(values.into_iter().map(Some));
        Arc::new(list.finish())
    };
    let values: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![27])), text(Some("foo")), item(vec![3, 27])];
    assert_eq!(encode(&table, &values), [Ok(b"\x36\x06foo\x04\x06\x36\x00".to_vec())]);
    let error = one(&table, &[Arc::new(Int64Array::from(vec![None])), text(Some("foo")), item(vec![])]).unwrap_err();
    assert!(error.contains("column `a`: the schema takes no null"), "{error}");
    let error = Encoder::new(&table, &[0, 1])
        .unwrap()
        .encode(&values[..2], 0)
        .unwrap_err()
        .to_string();
    assert!(error.contains("field `c` of the schema takes no null"), "{error}");
}

/// Each record is a file that arrow-avro reads; the bytes around the datum are as the specification has them ("Object Container Files").
#[test]
fn each_record_of_containers_is_a_file() {
    let schema = r#"{"type":"record","name":"t","fields":[{"name":"a","type":"long"},{"name":"b","type":["null","string"]}]}"#;
    let format = format!("format: {{ avro: {{ framing: container, schema: '{schema}' }} }}");
    let table = table(&format, &["name: a, type: bigint", "name: b, type: varchar"]);
    let numbers = [1, -64, i64::MAX];
    let words = [Some("foo"), None, Some("")];
    let values: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(numbers.to_vec())),
        Arc::new(StringArray::from(words.to_vec())),
    ];
    let records: Vec<Vec<u8>> = encode(&table, &values).into_iter().map(Result::unwrap).collect();
    for (row, record) in records.iter().enumerate() {
        let batches: Vec<_> = ReaderBuilder::new()
            .build(Cursor::new(record))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
        assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().value(0), numbers[row]);
        let word = batches[0].column(1).as_string::<i32>();
        assert_eq!(word.is_valid(0).then(|| word.value(0)), words[row]);
    }
    // magic; two entries of a map (zig-zag 4), the first key of eleven bytes; at the end one object of six bytes, and the header's marker again
    let first = &records[0];
    assert!(first.starts_with(b"Obj\x01\x04\x16avro.schema"));
    let (rest, marker) = first.split_at(first.len() - 16);
    assert!(rest.ends_with(b"\x02\x0c\x02\x02\x06foo"), "{rest:?}");
    let header = &rest[..rest.len() - 8];
    assert!(header.ends_with(marker) && header[..header.len() - 16].ends_with(b"avro.codec\x08null\0"));
    let null = Int64Array::from(vec![None]);
    let error = one(&table, &[Arc::new(null), text(None)]).unwrap_err();
    assert!(error.contains("column `a`: the schema takes no null"), "{error}");
}

#[test]
fn containers_are_written_with_a_schema_of_the_definition() {
    let columns = ["name: a, type: bigint"];
    let unsaid = table("format: { avro: { framing: container } }", &columns);
    let error = Encoder::new(&unsaid, &[0]).unwrap_err().to_string();
    assert!(error.contains("add `schema`"), "{error}");
    // a column that the schema has not may be in containers of others
    let other = r#"{"type":"record","name":"t","fields":[{"name":"b","type":["null","long"]}]}"#;
    let said = table(
        &format!("format: {{ avro: {{ framing: container, schema: '{other}' }} }}"),
        &columns,
    );
    let error = Encoder::new(&said, &[0]).unwrap_err().to_string();
    assert!(error.contains("no field `a`"), "{error}");
    assert_eq!(crate::TableDefinition::from_yaml(&said.to_yaml()).unwrap().format, said.format);
}
