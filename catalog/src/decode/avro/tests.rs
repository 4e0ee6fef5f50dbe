use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use arrow_avro::writer::format::AvroOcfFormat;
use arrow_avro::writer::{Writer, WriterBuilder};
use proptest::prelude::*;

use crate::{Decoded, Decoder, DefinitionError, TableDefinition};

fn parse(options: &str, columns: &str) -> Result<Arc<TableDefinition>, DefinitionError> {
    TableDefinition::from_yaml(&format!(
        "table: t\nstream: s\nformat:\n  avro: {{ {options} }}\ncolumns:\n{columns}"
    ))
}

fn decode_with(table: &Arc<TableDefinition>, records: &[&[u8]]) -> Decoded {
    let all: Vec<usize> = (0..table.columns.len()).collect();
    Decoder::new(table, &all)
        .unwrap()
        .decode(&BinaryArray::from(records.to_vec()))
        .unwrap()
}

fn decode(options: &str, columns: &str, records: &[&[u8]]) -> Decoded {
    decode_with(&parse(options, columns).unwrap(), records)
}

fn errors(decoded: &Decoded) -> Vec<(usize, &str)> {
    decoded.bad.iter().map(|bad| (bad.row, &*bad.error)).collect()
}

const N: &str = r#"schema: '{"type":"record","name":"R","fields":[{"name":"n","type":"long"},{"name":"t","type":"string"}]}'"#;
const N_COLUMNS: &str = "  - { name: n, type: bigint }\n  - { name: t, type: varchar }\n";

#[test]
fn broken_data_are_null_rows_with_reasons() {
    let decoded = decode(
        N,
        N_COLUMNS,
        &[
            b"\x02\x02a",
            b"",
            b"\x02",
            b"\x02\x04a",
            b"\x02\x02ab",
            b"\x02\x01",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x00",
            b"\x02\x02\xff",
            b"\x01\x00",
        ],
    );
    let longs: Vec<_> = decoded.columns[0].as_primitive::<Int64Type>().iter().collect();
    assert_eq!(longs, [Some(1), None, None, None, None, None, None, Some(1), Some(-1)]);
    let texts: Vec<_> = decoded.columns[1].as_string::<i32>().iter().collect();
    assert_eq!(texts, [Some("a"), None, None, None, None, None, None, None, Some("")]);
    let datum = |reason: &str| format!("not a datum of the schema: {reason}");
    let expected = [
        (1, datum("it ends within a value")),
        (2, datum("it ends within a value")),
        (3, datum("it ends within a value")),
        (4, datum("1 bytes follow the datum")),
        (5, datum("a length of -1")),
        (6, datum("a number of more than 64 bits")),
        (7, "t: a value of 1 bytes is not a varchar".to_owned()),
    ];
    let found = errors(&decoded);
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!((found.0, found.1), (expected.0, &*expected.1));
    }
}

#[test]
fn refused_parts_are_null_with_their_path() {
    let schema = r#"schema: '{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"array","items":"string"}},{"name":"m","type":{"type":"map","values":"string"}},
        {"name":"r","type":{"type":"record","name":"S","fields":[{"name":"x","type":"string"},{"name":"y","type":"long"}]}}]}'"#;
    let columns = "  - { name: a, type: array<bigint> }\n  - { name: m, type: 'map<varchar, bigint>' }\n  - { name: r, type: 'row<y bigint, x bigint, z bigint>' }\n  - { name: b, path: a, type: bigint }\n";
    // a: ["1", "x"] in a block with its size, m: {"k": "y"}, r: {x: "z", y: 7}
    let decoded = decode(schema, columns, &[b"\x03\x08\x02\x31\x02x\x00\x02\x02k\x02y\x00\x02z\x0e"]);
    assert_eq!(
        errors(&decoded),
        [(
            0,
            "a/1: \"x\" is not a bigint; m/k: \"y\" is not a bigint; r/x: \"z\" is not a bigint; a: an array is not a bigint"
        )]
    );
    let a = decoded.columns[0].as_list::<i32>().value(0);
    assert_eq!(a.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(1), None]);
    let m = decoded.columns[1].as_map().value(0);
    assert!(m.column(1).is_null(0));
    let r = decoded.columns[2].as_struct();
    assert_eq!(r.column(0).as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(7)]);
    assert!(r.column(1).is_null(0) && r.column(2).is_null(0) && r.is_valid(0));
}

