use arrow::array::{
    AsArray, BooleanArray, Date32Array, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, StringArray,
    TimestampMillisecondArray,
};
use arrow::datatypes::Int64Type;
use proptest::prelude::*;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray};

use crate::{BadRecord, Decoded, Decoder, TableDefinition};

/// A table of columns `name path type`, the name also the pattern's where there is one.
fn table(columns: &[(&str, &str, &str)]) -> Arc<TableDefinition> {
    let mut yaml = "table: t\nstream: s\ncolumns:\n".to_owned();
    for (name, path, column_type) in columns {
        yaml.push_str(&format!("  - {{ name: {name}, path: '{path}', type: '{column_type}' }}\n"));
    }
    if columns.is_empty() {
        yaml.push_str("  []\n");
    }
    TableDefinition::from_yaml(&yaml).unwrap()
}

fn decoder(table: &Arc<TableDefinition>) -> Decoder {
    Decoder::new(table, &(0..table.columns.len()).collect::<Vec<_>>()).unwrap()
}

fn decode(table: &Arc<TableDefinition>, payloads: &[&[u8]]) -> Decoded {
    let fast = decoder(table).decode(&BinaryArray::from(payloads.to_vec())).unwrap();
    let mut slow = Decoder::slow(table, &(0..table.columns.len()).collect::<Vec<_>>()).unwrap();
    let slow = slow.decode(&BinaryArray::from(payloads.to_vec())).unwrap();
    assert_eq!(fast.columns, slow.columns, "both ways agree");
    assert_eq!(fast.bad, slow.bad, "both ways agree");
    assert!(fast.columns.iter().all(|column| column.len() == payloads.len()));
    fast
}

fn bad(row: usize, error: &str) -> BadRecord {
    BadRecord {
        row,
        error: error.to_owned(),
    }
}

#[test]
fn scalars_of_every_type() {
    let table = table(&[
        ("b", "v", "boolean"),
        ("t", "v", "tinyint"),
        ("s", "v", "smallint"),
        ("i", "v", "integer"),
        ("l", "v", "bigint"),
        ("r", "v", "real"),
        ("d", "v", "double"),
        ("c", "v", "varchar"),
        ("day", "v", "date"),
        ("at", "v", "timestamp"),
    ]);
    let payloads: [&[u8]; 7] = [
        br#"{"v":12}"#,
        br#"{"v":"300"}"#,
        br#"{"v":1.5}"#,
        br#"{"v":"TRUE"}"#,
        br#"{"v":false}"#,
        br#"{"v":"2001-02-03"}"#,
        br#"{"v":null}"#,
    ];
    let decoded = decode(&table, &payloads);
    let expected: [ArrayRef; 10] = [
        Arc::new(BooleanArray::from(vec![None, None, None, Some(true), Some(false), None, None])),
        Arc::new(Int8Array::from(vec![Some(12), None, None, None, None, None, None])),
        Arc::new(Int16Array::from(vec![Some(12), Some(300), None, None, None, None, None])),
        Arc::new(Int32Array::from(vec![Some(12), Some(300), None, None, None, None, None])),
        Arc::new(Int64Array::from(vec![Some(12), Some(300), None, None, None, None, None])),
        Arc::new(Float32Array::from(vec![Some(12.0), Some(300.0), Some(1.5), None, None, None, None])),
        Arc::new(Float64Array::from(vec![Some(12.0), Some(300.0), Some(1.5), None, None, None, None])),
        Arc::new(StringArray::from(vec![
            Some("12"),
            Some("300"),
            Some("1.5"),
            Some("TRUE"),
            Some("false"),
            Some("2001-02-03"),
            None,
        ])),
        // date -u -d 2001-02-03 +%s is 981158400
        Arc::new(Date32Array::from(vec![
            None,
            None,
            None,
            None,
            None,
            Some(981_158_400 / 86_400),
            None,
        ])),
        Arc::new(TimestampMillisecondArray::from(vec![
            Some(12),
            Some(300),
            None,
            None,
            None,
            Some(981_158_400_000),
            None,
        ])),
    ];
    for (column, expected) in decoded.columns.iter().zip(&expected) {
        assert_eq!(column, expected);
    }
    assert_eq!(decoded.bad.len(), 6, "all but the null");
    assert_eq!(decoded.bad[0], bad(0, "v: 12 is not a boolean; v: 12 is not a date"));
    assert_eq!(
        decoded.bad[1].error,
        "v: \"300\" is not a boolean; v: \"300\" is not a tinyint; v: \"300\" is not a date".replace("\"300\"", "300")
    );
}

