use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, Int8Array, Int16Array, Int64Array, StringArray};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMillisecondType};
use proptest::prelude::*;

use super::super::every_column as decode;
use crate::TableDefinition;

fn table(format: &str, columns: &str) -> Arc<TableDefinition> {
    TableDefinition::from_yaml(&format!("table: t\nstream: s\nformat: {format}\ncolumns:\n{columns}")).unwrap()
}

const EVERY: &str = "
  - { name: b, type: tinyint, bytes: '0', encoding: byte }
  - { name: s, type: smallint, bytes: '1', encoding: short }
  - { name: i, type: integer, bytes: '3:7', encoding: int }
  - { name: l, type: bigint, bytes: '7', encoding: long }
  - { name: f, type: real, bytes: '15', encoding: float }
  - { name: d, type: double, bytes: '19:27', encoding: DOUBLE }
  - { name: t, type: varchar, bytes: '27' }
";

/// Packed by Python: struct.pack('>bhiqfd5s', -5, -300, -70000, -5000000000, 1.5, -2.25, b'h\xc3\xa9ya')
const BIG: &[u8] =
    b"\xfb\xfe\xd4\xff\xfe\xee\x90\xff\xff\xff\xfe\xd5\xfa\x0e\x00\x3f\xc0\x00\x00\xc0\x02\x00\x00\x00\x00\x00\x00h\xc3\xa9ya";
/// The same with '<'.
const LITTLE: &[u8] =
    b"\xfb\xd4\xfe\x90\xee\xfe\xff\x00\x0e\xfa\xd5\xfe\xff\xff\xff\x00\x00\xc0\x3f\x00\x00\x00\x00\x00\x00\x02\xc0h\xc3\xa9ya";

#[test]
fn every_encoding_in_both_orders() {
    for (format, record) in [("raw", BIG), ("{ raw: { endian: little } }", LITTLE)] {
        let decoded = decode(&table(format, EVERY), &[record]);
        let expected: Vec<ArrayRef> = vec![
            Arc::new(Int8Array::from(vec![-5])),
            Arc::new(Int16Array::from(vec![-300])),
            Arc::new(arrow::array::Int32Array::from(vec![-70_000])),
            Arc::new(Int64Array::from(vec![-5_000_000_000])),
            Arc::new(Float32Array::from(vec![1.5])),
            Arc::new(Float64Array::from(vec![-2.25])),
            Arc::new(StringArray::from(vec!["héya"])),
        ];
        assert_eq!(decoded.columns, expected, "{format}");
        assert_eq!(decoded.bad, []);
        assert!(decoded.records.is_none());
    }
}

#[test]
fn the_connectors_description_and_its_rules() {
    let table = TableDefinition::from_presto_json(
        r#"{"tableName":"rawt","streamName":"s2","message":{"dataFormat":"raw","fields":[
            {"name":"id","mapping":"0","dataFormat":"LONG","type":"BIGINT"},{"name":"n","mapping":"8:12","dataFormat":"INT","type":"BIGINT"},
            {"name":"flag","mapping":"14","dataFormat":"BYTE","type":"BOOLEAN"},{"name":"txt","mapping":"15","type":"VARCHAR"},
            {"name":"all","type":"VARBINARY"}]}}"#,
        "default",
    )
    .unwrap();
    let full = b"\0\0\0\0\0\0\0\x07\0\0\x01\0\xee\xee\x02tail";
    let decoded = decode(
        &table,
        &[full, b"\0\0\0\0\0\0\0\x08\0\0\x01", b"", b"\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0"],
    );
    let longs = |column: usize| decoded.columns[column].as_primitive::<Int64Type>().iter().collect::<Vec<_>>();
    assert_eq!(longs(0), [Some(7), Some(8), None, Some(9)]);
    assert_eq!(longs(1), [Some(256), None, None, Some(0)]);
    assert_eq!(*decoded.columns[2], BooleanArray::from(vec![Some(true), None, None, Some(false)]));
    // text may be empty where the record ends at its start, but a record that ends before that lacks it
    assert_eq!(*decoded.columns[3], StringArray::from(vec![Some("tail"), None, None, Some("")]));
    assert_eq!(decoded.columns[4].as_binary::<i32>().value(0), full);
    let bad: Vec<(usize, &str)> = decoded.bad.iter().map(|bad| (bad.row, &*bad.error)).collect();
    assert_eq!(
        bad,
        [
            (
                1,
                "n: the record has 11 bytes, and not 8:12; flag: the record has 11 bytes, and not 14:15; txt: the record has 11 bytes, and not 15:15"
            ),
            (
                2,
                "id: the record has 0 bytes, and not 0:8; n: the record has 0 bytes, and not 8:12; flag: the record has 0 bytes, and not 14:15; \
                 txt: the record has 0 bytes, and not 15:15"
            ),
        ]
    );
}

