use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use proptest::prelude::*;

use super::super::every_column as decode;
use crate::{Decoded, TableDefinition};

fn table(options: &str, columns: &[(&str, &str)]) -> Arc<TableDefinition> {
    let mut yaml = format!("table: t\nstream: s\nformat: {{ csv: {{ {options} }} }}\ncolumns:\n");
    for (index, (place, column_type)) in columns.iter().enumerate() {
        yaml.push_str(&format!("  - {{ name: c{index}, {place}, type: '{column_type}' }}\n"));
    }
    TableDefinition::from_yaml(&yaml).unwrap()
}

fn texts(decoded: &Decoded, column: usize) -> Vec<Option<&str>> {
    decoded.columns[column].as_string::<i32>().iter().collect()
}

fn bad(decoded: &Decoded) -> Vec<(usize, &str)> {
    decoded.bad.iter().map(|bad| (bad.row, &*bad.error)).collect()
}

#[test]
fn fields_by_index_and_what_is_empty() {
    let table = table("", &[("index: 2", "varchar"), ("index: 0", "bigint"), ("index: 7", "varchar")]);
    let decoded = decode(&table, &[b"1,x,a", b" 2 ,x,", b",x,\"\"\n", b"z,x", b""]);
    assert_eq!(texts(&decoded, 0), [Some("a"), Some(""), Some(""), None]);
    assert_eq!(
        decoded.columns[1].as_primitive::<Int64Type>().iter().collect::<Vec<_>>(),
        [Some(1), Some(2), None, None]
    );
    assert_eq!(texts(&decoded, 2), [None; 4], "a field that is not there");
    assert_eq!(bad(&decoded), [(3, "field 0: \"z\" is not a bigint")]);
    assert_eq!(decoded.records.unwrap().values(), &[0, 1, 2, 3], "an empty record has no line");
}

#[test]
fn lines_fan_out_and_a_bad_one_stays_alone() {
    let table = table("", &[("index: 0", "varchar"), ("index: 1", "bigint")]);
    let decoded = decode(&table, &[b"a,1\r\nb,x\n\n\xff,3\nd,4", b"\n", b"e,\"5\"\nf,\"6\ng,7"]);
    assert_eq!(texts(&decoded, 0), [Some("a"), Some("b"), None, Some("d"), Some("e"), None]);
    assert_eq!(
        bad(&decoded),
        [
            (1, "field 1: \"x\" is not a bigint"),
            (2, "not valid UTF-8"),
            (5, "not valid CSV: a quote is not closed")
        ]
    );
    assert_eq!(decoded.records.unwrap().values(), &[0, 0, 0, 0, 2, 2]);
}

#[test]
fn a_character_cut_by_a_delimiter_is_no_text() {
    let table = table("", &[("index: 0", "varchar"), ("index: 1", "varchar")]);
    let decoded = decode(&table, &[b"\xc3,\xa9"]);
    assert_eq!(texts(&decoded, 0), [None]);
    assert_eq!(
        bad(&decoded),
        [(
            0,
            "field 0: a value of 1 bytes is not a varchar; field 1: a value of 1 bytes is not a varchar"
        )]
    );
}

#[test]
fn delimiters_quotes_escapes_and_null() {
    let two = [("index: 0", "varchar"), ("index: 1", "varchar")];
    for (options, line, expected) in [
        ("delimiter: ';'", "a,b;c", [Some("a,b"), Some("c")]),
        ("delimiter: tab", "a\tb", [Some("a"), Some("b")]),
        ("delimiter: '|', quote: \"'\"", "'a|b'|'c''d'", [Some("a|b"), Some("c'd")]),
        ("escape: '\\'", "\"a\\\"b\",c", [Some("a\"b"), Some("c")]),
        ("quote: none", "\"a,b\"", [Some("\"a"), Some("b\"")]),
        ("null: '\\N'", "\\N,\"\\N\"", [None, None]),
        ("null: ''", ",x", [None, Some("x")]),
        ("trim: true", " a , b\t", [Some("a"), Some("b")]),
        ("comment: '#'", "# not, this\na,b", [Some("a"), Some("b")]),
        ("", "\u{feff}a,b", [Some("a"), Some("b")]),
    ] {
        let decoded = decode(&table(options, &two), &[line.as_bytes()]);
        assert_eq!([texts(&decoded, 0)[0], texts(&decoded, 1)[0]], expected, "{options}");
        assert!(decoded.bad.is_empty() && decoded.records.is_none(), "{options}");
    }
}

#[test]
fn headers_of_each_record() {
    let table = table("header: true", &[("path: b", "bigint"), ("path: a", "varchar")]);
    let decoded = decode(&table, &[b"a,b\nx,1\ny,2", b"b,a\n3,z", b"b,c\n4,q", b"a,b", b"a,b\nw\nv,5,6"]);
    assert_eq!(
        decoded.columns[0].as_primitive::<Int64Type>().iter().collect::<Vec<_>>(),
        [Some(1), Some(2), Some(3), Some(4), None, Some(5)]
    );
    assert_eq!(texts(&decoded, 1), [Some("x"), Some("y"), Some("z"), None, Some("w"), Some("v")]);
    assert_eq!(decoded.records.as_ref().unwrap().values(), &[0, 0, 1, 2, 4, 4]);
    assert_eq!(
        bad(&decoded),
        [
            (4, "the line has 1 fields, its header 2"),
            (5, "the line has 3 fields, its header 2")
        ]
    );
}

