//! Records that hold no document, or several.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BinaryArray};
use arrow::datatypes::Int64Type;
use proptest::prelude::*;

use crate::{DecodeError, Decoded, Decoder, TableDefinition};

fn table(format: &str, columns: &[(&str, &str)]) -> Arc<TableDefinition> {
    let mut yaml = format!("table: t\nstream: s\nformat: {format}\ncolumns:\n");
    for (index, (path, column_type)) in columns.iter().enumerate() {
        yaml.push_str(&format!("  - {{ name: c{index}, path: '{path}', type: '{column_type}' }}\n"));
    }
    TableDefinition::from_yaml(&yaml).unwrap()
}

fn try_decode(table: &Arc<TableDefinition>, records: &[&[u8]]) -> Result<Decoded, DecodeError> {
    let all: Vec<usize> = (0..table.columns.len()).collect();
    let payloads = BinaryArray::from(records.to_vec());
    let fast = Decoder::new(table, &all).unwrap().decode(&payloads)?;
    let slow = Decoder::slow(table, &all).unwrap().decode(&payloads)?;
    assert_eq!(
        (&fast.columns, &fast.bad, &fast.records),
        (&slow.columns, &slow.bad, &slow.records),
        "both ways agree"
    );
    let rows = fast.records.as_ref().map_or(records.len(), |records| records.len());
    assert!(fast.columns.iter().all(|column| column.len() == rows));
    Ok(fast)
}

fn decode(table: &Arc<TableDefinition>, records: &[&[u8]]) -> Decoded {
    try_decode(table, records).unwrap()
}

fn integers(decoded: &Decoded, column: usize) -> Vec<Option<i64>> {
    decoded.columns[column].as_primitive::<Int64Type>().iter().collect()
}

fn bad(decoded: &Decoded) -> Vec<(usize, &str)> {
    decoded.bad.iter().map(|bad| (bad.row, &*bad.error)).collect()
}

fn origins(decoded: &Decoded) -> Vec<u32> {
    decoded.records.as_ref().unwrap().values().to_vec()
}

#[test]
fn lines_of_which_one_is_broken() {
    let table = table("ndjson", &[("a", "bigint")]);
    let decoded = decode(
        &table,
        &[
            b"{\"a\":1}\n{\"a\":\n\n{\"a\":3}\r\n",
            b"",
            b" \n",
            b"\xff\n{\"a\":\"x\"}",
            b"{\"a\":4}{\"a\":5}",
        ],
    );
    assert_eq!(integers(&decoded, 0), [Some(1), None, Some(3), None, None, None]);
    assert_eq!(origins(&decoded), [0, 0, 0, 3, 3, 4]);
    let rows: Vec<usize> = decoded.bad.iter().map(|bad| bad.row).collect();
    assert_eq!(rows, [1, 3, 4, 5]);
    assert!(decoded.bad[0].error.contains("not valid JSON") && decoded.bad[3].error.contains("trailing"));
    assert_eq!(decoded.bad[2].error, "a: \"x\" is not a bigint");
}

#[test]
fn elements_of_which_one_is_broken() {
    let table = table("{ json: { rows: elements } }", &[("a", "bigint"), ("/", "varchar")]);
    let decoded = decode(
        &table,
        &[
            br#"[{"a":1},{"a":},{"a":3}]"#,
            b"[]",
            br#"{"a":4} [5,[6]]"#,
            br#"[{"a":7},{"a":8"#,
            b"[1,]",
            b"]",
        ],
    );
    assert_eq!(
        integers(&decoded, 0),
        [Some(1), None, Some(3), Some(4), None, None, Some(7), None, None, None, None]
    );
    let texts: Vec<Option<&str>> = decoded.columns[1].as_string::<i32>().iter().collect();
    assert_eq!(texts[3..7], [Some("{\"a\":4}"), Some("5"), Some("[6]"), Some("{\"a\":7}")]);
    assert_eq!(origins(&decoded), [0, 0, 0, 2, 2, 2, 3, 3, 4, 4, 5]);
    assert_eq!(decoded.bad.iter().map(|bad| bad.row).collect::<Vec<_>>(), [1, 7, 9, 10]);
    assert_eq!(decoded.bad[1].error, "not valid JSON: the array is not closed");
}

