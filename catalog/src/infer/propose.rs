//! From what was seen to columns and types.

use std::collections::BTreeSet;

use super::instants::PATTERNS;
use super::shape::Shape;
use crate::{ColumnType, HIDDEN_COLUMNS};

/// Fields of a row beyond which it becomes `json`: nobody writes queries over so many.
const MOST_FIELDS: usize = 64;
/// Rows in rows beyond which the rest becomes `json`.
const DEEPEST: usize = 5;
/// 2001 and 2100 in milliseconds since the epoch: integers between are times where the name says so.
const MILLIS: std::ops::Range<i64> = 978_307_200_000..4_102_444_800_000;

/// A proposed column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InferredColumn {
    /// Name in SQL: lower case, so that it needs no quotes.
    pub name: String,
    /// Keys that lead to the field; empty = the whole document. Of a CSV header one name.
    pub path: Vec<String>,
    /// Field of a CSV line without header, from 0.
    pub index: Option<usize>,
    /// Type, as definitions write it.
    pub column_type: String,
    /// Pattern of a timestamp given as text, where it needs one.
    pub format: Option<String>,
    /// The field was null or missing in every record: its type is a guess.
    pub unseen: bool,
}

/// One column for each field of the documents.
pub(super) fn columns(shape: &Shape) -> Vec<InferredColumn> {
    let mut names = BTreeSet::new();
    if shape.objects == 0 {
        let whole = type_of("document", shape, 0);
        return match shape.is_nothing() {
            true => Vec::new(),
            // Documents that are no objects have no fields.
            false => vec![InferredColumn {
                name: "document".to_owned(),
                path: Vec::new(),
                index: None,
                column_type: supported(if whole.0 == "varchar" { whole.0 } else { "json".to_owned() }),
                format: None,
                unseen: false,
            }],
        };
    }
    let columns = shape.fields.iter().map(|(key, field)| {
        let (column_type, format) = type_of(key, field, 0);
        InferredColumn {
            name: name(key, &mut names),
            path: vec![key.clone()],
            index: None,
            column_type,
            format,
            unseen: field.is_nothing(),
        }
    });
    columns.collect()
}

/// The column of a CSV field, which its header names or does not.
pub(super) fn field(index: usize, header: Option<&str>, shape: &Shape, names: &mut BTreeSet<String>) -> InferredColumn {
    let named = header.filter(|name| !name.is_empty());
    let own = named.map_or_else(|| format!("c{}", index + 1), str::to_owned);
    let (column_type, format) = type_of(&own, shape, 0);
    InferredColumn {
        name: name(&own, names),
        path: named.map(str::to_owned).into_iter().collect(),
        index: named.is_none().then_some(index),
        column_type,
        format,
        unseen: shape.is_nothing(),
    }
}

impl Shape {
    fn is_nothing(&self) -> bool {
        self.scalars() == 0 && self.objects == 0 && self.arrays == 0
    }

    fn scalars(&self) -> u64 {
        self.booleans + self.integers + self.large + self.fractions + self.texts
    }
}

/// The type of a field, and the pattern of its texts.
fn type_of(key: &str, shape: &Shape, depth: usize) -> (String, Option<String>) {
    let plain = |column_type: &str| (supported(column_type.to_owned()), None);
    match (shape.scalars(), shape.objects, shape.arrays) {
        (0, 0, 0) => plain("varchar"),
        (_, 0, 0) => scalar(key, shape),
        (0, _, 0) => plain(&object(shape, depth)),
        (0, 0, _) => {
            let element = shape
                .items
                .as_ref()
                .map_or("varchar".to_owned(), |items| nested(key, items, depth + 1));
            plain(&format!("array<{element}>"))
        }
        _ => plain("json"),
    }
}

