//! JSON values as written, and what is in them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::super::cell::Cell;

/// What stands at a place of a document.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::decode) enum Found<'a> {
    /// Missing, or JSON null.
    Nothing,
    /// A scalar: a string unescaped, a number or boolean as written.
    Scalar(Cow<'a, str>),
    /// An object or array, as written; for a column that takes JSON any value but null.
    Json(&'a str),
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
            Some(_) if takes_json => Self::Json(raw),
            Some(b'"') => match serde_json::from_str::<BorrowedText<'a>>(raw) {
                Ok(BorrowedText(text)) => Self::Scalar(text),
                Err(_) => Self::Broken,
            },
            Some(b'{' | b'[') => Self::Json(raw),
            Some(_) => Self::Scalar(Cow::Borrowed(raw)),
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

fn broken(error: &serde_json::Error) -> NoParts {
    Some(format!("not valid JSON: {error}"))
}

/// The elements of an array, at most so many.
pub(in crate::decode) fn elements(raw: &str, most: usize) -> Result<Vec<&str>, NoParts> {
    struct All(usize);
    impl<'de> Visitor<'de> for All {
        type Value = Option<Vec<&'de str>>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut elements = Vec::new();
            while let Some(element) = access.next_element::<&'de RawValue>()? {
                if elements.len() >= self.0 {
                    while access.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(None);
                }
                elements.push(element.get());
            }
            Ok(Some(elements))
        }
    }
    if !raw.trim_ascii_start().starts_with('[') {
        return Err(None);
    }
    serde_json::Deserializer::from_str(raw)
        .deserialize_seq(All(most))
        .map_err(|error| broken(&error))?
        .ok_or_else(|| Some(format!("an array of more than {most} elements")))
}

/// One element of an array.
pub(in crate::decode) fn element(raw: &str, index: usize) -> Result<Option<&str>, serde_json::Error> {
    struct At(usize);
    impl<'de> Visitor<'de> for At {
        type Value = Option<&'de str>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            for _ in 0..self.0 {
                if access.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(None);
                }
            }
            let found = access.next_element::<&'de RawValue>()?.map(RawValue::get);
            while access.next_element::<IgnoredAny>()?.is_some() {}
            Ok(found)
        }
    }
    serde_json::Deserializer::from_str(raw).deserialize_seq(At(index))
}

/// The entries of an object, at most so many, in the order of their keys' first places; of several of one key the last counts.
pub(in crate::decode) fn entries(raw: &str, most: usize) -> Result<Vec<(Cow<'_, str>, &str)>, NoParts> {
    struct All(usize);
    impl<'de> Visitor<'de> for All {
        type Value = Option<Vec<(Cow<'de, str>, &'de str)>>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut entries: Vec<(Cow<'de, str>, &'de str)> = Vec::new();
            let mut places: HashMap<Cow<'de, str>, usize> = HashMap::new();
            while let Some((BorrowedText(key), value)) = access.next_entry::<BorrowedText<'de>, &'de RawValue>()? {
                match places.get(&key) {
                    Some(place) => entries[*place].1 = value.get(),
                    None if entries.len() >= self.0 => {
                        while access.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                        return Ok(None);
                    }
                    None => {
                        places.insert(key.clone(), entries.len());
                        entries.push((key, value.get()));
                    }
                }
            }
            Ok(Some(entries))
        }
    }
    if !raw.trim_ascii_start().starts_with('{') {
        return Err(None);
    }
    serde_json::Deserializer::from_str(raw)
        .deserialize_map(All(most))
        .map_err(|error| broken(&error))?
        .ok_or_else(|| Some(format!("an object of more than {most} fields")))
}

/// The fields of those names of an object; the last of several of one name counts.
pub(in crate::decode) fn fields<'a, N: AsRef<str>>(raw: &'a str, names: &[N]) -> Result<Vec<Option<&'a str>>, NoParts> {
    if !raw.trim_ascii_start().starts_with('{') {
        return Err(None);
    }
    picked(raw, |key| names.iter().position(|name| name.as_ref() == key), names.len()).map_err(|error| broken(&error))
}

/// Fields of an object that `place` gives a place among `places`; the last of several of one place counts.
pub(super) fn picked(raw: &str, place: impl Fn(&str) -> Option<usize>, places: usize) -> Result<Vec<Option<&str>>, serde_json::Error> {
    let mut values = vec![None; places];
    serde_json::Deserializer::from_str(raw).deserialize_map(Pick {
        place: &place,
        values: &mut values,
    })?;
    Ok(values)
}

struct Pick<'p, 'v, 'a, P> {
    place: &'p P,
    values: &'v mut [Option<&'a str>],
}

impl<'de, P: Fn(&str) -> Option<usize>> Visitor<'de> for Pick<'_, '_, 'de, P> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        while let Some(place) = access.next_key_seed(Key { place: self.place })? {
            match place {
                Some(place) => self.values[place] = Some(access.next_value::<&RawValue>()?.get()),
                None => {
                    access.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

struct Key<'p, P> {
    place: &'p P,
}

impl<'de, P: Fn(&str) -> Option<usize>> DeserializeSeed<'de> for Key<'_, P> {
    type Value = Option<usize>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<P: Fn(&str) -> Option<usize>> Visitor<'_> for Key<'_, P> {
    type Value = Option<usize>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: Error>(self, key: &str) -> Result<Option<usize>, E> {
        Ok((self.place)(key))
    }
}

/// JSON text without the blanks between its tokens; strings keep their spelling.
pub(in crate::decode) fn compact(raw: &str) -> Cow<'_, str> {
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
