//! Messages that Google's Python library wrote, and a feed of GTFS Realtime, with the values that this library reads.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float32Type, Int64Type, TimestampNanosecondType, TimestampSecondType};
use catalog::{Decoded, Decoder, TableDefinition};
use serde_json::{Value, json};

use super::{data, decode, path, shown};

const COLUMNS: &str = "columns:
  - { name: double_value, type: double }
  - { name: float_value, type: real }
  - { name: int32_value, type: integer }
  - { name: int64_value, path: int64Value, type: bigint }
  - { name: uint32_value, type: bigint }
  - { name: uint64_value, type: 'decimal(20,0)' }
  - { name: sint32_value, type: integer }
  - { name: sint64_value, type: bigint }
  - { name: fixed32_value, type: bigint }
  - { name: fixed64_value, type: varchar }
  - { name: sfixed32_value, type: smallint }
  - { name: sfixed64_value, type: bigint }
  - { name: bool_value, type: boolean }
  - { name: string_value, type: varchar }
  - { name: bytes_value, type: varbinary }
  - { name: suit, type: varchar }
  - { name: maybe, type: tinyint }
  - { name: packed, type: array<bigint> }
  - { name: loose, type: array<double> }
  - { name: texts, type: array<varchar> }
  - { name: counts, type: 'map<varchar, bigint>' }
  - { name: places, type: 'map<varchar, row<name varchar, suit varchar>>' }
  - { name: place, type: 'row<name varchar, latitude double, suit varchar, within row<name varchar, latitude double, suit varchar>>' }
  - { name: name, type: varchar }
  - { name: spot, type: 'row<name varchar, latitude double, suit varchar>' }
  - { name: number, type: 'decimal(20,0)' }
  - { name: at, type: timestamp(ns) }
  - { name: took, type: varchar }
  - { name: wrapped, type: bigint }
  - { name: wrapped_text, type: varchar }
  - { name: route, type: 'array<row<name varchar, latitude double, suit varchar>>' }
  - { name: suits, type: array<varchar> }
";

const PATHS: &str = "columns:
  - { name: place, type: json }
  - { name: inner, path: place/within/name, type: varchar }
  - { name: second, path: packed/1, type: bigint }
  - { name: b, path: counts/b, type: bigint }
  - { name: spot, path: spot/latitude, type: double }
  - { name: suit, path: places/5/within/suit, type: varchar }
  - { name: of_route, path: route/0/name, type: varchar }
  - { name: missing, path: place/within/within/within/within/within/name, type: varchar }
";

fn expected() -> Value {
    serde_json::from_slice(&data("protobuf/expected.json")).unwrap()
}

