//! Formats on real data, with values that other parsers found in it.

#![expect(clippy::unwrap_used, reason = "a test stops at what it cannot read")]

mod avro;
mod declared;
mod log_lines;
mod protobuf;

use std::fs;
use std::path::{Path, PathBuf};

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, RecordBatch};
use arrow::datatypes::{Field, Schema};

use arrow::util::display::{ArrayFormatter, FormatOptions};
use catalog::{Decoded, Decoder, TableDefinition};
use serde_json::Value;

/// A file of the tests' data.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn data(name: &str) -> Vec<u8> {
    fs::read(path(name)).unwrap()
}

/// All columns of these records.
fn decode(definition: &str, records: &[&[u8]]) -> Decoded {
    let definition = TableDefinition::from_yaml_file(definition, "default", &path("")).unwrap();
    let all: Vec<usize> = (0..definition.columns.len()).collect();
    Decoder::new(&definition, &all)
        .unwrap()
        .decode(&BinaryArray::from(records.to_vec()))
        .unwrap()
}

/// A value as arrow shows it; nested ones, and what JSON has a word for, as JSON.
fn shown(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    let data_type = column.data_type();
    if data_type.is_nested()
        || data_type.is_integer()
        || matches!(data_type, arrow::datatypes::DataType::Boolean | arrow::datatypes::DataType::Float64)
    {
        let schema = Arc::new(Schema::new(vec![Field::new("v", data_type.clone(), true)]));
        let batch = RecordBatch::try_new(schema, vec![column.slice(row, 1)]).unwrap();
        let mut text = Vec::new();
        let mut writer = arrow::json::WriterBuilder::new()
            .with_explicit_nulls(true)
            .build::<_, arrow::json::writer::LineDelimited>(&mut text);
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        drop(writer);
        return serde_json::from_slice::<Value>(&text).unwrap()["v"].take();
    }
    let formatter = ArrayFormatter::try_new(column, &FormatOptions::default()).unwrap();
    Value::String(formatter.value(row).to_string())
}