fn object(shape: &Shape, depth: usize) -> String {
    if shape.fields.is_empty() || depth >= DEEPEST {
        return "json".to_owned();
    }
    if shape.overflow || shape.fields.len() > MOST_FIELDS {
        // So many keys are data rather than names.
        let mut all = Shape::default();
        for (_, field) in &shape.fields {
            all.merge(field);
        }
        return match nested("", &all, depth + 1) {
            value if value == "json" || value.starts_with("row") => "json".to_owned(),
            value => format!("map<varchar, {value}>"),
        };
    }
    let mut lower = BTreeSet::new();
    if !shape
        .fields
        .iter()
        .all(|(key, _)| !key.is_empty() && lower.insert(key.to_lowercase()))
    {
        // A row's fields differ by more than case.
        return "json".to_owned();
    }
    let fields = shape
        .fields
        .iter()
        .map(|(key, field)| format!("{} {}", quoted(key), nested(key, field, depth + 1)));
    format!("row<{}>", fields.collect::<Vec<_>>().join(", "))
}

/// Inside of another type a text has no pattern, so it is a timestamp only if it needs none.
fn nested(key: &str, shape: &Shape, depth: usize) -> String {
    match type_of(key, shape, depth) {
        (column_type, None) => column_type,
        (_, Some(_)) => "varchar".to_owned(),
    }
}

fn scalar(key: &str, shape: &Shape) -> (String, Option<String>) {
    let plain = |column_type: &str| (supported(column_type.to_owned()), None);
    let numbers = shape.integers + shape.large + shape.fractions;
    match (shape.booleans, numbers, shape.texts) {
        (_, 0, 0) => plain("boolean"),
        (0, _, 0) if shape.fractions > 0 => plain("double"),
        // The largest of 64 bits have 20 digits.
        (0, _, 0) if shape.large > 0 => plain("decimal(20,0)"),
        (0, _, 0) => match shape.range {
            Some((least, greatest)) if names_a_time(key) && MILLIS.contains(&least) && MILLIS.contains(&greatest) => plain("timestamp(ms)"),
            _ => plain("bigint"),
        },
        (0, 0, _) => {
            let kinds = shape.text_kinds;
            if kinds.dates {
                return plain("date");
            }
            if kinds.instants {
                return plain(match kinds.digits {
                    0 => "timestamp(s)",
                    1..=3 => "timestamp(ms)",
                    4..=6 => "timestamp(us)",
                    _ => "timestamp(ns)",
                });
            }
            if kinds.uuids {
                return plain("uuid");
            }
            match kinds.patterns.iter().zip(PATTERNS).find(|(all, _)| **all) {
                Some((_, (pattern, _))) => ("timestamp(s)".to_owned(), Some(pattern.to_owned())),
                None => plain("varchar"),
            }
        }
        // Numbers and booleans as they are written.
        _ => plain("varchar"),
    }
}

fn names_a_time(key: &str) -> bool {
    let lower = key.to_lowercase();
    let ends = ["time", "timestamp", "date", "_ts", "_at", "_ms"];
    lower == "ts" || ends.iter().any(|end| lower.ends_with(end)) || key.ends_with("At") || key.ends_with("Ts")
}

/// What cannot be decoded as itself is read as text: objects and arrays as the JSON that they are.
fn supported(column_type: String) -> String {
    match ColumnType::parse(&column_type) {
        Ok(_) => column_type,
        Err(_) => "varchar".to_owned(),
    }
}

/// A field of a row, in quotes where it is no plain word.
fn quoted(key: &str) -> String {
    let plain = key.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match plain {
        true => key.to_owned(),
        false => format!("\"{}\"", key.replace('"', "\"\"")),
    }
}

/// A column's name for a key: lower case, letters, digits and `_`, no other's.
pub(super) fn name(key: &str, taken: &mut BTreeSet<String>) -> String {
    let mut name: String = key
        .to_lowercase()
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '_' })
        .collect();
    if name.chars().next().is_none_or(|first| !first.is_alphabetic() && first != '_') {
        name = format!("c_{name}");
    }
    if HIDDEN_COLUMNS.contains(&name.as_str()) {
        name = format!("c{name}");
    }
    let mut unique = name.clone();
    let mut number = 2;
    while !taken.insert(unique.clone()) {
        unique = format!("{name}_{number}");
        number += 1;
    }
    unique
}
