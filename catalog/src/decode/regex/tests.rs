use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, TimestampSecondType};
use proptest::prelude::*;

use super::super::every_column as decode;
use crate::{DefinitionError, TableDefinition};

fn parse(options: &str, columns: &str) -> Result<Arc<TableDefinition>, DefinitionError> {
    TableDefinition::from_yaml(&format!(
        "table: t\nstream: s\nformat:\n  regex: {{ {options} }}\ncolumns:\n{columns}"
    ))
}

fn table(options: &str, columns: &str) -> Arc<TableDefinition> {
    parse(options, columns).unwrap()
}

const COLUMNS: &str = "
  - { name: at, type: timestamp(s) }
  - { name: level, type: varchar }
  - { name: code, type: integer }
  - { name: text, path: message, type: varchar }
";

#[test]
fn groups_are_columns() {
    let table = table(
        r"pattern: '(?<at>\S+) \[(?P<level>[A-Z]+)\](?: code=(?<code>\w+))? (?<message>.*)'",
        COLUMNS,
    );
    let decoded = decode(
        &table,
        &[
            b"2024-07-01T00:00:01Z [INFO] code=7 h\xc3\xa9llo\r\n",
            b"2024-07-01T00:00:02Z [WARN] ",
            b"2024-07-01T00:00:03Z [WARN] code=x7 y",
            b"no match",
            b"x 2024-07-01T00:00:03Z [WARN] not from the start",
            b"2024-07-01T00:00:03Z [WARN] two\nlines",
            b"2024-07-01T00:00:03Z [WARN] \xff",
        ],
    );
    let at: Vec<_> = decoded.columns[0].as_primitive::<TimestampSecondType>().iter().collect();
    assert_eq!(
        at,
        [
            Some(1_719_792_001),
            Some(1_719_792_002),
            Some(1_719_792_003),
            None,
            None,
            None,
            None
        ]
    );
    let codes: Vec<_> = decoded.columns[2].as_primitive::<Int32Type>().iter().collect();
    assert_eq!(codes, [Some(7), None, None, None, None, None, None]);
    let texts: Vec<_> = decoded.columns[3].as_string::<i32>().iter().collect();
    assert_eq!(texts, [Some("héllo"), Some(""), Some("y"), None, None, None, None]);
    let bad: Vec<(usize, &str)> = decoded.bad.iter().map(|bad| (bad.row, &*bad.error)).collect();
    let none = "the text does not match the pattern";
    assert_eq!(
        bad,
        [(2, "code: \"x7\" is not an integer"), (3, none), (4, none), (5, none), (6, none)]
    );
    assert!(decoded.records.is_none());
}

#[test]
fn the_whole_text_matches_and_alternatives_are_tried_for_it() {
    let table = table("pattern: '(?<a>x|xy)'", "  - { name: a, type: varchar }\n");
    let decoded = decode(&table, &[b"x", b"xy", b"xyz"]);
    assert_eq!(
        decoded.columns[0].as_string::<i32>().iter().collect::<Vec<_>>(),
        [Some("x"), Some("xy"), None]
    );
}

#[test]
fn lines_and_bytes() {
    let table = table(
        r"rows: lines, pattern: '(?<k>\w+)=(?<v>(?-u:.)*)'",
        "  - { name: k, type: varchar }\n  - { name: v, type: varbinary }\n  - { name: t, path: v, type: varchar }\n",
    );
    let decoded = decode(&table, &[b"\n", b"a=1\n\nb=\xff\n", b"", b"c"]);
    assert_eq!(decoded.records.as_ref().unwrap().values()[..], [1, 1, 3]);
    assert_eq!(
        decoded.columns[0].as_string::<i32>().iter().collect::<Vec<_>>(),
        [Some("a"), Some("b"), None]
    );
    assert_eq!(
        decoded.columns[1].as_binary::<i32>().iter().collect::<Vec<_>>(),
        [Some(&b"1"[..]), Some(b"\xff"), None]
    );
    assert_eq!(
        decoded.columns[2].as_string::<i32>().iter().collect::<Vec<_>>(),
        [Some("1"), None, None]
    );
    assert_eq!(decoded.bad.iter().map(|bad| bad.row).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn verbose_patterns_may_end_in_a_comment() {
    let table = table(r#"pattern: "(?x) (?<a>\\d+) # digits""#, "  - { name: a, type: integer }\n");
    assert_eq!(decode(&table, &[b"12"]).columns[0].as_primitive::<Int32Type>().value(0), 12);
}

#[test]
fn refused_patterns_and_groups() {
    let column = "  - { name: a, type: varchar }\n";
    for (options, part) in [
        ("pattern: '('", "unclosed group"),
        ("pattern: 'a)(?:b'", "unopened group"),
        (r"pattern: '(?<a>\w{500}){500}'", "size limit"),
        ("pattern: '(?<b>x)'", "no group `a`"),
        ("pattern: '(x)'", "no named group"),
        ("pattern: '(?<ab>x)'", "did you mean `ab`"),
        ("rows: line, pattern: '(?<a>x)'", "did you mean `lines`"),
        ("pattrn: '(?<a>x)'", "did you mean `pattern`"),
    ] {
        let error = parse(options, column).unwrap_err();
        assert!(error.message.contains(part), "{options}: {error}");
        assert!(error.line.is_some());
    }
}

/// A decoder compiles nothing that its definition has compiled.
#[test]
fn compiled_once() {
    let table = table("pattern: '(?<a>x)'", "  - { name: a, type: varchar }\n");
    let crate::Format::Regex(format) = &table.format else { panic!() };
    assert!(Arc::ptr_eq(
        &super::compile(format).unwrap(),
        &super::compile(&format.clone()).unwrap()
    ));
}

proptest! {
    #[test]
    fn any_bytes(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..8)) {
        let table = table(r"rows: lines, pattern: '(?<a>\w*)(?<b>.*)'", "  - { name: a, type: varchar }\n  - { name: b, type: varchar }\n");
        let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let decoded = decode(&table, &records);
        prop_assert_eq!(decoded.columns[0].len(), decoded.columns[1].len());
        let lines = records.iter().flat_map(|record| record.split(|byte| *byte == b'\n')).filter(|line| !line.trim_ascii().is_empty()).count();
        prop_assert_eq!(decoded.columns[0].len(), lines);
    }

    /// What the pattern tells apart comes back.
    #[test]
    fn round_trip(key in "[a-z]{1,8}", value in "[^\n\r]{0,20}") {
        let table = table("pattern: '(?<k>[a-z]+)=(?<v>.*)'", "  - { name: k, type: varchar }\n  - { name: v, type: varchar }\n");
        let decoded = decode(&table, &[format!("{key}={value}").as_bytes()]);
        prop_assert_eq!(decoded.bad, []);
        prop_assert_eq!(decoded.columns[0].as_string::<i32>().value(0), key);
        prop_assert_eq!(decoded.columns[1].as_string::<i32>().value(0), value);
    }
}