fn bytes(hex: &Value) -> Vec<u8> {
    let text = hex.as_str().unwrap();
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn names(columns: &str) -> Vec<&str> {
    columns
        .lines()
        .filter_map(|line| line.split("name: ").nth(1)?.split(',').next())
        .collect()
}

/// A place without what the columns do not ask for.
fn place(value: &mut Value, depth: usize) {
    if let Some(fields) = value.as_object_mut() {
        match depth {
            0 => drop(fields.remove("within")),
            _ => place(&mut fields["within"], depth - 1),
        }
    }
}

fn check_every(decoded: &Decoded, messages: &[Value]) {
    assert_eq!(decoded.bad, []);
    for (row, message) in messages.iter().enumerate() {
        for (column, name) in names(COLUMNS).into_iter().enumerate() {
            let mut wanted = message["fields"][name].clone();
            let array = &decoded.columns[column];
            let mut found = shown(array, row);
            match name {
                "place" => place(&mut wanted, 1),
                "spot" => place(&mut wanted, 0),
                "route" => wanted.as_array_mut().unwrap().iter_mut().for_each(|value| place(value, 0)),
                "places" => {
                    for value in wanted.as_object_mut().unwrap().values_mut() {
                        place(value, 0);
                        value.as_object_mut().unwrap().remove("latitude");
                    }
                }
                "uint64_value" | "fixed64_value" | "number" if !wanted.is_null() => wanted = json!(wanted.as_u64().unwrap().to_string()),
                "float_value" => {
                    (found, wanted) = (
                        json!(array.as_primitive::<Float32Type>().value(row)),
                        json!(wanted.as_f64().unwrap() as f32),
                    )
                }
                "at" if !wanted.is_null() => {
                    found = json!(array.as_primitive::<TimestampNanosecondType>().value(row));
                    wanted = json!(wanted[0].as_i64().unwrap() * 1_000_000_000 + wanted[1].as_i64().unwrap());
                }
                _ => {}
            }
            assert_eq!(found, wanted, "{name} of message {row}");
        }
    }
    assert_eq!(decoded.columns[0].len(), messages.len());
}

fn definition(framing: &str, columns: &str) -> String {
    format!(
        "table: t\nstream: s\nformat: {{ protobuf: {{ descriptor: protobuf/every.desc, message: test.Every, framing: {framing} }} }}\n{columns}"
    )
}

fn records(messages: &Value) -> Vec<Vec<u8>> {
    messages.as_array().unwrap().iter().map(|message| bytes(&message["hex"])).collect()
}

#[test]
fn every_kind_of_field() {
    let expected = expected();
    for kind in ["messages", "joined"] {
        let data = records(&expected[kind]);
        let records: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
        let decoded = decode(&definition("none", COLUMNS), &records);
        assert!(decoded.records.is_none());
        check_every(&decoded, expected[kind].as_array().unwrap());
        // No column's values depend on which others are asked for.
        let table = TableDefinition::from_yaml_file(&definition("none", COLUMNS), "default", &path("")).unwrap();
        for column in 0..table.columns.len() {
            let mut decoder = Decoder::new(&table, &[column]).unwrap();
            let alone = decoder.decode(&records.iter().map(|record| Some(*record)).collect()).unwrap();
            assert_eq!(*alone.columns[0], *decoded.columns[column]);
        }
    }
}

#[test]
fn sequences_and_headers() {
    let expected = expected();
    let data = records(&expected["messages"]);
    let mut sequence = Vec::new();
    for message in &data {
        prost::encoding::encode_varint(message.len() as u64, &mut sequence);
        sequence.extend(message);
    }
    let decoded = decode(&definition("delimited", COLUMNS), &[&sequence, b""]);
    check_every(&decoded, expected["messages"].as_array().unwrap());
    assert!(decoded.records.unwrap().values().iter().all(|record| *record == 0));
    // Cut within the last message, whose row is bad.
    let cut = decode(&definition("delimited", COLUMNS), &[&sequence[..sequence.len() - 1], &sequence]);
    assert_eq!(cut.columns[0].len(), 2 * data.len());
    assert_eq!(cut.bad.iter().map(|bad| bad.row).collect::<Vec<_>>(), [data.len() - 1]);

    // `Every` is the second message of its file.
    let behind = |header: &[u8]| -> Vec<Vec<u8>> { data.iter().map(|message| [header, message].concat()).collect() };
    let confluent = behind(b"\0\0\0\0\x09\x02\x02");
    let glue = behind(&[&[3, 0][..], &[7; 16]].concat());
    for (framing, data) in [("confluent", &confluent), ("glue", &glue)] {
        let records: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
        check_every(
            &decode(&definition(framing, COLUMNS), &records),
            expected["messages"].as_array().unwrap(),
        );
    }
    let other = decode(
        &definition("confluent", COLUMNS),
        &[b"\0\0\0\0\x09\x00", b"\0\0\0\0\x09\x04\x02\x00", b"\0\0\0\0\x09", b"\x08\x01"],
    );
    assert_eq!(other.bad.len(), 4);
    assert!(
        other.bad[0].error.contains("another message: the header says index [0]"),
        "{}",
        other.bad[0].error
    );
}

#[test]
fn paths_into_messages_and_messages_as_json() {
    let expected = expected();
    let data = records(&expected["messages"]);
    let records: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
    let decoded = decode(&definition("none", PATHS), &records);
    assert_eq!(decoded.bad, []);
    /// What is set, as JSON.
    fn set(value: &Value) -> Value {
        match value.as_object() {
            None => value.clone(),
            Some(fields) => fields
                .iter()
                .filter(|(key, value)| !value.is_null() && **value != json!("") && !(*key == "latitude" && **value == json!(0.0)))
                .map(|(key, value)| (key.clone(), if *value == json!("7") { json!(7) } else { set(value) }))
                .collect(),
        }
    }
    for (row, message) in expected["messages"].as_array().unwrap().iter().enumerate() {
        let fields = &message["fields"];
        let json = match shown(&decoded.columns[0], row) {
            Value::String(text) => serde_json::from_str(&text).unwrap(),
            other => other,
        };
        assert_eq!(json, set(&fields["place"]), "{row}");
        for (column, wanted) in [
            (1, &fields["place"]["within"]["name"]),
            (2, &fields["packed"][1]),
            (3, &fields["counts"]["b"]),
            (4, &fields["spot"]["latitude"]),
            (5, &fields["places"]["5"]["within"]["suit"]),
            (6, &fields["route"][0]["name"]),
            (7, &Value::Null),
        ] {
            assert_eq!(shown(&decoded.columns[column], row), *wanted, "column {column} of message {row}");
        }
    }
}

/// The feed as one message whose entities are an array, and as a sequence of entities.
#[test]
fn vehicle_positions() {
    let expected = expected();
    let entities = expected["entities"].as_array().unwrap();
    let descriptor = "descriptor: protobuf/gtfs-realtime.desc";
    let feed = decode(
        &format!(
            "table: t\nstream: s\nformat: {{ protobuf: {{ {descriptor}, message: transit_realtime.FeedMessage }} }}\ncolumns:
  - {{ name: at, path: header/timestamp, type: timestamp(s), format: seconds-since-epoch }}
  - {{ name: version, path: header/gtfs_realtime_version, type: varchar }}
  - {{ name: entity, type: 'array<row<id varchar, vehicle row<stop_id varchar>>>' }}
  - {{ name: third, path: entity/2/vehicle/trip/route_id, type: varchar }}\n"
        ),
        &[&data("protobuf/VehiclePositions.pb")],
    );
    assert_eq!(feed.bad, []);
    assert_eq!(
        feed.columns[0].as_primitive::<TimestampSecondType>().value(0),
        expected["feed"]["timestamp"].as_i64().unwrap()
    );
    assert_eq!(shown(&feed.columns[1], 0), expected["feed"]["version"]);
    assert_eq!(shown(&feed.columns[3], 0), entities[2]["vehicle"]["trip"]["route_id"]);
    let found = shown(&feed.columns[2], 0);
    assert_eq!(found.as_array().unwrap().len(), entities.len());
    for (found, entity) in found.as_array().unwrap().iter().zip(entities) {
        assert_eq!(found["id"], entity["id"]);
        assert_eq!(found["vehicle"]["stop_id"], entity["vehicle"]["stop_id"]);
    }

    // A row for each entity, beside what stands once in the feed; a feed without any has no row.
    let fan_out = format!(
        "table: t\nstream: s\nformat: {{ protobuf: {{ {descriptor}, message: transit_realtime.FeedMessage, elements_of: entity }} }}\ncolumns:
  - {{ name: version, path: header/gtfs_realtime_version, type: varchar }}
  - {{ name: id, path: entity/id, type: varchar }}
  - {{ name: route, path: entity/vehicle/trip/route_id, type: varchar }}
  - {{ name: whole, path: entity, type: json }}\n"
    );
    let whole_feed = data("protobuf/VehiclePositions.pb");
    let decoded = decode(&fan_out, &[b"\x0a\x05\x0a\x032.0", &whole_feed, b"\x0a", &whole_feed]);
    assert_eq!(decoded.bad.iter().map(|bad| bad.row).collect::<Vec<_>>(), [entities.len()]);
    let records = decoded.records.unwrap();
    let of = |record: u32| records.values().iter().filter(|of| **of == record).count();
    assert_eq!([of(0), of(1), of(2), of(3)], [0, entities.len(), 1, entities.len()]);
    for (row, entity) in entities.iter().enumerate() {
        assert_eq!(shown(&decoded.columns[0], row), expected["feed"]["version"]);
        assert_eq!(shown(&decoded.columns[1], row), entity["id"]);
        assert_eq!(shown(&decoded.columns[2], row), entity["vehicle"]["trip"]["route_id"]);
        let whole: Value = serde_json::from_str(shown(&decoded.columns[3], row).as_str().unwrap()).unwrap();
        assert_eq!(whole["id"], entity["id"]);
        assert_eq!(shown(&decoded.columns[1], entities.len() + 1 + row), entity["id"]);
    }

    let sequence = decode(
        &format!(
            "table: t\nstream: s\nformat: {{ protobuf: {{ {descriptor}, message: transit_realtime.FeedEntity, framing: delimited }} }}\ncolumns:
  - {{ name: id, type: varchar }}
  - {{ name: latitude, path: vehicle/position/latitude, type: real }}
  - {{ name: status, path: vehicle/current_status, type: varchar }}
  - {{ name: occupancy, path: vehicle/occupancy_percentage, type: bigint }}
  - {{ name: deleted, path: is_deleted, type: boolean }}\n"
        ),
        &[&data("protobuf/VehiclePositions.delimited")],
    );
    assert_eq!(sequence.bad, []);
    assert_eq!(sequence.columns[0].len(), entities.len());
    assert_eq!(sequence.columns[4].null_count(), entities.len(), "proto2 knows what is not set");
    let occupancy = sequence.columns[3].as_primitive::<Int64Type>().iter().flatten().sum::<i64>();
    let wanted: i64 = entities
        .iter()
        .filter_map(|entity| entity["vehicle"]["occupancy_percentage"].as_i64())
        .sum();
    assert_eq!(occupancy, wanted);
    for (row, entity) in entities.iter().enumerate() {
        let latitude = sequence.columns[1].as_primitive::<Float32Type>();
        let wanted = entity["vehicle"]["position"]["latitude"].as_f64();
        assert_eq!(Some(latitude.value(row)), wanted.map(|value| value as f32));
        assert_eq!(shown(&sequence.columns[2], row), entity["vehicle"]["current_status"]);
    }
}

/// Extensions are fields whose names stand in brackets; as JSON a message is what Google's library makes of it.
#[test]
fn extensions() {
    let expected: Value = serde_json::from_slice(&data("protobuf/extended.json")).unwrap();
    let messages = expected.as_array().unwrap();
    let definition = "table: t\nstream: s\nformat: { protobuf: { descriptor: protobuf/extended.desc, message: test.Extended } }\ncolumns:
  - { name: id, type: varchar }
  - { name: weight, path: '[test.weight]', type: bigint }
  - { name: label, path: '[test.labels]/1', type: varchar }
  - { name: flag, path: 'detail/[test.Scope.flag]', type: boolean }
  - { name: more, path: '[test.more]', type: 'row<text varchar, \"[test.Scope.flag]\" boolean>' }
  - { name: all, path: /, type: json }\n";
    let records: Vec<Vec<u8>> = messages.iter().map(|message| bytes(&message["hex"])).collect();
    let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
    let decoded = decode(definition, &records);
    assert_eq!(decoded.bad, []);
    for (row, message) in messages.iter().enumerate() {
        let message = &message["json"];
        let shown = |column: usize| shown(&decoded.columns[column], row);
        assert_eq!(shown(0), message["id"]);
        // JSON has texts for numbers of 64 bits.
        let weight = message["[test.weight]"].as_str().map(|text| text.parse::<i64>().unwrap());
        assert_eq!(shown(1), json!(weight));
        assert_eq!(shown(2), message["[test.labels]"][1]);
        assert_eq!(shown(3), message["detail"]["[test.Scope.flag]"]);
        assert_eq!(shown(4), message["[test.more]"]);
        let mut all: Value = serde_json::from_str(shown(5).as_str().unwrap()).unwrap();
        if let Some(weight) = all.get_mut("[test.weight]") {
            *weight = json!(weight.to_string());
        }
        assert_eq!(all, *message);
    }
}