#[test]
fn undecodable_records_are_rows_of_nulls() {
    let table = table(&[("a", "a", "bigint"), ("c", "c", "varchar")]);
    let good: &[u8] = br#"{"a":1,"c":"x"}"#;
    let payloads: [&[u8]; 9] = [
        good,
        b"",
        good,
        br#"{"a":1}{"a":2}"#,
        b"{\"a\":1",
        b"hello",
        b"{\"a\":1,\"c\":\"\xff\"}",
        br#"{"a":1} x"#,
        good,
    ];
    let decoded = decode(&table, &payloads);
    let a: Vec<Option<i64>> = decoded.columns[0].as_primitive::<Int64Type>().iter().collect();
    assert_eq!(a, [Some(1), None, Some(1), None, None, None, None, None, Some(1)]);
    assert_eq!(decoded.bad.iter().map(|bad| bad.row).collect::<Vec<_>>(), [1, 3, 4, 5, 6, 7]);
    assert_eq!(decoded.bad[0].error, "the record is empty");
    assert!(
        decoded.bad[1].error.contains("not valid JSON: trailing characters"),
        "{:?}",
        decoded.bad
    );
    assert_eq!(decoded.bad[4].error, "not valid UTF-8 at byte 12");
    let nothing = decode(&self::table(&[]), &payloads);
    assert_eq!(nothing.bad.len(), 6, "with no columns records are still judged");
}