#[test]
fn few_bytes_cannot_stand_for_masses() {
    let column = "  - { name: a, path: /, type: json }\n";
    let mut records = String::from(r#"{"type":"record","name":"R0","fields":[]}"#);
    for level in 1..40 {
        records = format!(
            r#"{{"type":"record","name":"R{level}","fields":[{{"name":"a","type":{records}}},{{"name":"b","type":"R{}"}}]}}"#,
            level - 1
        );
    }
    for (schema, record, reason) in [
        (
            r#"{"type":"array","items":"null"}"#.to_owned(),
            &b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"[..],
            "masses of values that take no bytes",
        ),
        (
            r#"{"type":"array","items":"long"}"#.to_owned(),
            b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f",
            "it ends within a value",
        ),
        (
            r#"{"type":"map","values":"null"}"#.to_owned(),
            b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f",
            "it ends within a value",
        ),
        (
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":"R"},{"name":"b","type":"R"}]}"#.to_owned(),
            b"",
            "values in more than 64 others",
        ),
        (
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":["null","R"]}]}"#.to_owned(),
            &[2; 1000],
            "values in more than 64 others",
        ),
        (records, b"", "masses of values that take no bytes"),
    ] {
        let started = std::time::Instant::now();
        let decoded = decode(&format!("schema: '{schema}'"), column, &[record]);
        assert_eq!(
            errors(&decoded),
            [(0, &*format!("not a datum of the schema: {reason}"))],
            "{schema}"
        );
        assert!(started.elapsed().as_secs() < 5);
    }
    // A container whose one block is of nothing but claims.
    let claims = |codec: &str, block: &[u8]| {
        [
            b"Obj\x01\x04\x16avro.schema\x0c\"null\"\x14avro.codec",
            &[2 * codec.len() as u8][..],
            codec.as_bytes(),
            b"\x00",
            &[7; 16],
            block,
            &[7; 16],
        ]
        .concat()
    };
    let table = parse("framing: container", column).unwrap();
    for (codec, block, part) in [
        ("null", &b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f\x00"[..], "masses of values"),
        ("null", b"\x01\x00", "a length of -1"),
        ("snappy", b"\x02\x12\xff\xff\xff\xff\x0f\x00\x00\x00\x00", "snappy: "),
        ("deflate", b"\x02\x02\xff", "deflate: damaged"),
        ("zstandard", b"\x02\x02\xff", "zstd: damaged"),
        ("xz", b"\x02\x02\xff", "codec `xz` is not supported"),
    ] {
        let decoded = decode_with(&table, &[&claims(codec, block)]);
        assert_eq!(decoded.columns[0].len(), 1);
        assert!(decoded.bad[0].error.contains(part), "{codec}: {}", decoded.bad[0].error);
    }
    assert_eq!(decode_with(&table, &[&claims("null", b"\x06\x00")]).columns[0].null_count(), 3);
}

#[test]
fn a_damaged_object_costs_its_block_alone() {
    let block = |count: u8, data: &[u8]| [&[2 * count, 2 * data.len() as u8][..], data, &[7; 16]].concat();
    let header = [b"Obj\x01\x02\x16avro.schema\x10\"string\"\x00".as_slice(), &[7; 16]].concat();
    let record = [
        header,
        block(2, b"\x02a\x02b"),
        block(3, b"\x02c\x09\x02d"),
        block(1, b"\x02e"),
        block(1, b"\x02fx"),
    ]
    .concat();
    let table = parse("framing: container", "  - { name: a, path: /, type: varchar }\n").unwrap();
    let decoded = decode_with(&table, &[&record]);
    let texts: Vec<_> = decoded.columns[0].as_string::<i32>().iter().collect();
    assert_eq!(texts, [Some("a"), Some("b"), Some("c"), None, Some("e"), Some("f"), None]);
    assert_eq!(
        errors(&decoded),
        [
            (3, "object 1 of the 3 of a block: not a datum of the schema: a length of -5"),
            (6, "in an object container file: a block goes on for 1 bytes after its 1 objects")
        ]
    );
}

#[test]
fn decimals_to_their_last_digit() {
    let schema = r#"schema: '{"type":"record","name":"R","fields":[{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":76,"scale":3}}]}'"#;
    let columns = "  - { name: d, type: 'decimal(76,3)' }\n  - { name: t, path: d, type: varchar }\n";
    let record = |bytes: &[u8]| [&[2 * bytes.len() as u8][..], bytes].concat();
    let records = [
        record(&[]),
        record(&[0xff]),
        record(&[0, 0x80]),
        record(&[0x80]),
        record(&[0; 40]),
        record(&[0x7f; 33]),
    ];
    let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
    let decoded = decode(schema, columns, &records);
    let texts: Vec<_> = decoded.columns[1].as_string::<i32>().iter().collect();
    assert_eq!(
        texts,
        [Some("0.000"), Some("-0.001"), Some("0.128"), Some("-0.128"), Some("0.000"), None]
    );
    assert_eq!(decoded.bad.len(), 1);
}

#[test]
fn names_and_namespaces() {
    let schema = r#"{"type":"record","name":"a.b.R","fields":[
        {"name":"e","type":{"type":"enum","name":"E","symbols":["X"]}},
        {"name":"f","type":{"type":"fixed","name":"other.F","size":1}},
        {"name":"again","type":["E","a.b.E","other.F",{"type":"record","name":"S","namespace":"other","fields":[{"name":"f","type":"F"},{"name":"r","type":["null","a.b.R"]}]}]}]}"#;
    // Unions do not hold one type twice; this one is not held to that.
    let decoded = decode(
        &format!("schema: '{schema}'"),
        "  - { name: f, path: again/f, type: varbinary }\n",
        &[b"\x00A\x06B\x00", b"\x00A\x04C"],
    );
    assert_eq!(errors(&decoded), []);
    assert_eq!(
        decoded.columns[0].as_binary::<i32>().iter().collect::<Vec<_>>(),
        [Some(&b"B"[..]), None]
    );
}

