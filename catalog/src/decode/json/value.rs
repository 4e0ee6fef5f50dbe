//! JSON values as written, and what is in them.

use std::borrow::Cow;
use std::collections::HashMap;

use memchr::memchr;
use serde::de::IgnoredAny;

use super::super::cell::Cell;
use super::scan::{Items, Members};

/// What stands at a place of a document.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::decode) enum Found<'a> {
    /// Missing, or JSON null.
    Nothing,
    /// A scalar: a string unescaped, a number or boolean as written.
    Scalar(Cow<'a, str>),
    /// An object or array, as written; for a column that takes JSON any value but null.
    Json(Cow<'a, str>),
    /// A string whose escapes are no text.
    Broken,
}

/// What is said of a [`Found::Broken`].
pub(in crate::decode) const BROKEN: &str = "a string with broken escapes or control characters";

impl<'a> Found<'a> {
    /// Of a value that is known to be JSON, without blanks around.
    pub(in crate::decode) fn new(raw: &'a str, takes_json: bool) -> Self {
        match raw.as_bytes().first() {
            Some(b'n') | None => Self::Nothing,
            Some(_) if takes_json => Self::Json(Cow::Borrowed(raw)),
            Some(b'"') => unquoted(raw).map_or(Self::Broken, Self::Scalar),
            Some(b'{' | b'[') => Self::Json(Cow::Borrowed(raw)),
            Some(_) => Self::Scalar(Cow::Borrowed(raw)),
        }
    }

    /// The same, of no text.
    pub(super) fn into_owned(self) -> Found<'static> {
        match self {
            Self::Nothing => Found::Nothing,
            Self::Scalar(text) => Found::Scalar(Cow::Owned(text.into_owned())),
            Self::Json(raw) => Found::Json(Cow::Owned(raw.into_owned())),
            Self::Broken => Found::Broken,
        }
    }

    /// The value; `None` if it is broken.
    pub(in crate::decode) fn cell(&self) -> Option<Cell<'_>> {
        match self {
            Self::Nothing => Some(Cell::Null),
            Self::Scalar(text) => Some(Cell::Text(text)),
            Self::Json(raw) => Some(Cell::Json(raw)),
            Self::Broken => None,
        }
    }
}

/// `Cow` alone always deserializes owned.
#[derive(serde::Deserialize)]
struct BorrowedText<'a>(#[serde(borrow)] Cow<'a, str>);

/// Whether a text is one JSON value.
pub(in crate::decode) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// A finite number as JSON writes it.
pub(in crate::decode) fn number(value: f64) -> String {
    serde_json::Number::from_f64(value).map_or_else(|| "null".to_owned(), |number| number.to_string())
}

/// Why a value has no such parts: `None` = it is of another kind.
pub(in crate::decode) type NoParts = Option<String>;

/// The elements of an array, at most so many. The value is JSON.
pub(in crate::decode) fn elements(raw: &str, most: usize) -> Result<Vec<&str>, NoParts> {
    let elements: Vec<&str> = Items::of(raw).ok_or(None)?.take(most.saturating_add(1)).collect();
    match elements.len() > most {
        true => Err(Some(format!("an array of more than {most} elements"))),
        false => Ok(elements),
    }
}

/// The entries of an object, at most so many, in the order of their keys' first places; of several of one key the last counts. The value is JSON.
pub(in crate::decode) fn entries(raw: &str, most: usize) -> Result<Vec<(Cow<'_, str>, &str)>, NoParts> {
    let mut entries: Vec<(Cow<'_, str>, &str)> = Vec::new();
    let mut places: HashMap<Cow<'_, str>, usize> = HashMap::new();
    for (key, value) in Members::of(raw).ok_or(None)? {
        let key = unquoted(key).ok_or_else(|| Some(format!("a key that is {BROKEN}")))?;
        match places.get(&key) {
            Some(place) => entries[*place].1 = value,
            None if entries.len() >= most => return Err(Some(format!("an object of more than {most} fields"))),
            None => {
                places.insert(key.clone(), entries.len());
                entries.push((key, value));
            }
        }
    }
    Ok(entries)
}

/// The fields of those names of an object; the last of several of one name counts. The value is JSON.
pub(in crate::decode) fn fields<'a, N: AsRef<str>>(raw: &'a str, names: &[N]) -> Result<Vec<Option<&'a str>>, NoParts> {
    picked(raw, |key| names.iter().position(|name| name.as_ref() == key), names.len()).ok_or(None)
}

/// Fields of an object that `place` gives a place among `places`; the last of several of one place counts. `None` if the value is no object.
fn picked(raw: &str, place: impl Fn(&str) -> Option<usize>, places: usize) -> Option<Vec<Option<&str>>> {
    let mut values = vec![None; places];
    for (key, value) in Members::of(raw)? {
        // A key that is no text is no column's.
        if let Some(place) = unquoted(key).and_then(|key| place(&key)) {
            values[place] = Some(value);
        }
    }
    Some(values)
}

/// The text of a JSON string.
#[inline]
pub(super) fn unquoted(raw: &str) -> Option<Cow<'_, str>> {
    match raw.get(1..raw.len().saturating_sub(1)) {
        Some(plain) if memchr(b'\\', plain.as_bytes()).is_none() => Some(Cow::Borrowed(plain)),
        Some(escaped) if let Some(text) = unescaped(escaped) => Some(Cow::Owned(text)),
        _ => serde_json::from_str::<BorrowedText<'_>>(raw).ok().map(|BorrowedText(text)| text),
    }
}

/// What stands between the quotes of a JSON string; `None` of one that serde_json has to read: with halves of characters, or broken.
fn unescaped(escaped: &str) -> Option<String> {
    let mut text = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        text.push_str(rest.get(..at)?);
        let mut length = 2;
        text.push(match rest.as_bytes().get(at + 1)? {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => {
                length = 6;
                let digits = rest.get(at + 2..at + 6).filter(|digits| !digits.starts_with('+'))?;
                char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
            }
            byte @ (b'"' | b'\\' | b'/') => char::from(*byte),
            _ => return None,
        });
        rest = rest.get(at + length..)?;
    }
    text.push_str(rest);
    Some(text)
}

/// JSON text without the blanks between its tokens; strings keep their spelling.
pub(crate) fn compact(raw: &str) -> Cow<'_, str> {
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
    use proptest::prelude::*;

    use super::super::scan::string_end;
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Strings are what serde_json says, or broken where it says so.
        #[test]
        fn escapes(pieces in prop::collection::vec(prop::sample::select(vec![
            "a", "é", "\\n", "\\t", "\\r", "\\b", "\\f", "\\/", "\\\\", "\\\"", "\\u0000", "\\u00E9", "\\u+123", "\\ud83d", "\\ude00", "\\uffff", "\\u12", "\\x", "\\"]), 0..8)) {
            let raw = format!("\"{}\"", pieces.concat());
            prop_assume!(string_end(raw.as_bytes(), 0) == raw.len());
            prop_assert_eq!(unquoted(&raw).map(Cow::into_owned), serde_json::from_str::<String>(&raw).ok());
        }
    }
}
