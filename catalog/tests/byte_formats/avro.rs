//! Avro that Apache's and fastavro's writers wrote, with the values that were put in.

use std::io::Write;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, TimestampMillisecondType};
use catalog::{Decoded, Decoder, TableDefinition};
use flate2::write::ZlibEncoder;
use serde_json::{Value, json};

use super::{data, decode, path, shown};

const COLUMNS: &str = "columns:
  - { name: flag, type: boolean }
  - { name: small, type: integer }
  - { name: large, type: bigint }
  - { name: real, type: real }
  - { name: double, type: double }
  - { name: bytes, type: varbinary }
  - { name: text, type: varchar }
  - { name: either, type: varchar }
  - { name: suit, type: varchar }
  - { name: four, type: varbinary }
  - { name: price, type: 'decimal(20,4)' }
  - { name: fee, type: 'decimal(18,2)' }
  - { name: day, type: date }
  - { name: time_ms, type: time(ms) }
  - { name: time_us, type: time(us) }
  - { name: at_ms, type: timestamp(ms) }
  - { name: at_us, type: timestamp(us) }
  - { name: local_us, type: timestamp(us) }
  - { name: at_ns, type: timestamp(ns) }
  - { name: id, type: uuid }
  - { name: tags, type: array<varchar> }
  - { name: counts, type: 'map<varchar, bigint>' }
  - { name: place, type: 'row<name varchar, point array<double>, suit varchar, within row<name varchar, suit varchar>>' }
";

/// Paths into values, and nested values as JSON.
const PATHS: &str = "columns:
  - { name: place, type: json }
  - { name: inner, path: place/within/name, type: varchar }
  - { name: second, path: tags/1, type: varchar }
  - { name: b, path: counts/b, type: bigint }
  - { name: tags, type: varchar }
  - { name: missing, path: place/within/within/within/name, type: varchar }
";

fn expected() -> Value {
    serde_json::from_slice(&data("avro/every.json")).unwrap()
}

fn bytes(hex: &Value) -> Vec<Vec<u8>> {
    let digit = |text: &str| u8::from_str_radix(text, 16).unwrap();
    let one = |text: &str| (0..text.len()).step_by(2).map(|at| digit(&text[at..at + 2])).collect();
    hex.as_array().unwrap().iter().map(|text| one(text.as_str().unwrap())).collect()
}

/// The names of the definition's columns.
fn names(columns: &str) -> Vec<&str> {
    columns
        .lines()
        .filter_map(|line| line.split("name: ").nth(1)?.split(',').next())
        .collect()
}

fn check_every(decoded: &Decoded, expected: &Value) {
    assert_eq!(decoded.bad, []);
    let records = expected["records"].as_array().unwrap();
    for (row, record) in records.iter().enumerate() {
        for (column, name) in names(COLUMNS).into_iter().enumerate() {
            let mut wanted = record[name].clone();
            if name == "place" {
                // The column's type asks for no more than this.
                if let Some(within) = wanted.get_mut("within").and_then(Value::as_object_mut) {
                    within.retain(|key, _| key == "name" || key == "suit");
                }
            }
            let found = match name {
                "real" => json!(decoded.columns[column].as_primitive::<arrow::datatypes::Float32Type>().value(row)),
                _ => shown(&decoded.columns[column], row),
            };
            let wanted = match name {
                "real" => json!(wanted.as_str().unwrap().parse::<f32>().unwrap()),
                _ => wanted,
            };
            assert_eq!(found, wanted, "{name} of record {row}");
        }
    }
    assert_eq!(decoded.columns[0].len(), records.len());
}

