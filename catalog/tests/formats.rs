//! Real records of each format, against what Python's parsers make of them: see `data/formats/README.md`.

#![expect(clippy::unwrap_used, reason = "a test stops at what it cannot read")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;
use base64::Engine;
use catalog::{Decoded, Decoder, TableDefinition};
use serde_json::{Value, json};

fn directory(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/formats").join(case)
}

fn records(case: &str) -> BinaryArray {
    let path = |name: &str| directory(case).join(name);
    if let Ok(whole) = fs::read(path("records.whole")) {
        return BinaryArray::from_iter_values([whole]);
    }
    let (text, encoded) = match fs::read(path("records.base64")) {
        Ok(text) => (text, true),
        Err(_) => (fs::read(path("records.ndjson")).unwrap(), false),
    };
    let lines = text.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n');
    BinaryArray::from_iter_values(lines.map(|line| match encoded {
        true => base64::engine::general_purpose::STANDARD.decode(line).unwrap(),
        false => line.to_vec(),
    }))
}

/// A column as JSON values: times as numbers of their unit, decimals as text.
fn values(column: &ArrayRef) -> Vec<Value> {
    let column = match column.data_type() {
        DataType::Timestamp(..) | DataType::Time64(_) => cast(column, &DataType::Int64).unwrap(),
        DataType::Date32 | DataType::Time32(_) => cast(column, &DataType::Int32).unwrap(),
        DataType::Decimal128(..) | DataType::Decimal256(..) => cast(column, &DataType::Utf8).unwrap(),
        _ => Arc::clone(column),
    };
    let schema = Arc::new(Schema::new(vec![Field::new("v", column.data_type().clone(), true)]));
    let mut text = Vec::new();
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut text);
    writer.write(&RecordBatch::try_new(schema, vec![column]).unwrap()).unwrap();
    writer.finish().unwrap();
    let lines = String::from_utf8(text).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["v"].take())
        .collect()
}

/// `{"json": ...}` = text that is this JSON; `{"text": ...}` = this text.
fn agrees(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::String(text), Value::Object(fields)) if fields.len() == 1 && fields.contains_key("json") => {
            agrees(&serde_json::from_str(text).unwrap(), &fields["json"])
        }
        (Value::String(text), Value::Object(fields)) if fields.len() == 1 && fields.contains_key("text") => fields["text"] == **text,
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len() && found.iter().zip(expected).all(|(found, expected)| agrees(found, expected))
        }
        (Value::Object(found), Value::Object(expected)) => {
            found.len() == expected.len()
                && found
                    .iter()
                    .all(|(key, value)| expected.get(key).is_some_and(|expected| agrees(value, expected)))
        }
        (Value::Number(found), Value::Number(expected)) => found.as_f64() == expected.as_f64() || found == expected,
        _ => found == expected,
    }
}

fn decode(table: &Arc<TableDefinition>, columns: &[usize], records: &BinaryArray) -> Decoded {
    Decoder::new(table, columns).unwrap().decode(records).unwrap()
}

fn check(case: &str) {
    let table = TableDefinition::from_yaml(&fs::read_to_string(directory(case).join("table.yaml")).unwrap()).unwrap();
    let expected: Vec<Value> = fs::read_to_string(directory(case).join("expected.ndjson"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(!expected.is_empty());
    let records = records(case);
    let all: Vec<usize> = (0..table.columns.len()).collect();
    let decoded = decode(&table, &all, &records);
    let columns: Vec<Vec<Value>> = decoded.columns.iter().map(values).collect();
    let origin = |row: usize| decoded.records.as_ref().map_or(row, |records| records.value(row) as usize);
    for (row, expected) in expected.iter().enumerate() {
        assert_eq!(json!(origin(row)), expected["record"], "{case}: record of row {row}");
        let verdict = decoded.bad.iter().find(|bad| bad.row == row).map(|bad| &*bad.error);
        match expected["verdict"].as_str() {
            None => assert_eq!(verdict, None, "{case}: row {row}"),
            Some(part) => assert!(verdict.is_some_and(|error| error.contains(part)), "{case}: row {row}: {verdict:?}"),
        }
        for (column, found) in columns.iter().enumerate() {
            let expected = &expected["values"][column];
            assert!(
                agrees(&found[row], expected),
                "{case}: row {row}, column {}: {} instead of {expected}",
                table.columns[column].name,
                found[row]
            );
        }
    }
    assert!(columns.iter().all(|column| column.len() == expected.len()), "{case}: as many rows");

    // Each column alone, and none, give the same rows.
    for column in 0..table.columns.len() {
        let alone = decode(&table, &[column], &records);
        assert_eq!(
            (&alone.columns[0], &alone.records),
            (&decoded.columns[column], &decoded.records),
            "{case}"
        );
    }
    assert_eq!(decode(&table, &[], &records).records, decoded.records, "{case}");
}

macro_rules! cases {
    ($($case:ident),*) => { $(#[test] fn $case() { check(stringify!($case)); })* };
}

cases!(
    accepted_json,
    cloudevents,
    cloudwatch_logs,
    dms,
    dynamodb_records,
    earthquakes,
    github_array,
    github_events,
    nginx_plus,
    several_values,
    taxis
);

#[test]
fn csv_spectrum() {
    let mut seen = 0;
    for entry in fs::read_dir(directory("csv_spectrum")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().unwrap() != "csv" {
            continue;
        }
        let expected: Vec<Value> = serde_json::from_slice(&fs::read(path.with_extension("json")).unwrap()).unwrap();
        let names: Vec<&String> = expected[0].as_object().unwrap().keys().collect();
        let mut yaml = "table: t\nstream: s\nformat: { csv: { header: true } }\ncolumns:\n".to_owned();
        for (index, name) in names.iter().enumerate() {
            yaml.push_str(&format!("  - {{ name: c{index}, path: {}, type: varchar }}\n", json!(name)));
        }
        let table = TableDefinition::from_yaml(&yaml).unwrap();
        let all: Vec<usize> = (0..names.len()).collect();
        let decoded = decode(&table, &all, &BinaryArray::from_iter_values([fs::read(&path).unwrap()]));
        assert!(decoded.bad.is_empty(), "{path:?}: {:?}", decoded.bad);
        for (index, name) in names.iter().enumerate() {
            let wanted: Vec<Value> = expected.iter().map(|row| row[name.as_str()].clone()).collect();
            assert_eq!(values(&decoded.columns[index]), wanted, "{path:?}");
        }
        seen += 1;
    }
    assert_eq!(seen, 11);
}
