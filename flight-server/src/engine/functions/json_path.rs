//! Paths of Presto's JSON functions, `$.store.book[0]["a title"]`, and what they find in a document.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// One step from a value to a value in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The value of a key of an object.
    Key(String),
    /// The item of an array, counted from 0.
    Item(usize),
}

/// A path, read. The error is a sentence.
pub(super) fn parse(path: &str) -> Result<Vec<Step>, String> {
    let malformed = |what: &str| format!("JSON path `{path}`: {what}");
    let mut rest = path
        .trim()
        .strip_prefix('$')
        .ok_or_else(|| malformed("a path begins with `$`, such as `$.a.b[0]`"))?;
    let mut steps = Vec::new();
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        match first {
            '.' => {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                match &after[..end] {
                    "" => return Err(malformed("`..` and an empty key are not supported; write an empty key as `[\"\"]`")),
                    "*" => return Err(malformed("`*` is not supported: a path leads to one value")),
                    key => steps.push(Step::Key(key.to_owned())),
                }
                rest = &after[end..];
            }
            '[' => {
                let (step, tail) = bracket(after).ok_or_else(|| {
                    malformed("in brackets stands a number from 0 or a key in quotes, such as `[0]` or `[\"a key\"]`; one value, no `*`")
                })?;
                steps.push(step);
                rest = tail;
            }
            other => return Err(malformed(&format!("`{other}` where `.` or `[` was expected"))),
        }
    }
    Ok(steps)
}

/// What stands in brackets, and what follows them.
fn bracket(text: &str) -> Option<(Step, &str)> {
    let text = text.trim_start();
    if let Some(quote) = text.chars().next().filter(|c| *c == '"' || *c == '\'') {
        let mut key = String::new();
        let mut chars = text[1..].char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => key.push(chars.next()?.1),
                c if c == quote => {
                    let tail = text[1 + at + 1..].trim_start().strip_prefix(']')?;
                    return Some((Step::Key(key), tail));
                }
                c => key.push(c),
            }
        }
        return None;
    }
    let (number, tail) = text.split_once(']')?;
    let number = number.trim();
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    Some((Step::Item(number.parse().ok().filter(|_| digits)?), tail))
}

/// The document, if the text is one JSON value and nothing else.
pub(super) fn document(text: &str) -> Option<&RawValue> {
    serde_json::from_str(text).ok()
}

/// What a path finds; of several keys of one name the last.
pub(super) fn find<'a>(document: &'a RawValue, steps: &[Step]) -> Option<&'a RawValue> {
    let mut value = document;
    for step in steps {
        let seek = match (step, value.get().as_bytes().first()?) {
            (Step::Key(_), b'{') | (Step::Item(_), b'[') => Seek(step),
            _ => return None,
        };
        value = seek.deserialize(&mut serde_json::Deserializer::from_str(value.get())).ok()??;
    }
    Some(value)
}

/// The items of an array, or the values of an object's keys; `None` for a scalar.
pub(super) fn members(value: &RawValue) -> Option<Vec<&RawValue>> {
    match value.get().as_bytes().first()? {
        b'[' => serde_json::from_str(value.get()).ok(),
        b'{' => {
            let fields: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(value.get()).ok()?;
            Some(fields.into_values().collect())
        }
        _ => None,
    }
}

/// A scalar as text: a string without its quotes, a number or boolean as written. `None`: null, an object or an array.
pub(super) fn scalar(value: &RawValue) -> Option<String> {
    let raw = value.get();
    match raw.as_bytes().first()? {
        b'"' => serde_json::from_str(raw).ok(),
        b'{' | b'[' | b'n' => None,
        _ => Some(raw.to_owned()),
    }
}

/// JSON text without the blanks between its tokens; strings keep their spelling.
pub(super) fn compact(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let (mut in_text, mut escaped) = (false, false);
    for c in raw.chars() {
        if in_text {
            (in_text, escaped) = (escaped || c != '"', c == '\\' && !escaped);
        } else if matches!(c, ' ' | '\t' | '\r' | '\n') {
            continue;
        } else {
            in_text = c == '"';
        }
        out.push(c);
    }
    out
}