#[test]
fn refused_definitions() {
    let column = "  - { name: n, type: bigint }\n";
    for (options, part) in [
        ("framing: datum", "a datum alone needs"),
        ("framing: confluent", "headers name a schema"),
        ("framing: confluent, schema: '\"long\"'", "headers name one of several schemas"),
        ("framing: container, registry: { 7: '\"long\"' }", "containers bring their own"),
        ("framing: container, schema: '\"lung\"'", "no type `lung`"),
        ("framing: glue, registry: { 7: '\"long\"' }", "`7` is not the UUID"),
        ("framing: confluent, registry: { x: '\"long\"' }", "`x` is not the number"),
        (
            "framing: confluent, registry: 'https://registry.example'",
            "the registry was not read yet",
        ),
        ("framing: confluent, registry: registry.json", "cannot name files beside it"),
        ("schema: '{'", "not valid JSON"),
        ("schema: '{\"type\":\"record\",\"name\":\"R\"}'", "R has no fields"),
        ("schema: '\"lung\"'", "no type `lung`"),
        (
            r#"schema: '{"type":"record","name":"R","fields":[{"name":"m","type":"long"}]}'"#,
            "no schema has a value at `n`",
        ),
    ] {
        let error = parse(options, column).unwrap_err();
        assert!(error.message.contains(part), "{options}: {error}");
        assert!(error.line.is_some(), "{options}");
    }
    // A schema may be written as YAML too, and a numeric key is an id.
    let decoded = decode(
        "framing: confluent, registry: { 7: { type: record, name: R, fields: [{ name: n, type: long }] } }",
        column,
        &[b"\0\0\0\0\x07\x54"],
    );
    assert_eq!(decoded.columns[0].as_primitive::<Int64Type>().value(0), 42);
}

const WIDE: &str = r#"schema: '{"type":"record","name":"R","fields":[{"name":"n","type":["null","long"]},{"name":"a","type":{"type":"array","items":["null","string","R"]}},
    {"name":"m","type":{"type":"map","values":{"type":"enum","name":"E","symbols":["A","B"]}}},{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
    {"name":"t","type":{"type":"long","logicalType":"timestamp-micros"}},{"name":"z","type":{"type":"array","items":"null"}},{"name":"l","type":["null",{"type":"array","items":["long","string"]}]}]}'"#;
const WIDE_COLUMNS: &str = "  - { name: n, type: bigint }\n  - { name: a, type: array<varchar> }\n  - { name: m, type: 'map<varchar, varchar>' }\n  - { name: d, type: 'decimal(9,2)' }
  - { name: t, type: timestamp(ns) }\n  - { name: z, type: array<boolean> }\n  - { name: all, path: /, type: json }\n  - { name: row, path: /, type: 'row<n bigint, a array<json>, z varchar>' }\n";

