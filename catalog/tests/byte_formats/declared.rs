//! Columns that schemas declare: the definition they make decodes real data without a bad record, and gives the values that other parsers found.

use std::sync::Arc;

use arrow::array::{Array, BinaryArray};
use catalog::{Decoded, Decoder, TableDefinition, infer};
use serde_json::Value;

use super::{data, path, shown};

/// The data under the definition that is proposed for a format.
struct Declared {
    types: Vec<(String, String)>,
    decoded: Decoded,
}

impl Declared {
    fn of(format: &str, records: &[&[u8]]) -> Self {
        let parse = |columns: &str| -> Arc<TableDefinition> {
            let text = format!("table: t\nstream: s\nformat: {{ {format} }}\ncolumns:\n{columns}");
            TableDefinition::from_yaml_file(&text, "default", &path("")).unwrap_or_else(|error| panic!("{error}: {text}"))
        };
        let inferred = infer(records, &parse("  - { name: value, path: /, type: json }\n")).unwrap();
        assert_eq!((inferred.records, inferred.unreadable), (records.len(), 0), "{:?}", inferred.reason);
        let columns: String = inferred
            .columns
            .iter()
            .map(|column| {
                format!(
                    "  - {{ name: {}, path: '/{}', type: '{}' }}\n",
                    column.name,
                    column.path.join("/"),
                    column.column_type
                )
            })
            .collect();
        let definition = parse(&columns);
        let all: Vec<usize> = (0..definition.columns.len()).collect();
        let decoded = Decoder::new(&definition, &all)
            .unwrap()
            .decode(&BinaryArray::from(records.to_vec()))
            .unwrap();
        assert_eq!(decoded.bad, []);
        let types = inferred
            .columns
            .into_iter()
            .map(|column| (column.name, column.column_type))
            .collect();
        Self { types, decoded }
    }

    fn type_of(&self, name: &str) -> &str {
        &self.types.iter().find(|(known, _)| known == name).unwrap().1
    }

    fn value(&self, name: &str, row: usize) -> Value {
        let place = self.types.iter().position(|(known, _)| known == name).unwrap();
        shown(&self.decoded.columns[place], row)
    }
}

#[test]
fn weather_brings_its_schema() {
    let declared = Declared::of("avro: { framing: container }", &[&data("avro/weather.avro")]);
    let types: Vec<(&str, &str)> = declared.types.iter().map(|(name, of)| (&**name, &**of)).collect();
    assert_eq!(types, [("station", "varchar"), ("time", "bigint"), ("temp", "integer")]);
    let lines = String::from_utf8(data("avro/weather.json")).unwrap();
    for (row, line) in lines.lines().enumerate() {
        let expected: Value = serde_json::from_str(line).unwrap();
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(declared.value(name, row), *value, "{name} of {row}");
        }
    }
}

#[test]
fn every_type_of_avro() {
    let expected: Value = serde_json::from_slice(&data("avro/every.json")).unwrap();
    let file = data("avro/every.deflate.avro");
    let declared = Declared::of("avro: { framing: container }", &[&file]);
    for (name, expected) in [
        ("flag", "boolean"),
        ("small", "integer"),
        ("large", "bigint"),
        ("real", "real"),
        ("double", "double"),
        ("bytes", "varbinary"),
        ("text", "varchar"),
        ("either", "varchar"),
        ("suit", "varchar"),
        ("four", "varbinary"),
        ("price", "decimal(20,4)"),
        ("fee", "decimal(18,2)"),
        ("day", "date"),
        ("time_ms", "time(ms)"),
        ("time_us", "time(us)"),
        ("at_ms", "timestamp(ms)"),
        ("at_us", "timestamp(us)"),
        ("at_ns", "timestamp(ns)"),
        ("id", "uuid"),
        ("tags", "array<varchar>"),
        ("counts", "map<varchar, bigint>"),
    ] {
        assert_eq!(declared.type_of(name), expected, "{name}");
    }
    // The record that holds itself is a row as far as it is another, and JSON from there.
    let place = declared.type_of("place");
    assert!(place.starts_with("row<name varchar") && place.ends_with("within json>"), "{place}");
    for (row, record) in expected["records"].as_array().unwrap().iter().enumerate() {
        for (name, wanted) in record.as_object().unwrap() {
            match &**name {
                "real" => continue,
                "place" => {
                    let found = declared.value(name, row);
                    assert_eq!(found["name"], wanted["name"], "place of {row}");
                    let within = found["within"].as_str().map(|text| serde_json::from_str::<Value>(text).unwrap());
                    assert_eq!(
                        within.is_some_and(|within| within["name"] == wanted["within"]["name"]),
                        !wanted["within"].is_null()
                    );
                }
                _ => assert_eq!(declared.value(name, row), *wanted, "{name} of {row}"),
            }
        }
    }
    // A schema in the definition declares the same, and needs no record for it.
    let alone = Declared::of("avro: { schema_file: avro/every.avsc }", &[]);
    assert_eq!(alone.types, declared.types);
}

