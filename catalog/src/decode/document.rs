//! One document at a time with serde_json: bad records, objects in scalar columns, whole documents, and paths that run through each other.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::projection::PathTree;

/// What a path finds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found<'a> {
    /// Missing, or JSON null.
    Nothing,
    /// A scalar: a string unescaped, a number or boolean as written.
    Scalar(Cow<'a, str>),
    /// An object or array, as written.
    Composite(&'a str),
    /// A string whose escapes are no text.
    Broken,
}

impl<'a> Found<'a> {
    fn new(raw: &'a str) -> Self {
        match raw.as_bytes().first() {
            Some(b'"') => match serde_json::from_str::<BorrowedText<'a>>(raw) {
                Ok(BorrowedText(text)) => Self::Scalar(text),
                Err(_) => Self::Broken,
            },
            Some(b'{' | b'[') => Self::Composite(raw),
            Some(b'n') | None => Self::Nothing,
            Some(_) => Self::Scalar(Cow::Borrowed(raw)),
        }
    }
}

/// `Cow` alone always deserializes owned.
#[derive(serde::Deserialize)]
struct BorrowedText<'a>(#[serde(borrow)] Cow<'a, str>);

/// Finds the columns of a tree in a payload: one entry for each of `columns`. The error is the reason why the payload is no document.
pub(super) fn find<'a>(payload: &'a [u8], tree: &PathTree, columns: usize) -> Result<Vec<Found<'a>>, String> {
    if payload.iter().all(|b| b" \t\r\n".contains(b)) {
        return Err("the record is empty".to_owned());
    }
    let text = std::str::from_utf8(payload).map_err(|error| format!("not valid UTF-8 at byte {}", error.valid_up_to()))?;
    let raw = serde_json::from_str::<&RawValue>(text).map_err(reason)?.get();
    let mut found = vec![Found::Nothing; columns];
    walk(raw, tree, &mut found).map_err(reason)?;
    Ok(found)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn reason(error: serde_json::Error) -> String {
    format!("not valid JSON: {error}")
}

fn walk<'a>(raw: &'a str, tree: &PathTree, found: &mut [Found<'a>]) -> Result<(), serde_json::Error> {
    for column in &tree.columns {
        found[*column] = Found::new(raw);
    }
    if tree.children.is_empty() || !raw.starts_with('{') {
        return Ok(());
    }
    let mut values: Vec<Option<&'a RawValue>> = vec![None; tree.children.len()];
    let fields = Fields {
        children: &tree.children,
        values: &mut values,
    };
    serde_json::Deserializer::from_str(raw).deserialize_map(fields)?;
    for (child, value) in tree.children.iter().zip(values) {
        if let Some(value) = value {
            walk(value.get(), child, found)?;
        }
    }
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
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: Error>(self, key: &str) -> Result<Option<usize>, E> {
        Ok(self.children.iter().position(|child| child.key == key))
    }
}

/// JSON text without the blanks between its tokens; strings keep their spelling.
pub(super) fn compact(raw: &str) -> Cow<'_, str> {
    let blank = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    if !raw.contains(blank) {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    let (mut in_text, mut escaped) = (false, false);
    for c in raw.chars() {
        if in_text {
            (in_text, escaped) = (escaped || c != '"', c == '\\' && !escaped);
        } else if blank(c) {
            continue;
        } else {
            in_text = c == '"';
        }
        out.push(c);
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&[&str]]) -> PathTree {
        let mut tree = PathTree::default();
        for (column, path) in paths.iter().enumerate() {
            tree.insert(&path.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>(), column);
        }
        tree
    }

    #[test]
    fn finds_scalars_objects_and_the_last_of_equal_keys() {
        let tree = tree(&[&["a"], &["a", "b"], &["c"], &[]]);
        let payload = br#" {"a":{"b":1}, "\u0061": {"b" : "x\ny", "z":[1, "q \" r"]}, "c":1.50} "#;
        let found = find(payload, &tree, 4).unwrap();
        assert_eq!(found[0], Found::Composite(r#"{"b" : "x\ny", "z":[1, "q \" r"]}"#));
        assert_eq!(found[1], Found::Scalar("x\ny".into()));
        assert_eq!(found[2], Found::Scalar("1.50".into()));
        let Found::Composite(whole) = found[3] else { panic!("an object") };
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