#[test]
fn only_the_field_that_does_not_convert_is_null() {
    let table = table(&[("code", "code", "bigint"), ("c", "c", "varchar"), ("n", "o/n", "integer")]);
    let decoded = decode(
        &table,
        &[
            br#"{"code":"abc","c":"x","o":{"n":1.5}}"#,
            br#"{"code":[1,2],"c":{"k" : [ 1 , "a b" ]},"o":{"n":7}}"#,
            br#"{"code":{},"c":true,"o":3}"#,
            br#"{"code":9223372036854775808,"c":1.50,"o":null}"#,
        ],
    );
    let c: Vec<Option<&str>> = decoded.columns[1].as_string::<i32>().iter().collect();
    assert_eq!(c, [Some("x"), Some(r#"{"k":[1,"a b"]}"#), Some("true"), Some("1.50")]);
    assert_eq!(
        decoded.bad,
        [
            bad(0, "code: \"abc\" is not a bigint; o/n: 1.5 is not an integer"),
            bad(1, "code: an array is not a bigint"),
            bad(2, "code: an object is not a bigint"),
            bad(3, "code: 9223372036854775808 is not a bigint"),
        ]
    );
    assert_eq!(
        decoded.columns[2].as_ref(),
        &Int32Array::from(vec![None, Some(7), None, None]) as &dyn Array
    );
}

#[test]
fn what_is_said_of_a_row_is_in_the_order_of_columns() {
    let table = table(&[("first", "a", "bigint"), ("other", "b", "bigint"), ("again", "a", "boolean")]);
    let decoded = decode(&table, &[br#"{"a":"x","b":"y"}"#]);
    assert_eq!(
        decoded.bad,
        [bad(
            0,
            "a: \"x\" is not a bigint; b: \"y\" is not a bigint; a: \"x\" is not a boolean"
        )]
    );
}

#[test]
fn documents_and_paths_through_each_other() {
    let table = table(&[
        ("doc", "/", "varchar"),
        ("a", "a", "varchar"),
        ("b", "a/b", "bigint"),
        ("again", "a/b", "varchar"),
        ("x", "x", "bigint"),
    ]);
    let decoded = decode(
        &table,
        &[
            br#"{"a": {"b": 1}, "x": 2}"#,
            br#"{"a":"text","x":"y"}"#,
            b"{",
            br#"[1, {"a": 2}]"#,
            br#"{"a":{"b":1},"a":{"c":2}}"#,
            b"12",
            br#""s""#,
        ],
    );
    let text = |column: usize| decoded.columns[column].as_string::<i32>().iter().collect::<Vec<_>>();
    let whole = [
        Some(r#"{"a":{"b":1},"x":2}"#),
        Some(r#"{"a":"text","x":"y"}"#),
        None,
        Some(r#"[1,{"a":2}]"#),
        Some(r#"{"a":{"b":1},"a":{"c":2}}"#),
        Some("12"),
        Some("s"),
    ];
    assert_eq!(text(0), whole);
    assert_eq!(
        text(1),
        [Some(r#"{"b":1}"#), Some("text"), None, None, Some(r#"{"c":2}"#), None, None]
    );
    assert_eq!(text(3), [Some("1"), None, None, None, None, None, None]);
    assert_eq!(
        decoded.columns[2].as_ref(),
        &Int64Array::from(vec![Some(1), None, None, None, None, None, None]) as &dyn Array
    );
    assert_eq!(decoded.bad.iter().map(|bad| bad.row).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(decoded.bad[0].error, "x: \"y\" is not a bigint");
}

#[test]
fn keys_written_with_escapes_and_nesting_without_end() {
    let table = table(&[("a", "a", "varchar"), ("n", "n", "bigint")]);
    let deep = [b"{\"a\":".as_slice(), &b"[".repeat(200_000), &b"]".repeat(200_000), b"}"].concat();
    let decoded = decode(&table, &[br#"{"\u0061":{"z":1},"n":1}"#, br#"{"\u0061":"v","n":2}"#, &deep]);
    let a = decoded.columns[0].as_string::<i32>();
    assert_eq!((a.value(0), a.value(1), a.value(2).len()), (r#"{"z":1}"#, "v", 400_000));
    assert!(decoded.bad.is_empty(), "{:?}", decoded.bad);
}

#[test]
fn lone_surrogates_spoil_their_field_alone() {
    let table = table(&[("a", "a", "varchar"), ("n", "n", "bigint")]);
    let decoded = decode(&table, &[br#"{"a":"\ud800","n":1}"#, br#"{"z":"\ud800","a":"\ud83d\ude00","n":1}"#]);
    assert_eq!(decoded.bad, [bad(0, "a: a string with broken escapes or control characters")]);
    assert_eq!(
        decoded.columns[0].as_string::<i32>().iter().collect::<Vec<_>>(),
        [None, Some("\u{1f600}")]
    );
    assert_eq!(decoded.columns[1].null_count(), 0);
}

#[test]
fn commas_out_of_place_are_taken_or_refused_whatever_stands_beside() {
    let table = table(&[("a", "a", "bigint"), ("b", "b", "bigint")]);
    let loose: &[u8] = br#"{"a":1,}"#;
    for others in [&[][..], &[b"{".as_slice()], &[br#"{"a":{}}"#.as_slice()], &[b"\xff".as_slice()]] {
        let payloads = [others, &[loose]].concat();
        let decoded = decoder(&table).decode(&BinaryArray::from(payloads)).unwrap();
        let a = decoded.columns[0].as_primitive::<Int64Type>();
        assert_eq!(a.value(a.len() - 1), 1);
        assert!(decoded.bad.iter().all(|bad| bad.row + 1 < a.len()), "{:?}", decoded.bad);
    }
}

#[test]
fn a_null_payload_is_an_empty_record_and_slices_keep_their_rows() {
    let table = table(&[("a", "a", "bigint")]);
    let payloads = BinaryArray::from(vec![Some(br#"{"a":0}"#.as_slice()), Some(br#"{"a":1}"#), None, Some(br#"{"a":3}"#)]).slice(1, 3);
    let decoded = decoder(&table).decode(&payloads).unwrap();
    assert_eq!(
        decoded.columns[0].as_ref(),
        &Int64Array::from(vec![Some(1), None, Some(3)]) as &dyn Array
    );
    assert_eq!(decoded.bad, [bad(1, "the record is empty")]);
}

#[test]
fn columns_in_any_order_of_a_patterned_table_over_many_chunks() {
    let table = TableDefinition::from_yaml(include_str!("../../../tests/data/nasahttp.yaml")).unwrap();
    let rows: Vec<String> = (0..25_000)
        .map(|row| match row % 1000 {
            7 => "junk".to_owned(),
            _ => format!(
                r#"{{"host":"h{row}","timestamp":"01/Aug/1995:00:00:{:02} -0400","code":200,"bytes":{row}}}"#,
                row % 60
            ),
        })
        .collect();
    let mut decoder = Decoder::new(&table, &[4, 1, 0]).unwrap();
    for _ in 0..2 {
        let decoded = decoder
            .decode(&rows.iter().map(|row| Some(row.as_bytes())).collect::<BinaryArray>())
            .unwrap();
        assert_eq!(
            decoded.bad.iter().map(|bad| bad.row).collect::<Vec<_>>(),
            (0..25).map(|thousand| 1000 * thousand + 7).collect::<Vec<_>>()
        );
        let sum: i64 = decoded.columns[0].as_primitive::<Int64Type>().iter().flatten().sum();
        assert_eq!(sum, 25_000 * 24_999 / 2 - (1000 * (24 * 25 / 2) + 25 * 7));
        let at = decoded.columns[1].as_primitive::<arrow::datatypes::TimestampSecondType>();
        assert_eq!((at.value(0), at.value(61), at.is_null(7)), (807_249_600, 807_249_601, true));
        assert_eq!(decoded.columns[2].as_string::<i32>().value(24_999), "h24999");
    }
}

#[test]
fn keys_that_are_no_text_are_nobodys() {
    let table = table(&[("a", "a", "bigint"), ("m", "m", "row<x bigint>")]);
    let decoded = decode(&table, &[br#"{"\ud800":1,"a":2,"m":{"\udfff":0,"x":3}}"#]);
    assert!(decoded.bad.is_empty(), "{:?}", decoded.bad);
    assert_eq!(decoded.columns[0].as_primitive::<Int64Type>().value(0), 2);
    assert_eq!(decoded.columns[1].as_struct().column(0).as_primitive::<Int64Type>().value(0), 3);
}

#[test]
fn array_indexes_and_keys_that_look_like_them() {
    let table = table(&[
        ("x", "a/1/b", "varchar"),
        ("y", "a/01", "varchar"),
        ("z", "a", "json"),
        ("w", "a/18446744073709551616", "bigint"),
    ]);
    let decoded = decode(
        &table,
        &[
            br#"{"a":[0,{"b":"one"}]}"#,
            br#"{"a":{"1":{"b":"key"},"01":"zero"}}"#,
            br#"{"a":[]}"#,
            br#"{"a":"text"}"#,
        ],
    );
    let text = |column: usize| decoded.columns[column].as_string::<i32>().iter().collect::<Vec<_>>();
    assert_eq!(text(0), [Some("one"), Some("key"), None, None]);
    assert_eq!(text(1), [None, Some("zero"), None, None]);
    assert_eq!(text(2)[2..], [Some("[]"), Some("\"text\"")]);
    assert!(decoded.bad.is_empty());
}

#[test]
fn a_column_that_is_not_there() {
    assert!(
        Decoder::new(&table(&[("a", "a", "bigint")]), &[1])
            .unwrap_err()
            .message
            .contains("no column number 1")
    );
}

/// JSON text, often odd, always standard.
fn document() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<i8>().prop_map(|n| n.to_string()),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        "\"([ -!#-\\[\\]-~]|\\\\u00[0-7][0-9a-f]|\\\\[nrtbf/\\\\\"]|\\\\ud83d\\\\ude0[0-9]){0,8}\"",
        Just("\"true\"".to_owned()),
        Just("\"\"".to_owned()),
        "\"-?[0-9]{1,20}(\\.0)?\"",
        "\"20[0-9]{2}-[01][0-9]-[0-3][0-9]([T ][0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])?)?\"",
    ];
    let blank = "[ \n\t\r]{0,2}";
    scalar.prop_recursive(4, 24, 5, move |value| {
        let key = prop_oneof!["a", "b", "c", "\\\\u0061", "long key", "é"];
        let object = prop::collection::vec((blank, key, blank, value.clone()), 0..5).prop_map(|fields| {
            let fields: Vec<String> = fields
                .into_iter()
                .map(|(left, key, right, value)| format!("{left}\"{key}\"{right}:{left}{value}{right}"))
                .collect();
            format!("{{{}}}", fields.join(","))
        });
        let list = (blank, prop::collection::vec(value, 0..4)).prop_map(|(blank, items)| format!("[{blank}{}]", items.join(",")));
        prop_oneof![4 => object, 1 => list]
    })
}

fn odd_table() -> Arc<TableDefinition> {
    table(&[
        ("c1", "a", "bigint"),
        ("c2", "b", "varchar"),
        ("c3", "c/a", "double"),
        ("c4", "c/b", "boolean"),
        ("c5", "c/a/b", "varchar"),
        ("c6", "é", "timestamp(us)"),
        ("c7", "long key", "date"),
        ("c8", "b", "tinyint"),
        ("c9", "c/c/a", "real"),
        ("c10", "/", "varchar"),
        ("c11", "a", "json"),
        ("c12", "c", "map<varchar, varchar>"),
        ("c13", "b", "array<bigint>"),
        ("c14", "c/a", "row<a bigint, b json>"),
        ("c15", "a/0/b", "varchar"),
        ("c16", "b", "decimal(20,3)"),
        ("c17", "c/b/1", "bigint"),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Fast and slow way give the same rows and the same verdicts.
    #[test]
    fn both_ways_agree(documents in prop::collection::vec(document(), 1..12), columns in prop::sample::subsequence((0..17).collect::<Vec<usize>>(), 0..=17)) {
        let table = odd_table();
        let payloads: BinaryArray = documents.iter().map(|text| Some(text.as_bytes())).collect();
        let fast = Decoder::new(&table, &columns).unwrap().decode(&payloads).unwrap();
        let mut slow = Decoder::slow(&table, &columns).unwrap();
        let slow = slow.decode(&payloads).unwrap();
        prop_assert_eq!(&fast.columns, &slow.columns);
        prop_assert_eq!(&fast.bad, &slow.bad);
    }

    /// What a record decodes to depends on no other record.
    #[test]
    fn neighbours_change_nothing(documents in prop::collection::vec(document(), 1..8), junk in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..20)), 0..8),
                                 cut in any::<prop::sample::Index>()) {
        let table = odd_table();
        let alone: Vec<Decoded> = documents.iter().map(|text| decoder(&table).decode(&BinaryArray::from(vec![text.as_bytes()])).unwrap()).collect();
        let mut rows: Vec<(Vec<u8>, Option<usize>)> = documents.iter().enumerate().map(|(row, text)| (text.clone().into_bytes(), Some(row))).collect();
        for (at, bytes) in junk {
            rows.insert(at.index(rows.len() + 1), (bytes, None));
        }
        let torn = documents[0].as_bytes()[..cut.index(documents[0].len())].to_vec();
        rows.insert(cut.index(rows.len() + 1), (torn, None));
        let together = decoder(&table).decode(&rows.iter().map(|(bytes, _)| Some(bytes)).collect::<BinaryArray>()).unwrap();
        for (row, (_, document)) in rows.iter().enumerate() {
            let Some(document) = document else { continue };
            for (column, lone) in together.columns.iter().zip(&alone[*document].columns) {
                prop_assert_eq!(&column.slice(row, 1), lone);
            }
            let verdict = together.bad.iter().find(|bad| bad.row == row).map(|bad| &bad.error);
            prop_assert_eq!(verdict, alone[*document].bad.first().map(|bad| &bad.error));
        }
    }
}
