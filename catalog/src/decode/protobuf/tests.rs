use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BinaryArray};
use arrow::datatypes::{Float64Type, Int64Type};
use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, Value};

use crate::{Decoded, Decoder, DefinitionError, TableDefinition};

/// The tests' data: `make.py` there.
fn directory() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/protobuf"))
}

fn parse(options: &str, columns: &str) -> Result<Arc<TableDefinition>, DefinitionError> {
    let text = format!("table: t\nstream: s\nformat:\n  protobuf: {{ {options} }}\ncolumns:\n{columns}");
    TableDefinition::from_yaml_file(&text, "default", directory())
}

fn decode(columns: &str, records: &[&[u8]]) -> Decoded {
    let table = parse("descriptor: every.desc, message: test.Every", columns).unwrap();
    let all: Vec<usize> = (0..table.columns.len()).collect();
    Decoder::new(&table, &all)
        .unwrap()
        .decode(&BinaryArray::from(records.to_vec()))
        .unwrap()
}

const COLUMNS: &str = "  - { name: i, path: int32_value, type: bigint }\n  - { name: t, path: string_value, type: varchar }\n  - { name: p, path: packed, type: array<bigint> }
  - { name: w, path: place/within/name, type: varchar }\n  - { name: m, path: counts, type: 'map<varchar, bigint>' }\n  - { name: all, path: /, type: json }
  - { name: row, path: /, type: 'row<place row<name varchar>, places map<bigint, json>, at timestamp(ns)>' }\n";

#[test]
fn broken_messages_are_null_rows_with_reasons() {
    let deep = (0..110).fold(Vec::new(), |inner: Vec<u8>, _| {
        let mut message = vec![0x1a];
        prost::encoding::encode_varint(inner.len() as u64, &mut message);
        [message, inner].concat()
    });
    let mut in_place = vec![0xc2, 0x3e];
    prost::encoding::encode_varint(deep.len() as u64, &mut in_place);
    in_place.extend(deep);
    let decoded = decode(
        COLUMNS,
        &[
            b"\x18\x05",
            b"\x18",
            b"\x72\x05ab",
            b"\x72\x01\xff",
            b"\x1a\x01\x05",
            b"\x92\x01\x01\xff",
            b"\xaa\x01\x02\x18\x01",
            b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x0b\x08\x01\x14",
            b"\x00\x00",
            &in_place,
            // Unknown: field 500, and groups in a group.
            b"\xa0\x1f\x01\xa3\x1f\x0b\x08\x01\x0c\xa4\x1f\x18\x07",
            b"",
        ],
    );
    let ints: Vec<_> = decoded.columns[0].as_primitive::<Int64Type>().iter().collect();
    let none = None;
    assert_eq!(
        ints,
        [
            Some(5),
            none,
            none,
            Some(0),
            none,
            none,
            Some(0),
            none,
            none,
            none,
            none,
            Some(7),
            Some(0)
        ]
    );
    let bad: Vec<(usize, &str)> = decoded.bad.iter().map(|bad| (bad.row, &*bad.error)).collect();
    let rows: Vec<usize> = bad.iter().map(|(row, _)| *row).collect();
    assert_eq!(rows, [1, 2, 3, 4, 5, 7, 8, 9, 10], "{bad:?}");
    assert_eq!(bad[2].1, "string_value: a value of 1 bytes is not a varchar");
    assert_eq!(
        bad[3].1,
        "not a message of the type: field 3 (int32_value) is written as what it is not"
    );
    assert_eq!(bad[8].1, "not a message of the type: messages in more than 100 others");
    for (row, error) in &bad {
        assert!(*row == 3 || error.starts_with("not a message of the type: "), "{error}");
    }
    // An entry whose key is not written has the key's default.
    assert_eq!(decoded.columns[4].as_map().value(6).column(0).as_string::<i32>().value(0), "");
}

#[test]
fn refused_definitions() {
    let column = "  - { name: i, path: int32_value, type: bigint }\n";
    for (options, columns, part) in [
        ("descriptor: every.desc", column, "`message` is missing"),
        ("message: test.Every", column, "`descriptor` is missing"),
        ("descriptor: none.desc, message: test.Every", column, "cannot read"),
        ("descriptor: every.proto, message: test.Every", column, "not a descriptor set"),
        ("descriptor: every.desc, message: test.Evry", column, "did you mean `test.Every`"),
        (
            "descriptor: every.desc, message: test.Every, elements_of: texts",
            column,
            "`texts` is not a repeated field of messages",
        ),
        (
            "descriptor: every.desc, message: test.Every, elements_of: place",
            column,
            "`place` is not a repeated field of messages",
        ),
        (
            "descriptor: every.desc, message: test.Every, framing: length",
            column,
            "unknown value `length`",
        ),
        (
            "descriptor: every.desc, message: test.Every",
            "  - { name: int32_valu, type: bigint }\n",
            "has no `int32_valu`",
        ),
        (
            "descriptor: every.desc, message: test.Every",
            "  - { name: a, path: packed/x, type: bigint }\n",
            "has no `packed/x`",
        ),
        (
            "descriptor: every.desc, message: test.Every",
            "  - { name: a, path: string_value/x, type: bigint }\n",
            "has no `string_value/x`",
        ),
    ] {
        let error = parse(options, columns).unwrap_err();
        assert!(error.message.contains(part), "{options}: {error}");
        assert!(error.line.is_some());
    }
}

