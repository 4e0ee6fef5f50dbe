//! Messages, as prost-reflect reads them, and as the decoder does.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray, TimestampNanosecondArray};
use base64::Engine as _;
use proptest::prelude::*;
use prost_reflect::{DescriptorPool, DynamicMessage, MapKey, Value};

use super::{encode, random, round, table, text};
use crate::TableDefinition;
use crate::encode::Encoder;

const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/protobuf/every.desc"));
const EXTENDED: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/protobuf/extended.desc"));

fn format(message: &str, more: &str) -> String {
    let descriptor = base64::engine::general_purpose::STANDARD.encode(if message == "test.Extended" { EXTENDED } else { DESCRIPTOR });
    format!("format: {{ protobuf: {{ message: {message}, descriptor_base64: '{descriptor}'{more} }} }}")
}

fn every(columns: &[&str]) -> Arc<TableDefinition> {
    table(&format("test.Every", ""), columns)
}

fn read(record: &[u8]) -> DynamicMessage {
    let pool = DescriptorPool::decode(DESCRIPTOR).unwrap();
    DynamicMessage::decode(pool.get_message_by_name("test.Every").unwrap(), record).unwrap()
}

fn refused(columns: &[&str], values: &[ArrayRef]) -> String {
    encode(&every(columns), values).remove(0).unwrap_err()
}

fn any(column: &str, seed: u64) -> ArrayRef {
    let table = every(&[column]);
    random::Random::new(seed).array(&table.columns[0].column_type, None, 1, false)
}

#[test]
fn another_reader_finds_what_was_written() {
    let table = every(&[
        "name: a, path: sint64_value, type: bigint",
        "name: b, path: fixed32_value, type: bigint",
        "name: c, path: uint64_value, type: 'decimal(20,0)'",
        "name: d, path: suit, type: varchar",
        "name: e, path: took, type: varchar",
        "name: f, path: at, type: 'timestamp(ns)'",
        "name: g, path: wrapped, type: bigint",
        "name: h, path: place/within/name, type: varchar",
        "name: i, path: place/latitude, type: double",
        "name: j, path: name, type: varchar",
        "name: k, path: int64Value, type: 'timestamp(ms)', format: milliseconds-since-epoch",
        "name: l, path: sfixed32_value, type: integer",
    ]);
    let largest = arrow::array::Decimal128Array::from(vec![i128::from(u64::MAX)])
        .with_precision_and_scale(20, 0)
        .unwrap();
    let values: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![i64::MIN])),
        Arc::new(Int64Array::from(vec![i64::from(u32::MAX)])),
        Arc::new(largest),
        text(Some("HEARTS")),
        text(Some("-1.500s")),
        Arc::new(TimestampNanosecondArray::from(vec![-1])),
        Arc::new(Int64Array::from(vec![0])),
        text(Some("inner")),
        Arc::new(arrow::array::Float64Array::from(vec![-0.0])),
        text(Some("")),
        Arc::new(arrow::array::TimestampMillisecondArray::from(vec![1_468_152_236_500])),
        Arc::new(Int32Array::from(vec![-7])),
    ];
    let message = read(&encode(&table, &values).remove(0).unwrap());
    let field = |name: &str| message.get_field_by_name(name).unwrap().into_owned();
    let inside = |value: Value, name: &str| value.as_message().unwrap().get_field_by_name(name).unwrap().into_owned();
    assert_eq!(field("sint64_value"), Value::I64(i64::MIN));
    assert_eq!(field("fixed32_value"), Value::U32(u32::MAX));
    assert_eq!(field("uint64_value"), Value::U64(u64::MAX));
    assert_eq!(field("suit"), Value::EnumNumber(1));
    assert_eq!(
        (inside(field("took"), "seconds"), inside(field("took"), "nanos")),
        (Value::I64(-1), Value::I32(-500_000_000))
    );
    assert_eq!(
        (inside(field("at"), "seconds"), inside(field("at"), "nanos")),
        (Value::I64(-1), Value::I32(999_999_999))
    );
    assert!(message.has_field_by_name("wrapped"), "a wrapped 0 is not nothing");
    assert_eq!(inside(field("wrapped"), "value"), Value::I64(0));
    assert_eq!(inside(inside(field("place"), "within"), "name"), Value::String("inner".into()));
    assert!(inside(field("place"), "latitude").as_f64().unwrap().is_sign_negative());
    assert!(message.has_field_by_name("name"), "of a oneof the empty text too");
    assert_eq!(field("int64_value"), Value::I64(1_468_152_236_500));
    assert_eq!(field("sfixed32_value"), Value::I32(-7));
}