#[test]
fn one_row_each_needs_no_origins() {
    let table = table("{ json: { rows: values } }", &[("a", "bigint")]);
    let decoded = decode(&table, &[br#"{"a":1}"#, br#" {"a":2} "#]);
    assert!(decoded.records.is_none());
    assert_eq!(integers(&decoded, 0), [Some(1), Some(2)]);
}

#[test]
fn damaged_records_among_others() {
    let yaml = "table: t\nstream: s\nformat: ndjson\ncompression: gzip\ncolumns: [{ name: a, type: bigint }]\n";
    let table = TableDefinition::from_yaml(yaml).unwrap();
    let gzip = |text: &str| {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let decoded = decode(&table, &[&gzip("{\"a\":1}\n{\"a\":2}"), b"junk", &gzip(""), &gzip("{\"a\":3}")]);
    assert_eq!(integers(&decoded, 0), [Some(1), Some(2), None, Some(3)]);
    assert_eq!(origins(&decoded), [0, 0, 1, 3]);
    assert_eq!(decoded.bad.len(), 1);
    assert_eq!(decoded.bad[0].row, 2);
}

#[test]
fn envelopes() {
    let table = table(
        "{ json: { elements_of: a/list } }",
        &[("a/list/n", "bigint"), ("id", "bigint"), ("a/list", "json")],
    );
    let decoded = decode(
        &table,
        &[
            br#"{"id":1,"a":{"list":[{"n":1},{"n":"x"},7]}}"#,
            br#"{"id":2,"a":{"list":[]}}{"id":"y","a":{"list":[{"n":4},{"n":5}]}}"#,
            br#"{"id":3,"a":{}}"#,
            b"{",
            b"",
            br#"{"id":6,"a":{"list":[{"n":6},{"n":7}"#,
        ],
    );
    assert_eq!(integers(&decoded, 0), [Some(1), None, None, Some(4), Some(5), None, None, None]);
    assert_eq!(integers(&decoded, 1), [Some(1), Some(1), Some(1), None, None, None, None, None]);
    let texts: Vec<Option<&str>> = decoded.columns[2].as_string::<i32>().iter().collect();
    assert_eq!(texts[..4], [Some("{\"n\":1}"), Some("{\"n\":\"x\"}"), Some("7"), Some("{\"n\":4}")]);
    assert_eq!(origins(&decoded), [0, 0, 0, 1, 1, 2, 3, 5]);
    let bad = bad(&decoded);
    assert_eq!(
        bad[..4],
        [
            (1, "a/list/n: \"x\" is not a bigint"),
            (3, "id: \"y\" is not a bigint"),
            (4, "id: \"y\" is not a bigint"),
            (5, "a/list: there is no array")
        ]
    );
    assert!(bad[4].1.contains("not valid JSON") && bad[5].1.contains("not valid JSON") && bad.len() == 6);
}

#[test]
fn json_in_messages_of_cloudwatch_logs() {
    let table = table(
        "cloudwatch_logs",
        &[
            ("message/level", "varchar"),
            ("message/n", "bigint"),
            ("logEvents/id", "varchar"),
            ("logGroup", "varchar"),
            ("message", "varchar"),
        ],
    );
    let record = br#"{"messageType":"DATA_MESSAGE","logGroup":"g","logEvents":[{"id":"1","message":"{\"level\":\"warn\",\"n\":3}"},
        {"id":"2","message":"plain"},{"id":"3","message":"{\"level\":"},{"id":"4","message":"{\"n\":\"x\"}"},{"id":"5"}]}"#;
    let decoded = decode(
        &table,
        &[
            record,
            br#"{"messageType":"CONTROL_MESSAGE","logEvents":[{"id":"0","message":"m"}]}"#,
        ],
    );
    let texts = |column: usize| decoded.columns[column].as_string::<i32>().iter().collect::<Vec<_>>();
    assert_eq!(texts(0), [Some("warn"), None, None, None, None]);
    assert_eq!(integers(&decoded, 1), [Some(3), None, None, None, None]);
    assert_eq!(texts(2), [Some("1"), Some("2"), Some("3"), Some("4"), Some("5")]);
    assert_eq!(texts(3), [Some("g"); 5]);
    assert_eq!(texts(4)[1], Some("plain"));
    let rows: Vec<usize> = decoded.bad.iter().map(|bad| bad.row).collect();
    assert_eq!(rows, [2, 3], "{:?}", decoded.bad);
}

#[test]
fn envelopes_in_one_pass_and_by_their_outline() {
    let table = table(
        "{ json: { elements_of: a/list } }",
        &[
            ("a/list/n", "varchar"),
            ("a/list/0", "bigint"),
            ("a/x", "varchar"),
            ("a", "json"),
            ("/", "json"),
            ("a/list", "json"),
        ],
    );
    // Twice the same, the second time with a field that only the outline copes with.
    for extra in ["", r#","z":1}{"a":{"list":[{"n":,}]}"#] {
        let record = |head: &str, tail: &str| {
            format!("{{{head}\"a\" : {{ \"x\":\"y\\n\", \"list\" : [ {{\"n\":\"\\u00e9\"}} , [7], 3 ], \"w\":{{}} }}{tail}{extra}}}")
        };
        let decoded = decode(
            &table,
            &[record("", "").as_bytes(), record("\"a\":{\"list\":[1]},", ",\"b\":[]").as_bytes()],
        );
        let texts = |column: usize| decoded.columns[column].as_string::<i32>().iter().collect::<Vec<_>>();
        let rows: Vec<usize> = (0..6).map(|row| if extra.is_empty() || row < 3 { row } else { row + 1 }).collect();
        let of_rows = |column: usize| rows.iter().map(|row| texts(column)[*row]).collect::<Vec<_>>();
        assert_eq!(of_rows(0), [Some("é"), None, None, Some("é"), None, None], "{:?}", decoded.bad);
        assert_eq!(of_rows(2), [Some("y\n"); 6]);
        assert_eq!(of_rows(5)[..3], [Some(r#"{"n":"\u00e9"}"#), Some("[7]"), Some("3")]);
        assert_eq!(of_rows(3), [Some(r#"{"x":"y\n","list":[{"n":"\u00e9"},[7],3],"w":{}}"#); 6]);
        assert_eq!(
            rows.iter().map(|row| integers(&decoded, 1)[*row]).collect::<Vec<_>>(),
            [None, Some(7), None, None, Some(7), None]
        );
    }
}

#[test]
fn control_messages_among_others_in_a_record() {
    let table = table("cloudwatch_logs", &[("id", "bigint"), ("logGroup", "varchar")]);
    let of = |kind: &str, ids: &str| format!(r#"{{"messageType":"{kind}","logGroup":"{kind}","logEvents":[{ids}]}}"#);
    let record = [
        of("DATA_MESSAGE", r#"{"id":1},{"id":2}"#),
        of("CONTROL_MESSAGE", r#"{"id":"x"},{"id":0}"#),
        of("DATA_MESSAGE", r#"{"id":3}"#),
    ]
    .concat();
    let decoded = decode(
        &table,
        &[record.as_bytes(), of("CONTROL_MESSAGE", "").as_bytes(), record.as_bytes()],
    );
    assert_eq!(integers(&decoded, 0), [1, 2, 3, 1, 2, 3].map(Some));
    assert_eq!(origins(&decoded), [0, 0, 0, 2, 2, 2]);
    assert!(decoded.bad.is_empty(), "{:?}", decoded.bad);
}

#[test]
fn what_fans_out_without_bounds_is_too_large() {
    let wide: Vec<(String, &str)> = (0..40).map(|column| (format!("k{column}"), "bigint")).collect();
    let wide: Vec<(&str, &str)> = wide.iter().map(|(path, column_type)| (&**path, *column_type)).collect();
    let record = format!("[{}1]", "1,".repeat(50_000));
    let all: Vec<usize> = (0..40).collect();
    let mut decoder = Decoder::new(&table("{ json: { rows: elements } }", &wide), &all).unwrap();
    decoder.rows.most_cells = 1 << 20;
    let payloads = BinaryArray::from(vec![record.as_bytes(), b"[]"]);
    assert_eq!(decoder.decode(&payloads).unwrap_err(), DecodeError::TooLarge { records: 2 });
    assert!(decoder.decode(&BinaryArray::from(vec![&b"[1,2]"[..]])).is_ok(), "it can go on");
    let mut rows_alone = Decoder::new(&table("{ json: { rows: elements } }", &wide), &[]).unwrap();
    rows_alone.rows.most_cells = 40_000;
    assert!(rows_alone.decode(&payloads).is_err(), "rows count without columns too");

    let repeated = format!(r#"{{"id":"{}","list":[{}1]}}"#, "x".repeat(1 << 20), "1,".repeat(2000));
    let envelope = table("{ json: { elements_of: list } }", &[("id", "varchar")]);
    let decoded = Decoder::new(&envelope, &[0])
        .unwrap()
        .decode(&BinaryArray::from(vec![repeated.as_bytes()]));
    assert_eq!(decoded.unwrap_err(), DecodeError::TooLarge { records: 1 });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Values give the same rows whether they stand in records of their own, in lines, one after the other or in arrays.
    #[test]
    fn however_they_are_put_together(values in prop::collection::vec("\\{\"a\":(-?[0-9]{1,19}|\"[a-c]\"|null|\\[\"\\]\"\\]|\\{\\})(,\"b\":\"[,\\]\\[ -~&&[^\"\\\\]]{0,4}\")?\\}", 0..12), cut in any::<prop::sample::Index>()) {
        let columns = [("a", "bigint"), ("b", "varchar"), ("/", "json")];
        let alone: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
        let alone = decode(&table("json", &columns), &alone);
        let cut = cut.index(values.len() + 1);
        for (format, separator, open, close) in [("ndjson", "\n", "", ""), ("{ json: { rows: values } }", " ", "", ""), ("{ json: { rows: values } }", "", "", ""), ("{ json: { rows: elements } }", ",", "[", "]")] {
            let records = [&values[..cut], &values[cut..]].map(|values| format!("{open}{}{close}", values.join(separator)));
            let together = decode(&table(format, &columns), &[records[0].as_bytes(), records[1].as_bytes()]);
            prop_assert_eq!(&together.columns, &alone.columns);
            prop_assert_eq!(&together.bad, &alone.bad);
        }
    }

    /// Envelopes that are whole, and not quite, give the same rows in one pass and by their outline.
    #[test]
    fn both_ways_through_envelopes(records in prop::collection::vec(prop::collection::vec(prop::sample::select(vec![
        "{\"a\":{\"list\":[", "]}}", "]},\"id\":\"g\"}", "],\"list\":[", "{\"n\":1}", "{\"n\":\"\\n\",\"m\":[{}]}", "{\"\\u006e\":2,\"n\":{}}", ",", ",", " ", "7", "{\"id\":4,\"a\":{\"list\":[],\"x\":\"\\ud800\"}}",
        "{\"a\":{\"list\":[{\"n\":1},{\"n\":2}]},\"id\":1}", "\u{e9}", "{\"id\":2,\"a\":{\"x\":null,\"list\":[[],3]}}", "{\"n\":1,}", "\"a\":5", "\"list\":"]), 0..12), 0..4),
        format in prop::sample::select(vec!["{ json: { elements_of: a/list } }", "{ json: { rows: elements } }", "{ json: { rows: values } }", "ndjson"])) {
        let table = table(format, &[("a/list/n", "bigint"), ("a/list/m", "array<row<n bigint>>"), ("id", "varchar"), ("a/x", "varchar"), ("n", "bigint")]);
        let records: Vec<String> = records.iter().map(|pieces| pieces.concat()).collect();
        let payloads: Vec<&[u8]> = records.iter().map(|record| record.as_bytes()).collect();
        decode(&table, &payloads);
    }

    #[test]
    fn any_bytes_are_rows_or_bad_rows(records in prop::collection::vec(prop::collection::vec(prop_oneof![
        Just(b'['), Just(b']'), Just(b'{'), Just(b'}'), Just(b'"'), Just(b','), Just(b':'), Just(b'1'), Just(b'a'), Just(b'\n'), any::<u8>()], 0..30), 0..5),
        format in prop::sample::select(vec!["ndjson", "{ json: { rows: values } }", "{ json: { rows: elements } }", "{ json: { elements_of: a } }", "cloudwatch_logs", "cloudevents"])) {
        let table = table(format, &[("a", "bigint"), ("message/a", "varchar"), ("b/0", "array<varchar>")]);
        let payloads: Vec<&[u8]> = records.iter().map(|record| &record[..]).collect();
        let together = decode(&table, &payloads);
        let mut rows = 0;
        for (record, payload) in payloads.iter().enumerate() {
            let alone = decode(&table, &[payload]);
            let count = alone.columns[0].len();
            for (column, lone) in together.columns.iter().zip(&alone.columns) {
                prop_assert_eq!(&column.slice(rows, count), lone, "neighbours change nothing");
            }
            if let Some(origins) = &together.records {
                prop_assert!(origins.values()[rows..rows + count].iter().all(|origin| *origin == record as u32));
            }
            rows += count;
        }
        prop_assert_eq!(together.columns[0].len(), rows);
    }
}
