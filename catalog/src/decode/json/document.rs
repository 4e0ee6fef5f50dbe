//! One document at a time: bad records, objects in scalar columns, whole documents, and paths that run through each other.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::checked;
use super::projection::PathTree;
use super::scan::{Items, next_key, past_blanks, value_end};
use super::value::{Found, unquoted};

/// Finds the columns of a tree in a payload and puts them in their places. The error is the reason why the payload is no document.
pub(super) fn find<'a>(payload: &'a [u8], tree: &PathTree, found: &mut [Found<'a>]) -> Result<(), String> {
    if checked::find(payload, tree, found).is_some() {
        return Ok(());
    }
    found.fill(Found::Nothing);
    find_carefully(payload, tree, found)
}

/// The same with serde_json, which reads all that is JSON and says what is not.
pub(super) fn find_carefully<'a>(payload: &'a [u8], tree: &PathTree, found: &mut [Found<'a>]) -> Result<(), String> {
    if tree.columns.is_empty() && payload.trim_ascii_start().starts_with(b"{") {
        // What is not asked for is checked and passed over at once.
        let mut values = vec![None; tree.children.len()];
        let mut deserializer = serde_json::Deserializer::from_str(text(payload)?);
        let fields = Fields {
            children: &tree.children,
            values: &mut values,
        };
        deserializer
            .deserialize_map(fields)
            .and_then(|()| deserializer.end())
            .map_err(|error| reason(&error))?;
        for (child, value) in tree.children.iter().zip(values) {
            if let Some(value) = value {
                walk(value.get(), child, found);
            }
        }
        return Ok(());
    }
    walk(document(payload)?, tree, found);
    Ok(())
}

/// Picks the wanted fields of one object; the last of several of one name wins.
struct Fields<'t, 'v, 'a> {
    children: &'t [PathTree],
    values: &'v mut [Option<&'a RawValue>],
}

impl<'de> Visitor<'de> for Fields<'_, '_, 'de> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        while let Some(index) = access.next_key_seed(Key { children: self.children })? {
            match index {
                Some(index) => self.values[index] = Some(access.next_value()?),
                None => {
                    access.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

struct Key<'t> {
    children: &'t [PathTree],
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        // As bytes, since a key that is no text is only one that nobody asks for.
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_bytes<E: serde::de::Error>(self, key: &[u8]) -> Result<Option<usize>, E> {
        Ok(self.children.iter().position(|child| child.key.as_bytes() == key))
    }
}

/// The one JSON value of a payload, without blanks around.
pub(super) fn document(payload: &[u8]) -> Result<&str, String> {
    if payload.trim_ascii().is_empty() {
        return Err("the record is empty".to_owned());
    }
    let text = text(payload)?;
    Ok(serde_json::from_str::<&RawValue>(text).map_err(|error| reason(&error))?.get())
}

/// A payload as text.
pub(super) fn text(payload: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(payload).map_err(|error| format!("not valid UTF-8 at byte {}", error.valid_up_to()))
}

/// Why a text is not JSON.
pub(super) fn reason(error: &serde_json::Error) -> String {
    format!("not valid JSON: {error}")
}

/// What stands in a value, which is JSON without blanks around, at the places of a tree.
pub(super) fn walk<'a>(raw: &'a str, tree: &PathTree, found: &mut [Found<'a>]) {
    walk_at(raw, 0, tree, found);
}

/// Past the value that begins at `start`.
fn walk_at<'a>(text: &'a str, start: usize, tree: &PathTree, found: &mut [Found<'a>]) -> usize {
    let bytes = text.as_bytes();
    let end = match bytes.get(start) {
        Some(b'{') if !tree.children.is_empty() => {
            let mut at = start + 1;
            while let Some((key, value)) = next_key(text, at) {
                // A key that is no text is no column's.
                let key = unquoted(key);
                let child = key.and_then(|key| tree.children.iter().find(|child| child.key == *key));
                at = match child {
                    Some(child) => {
                        // Of several fields of one name the last counts, with all that is in it.
                        forget(child, found);
                        walk_at(text, value, child, found)
                    }
                    None => value_end(bytes, value),
                };
            }
            past_blanks(bytes, at) + 1
        }
        _ => value_end(bytes, start),
    };
    let end = end.min(bytes.len());
    let raw = text.get(start..end).unwrap_or_default();
    for column in &tree.columns {
        found[column.place] = Found::new(raw, column.takes_json);
    }
    if raw.starts_with('[') {
        for child in &tree.children {
            if let Some(value) = child.index().and_then(|index| Items::of(raw)?.nth(index)) {
                walk_at(value, 0, child, found);
            }
        }
    }
    end
}

/// Nothing is found for the columns of a tree.
pub(super) fn forget(tree: &PathTree, found: &mut [Found<'_>]) {
    for column in &tree.columns {
        found[column.place] = Found::Nothing;
    }
    for child in &tree.children {
        forget(child, found);
    }
}

#[cfg(test)]
mod tests {
    use super::super::projection::Wanted;
    use super::super::value::compact;
    use super::*;

    fn tree(paths: &[&[&str]]) -> PathTree {
        let mut tree = PathTree::default();
        for (column, path) in paths.iter().enumerate() {
            let wanted = Wanted {
                place: column,
                takes_json: false,
            };
            tree.insert(&path.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>(), wanted);
        }
        tree
    }

    fn find<'a>(payload: &'a [u8], tree: &PathTree, columns: usize) -> Result<Vec<Found<'a>>, String> {
        let mut found = vec![Found::Nothing; columns];
        super::find(payload, tree, &mut found).map(|()| found)
    }

    #[test]
    fn finds_scalars_objects_and_the_last_of_equal_keys() {
        let tree = tree(&[&["a"], &["a", "b"], &["c"], &[]]);
        let payload = br#" {"a":{"b":1}, "\u0061": {"b" : "x\ny", "z":[1, "q \" r"]}, "c":1.50} "#;
        let found = find(payload, &tree, 4).unwrap();
        assert_eq!(found[0], Found::Json(r#"{"b" : "x\ny", "z":[1, "q \" r"]}"#.into()));
        assert_eq!(found[1], Found::Scalar("x\ny".into()));
        assert_eq!(found[2], Found::Scalar("1.50".into()));
        let Found::Json(whole) = &found[3] else { panic!("an object") };
        assert_eq!(compact(whole), r#"{"a":{"b":1},"\u0061":{"b":"x\ny","z":[1,"q \" r"]},"c":1.50}"#);
    }

    #[test]
    fn what_is_no_document() {
        let tree = tree(&[&["a"]]);
        for (payload, reason) in [
            (&b""[..], "empty"),
            (b" \n", "empty"),
            (b"{\"a\":\"\xff\"}", "not valid UTF-8 at byte 6"),
            (b"{} {}", "not valid JSON"),
            (b"{\"a\":", "not valid JSON"),
            (b"{\"a\":1,}", "not valid JSON"),
            (b"hello", "not valid JSON"),
        ] {
            assert!(find(payload, &tree, 1).unwrap_err().contains(reason));
        }
        for root in [&b"12"[..], b"[{\"a\":1}]", b"\"a\"", b"null"] {
            assert_eq!(find(root, &tree, 1), Ok(vec![Found::Nothing]));
        }
    }
}