#[test]
fn weather() {
    let definition = "table: t\nstream: s\nformat: { avro: { framing: container } }\ncolumns:
  - { name: station, type: varchar }
  - { name: at, path: time, type: timestamp(ms) }
  - { name: temp, type: integer }\n";
    let decoded = decode(definition, &[&data("avro/weather.avro")]);
    assert_eq!(decoded.bad, []);
    assert_eq!(decoded.records.unwrap().values()[..], [0; 5]);
    let lines = data("avro/weather.json");
    for (row, line) in String::from_utf8(lines).unwrap().lines().enumerate() {
        let expected: Value = serde_json::from_str(line).unwrap();
        let at = decoded.columns[1].as_primitive::<TimestampMillisecondType>().value(row);
        let temp = decoded.columns[2].as_primitive::<Int32Type>().value(row);
        let found = json!({"station": decoded.columns[0].as_string::<i32>().value(row), "time": at, "temp": temp});
        assert_eq!(found, expected);
    }
}

#[test]
fn every_type_in_containers_of_every_codec() {
    let definition = format!("table: t\nstream: s\nformat: {{ avro: {{ framing: container }} }}\n{COLUMNS}");
    for codec in ["null", "deflate", "snappy", "zstandard"] {
        check_every(&decode(&definition, &[&data(&format!("avro/every.{codec}.avro"))]), &expected());
    }
}

#[test]
fn every_type_as_single_data() {
    let expected = expected();
    let data = bytes(&expected["data"]);
    let records: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
    let definition = format!("table: t\nstream: s\nformat: {{ avro: {{ schema_file: avro/every.avsc }} }}\n{COLUMNS}");
    let decoded = decode(&definition, &records);
    assert!(decoded.records.is_none());
    check_every(&decoded, &expected);
    // No column's values depend on which others are asked for.
    let table = TableDefinition::from_yaml_file(&definition, "default", &path("")).unwrap();
    for column in 0..table.columns.len() {
        let mut decoder = Decoder::new(&table, &[column]).unwrap();
        let alone = decoder.decode(&records.iter().map(|record| Some(*record)).collect()).unwrap();
        assert_eq!(*alone.columns[0], *decoded.columns[column]);
    }
}

#[test]
fn paths_into_values_and_nested_values_as_json() {
    let expected = expected();
    let data = bytes(&expected["data"]);
    let records: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
    let decoded = decode(
        &format!("table: t\nstream: s\nformat: {{ avro: {{ schema_file: avro/every.avsc }} }}\n{PATHS}"),
        &records,
    );
    assert_eq!(decoded.bad, []);
    let text = |column: usize, row: usize| {
        let column = decoded.columns[column].as_string::<i32>();
        column.is_valid(row).then(|| column.value(row))
    };
    for (row, record) in expected["records"].as_array().unwrap().iter().enumerate() {
        let json = |text: Option<&str>| text.map_or(Value::Null, |text| serde_json::from_str(text).unwrap());
        assert_eq!(json(text(0, row)), record["place"]);
        assert_eq!(text(1, row), record["place"]["within"]["name"].as_str());
        assert_eq!(text(2, row), record["tags"][1].as_str());
        assert_eq!(shown(&decoded.columns[3], row), record["counts"]["b"]);
        assert_eq!(json(text(4, row)), record["tags"]);
        assert_eq!(text(5, row), None);
    }
}