proptest! {
    /// Whatever the bytes are: a row each, and the verdict on a datum's form does not depend on what is asked for.
    #[test]
    fn any_bytes(records in prop::collection::vec(prop::collection::vec(prop::sample::select((0..24).chain([0x7f, 0x80, 0xff]).collect::<Vec<u8>>()), 0..40), 1..10)) {
        let table = parse(WIDE, WIDE_COLUMNS).unwrap();
        let payloads: BinaryArray = records.iter().map(|record| Some(&record[..])).collect();
        let all = Decoder::new(&table, &(0..8).collect::<Vec<_>>()).unwrap().decode(&payloads).unwrap();
        let none = Decoder::new(&table, &[]).unwrap().decode(&payloads).unwrap();
        for column in &all.columns {
            prop_assert_eq!(column.len(), records.len());
        }
        let broken = |decoded: &Decoded| -> Vec<usize> { decoded.bad.iter().filter(|bad| bad.error.starts_with("not a datum")).map(|bad| bad.row).collect() };
        prop_assert_eq!(broken(&all), broken(&none));
        for row in broken(&all) {
            prop_assert!(all.columns.iter().all(|column| column.is_null(row)));
        }
    }

    #[test]
    fn any_bytes_as_containers(tail in prop::collection::vec(any::<u8>(), 0..60), header: bool) {
        let begin: &[u8] = if header { b"Obj\x01\x02\x16avro.schema\x10\"string\"\x00" } else { b"Obj" };
        let record = [begin, &tail].concat();
        let table = parse("framing: container", "  - { name: a, path: /, type: varchar }\n").unwrap();
        let decoded = decode_with(&table, &[&record]);
        prop_assert!(decoded.columns[0].len() <= tail.len() + 1);
    }

    /// What arrow-avro writes comes back, through a decoder that shares nothing with it.
    #[test]
    fn round_trip(rows in prop::collection::vec((any::<Option<i64>>(), any::<Option<String>>(), any::<f64>(), any::<bool>()), 1..30)) {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("n", Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>())),
            ("t", Arc::new(rows.iter().map(|row| row.1.clone()).collect::<StringArray>())),
            ("d", Arc::new(rows.iter().map(|row| Some(row.2)).collect::<Float64Array>())),
            ("b", Arc::new(rows.iter().map(|row| Some(row.3)).collect::<BooleanArray>())),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap();
        let mut file = Vec::new();
        let mut writer: Writer<_, AvroOcfFormat> = WriterBuilder::new(batch.schema().as_ref().clone()).build(&mut file).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        let decoded = decode(
            "framing: container",
            "  - { name: n, type: bigint }\n  - { name: t, type: varchar }\n  - { name: d, type: double }\n  - { name: b, type: boolean }\n",
            &[&file],
        );
        prop_assert_eq!(decoded.bad.len(), 0);
        prop_assert_eq!(&decoded.columns[0], batch.column(0));
        prop_assert_eq!(&decoded.columns[1], batch.column(1));
        let bits = |column: &ArrayRef| column.as_primitive::<arrow::datatypes::Float64Type>().values().iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&decoded.columns[2]), bits(batch.column(2)));
        prop_assert_eq!(&decoded.columns[3], batch.column(3));
        // And arrow-avro reads what it wrote as the same: the two agree on what was written.
        let reader = arrow_avro::reader::ReaderBuilder::new().build(std::io::Cursor::new(file)).unwrap();
        let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>().unwrap();
        let read = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
        prop_assert_eq!(read.column(0), &decoded.columns[0]);
        prop_assert_eq!(read.column(1), &decoded.columns[1]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Programs and batches give what taking data one by one gives: values, NULLs and verdicts.
    #[test]
    fn as_one_by_one(records in prop::collection::vec(wide(), 1..20), broken in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 0..6)) {
        let mut records = records;
        for (record, at, byte) in broken {
            let record = record.get_mut(&mut records);
            match byte {
                _ if record.is_empty() => {}
                0..8 => record.truncate(at.index(record.len())),
                8..16 => record.push(byte),
                _ => *at.get_mut(record) = byte,
            }
        }
        // More than one batch, too.
        let records: Vec<&[u8]> = records.iter().cycle().take(300).map(Vec::as_slice).collect();
        let schema = WIDE.trim_start_matches("schema: '").trim_end_matches('\'');
        for columns in [WIDE_COLUMNS, ODD_COLUMNS] {
            let table = parse(WIDE, columns).unwrap();
            let (batched, one_by_one) = (decode_with(&table, &records), super::reference::decode(&table, schema, &records));
            prop_assert_eq!(&batched.bad, &one_by_one.bad);
            prop_assert_eq!(&batched.columns, &one_by_one.columns);
        }
    }
}

