//! Columns inferred from real records: all of those records must decode under them, and lose nothing.

#![expect(clippy::unwrap_used, reason = "a test stops at what it cannot read")]

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BinaryArray, RecordBatch};
use arrow::datatypes::{Float64Type, TimestampMillisecondType};
use catalog::{Compression, Decoder, InferredColumn, JsonFormat, TableDefinition, infer_json};
use serde_json::Value;

/// A record and what it decodes to, column by column, under the definition that all of the records propose.
struct Inferred {
    records: Vec<Value>,
    columns: Vec<InferredColumn>,
    decoded: RecordBatch,
}

impl Inferred {
    fn from(file: &str) -> Self {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file)).unwrap();
        let lines: Vec<&[u8]> = text.lines().map(str::as_bytes).collect();
        let inferred = infer_json(lines.iter().copied(), &Compression::Auto, &JsonFormat::default());
        assert_eq!((inferred.records, inferred.unreadable), (lines.len(), 0));
        let mut yaml = "table: t\nstream: s\ncolumns:\n".to_owned();
        for column in &inferred.columns {
            let format = column
                .format
                .as_ref()
                .map(|format| format!("\n    format: '{format}'"))
                .unwrap_or_default();
            writeln!(
                yaml,
                "  - name: {}\n    path: {}\n    type: '{}'{format}",
                column.name,
                column.path.join("/"),
                column.column_type
            )
            .unwrap();
        }
        let definition = TableDefinition::from_yaml(&yaml).unwrap();
        let all: Vec<usize> = (0..definition.columns.len()).collect();
        let decoded = Decoder::new(&definition, &all).unwrap().decode(&BinaryArray::from(lines)).unwrap();
        assert!(decoded.bad.is_empty(), "{:?}\n{yaml}", decoded.bad);
        Self {
            records: text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
            decoded: RecordBatch::try_new(definition.arrow_schema(), decoded.columns).unwrap(),
            columns: inferred.columns,
        }
    }

    fn type_of(&self, name: &str) -> &str {
        &self.columns.iter().find(|column| column.name == name).unwrap().column_type
    }

    /// Each value of each record is NULL exactly where the record has none.
    fn assert_nothing_is_lost(&self) {
        for (index, column) in self.columns.iter().enumerate() {
            let array = self.decoded.column(index);
            for (row, record) in self.records.iter().enumerate() {
                let value = &record[&column.path[0]];
                compare(value, array, row, &column.name);
            }
        }
    }
}

/// Objects and arrays go down to their scalars.
fn compare(value: &Value, array: &Arc<dyn Array>, row: usize, place: &str) {
    assert_eq!(value.is_null(), array.is_null(row), "{place} of row {row}");
    match value {
        Value::Object(fields) => {
            if let Some(structs) = array.as_struct_opt() {
                for (key, value) in fields {
                    compare(value, structs.column_by_name(key).unwrap(), row, &format!("{place}.{key}"));
                }
            }
        }
        Value::Array(items) => {
            if let Some(list) = array.as_list_opt::<i32>() {
                let values = list.value(row);
                assert_eq!(values.len(), items.len(), "{place} of row {row}");
                for (item, value) in items.iter().enumerate() {
                    compare(value, &values, item, &format!("{place}[{item}]"));
                }
            }
        }
        Value::String(text) => {
            if let Some(texts) = array.as_string_opt::<i32>() {
                assert_eq!(texts.value(row), text, "{place} of row {row}");
            }
        }
        Value::Number(number) => {
            if let Some(doubles) = array.as_primitive_opt::<Float64Type>() {
                assert_eq!(Some(doubles.value(row)), number.as_f64(), "{place} of row {row}");
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

#[test]
fn earthquakes() {
    let inferred = Inferred::from("earthquakes.ndjson");
    inferred.assert_nothing_is_lost();
    let geometry = inferred.type_of("geometry");
    assert_eq!(geometry, "row<type varchar, coordinates array<double>>");
    let properties = inferred.type_of("properties");
    for part in [
        "mag double",
        "time timestamp(ms)",
        "sig bigint",
        "felt bigint",
        "tz bigint",
        "alert varchar",
    ] {
        assert!(properties.contains(part), "{part}: {properties}");
    }
    let properties = inferred.decoded.column_by_name("properties").unwrap().as_struct();
    let times = properties
        .column_by_name("time")
        .unwrap()
        .as_primitive::<TimestampMillisecondType>();
    for (row, record) in inferred.records.iter().enumerate() {
        assert_eq!(Some(times.value(row)), record["properties"]["time"].as_i64());
    }
}

#[test]
fn github_events() {
    let inferred = Inferred::from("github_events.ndjson");
    inferred.assert_nothing_is_lost();
    assert_eq!(inferred.type_of("created_at"), "timestamp(s)");
    assert_eq!(inferred.type_of("public"), "boolean");
    assert!(
        inferred.type_of("actor").starts_with("row<id bigint, login varchar"),
        "{}",
        inferred.type_of("actor")
    );
    assert!(
        inferred.type_of("payload").contains("commits array<row<"),
        "{}",
        inferred.type_of("payload")
    );
}