#[test]
fn schemas_of_several_writers_are_put_together() {
    let schemas = r#"avro: { framing: confluent, registry: {
        1: '{"type":"record","name":"R","fields":[{"name":"n","type":"int"},{"name":"t","type":"string"},{"name":"s","type":{"type":"record","name":"S","fields":[{"name":"a","type":"float"}]}}]}',
        2: '{"type":"record","name":"R","fields":[{"name":"n","type":["null","long"]},{"name":"t","type":["null","long"]},{"name":"s","type":{"type":"record","name":"S","fields":[{"name":"a","type":"double"},{"name":"b","type":["string","bytes"]}]}},{"name":"none","type":"null"}]}' } }"#;
    let old: &[u8] = b"\0\0\0\0\x01\x54\x02x\0\0\x80\x3f";
    let new: &[u8] = b"\0\0\0\0\x02\x02\x54\x02\x06\0\0\0\0\0\0\xf0\x3f\0\x02y";
    let declared = Declared::of(schemas, &[old, new]);
    let types: Vec<(&str, &str)> = declared.types.iter().map(|(name, of)| (&**name, &**of)).collect();
    assert_eq!(
        types,
        [
            ("n", "bigint"),
            ("t", "varchar"),
            ("s", "row<a double, b varbinary>"),
            ("none", "varchar")
        ]
    );
    for (row, text) in ["x", "3"].into_iter().enumerate() {
        assert_eq!(declared.value("n", row), 42);
        assert_eq!(declared.value("t", row), text);
        assert_eq!(declared.value("s", row)["a"], 1.0);
        assert_eq!(declared.value("none", row), Value::Null);
    }
}

#[test]
fn a_feed_of_vehicle_positions() {
    let expected: Value = serde_json::from_slice(&data("protobuf/expected.json")).unwrap();
    let entities = expected["entities"].as_array().unwrap();
    let format = "protobuf: { descriptor: protobuf/gtfs-realtime.desc, message: transit_realtime.FeedEntity, framing: delimited }";
    let declared = Declared::of(format, &[&data("protobuf/VehiclePositions.delimited")]);
    assert_eq!(declared.decoded.columns[0].len(), entities.len());
    assert_eq!(declared.type_of("is_deleted"), "boolean");
    let vehicle = declared.type_of("vehicle");
    for part in [
        "trip row<trip_id varchar",
        "latitude real",
        "timestamp decimal(20,0)",
        "current_status varchar",
    ] {
        assert!(vehicle.contains(part), "{part}: {vehicle}");
    }
    for (row, entity) in entities.iter().enumerate() {
        assert_eq!(declared.value("id", row), entity["id"]);
        let found = declared.value("vehicle", row);
        for name in ["stop_id", "current_status", "occupancy_percentage"] {
            assert_eq!(found[name], entity["vehicle"][name], "{name} of {row}");
        }
        assert_eq!(found["trip"]["route_id"], entity["vehicle"]["trip"]["route_id"]);
    }

    // Elements as rows: their fields, beside those of the message.
    let format = "protobuf: { descriptor: protobuf/gtfs-realtime.desc, message: transit_realtime.FeedMessage, elements_of: entity }";
    let declared = Declared::of(format, &[&data("protobuf/VehiclePositions.pb")]);
    for (row, entity) in entities.iter().enumerate() {
        assert_eq!(declared.value("id", row), entity["id"]);
        assert_eq!(declared.value("header", row)["gtfs_realtime_version"], expected["feed"]["version"]);
    }
}

#[test]
fn every_kind_of_field() {
    let expected: Value = serde_json::from_slice(&data("protobuf/expected.json")).unwrap();
    let messages = expected["messages"].as_array().unwrap();
    let unhex = |text: &str| -> Vec<u8> {
        let digits = (0..text.len()).step_by(2);
        digits.map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    };
    let records: Vec<Vec<u8>> = messages.iter().map(|message| unhex(message["hex"].as_str().unwrap())).collect();
    let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
    let declared = Declared::of("protobuf: { descriptor: protobuf/every.desc, message: test.Every }", &records);
    for (name, expected) in [
        ("uint32_value", "bigint"),
        ("fixed64_value", "decimal(20,0)"),
        ("sfixed32_value", "integer"),
        ("packed", "array<bigint>"),
        ("counts", "map<varchar, bigint>"),
        ("at", "timestamp(ns)"),
        ("took", "varchar"),
        ("wrapped", "bigint"),
        ("wrapped_text", "varchar"),
        ("suits", "array<varchar>"),
    ] {
        assert_eq!(declared.type_of(name), expected, "{name}");
    }
    let plain = [
        "double_value",
        "int32_value",
        "int64_value",
        "uint32_value",
        "sint64_value",
        "bool_value",
        "string_value",
        "suit",
        "maybe",
    ];
    let of_parts = [
        "packed",
        "loose",
        "texts",
        "counts",
        "name",
        "took",
        "wrapped",
        "wrapped_text",
        "suits",
    ];
    for (row, message) in messages.iter().enumerate() {
        for name in plain.into_iter().chain(of_parts) {
            assert_eq!(declared.value(name, row), message["fields"][name], "{name} of {row}");
        }
    }
}
