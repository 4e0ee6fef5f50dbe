//! An Apache log and the demo's NASA log; totals of them from Python.

use std::collections::{BTreeMap, HashSet};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int64Type, TimestampSecondType};
use catalog::Decoded;
use serde_json::{Value, json};

use super::{data, decode};

const COLUMNS: &str = "columns:
  - { name: host, type: varchar }
  - { name: at, path: time, type: timestamp(s) }
  - { name: status, type: varchar }
  - { name: bytes, type: bigint }
  - { name: method, type: varchar }
  - { name: protocol, type: varchar }
";

fn texts(decoded: &Decoded, column: usize) -> Vec<&str> {
    decoded.columns[column].as_string::<i32>().iter().flatten().collect()
}

fn counts(texts: &[&str]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for text in texts {
        *counts.entry((*text).to_owned()).or_default() += 1;
    }
    counts
}

fn totals(decoded: &Decoded) -> Value {
    let distinct = |column: usize| texts(decoded, column).into_iter().collect::<HashSet<_>>().len();
    let bytes = decoded.columns[3].as_primitive::<Int64Type>();
    let at = decoded.columns[1].as_primitive::<TimestampSecondType>();
    let has_agents = decoded.columns.len() > 6;
    json!({
        "lines": decoded.columns[0].len(),
        "hosts": distinct(0),
        "seconds": at.iter().flatten().sum::<i64>(),
        "status": counts(&texts(decoded, 2)),
        "bytes": bytes.iter().flatten().sum::<i64>(),
        "with_bytes": bytes.len() - bytes.null_count(),
        "methods": counts(&texts(decoded, 4)),
        "with_protocol": texts(decoded, 5).len(),
        "with_referer": if has_agents { texts(decoded, 6).len() } else { 0 },
        "user_agents": if has_agents { distinct(7) } else { 0 },
    })
}

/// Each log with a line a record, and in one record.
fn check(format: &str, columns: &str, log: &[u8], expected: &Value) {
    let definition = format!("table: t\nstream: s\nformat: {format}\n{columns}");
    let lines: Vec<&[u8]> = log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let one_each = decode(&definition, &lines);
    assert_eq!(one_each.bad, []);
    assert!(one_each.records.is_none());
    assert_eq!(totals(&one_each), *expected);
    let together = decode(&definition, &[log]);
    assert_eq!(together.bad, []);
    assert_eq!(together.columns, one_each.columns);
    assert!(together.records.unwrap().values().iter().all(|record| *record == 0));
}

#[test]
fn combined() {
    let expected: Value = serde_json::from_slice(&data("log_lines/expected.json")).unwrap();
    let columns = format!("{COLUMNS}  - {{ name: referer, type: varchar }}\n  - {{ name: agent, path: user_agent, type: varchar }}\n");
    let log = data("log_lines/apache_combined_first2000.log");
    check("combined", &columns, &log, &expected["apache_combined_first2000.log"]);
    // The common format is its beginning.
    let mut beginning = expected["apache_combined_first2000.log"].clone();
    (beginning["with_referer"], beginning["user_agents"]) = (json!(0), json!(0));
    check("clf", COLUMNS, &log, &beginning);
}

#[test]
fn common() {
    let expected: Value = serde_json::from_slice(&data("log_lines/expected.json")).unwrap();
    let log = data("../../../flight-server/demo/nasa_aug01_first20000.log");
    check("clf", COLUMNS, &log, &expected["nasa_aug01_first20000.log"]);
}