/// Two writers' schemas in one stream, behind each header that names one.
#[test]
fn schemas_come_and_go() {
    let expected = expected();
    let (first, later) = (bytes(&expected["data"]), bytes(&expected["later_data"]));
    let every: Value = serde_json::from_slice(&data("avro/every.avsc")).unwrap();
    let uuids = ["6d9a0ee1-a8a6-4c1a-9c8f-3f0b5a7c1d2e", "00000000-0000-0000-0000-000000000007"];
    let registry = json!({"17": every.to_string(), "4294967295": expected["later_schema"]});
    let glue = json!({uuids[0]: every, uuids[1]: expected["later_schema"]});
    let list = json!([every, expected["later_schema"]]);
    // fastavro writes the fingerprint's bytes in the order in which headers have them.
    let fingerprint = &bytes(&json!([expected["fingerprint"]]))[0];
    let zlib = |data: &[u8]| {
        let mut encoder = ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    };
    let uuid = |text: &str| uuid::Uuid::parse_str(text).unwrap().into_bytes();
    let confluent = [
        [&[0, 0, 0, 0, 17], &*first[0]].concat(),
        [&[0, 0xff, 0xff, 0xff, 0xff], &*later[0]].concat(),
        [&[0, 0, 0, 0, 17], &*first[1]].concat(),
        [&[0, 0, 0, 0, 18], &*first[1]].concat(),
        [&[1, 0, 0, 0, 17], &*first[1]].concat(),
        b"\0\0\0".to_vec(),
    ];
    let glue_records = [
        [&[3, 0][..], &uuid(uuids[0]), &first[0]].concat(),
        [&[3, 5][..], &uuid(uuids[1]), &zlib(&later[0])].concat(),
        [&[3, 5][..], &uuid(uuids[0]), &zlib(&first[1])].concat(),
        [&[3, 0][..], &[9; 16], &first[1]].concat(),
        [&[3, 7][..], &uuid(uuids[0]), &first[1]].concat(),
        [&[3, 5][..], &uuid(uuids[0]), &first[1]].concat(),
    ];
    let single = [
        [&[0xc3, 1][..], fingerprint, &first[0]].concat(),
        [&[0xc3, 1][..], &[1; 8], &later[0]].concat(),
        [&[0xc3, 1][..], fingerprint, &first[1]].concat(),
    ];
    for (framing, registry, records, known_later) in [
        ("confluent", registry, &confluent[..], true),
        ("glue", glue, &glue_records, true),
        ("single_object", list, &single, false),
    ] {
        let definition = format!(
            "table: t\nstream: s\nformat: {{ avro: {{ framing: {framing}, registry: {registry} }} }}\ncolumns:
  - {{ name: large, type: bigint }}
  - {{ name: added, type: varchar }}
  - {{ name: zip, path: place/zip, type: integer }}
  - {{ name: flag, type: boolean }}\n"
        );
        let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let decoded = decode(&definition, &records);
        let row = |row: usize| -> Value { decoded.columns.iter().map(|column| shown(column, row)).collect() };
        let of_first = |index: usize| json!([expected["records"][index]["large"], null, null, expected["records"][index]["flag"]]);
        assert_eq!(row(0), of_first(0), "{framing}");
        if known_later {
            assert_eq!(row(1), json!([null, "new", 8001, null]), "{framing}");
        }
        assert_eq!(row(2), of_first(1), "{framing}");
        let bad: Vec<usize> = decoded.bad.iter().map(|bad| bad.row).collect();
        assert_eq!(
            bad,
            if known_later { vec![3, 4, 5] } else { vec![1] },
            "{framing}: {:?}",
            decoded.bad
        );
    }
}

#[test]
fn damaged_containers_give_what_is_whole_and_a_bad_row() {
    let definition = format!("table: t\nstream: s\nformat: {{ avro: {{ framing: container }} }}\n{COLUMNS}");
    for codec in ["null", "deflate", "snappy", "zstandard"] {
        let whole = data(&format!("avro/every.{codec}.avro"));
        let all = decode(&definition, &[&whole]);
        for cut in [0, 3, 200, whole.len() / 2, whole.len() - 1] {
            let decoded = decode(&definition, &[&whole[..cut], &whole]);
            assert_eq!(decoded.bad.len(), 1, "{codec} {cut}: {:?}", decoded.bad);
            let rows = decoded.columns[0].len() - 100;
            assert_eq!(decoded.bad[0].row, rows - 1, "the rest of the container is the last of its rows");
            for (column, all) in decoded.columns.iter().zip(&all.columns) {
                assert_eq!(*column.slice(0, rows - 1), *all.slice(0, rows - 1));
                assert_eq!(*column.slice(rows, 100), **all);
            }
        }
        // A bit of a block's data, where there is a checksum.
        if codec == "snappy" {
            let mut flipped = whole.clone();
            let at = flipped.len() - 40;
            flipped[at] ^= 0x10;
            assert!(!decode(&definition, &[&flipped]).bad.is_empty(), "{codec}");
        }
    }
}