/// Takes one step into an object or array.
struct Seek<'s>(&'s Step);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = Option<&'de RawValue>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = Option<&'de RawValue>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let Step::Key(wanted) = self.0 else { return Ok(None) };
        let mut found = None;
        while let Some(is_wanted) = access.next_key_seed(IsKey(wanted))? {
            if is_wanted {
                found = Some(access.next_value()?);
            } else {
                access.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let Step::Item(wanted) = self.0 else { return Ok(None) };
        let (mut found, mut at) = (None, 0);
        while let Some(item) = access.next_element::<&RawValue>()? {
            if at == *wanted {
                found = Some(item);
            }
            at += 1;
        }
        Ok(found)
    }
}

struct IsKey<'s>(&'s str);

impl<'de> DeserializeSeed<'de> for IsKey<'_> {
    type Value = bool;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsKey<'_> {
    type Value = bool;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c.\"\\[ ]{0,2}", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// Every value of a document, with the path that leads to it.
    fn all<'v>(value: &'v Value, path: &str, found: &mut Vec<(String, &'v Value)>) {
        found.push((path.to_owned(), value));
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    all(item, &format!("{path}[{index}]"), found);
                }
            }
            Value::Object(fields) => {
                for (key, field) in fields {
                    let key = key.replace('\\', "\\\\").replace('"', "\\\"");
                    all(field, &format!("{path}[\"{key}\"]"), found);
                }
            }
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn every_value_is_found_by_its_path(document in any_json()) {
            let mut values = Vec::new();
            all(&document, "$", &mut values);
            let text = serde_json::to_string_pretty(&document).expect("JSON");
            for (path, value) in values {
                let raw = found(&text, &path);
                let read: Option<Value> = raw.map(|raw| serde_json::from_str(raw).expect("JSON"));
                prop_assert_eq!(read.as_ref(), Some(value), "{}", path);
                let raw = raw.unwrap_or_default();
                prop_assert_eq!(compact(raw), serde_json::to_string(value).expect("JSON"));
            }
        }

        #[test]
        fn no_text_is_too_much(path in any::<String>(), text in any::<String>()) {
            if let (Ok(steps), Some(document)) = (parse(&path), document(&text)) {
                find(document, &steps);
            }
        }
    }

    fn found<'a>(text: &'a str, path: &str) -> Option<&'a str> {
        Some(find(document(text)?, &parse(path).expect("a path"))?.get())
    }

    #[test]
    fn steps_lead_to_one_value() {
        let text = r#" {"a":{"b c":[1, {"d.e":"x"}]}, "\u0066":null, "":7, "a2":[[0,1]]} "#;
        assert_eq!(found(text, "$.a[\"b c\"][1]['d.e']"), Some("\"x\""));
        assert_eq!(found(text, "$.a.b c[ 0 ]"), Some("1"));
        assert_eq!(found(text, "$.f"), Some("null"));
        assert_eq!(found(text, "$[\"\"]"), Some("7"));
        assert_eq!(found(text, "$.a2[0][1]"), Some("1"));
        for missing in ["$.b", "$.a[0]", "$.a2.x", "$.a2[1]", "$.a2[99999999999]", "$.f.x"] {
            assert_eq!(found(text, missing), None, "{missing}");
        }
        assert_eq!(found(r#"{"a":1,"a":2}"#, "$.a"), Some("2"));
        assert_eq!(found("{\"a\":1} x", "$.a"), None, "not one value");
        assert_eq!(found("[1", "$[0]"), None);
    }

    #[test]
    fn what_is_no_path() {
        for path in [
            "", "a", "$a", "$.", "$..a", "$.*", "$[*]", "$[-1]", "$[+1]", "$[1", "$['a]", "$[a]", "$[]", "$.a b[",
        ] {
            assert!(parse(path).is_err(), "{path}");
        }
        assert_eq!(parse(r#"$["a\"b"]"#), Ok(vec![Step::Key("a\"b".into())]));
        assert_eq!(parse(" $ "), Ok(vec![]));
    }
}