#[test]
fn numbers_and_text_convert_by_the_rules_of_their_type() {
    let columns = "
  - { name: small, type: tinyint, bytes: '0', encoding: short }
  - { name: at, type: timestamp(ms), bytes: '2', encoding: long }
  - { name: seconds, type: timestamp(ms), bytes: '10', encoding: int, endian: little, format: seconds-since-epoch }
  - { name: price, type: 'decimal(8,2)', bytes: '14:20', encoding: text }
  - { name: count, type: integer, bytes: '14:17', encoding: text }
  - { name: id, type: uuid, bytes: '20:36' }
  - { name: hex, type: varbinary, bytes: '36:40', format: hex }
";
    let mut record = b"\x01\x00\x00\x00\x01\x8b\xcf\xe5\x68\x00\x04\x03\x02\x01123.45".to_vec();
    record.extend(0..16);
    record.extend(b"00fF");
    let decoded = decode(&table("raw", columns), &[&record]);
    assert!(decoded.columns[0].is_null(0), "256 is no tinyint");
    assert_eq!(decoded.bad.len(), 1);
    assert_eq!(decoded.bad[0].error, "small: 256 is not a tinyint");
    // 0x018bcfe56800 ms, and 0x01020304 s
    assert_eq!(
        decoded.columns[1].as_primitive::<TimestampMillisecondType>().value(0),
        1_700_000_000_000
    );
    assert_eq!(
        decoded.columns[2].as_primitive::<TimestampMillisecondType>().value(0),
        16_909_060_000
    );
    assert_eq!(
        decoded.columns[3].as_primitive::<arrow::datatypes::Decimal128Type>().value(0),
        12_345
    );
    assert_eq!(decoded.columns[4].as_primitive::<Int32Type>().value(0), 123);
    assert_eq!(decoded.columns[6].as_binary::<i32>().value(0), b"\x00\xff");
    assert_eq!(
        decoded.columns[5].as_string::<i32>().value(0),
        "00010203-0405-0607-0809-0a0b0c0d0e0f"
    );
}

#[test]
fn what_cannot_be_read_so_is_refused_in_the_definition() {
    for (column, message) in [
        (
            "{ name: b, type: boolean, bytes: '0', encoding: double }",
            "a boolean is read from an integer",
        ),
        (
            "{ name: b, type: bigint, bytes: '0:4', encoding: long }",
            "4 bytes are too few for what takes 8",
        ),
        (
            "{ name: b, type: varbinary, bytes: '0', encoding: int }",
            "a varbinary is read from bytes",
        ),
        (
            "{ name: b, type: array<bigint>, bytes: '0', encoding: int }",
            "is read from JSON text",
        ),
        ("{ name: b, type: bigint, bytes: '4:4' }", "is not a range of bytes"),
    ] {
        let error = TableDefinition::from_yaml(&format!("table: t\nstream: s\nformat: raw\ncolumns:\n  - {column}\n")).unwrap_err();
        assert!(error.message.contains(message), "{column}: {error}");
        assert_eq!(error.line, Some(5));
    }
}

proptest! {
    #[test]
    fn any_bytes_give_one_row_each(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
        let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let decoded = decode(&table("raw", EVERY), &records);
        for column in &decoded.columns {
            prop_assert_eq!(column.len(), records.len());
        }
        let short: Vec<usize> = records.iter().enumerate().filter(|(_, record)| {
            record.len() < 27 || std::str::from_utf8(&record[27..]).is_err()
        }).map(|(row, _)| row).collect();
        prop_assert_eq!(decoded.bad.iter().map(|bad| bad.row).collect::<Vec<_>>(), short);
    }

    #[test]
    fn numbers_come_back(values in prop::collection::vec((any::<i8>(), any::<i16>(), any::<i32>(), any::<i64>(), any::<f32>(), any::<f64>()), 1..20), little: bool) {
        let records: Vec<Vec<u8>> = values.iter().map(|(b, s, i, l, f, d)| if little {
            [&b.to_le_bytes()[..], &s.to_le_bytes(), &i.to_le_bytes(), &l.to_le_bytes(), &f.to_le_bytes(), &d.to_le_bytes()].concat()
        } else {
            [&b.to_be_bytes()[..], &s.to_be_bytes(), &i.to_be_bytes(), &l.to_be_bytes(), &f.to_be_bytes(), &d.to_be_bytes()].concat()
        }).collect();
        let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let decoded = decode(&table(if little { "{ raw: { endian: little } }" } else { "raw" }, EVERY), &records);
        prop_assert_eq!(decoded.bad, []);
        prop_assert_eq!(decoded.columns[1].as_primitive::<arrow::datatypes::Int16Type>().values().to_vec(), values.iter().map(|v| v.1).collect::<Vec<_>>());
        prop_assert_eq!(decoded.columns[3].as_primitive::<Int64Type>().values().to_vec(), values.iter().map(|v| v.3).collect::<Vec<_>>());
        let doubles = decoded.columns[5].as_primitive::<arrow::datatypes::Float64Type>();
        for (value, (.., expected)) in doubles.values().iter().zip(&values) {
            prop_assert_eq!(value.to_bits(), expected.to_bits());
        }
    }
}