/// Columns that do not fit what they take, take the same, or lead through unions, arrays and maps.
const ODD_COLUMNS: &str = "  - { name: n, type: tinyint }\n  - { name: again, path: n, type: varchar }\n  - { name: first, path: a/0, type: bigint }\n  - { name: inner, path: a/1/n, type: bigint }
  - { name: e, path: m/k, type: varchar }\n  - { name: d, type: 'decimal(9,3)' }\n  - { name: exact, path: d, type: 'decimal(5,2)' }\n  - { name: t, type: timestamp(s) }\n  - { name: text, path: t, type: varchar }
  - { name: number, path: d, type: double }\n  - { name: m, type: json }\n  - { name: deep, path: a/0/a/0/n, type: integer }\n  - { name: day, path: t, type: date }
  - { name: refused, path: m, type: 'map<varchar, bigint>' }\n  - { name: l, type: array<smallint> }\n  - { name: texts, path: l, type: array<varchar> }\n  - { name: as_text, path: l, type: varchar }\n  - { name: one, path: l/1, type: bigint }\n";

fn number(value: i64) -> Vec<u8> {
    let mut rest = (value << 1 ^ value >> 63) as u64;
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [number(bytes.len() as i64), bytes.to_vec()].concat()
}

/// Data of the schema `WIDE`.
fn wide() -> impl Strategy<Value = Vec<u8>> {
    let optional = prop::option::of(any::<i64>()).prop_map(|value| value.map_or(vec![0], |value| [vec![2], number(value)].concat()));
    let leaf = (
        optional,
        prop::collection::vec(prop::option::of(".{0,5}"), 0..3),
        prop::collection::vec(("[kl]", 0..2_u8), 0..3),
        prop::collection::vec(any::<u8>(), 0..20),
        any::<i64>(),
        0..3_i64,
        prop::option::of(prop::collection::vec(
            prop_oneof![any::<i64>().prop_map(Ok), "[0-9x]{0,3}".prop_map(Err)],
            0..4,
        )),
    )
        .prop_map(|(n, a, m, d, t, z, l)| {
            let items: Vec<u8> = a
                .iter()
                .flat_map(|item| item.as_ref().map_or(vec![0], |text| [vec![2], sized(text.as_bytes())].concat()))
                .collect();
            let entries: Vec<u8> = m
                .iter()
                .flat_map(|(key, symbol)| [sized(key.as_bytes()), vec![symbol * 2]].concat())
                .collect();
            let block = |count: usize, data: Vec<u8>| {
                if count == 0 {
                    vec![]
                } else {
                    [number(count as i64), data].concat()
                }
            };
            let list = l.as_ref().map_or(vec![0], |l| {
                let items = l.iter().flat_map(|item| match item {
                    Ok(value) => [vec![0], number(*value)].concat(),
                    Err(text) => [vec![2], sized(text.as_bytes())].concat(),
                });
                [vec![2], block(l.len(), items.collect()), vec![0]].concat()
            });
            let after = [
                block(m.len(), entries),
                vec![0],
                sized(&d),
                number(t),
                block(z as usize, vec![]),
                vec![0],
                list,
            ]
            .concat();
            (n, a.len(), items, after)
        });
    let whole = |n: &[u8], count: usize, items: &[u8], after: &[u8]| match count {
        0 => [n, &[0], after].concat(),
        _ => [n, &number(count as i64), items, &[0], after].concat(),
    };
    (leaf.clone(), prop::option::of(leaf)).prop_map(move |((n, count, items, after), inner)| match inner {
        // The first item is a record like this.
        Some((n2, count2, items2, after2)) => {
            let inner = [vec![4], whole(&n2, count2, &items2, &after2)].concat();
            whole(&n, count + 1, &[inner, items].concat(), &after)
        }
        None => whole(&n, count, &items, &after),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// The generator above makes data, or the test with it would be of broken ones alone.
    #[test]
    fn what_is_made_is_whole(record in wide()) {
        let decoded = decode(WIDE, "  - { name: all, path: /, type: json }\n", &[&record]);
        prop_assert_eq!(decoded.bad, vec![]);
    }
}
