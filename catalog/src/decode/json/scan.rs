//! What is in a JSON value, found by its brackets, quotes and commas alone. Of text that is JSON the answers are right; of any other text they are some
//! parts of it, never a panic. So that nested values cost one pass of a parser that checks them, and not one for each level.

use memchr::memchr2;

/// Bytes of a string that are looked at one by one: shorter than that a search is not worth its beginning.
const SHORT: usize = 16;

/// Past the string that begins at `at`; the end where it does not end.
#[inline]
pub(super) fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    if let Some(short) = bytes.get(at..).and_then(|rest| rest.first_chunk::<SHORT>()) {
        match short.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
            Some(found) if short[found] == b'"' => return at + found + 1,
            Some(found) => at += found + 2,
            None => at += SHORT,
        }
    }
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

/// Bytes that decide where a value ends.
const STRUCTURAL: [bool; 256] = {
    let mut table = [false; 256];
    table[b'"' as usize] = true;
    table[b'{' as usize] = true;
    table[b'}' as usize] = true;
    table[b'[' as usize] = true;
    table[b']' as usize] = true;
    table
};

/// Past the bracket that closes the one at `at`; the end where none does.
pub(super) fn bracket_end(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(rest) = bytes.get(at..) {
        let Some(next) = rest.iter().position(|byte| STRUCTURAL[usize::from(*byte)]) else {
            break;
        };
        at += next;
        match bytes[at] {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            _ => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
        }
        at += 1;
    }
    bytes.len()
}

/// Past the value that begins at `at`.
#[inline]
pub(super) fn value_end(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(b'"') => string_end(bytes, at),
        Some(b'{' | b'[') => bracket_end(bytes, at),
        Some(_) => {
            let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n');
            bytes[at..].iter().position(ends).map_or(bytes.len(), |length| at + length)
        }
        None => at,
    }
}

#[inline]
pub(super) fn past_blanks(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

/// The members of an object, in order: the key as written, with its quotes, and the value as written.
#[derive(Debug, Clone)]
pub(super) struct Members<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Members<'a> {
    /// `None` if the value is no object.
    pub(super) fn of(text: &'a str) -> Option<Self> {
        let at = past_blanks(text.as_bytes(), 0);
        (text.as_bytes().get(at) == Some(&b'{')).then_some(Self { text, at: at + 1 })
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a str);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (key, at) = next_key(self.text, self.at)?;
        self.at = value_end(self.text.as_bytes(), at);
        Some((key, self.text.get(at..self.at)?))
    }
}

/// The next key of an object, as written, and where its value begins. `at` is past the opening bracket or the value before.
#[inline]
pub(super) fn next_key(text: &str, at: usize) -> Option<(&str, usize)> {
    let bytes = text.as_bytes();
    let mut at = past_blanks(bytes, at);
    if bytes.get(at) == Some(&b',') {
        at = past_blanks(bytes, at + 1);
    }
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let key_end = string_end(bytes, at);
    let key = text.get(at..key_end)?;
    at = past_blanks(bytes, key_end);
    match bytes.get(at) {
        Some(b':') => Some((key, past_blanks(bytes, at + 1))),
        _ => None,
    }
}

/// The elements of an array, in order, as written.
#[derive(Debug, Clone)]
pub(super) struct Items<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Items<'a> {
    /// `None` if the value is no array.
    pub(super) fn of(text: &'a str) -> Option<Self> {
        let at = past_blanks(text.as_bytes(), 0);
        (text.as_bytes().get(at) == Some(&b'[')).then_some(Self { text, at: at + 1 })
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = &'a str;

    #[inline]
    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        let mut at = past_blanks(bytes, self.at);
        if bytes.get(at) == Some(&b',') {
            at = past_blanks(bytes, at + 1);
        }
        if matches!(bytes.get(at), None | Some(b']' | b'}' | b',')) {
            return None;
        }
        self.at = value_end(bytes, at);
        self.text.get(at..self.at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn members_and_items() {
        let members: Vec<_> = Members::of(" {\"a\" : 1 , \"b\\\"\":[1,{\"x\":\"]\"}],\"c\":\"}\" }")
            .unwrap()
            .collect();
        assert_eq!(members, [("\"a\"", "1"), ("\"b\\\"\"", "[1,{\"x\":\"]\"}]"), ("\"c\"", "\"}\"")]);
        let items: Vec<_> = Items::of("[1 , \"a,\\\\\",[],{} ,null]").unwrap().collect();
        assert_eq!(items, ["1", "\"a,\\\\\"", "[]", "{}", "null"]);
        assert!(Items::of("{}").is_none() && Members::of("[]").is_none());
        assert_eq!(Items::of("[ ]").unwrap().count() + Members::of("{ }").unwrap().count(), 0);
    }

    fn value() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,30}".prop_map(Value::from),
        ];
        scalar.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec(("[a-z\"\\\\]{0,20}", inner), 0..6).prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    fn read(text: &str) -> Value {
        if let Some(items) = Items::of(text) {
            return items.map(read).collect::<Vec<_>>().into();
        }
        match Members::of(text) {
            Some(members) => Value::Object(
                members
                    .map(|(key, value)| (serde_json::from_str(key).unwrap(), read(value)))
                    .collect(),
            ),
            None => serde_json::from_str(text).unwrap(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_found_is_what_serde_json_finds(value in value()) {
            prop_assert_eq!(read(&serde_json::to_string(&value).unwrap()), value.clone());
            prop_assert_eq!(read(&serde_json::to_string_pretty(&value).unwrap()), value);
        }

        #[test]
        fn any_text_ends(text in "[\\[\\]{},:\" \\\\a1é]{0,40}") {
            prop_assert!(Items::of(&text).into_iter().flatten().count() <= text.len());
            prop_assert!(Members::of(&text).into_iter().flatten().count() <= text.len());
        }
    }
}