#[test]
fn maps_and_repeated_fields_are_read_by_another() {
    let columns = [
        "name: m, path: counts, type: 'map<varchar, bigint>'",
        "name: p, path: packed, type: 'array<bigint>'",
    ];
    let values: Vec<ArrayRef> = columns.iter().map(|column| any(column, 5)).collect();
    let (map, list) = (
        arrow::array::AsArray::as_map(&values[0]).value(0),
        arrow::array::AsArray::as_list::<i32>(&values[1]).value(0),
    );
    let message = read(&encode(&every(&columns), &values).remove(0).unwrap());
    let numbers = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&list)
        .values()
        .to_vec();
    let found = message.get_field_by_name("packed").unwrap().into_owned();
    assert_eq!(found, Value::List(numbers.into_iter().map(Value::I64).collect()));
    let keys = arrow::array::AsArray::as_string::<i32>(map.column(0));
    let counts = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(map.column(1));
    let expected = keys
        .iter()
        .zip(counts)
        .map(|(key, count)| (MapKey::String(key.unwrap().into()), Value::I64(count.unwrap())));
    assert_eq!(
        message.get_field_by_name("counts").unwrap().into_owned(),
        Value::Map(expected.collect())
    );
}

#[test]
fn what_would_not_be_read_again_is_refused_with_its_place() {
    let number = |value: Option<i64>| -> ArrayRef { Arc::new(Int64Array::from(vec![value])) };
    for (column, value, said) in [
        (
            "name: v, path: int64_value, type: bigint",
            number(None),
            "column `v`: NULL would be read as the field's default",
        ),
        (
            "name: v, path: uint32_value, type: bigint",
            number(Some(-1)),
            "-1 does not fit in 32 unsigned bits",
        ),
        (
            "name: v, path: suit, type: varchar",
            text(Some("CLUBS")),
            "`CLUBS` is no symbol of test.Suit",
        ),
        (
            "name: v, path: suit, type: varchar",
            text(Some("1")),
            "`1` would be read as `HEARTS`",
        ),
        (
            "name: v, path: took, type: varchar",
            text(Some("1.5s")),
            "`1.5s` would be read as `1.500s`",
        ),
        ("name: v, path: took, type: varchar", text(Some("soon")), "no duration"),
        (
            "name: v, path: place, type: json",
            text(Some("{}")),
            "a json is not what the field is",
        ),
        (
            "name: v, path: int32_value, type: varchar",
            text(Some("5")),
            "a varchar is not what the field is",
        ),
    ] {
        let error = refused(&[column], &[value]);
        assert!(error.contains(said), "{column}: {error}");
    }
    let list = arrow::array::ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>([Some(vec![Some(1), None])]);
    let error = refused(&["name: v, path: packed, type: 'array<bigint>'"], &[Arc::new(list)]);
    assert!(error.contains("column `v`: /1: a repeated field has no NULL"), "{error}");
    let both = ["name: n, path: name, type: varchar", "name: s, path: spot/name, type: varchar"];
    let error = refused(&both, &[text(Some("x")), text(Some("y"))]);
    assert!(error.contains("of `choice` only one"), "{error}");
    for (columns, said) in [
        (
            ["name: a, path: place/name, type: varchar", "name: b, path: place, type: json"],
            "to the same place",
        ),
        (
            ["name: a, path: name, type: varchar", "name: b, path: packed/1, type: bigint"],
            "no single message",
        ),
    ] {
        let error = Encoder::new(&every(&columns), &[0, 1]).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    let extended = table(
        &format("test.Extended", ""),
        &["name: t, path: detail/text, type: varchar", "name: id, type: varchar"],
    );
    let mut encoder = Encoder::new(&extended, &[0]).unwrap();
    let error = encoder.encode(&[text(Some("x"))], 0).unwrap_err().to_string();
    assert!(error.contains("field `test.Extended.id` is required"), "{error}");
    let mut encoder = Encoder::new(&extended, &[0, 1]).unwrap();
    assert_eq!(
        encoder.encode(&[text(Some("x")), text(Some("i"))], 0).unwrap(),
        b"\x12\x03\x0a\x01x\x0a\x01i"
    );
}

/// Headers by the documents of Confluent ("Wire format") and of Glue's serializer: magic, id, and of messages their indexes.
#[test]
fn framing_is_as_registries_have_it() {
    let value: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let record = |format: &str, columns: &[&str]| encode(&table(format, columns), &[Arc::clone(&value)]).remove(0).unwrap();
    let every = ["name: v, path: string_value, type: varchar"];
    let first = ["name: v, path: only, type: varchar"];
    let glue = "schema_id: 00112233-4455-6677-8899-aabbccddeeff";
    let id = b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff";
    for (message, columns, more, expected) in [
        ("test.Every", &every, ", framing: delimited", b"\x03\x72\x01x".to_vec()),
        (
            "test.First",
            &first,
            ", framing: confluent, schema_id: 258",
            b"\0\0\0\x01\x02\0\x0a\x01x".to_vec(),
        ),
        (
            "test.Every",
            &every,
            ", framing: confluent, schema_id: 258",
            b"\0\0\0\x01\x02\x02\x02\x72\x01x".to_vec(),
        ),
        (
            "test.First",
            &first,
            &format!(", framing: glue, {glue}"),
            [b"\x03\0", id.as_slice(), b"\x0a\x01x"].concat(),
        ),
    ] {
        assert_eq!(record(&format(message, more), columns), expected, "{message} {more}");
    }
    let schema = r#"{"type":"record","name":"r","fields":[{"name":"v","type":"string"}]}"#;
    let avro = |framing: &str| format!("format: {{ avro: {{ {framing}, registry: {{ 'ID': '{schema}' }} }} }}");
    let columns = ["name: v, type: varchar"];
    let confluent = avro("framing: confluent").replace("ID", "258");
    assert_eq!(record(&confluent, &columns), b"\0\0\0\x01\x02\x02x");
    let glue = avro("framing: glue").replace("ID", "00112233-4455-6677-8899-aabbccddeeff");
    assert_eq!(record(&glue, &columns), [b"\x03\0", id.as_slice(), b"\x02x"].concat());
    let unnamed = table(&format("test.First", ", framing: confluent"), &first);
    let error = Encoder::new(&unnamed, &[0]).unwrap_err().to_string();
    assert!(error.contains("add `schema_id`"), "{error}");
}

#[test]
fn a_schemas_id_is_checked_and_kept() {
    let yaml = |more: &str| {
        format!(
            "table: t\nstream: s\n{}\ncolumns:\n  - {{ name: v, path: only, type: varchar }}\n",
            format("test.First", more)
        )
    };
    for (more, said) in [
        (", schema_id: 5", "it goes with"),
        (", framing: glue, schema_id: 5", "UUID"),
        (", framing: confluent, schema_id: x", "numbers of 32 bits"),
    ] {
        let error = TableDefinition::from_yaml(&yaml(more)).unwrap_err().to_string();
        assert!(error.contains(said), "{more}: {error}");
    }
    for more in [
        ", framing: confluent, schema_id: 258",
        ", framing: glue, schema_id: 00112233-4455-6677-8899-aabbccddeeff",
    ] {
        let table = TableDefinition::from_yaml(&yaml(more)).unwrap();
        assert_eq!(TableDefinition::from_yaml(&table.to_yaml()).unwrap().format, table.format);
    }
}

fn columns(of: &[(&str, &str)]) -> Vec<String> {
    let column = |(index, (path, of)): (usize, &(&str, &str))| format!("name: c{index}, path: '{path}', type: '{of}'");
    of.iter().enumerate().map(column).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn messages_are_read_again(seed: u64, rows in 1_usize..6) {
        let all = columns(&[
            ("double_value", "double"), ("float_value", "real"), ("int32_value", "integer"), ("int64_value", "bigint"),
            ("sint32_value", "smallint"), ("sint64_value", "bigint"), ("sfixed32_value", "tinyint"), ("sfixed64_value", "bigint"),
            ("bool_value", "boolean"), ("string_value", "varchar"), ("bytes_value", "varbinary"), ("packed", "array<bigint>"),
            ("loose", "array<double>"), ("texts", "array<varchar>"), ("counts", "map<varchar, bigint>"),
            ("places", "map<integer, row<name varchar, latitude double>>"),
            ("place", "row<name varchar, latitude double, within row<name varchar>>"), ("at", "timestamp(ns)"), ("wrapped", "bigint"),
            ("route", "array<row<name varchar, latitude double>>"), ("name", "timestamp(us)"),
        ]);
        let apart = columns(&[("place/name", "varchar"), ("place/within/latitude", "double")  ]);
        for framing in ["", ", framing: delimited", ", framing: confluent, schema_id: 7", ", framing: glue, schema_id: 00112233-4455-6677-8899-aabbccddeeff"] {
            round(&format("test.Every", framing), &all, seed, rows, false)?;
            round(&format("test.Every", framing), &apart, seed, rows, false)?;
        }
        let nullable = columns(&[("maybe", "integer"), ("at", "timestamp(ms)"), ("wrapped", "bigint"), ("wrapped_text", "varchar"), ("name", "date")]);
        round(&format("test.Every", ""), &nullable, seed, rows, true)?;
    }
}