#[test]
fn definitions_survive_serialisation() {
    let table = parse("descriptor: every.desc, message: test.Every", COLUMNS).unwrap();
    let again: TableDefinition = serde_json::from_str(&serde_json::to_string(&table).unwrap()).unwrap();
    assert_eq!(again, *table);
    assert_eq!(again.fingerprint(), table.fingerprint());
    let decoded = Decoder::new(&Arc::new(again), &[0])
        .unwrap()
        .decode(&BinaryArray::from(vec![&b"\x18\x05"[..]]))
        .unwrap();
    assert_eq!(decoded.columns[0].as_primitive::<Int64Type>().value(0), 5);
}

fn reflected() -> prost_reflect::MessageDescriptor {
    let bytes = std::fs::read(directory().join("every.desc")).unwrap();
    DescriptorPool::decode(&*bytes).unwrap().get_message_by_name("test.Every").unwrap()
}

proptest! {
    /// Whatever the bytes are: a row each, bad in all columns or none, and bad for prost-reflect too where they are for us.
    #[test]
    fn any_bytes(records in prop::collection::vec(prop::collection::vec(prop::sample::select((0..32).chain([0x72, 0x92, 0xaa, 0xc2, 0x3e, 0x80, 0xff]).collect::<Vec<u8>>()), 0..40), 1..10)) {
        let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let decoded = decode(COLUMNS, &records);
        let descriptor = reflected();
        for column in &decoded.columns {
            prop_assert_eq!(column.len(), records.len());
        }
        for (row, record) in records.iter().enumerate() {
            let broken = decoded.bad.iter().any(|bad| bad.row == row && bad.error.starts_with("not a message"));
            if broken {
                prop_assert!(decoded.columns.iter().all(|column| column.is_null(row)));
            }
            let theirs = DynamicMessage::decode(descriptor.clone(), *record);
            // prost-reflect refuses texts that are not UTF-8 with the message.
            if broken {
                prop_assert!(theirs.is_err(), "{:?}", record);
            } else if let Ok(theirs) = theirs {
                let value = decoded.columns[0].as_primitive::<Int64Type>().value(row);
                prop_assert_eq!(Some(value), theirs.get_field_by_name("int32_value").and_then(|value| value.as_i32()).map(i64::from));
            }
        }
    }

    /// What prost-reflect writes comes back.
    #[test]
    fn round_trip(int: i32, double: f64, text: String, bytes: Vec<u8>, packed: Vec<i64>, counts in prop::collection::hash_map("[a-z]{0,3}", any::<i64>(), 0..4)) {
        let mut message = DynamicMessage::new(reflected());
        message.set_field_by_name("int32_value", Value::I32(int));
        message.set_field_by_name("double_value", Value::F64(double));
        message.set_field_by_name("string_value", Value::String(text.clone()));
        message.set_field_by_name("bytes_value", Value::Bytes(bytes.clone().into()));
        message.set_field_by_name("packed", Value::List(packed.iter().map(|value| Value::I64(*value)).collect()));
        message.set_field_by_name(
            "counts",
            Value::Map(counts.iter().map(|(key, value)| (prost_reflect::MapKey::String(key.clone()), Value::I64(*value))).collect()),
        );
        let columns = "  - { name: i, path: int32_value, type: integer }\n  - { name: d, path: double_value, type: double }\n  - { name: t, path: string_value, type: varchar }
  - { name: b, path: bytes_value, type: varbinary }\n  - { name: p, path: packed, type: array<bigint> }\n  - { name: m, path: counts, type: 'map<varchar, bigint>' }\n";
        let decoded = decode(columns, &[&message.encode_to_vec()]);
        prop_assert_eq!(decoded.bad, []);
        prop_assert_eq!(decoded.columns[0].as_primitive::<arrow::datatypes::Int32Type>().value(0), int);
        // prost leaves out -0.0 with 0.
        prop_assert_eq!(decoded.columns[1].as_primitive::<Float64Type>().value(0), double);
        prop_assert_eq!(decoded.columns[2].as_string::<i32>().value(0), text);
        prop_assert_eq!(decoded.columns[3].as_binary::<i32>().value(0), bytes);
        let found = decoded.columns[4].as_list::<i32>().value(0);
        prop_assert_eq!(found.as_primitive::<Int64Type>().values().to_vec(), packed);
        let entries = decoded.columns[5].as_map().value(0);
        let keys = entries.column(0).as_string::<i32>();
        let values = entries.column(1).as_primitive::<Int64Type>();
        prop_assert_eq!((0..entries.len()).map(|row| (keys.value(row).to_owned(), values.value(row))).collect::<std::collections::HashMap<_, _>>(), counts);
    }
}
