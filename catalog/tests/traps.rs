//! Records that have gone wrong in other systems: `data/traps.log`, one record a line, with what each must come to, worked out by hand, in
//! `data/traps.expected.json` (`row` = the values of host, at, request, code and bytes, null = undecodable; `verdict` = a part of the error).

#![expect(clippy::unwrap_used, reason = "a test stops at what it cannot read")]

use std::fs;
use std::path::Path;

use arrow::array::{Array, AsArray, BinaryArray};
use arrow::datatypes::{Int64Type, TimestampSecondType};
use catalog::{Decoded, Decoder, TableDefinition};
use serde_json::{Value, json};

fn data(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

fn value(decoded: &Decoded, column: usize, row: usize) -> Value {
    let array = &decoded.columns[column];
    if array.is_null(row) {
        return Value::Null;
    }
    match column {
        0 | 2 => json!(array.as_string::<i32>().value(row)),
        1 => json!(array.as_primitive::<TimestampSecondType>().value(row)),
        _ => json!(array.as_primitive::<Int64Type>().value(row)),
    }
}

#[test]
fn every_trap_gets_its_row_and_verdict() {
    let definition = TableDefinition::from_yaml(&String::from_utf8(data("nasahttp.yaml")).unwrap()).unwrap();
    let log = data("traps.log");
    let records: Vec<&[u8]> = log.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n').collect();
    let expected: Vec<Value> = serde_json::from_slice(&data("traps.expected.json")).unwrap();
    assert_eq!(records.len(), expected.len());
    let decoded = Decoder::new(&definition, &[0, 1, 2, 3, 4])
        .unwrap()
        .decode(&BinaryArray::from(records.clone()))
        .unwrap();
    for (row, (record, expected)) in records.iter().zip(&expected).enumerate() {
        let record = String::from_utf8_lossy(record);
        let values: Vec<Value> = (0..5).map(|column| value(&decoded, column, row)).collect();
        let wanted = match &expected["row"] {
            Value::Null => json!([null, null, null, null, null]),
            values => values.clone(),
        };
        assert_eq!(json!(values), wanted, "{record}");
        let verdict = decoded.bad.iter().find(|bad| bad.row == row).map(|bad| &*bad.error);
        match expected["verdict"].as_str() {
            None => assert_eq!(verdict, None, "{record}"),
            Some(part) => assert!(verdict.is_some_and(|error| error.contains(part)), "{record}: {verdict:?}"),
        }
    }
}