#[test]
fn a_header_that_is_broken_is_a_bad_record() {
    let table = table("header: true", &[("path: b", "bigint")]);
    let decoded = decode(&table, &[b"a,b\nx,1", b"\"a,b\nx,2\ny,3", b"a,b\nz,4"]);
    assert_eq!(
        decoded.columns[0].as_primitive::<Int64Type>().iter().collect::<Vec<_>>(),
        [Some(1), None, Some(4)]
    );
    assert_eq!(bad(&decoded), [(1, "header: not valid CSV: a quote is not closed")]);
}

#[test]
fn more_fields_than_any_line_has() {
    let table = table("", &[("index: 0", "varchar")]);
    let long = [&b"a"[..], &vec![b','; 70_000]].concat();
    let decoded = decode(&table, &[&[&long[..], b"\nb"].concat(), b"c"]);
    assert_eq!(texts(&decoded, 0), [None, Some("b"), Some("c")]);
    assert_eq!(bad(&decoded), [(0, "not valid CSV: a line of more than 65536 fields")]);
}

#[test]
fn as_the_presto_connector_reads_it() {
    let text = r#"{"tableName":"t","streamName":"s","message":{"dataFormat":"csv","fields":[
        {"name":"a","mapping":"0","type":"VARCHAR"},{"name":"n","mapping":"3","type":"BIGINT"},{"name":"d","mapping":"1","type":"DOUBLE"}]}}"#;
    let table = TableDefinition::from_presto_json(text, "default").unwrap();
    let decoded = decode(&table, &[b"\"x \\\"y\\\"\",1.5,,7", b",\"\",x,", b"a"]);
    assert_eq!(texts(&decoded, 0), [Some("x \"y\""), None, Some("a")]);
    assert_eq!(
        decoded.columns[1].as_primitive::<Int64Type>().iter().collect::<Vec<_>>(),
        [Some(7), None, None]
    );
    assert!(decoded.bad.is_empty());
}

#[test]
fn many_lines_over_many_chunks() {
    let table = table("", &[("index: 1", "bigint")]);
    let one: String = (0..25_001).map(|line| format!("x,{line}\n")).collect();
    let decoded = decode(&table, &[one.as_bytes(), b"y,1", one.as_bytes()]);
    let values = decoded.columns[0].as_primitive::<Int64Type>();
    assert_eq!(values.len(), 50_003);
    assert_eq!(values.iter().flatten().sum::<i64>(), 25_000 * 25_001 + 1);
    let records = decoded.records.unwrap();
    assert_eq!((records.value(25_000), records.value(25_001), records.value(25_002)), (0, 1, 2));
}

proptest! {
    /// What is written by RFC 4180's rules is read back, whatever stands beside it in the run.
    #[test]
    fn round_trips(lines in prop::collection::vec(prop::collection::vec("[ -~\n\r\té\"]{0,6}", 2..5), 1..6), quoted in any::<bool>()) {
        let wide = [("index: 0", "varchar"), ("index: 1", "varchar"), ("index: 2", "varchar"), ("index: 3", "varchar")];
        let table = table("", &wide);
        let records: Vec<String> = lines.iter().map(|line| {
            let fields: Vec<String> = line.iter().map(|field| match quoted || field.contains(['"', ',', '\n', '\r']) || field.is_empty() {
                true => format!("\"{}\"", field.replace('"', "\"\"")),
                false => field.clone(),
            }).collect();
            fields.join(",")
        }).collect();
        let payloads: Vec<&[u8]> = records.iter().map(|record| record.as_bytes()).collect();
        let decoded = decode(&table, &payloads);
        prop_assert!(decoded.bad.is_empty() && decoded.records.is_none());
        for (column, values) in (0..4).map(|column| (column, texts(&decoded, column))) {
            for (line, value) in lines.iter().zip(values) {
                prop_assert_eq!(line.get(column).map(String::as_str), value);
            }
        }
    }

    #[test]
    fn any_bytes_are_rows_or_bad_rows(records in prop::collection::vec(prop::collection::vec(prop_oneof![Just(b'"'), Just(b','), Just(b'\n'), Just(b'\r'), Just(b'\\'), any::<u8>()], 0..40), 0..6), header in any::<bool>()) {
        let table = table(&format!("header: {header}, escape: '\\'"), &[(if header { "path: a" } else { "index: 1" }, "varchar")]);
        let payloads: Vec<&[u8]> = records.iter().map(|record| &record[..]).collect();
        let together = decode(&table, &payloads);
        let rows: usize = payloads.iter().map(|payload| decode(&table, &[payload]).columns[0].len()).sum();
        prop_assert_eq!(together.columns[0].len(), rows);
    }
}
