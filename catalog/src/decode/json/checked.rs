//! JSON that is checked and looked into in one pass. What is taken here is JSON, and what is found is what serde_json would find; whatever is not taken is for
//! serde_json to judge, which also says what is wrong with it.

use super::document;
use super::projection::PathTree;
use super::scan::{Items, past_blanks};
use super::value::{Found, unquoted};

/// Arrays and objects in each other.
const MOST_DEPTH: u32 = 128;

/// Finds the columns of a tree in a payload, where they are NULL before. `None` if it has to be read in another way; some may have been found then.
pub(super) fn find<'a>(payload: &'a [u8], tree: &PathTree, found: &mut [Found<'a>]) -> Option<()> {
    let text = std::str::from_utf8(payload).ok()?;
    let end = value(text, past_blanks(payload, 0), tree, found)?;
    (past_blanks(payload, end) == payload.len()).then_some(())
}

/// Past the value at `at`, in which columns are found.
pub(super) fn value<'a>(text: &'a str, at: usize, tree: &PathTree, found: &mut [Found<'a>]) -> Option<usize> {
    let bytes = text.as_bytes();
    let first = *bytes.get(at)?;
    let (end, escaped) = match first {
        b'"' => string(bytes, at)?,
        b'{' if !tree.children.is_empty() => (object(text, at, tree, found)?, false),
        _ => (skip(bytes, at)?, false),
    };
    for column in &tree.columns {
        found[column.place] = match first {
            b'"' if !escaped && !column.takes_json => Found::Scalar(text.get(at + 1..end - 1)?.into()),
            _ => Found::new(text.get(at..end)?, column.takes_json),
        };
    }
    if first == b'[' && !tree.children.is_empty() {
        let raw = text.get(at..end)?;
        for child in &tree.children {
            if let Some(item) = child.index().and_then(|index| Items::of(raw)?.nth(index)) {
                document::walk(item, child, found);
            }
        }
    }
    Some(end)
}

fn object<'a>(text: &'a str, at: usize, tree: &PathTree, found: &mut [Found<'a>]) -> Option<usize> {
    // Fields most often stand in the order of those before.
    let mut likely = 0;
    members(text, at, |key, at| match place(&tree.children, key, likely) {
        Some(index) => {
            likely = index + 1;
            field(text, at, &tree.children[index], found)
        }
        None => skip(text.as_bytes(), at),
    })
}

/// Past the value of a field that columns ask for.
pub(super) fn field<'a>(text: &'a str, at: usize, tree: &PathTree, found: &mut [Found<'a>]) -> Option<usize> {
    // Of several fields of one name the last counts, with all that is in it.
    if !tree.children.is_empty() {
        document::forget(tree, found);
    }
    value(text, at, tree, found)
}

/// Past the object at `at`. `each` takes a key and where its value begins, and says where that ends.
#[inline]
pub(super) fn members(text: &str, at: usize, mut each: impl FnMut(&[u8], usize) -> Option<usize>) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = past_blanks(bytes, at + 1);
    if bytes.get(at) == Some(&b'}') {
        return Some(at + 1);
    }
    loop {
        let (key_end, escaped) = key(bytes, at)?;
        let value = past_colon(bytes, key_end)?;
        at = match escaped {
            false => each(bytes.get(at + 1..key_end - 1)?, value)?,
            true => match unquoted(text.get(at..key_end)?) {
                Some(key) => each(key.as_bytes(), value)?,
                // A key that is no text is no column's.
                None => skip(bytes, value)?,
            },
        };
        at = past_blanks(bytes, at);
        match bytes.get(at)? {
            b',' => at = past_blanks(bytes, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

#[inline]
pub(super) fn place(children: &[PathTree], key: &[u8], likely: usize) -> Option<usize> {
    if children.get(likely).is_some_and(|child| child.key.as_bytes() == key) {
        return Some(likely);
    }
    children.iter().position(|child| child.key.as_bytes() == key)
}

#[inline]
fn key(bytes: &[u8], at: usize) -> Option<(usize, bool)> {
    match bytes.get(at) {
        Some(b'"') => string(bytes, at),
        _ => None,
    }
}

#[inline]
fn past_colon(bytes: &[u8], at: usize) -> Option<usize> {
    let at = past_blanks(bytes, at);
    (bytes.get(at) == Some(&b':')).then(|| past_blanks(bytes, at + 1))
}

/// Past the value at `at`, which nobody looks into.
#[inline]
pub(super) fn skip(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'{' | b'[' => parts(bytes, at),
        _ => scalar(bytes, at),
    }
}

#[inline]
fn scalar(bytes: &[u8], at: usize) -> Option<usize> {
    let word = |word: &[u8]| bytes.get(at..)?.starts_with(word).then(|| at + word.len());
    match bytes.get(at)? {
        b'"' => string(bytes, at).map(|(end, _)| end),
        b't' => word(b"true"),
        b'f' => word(b"false"),
        b'n' => word(b"null"),
        _ => number(bytes, at),
    }
}

/// Past the array or object at `at`.
fn parts(bytes: &[u8], mut at: usize) -> Option<usize> {
    // Of each bracket that is open whether it is an object's, the innermost lowest.
    let (mut objects, mut depth) = (0_u128, 0_u32);
    loop {
        let open = *bytes.get(at)?;
        if matches!(open, b'{' | b'[') {
            depth += 1;
            if depth > MOST_DEPTH {
                return None;
            }
            objects = objects << 1 | u128::from(open == b'{');
            at = past_blanks(bytes, at + 1);
            // '[' and '{' are two before ']' and '}'.
            if bytes.get(at) != Some(&(open + 2)) {
                if open == b'{' {
                    at = past_colon(bytes, key(bytes, at)?.0)?;
                }
                continue;
            }
        } else {
            at = past_blanks(bytes, scalar(bytes, at)?);
        }
        // Behind a value, or at the bracket that ends an empty one.
        loop {
            let is_object = objects & 1 == 1;
            match bytes.get(at)? {
                b',' => {
                    at = past_blanks(bytes, at + 1);
                    if is_object {
                        at = past_colon(bytes, key(bytes, at)?.0)?;
                    }
                    break;
                }
                b'}' if is_object => {}
                b']' if !is_object => {}
                _ => return None,
            }
            at += 1;
            objects >>= 1;
            depth -= 1;
            if depth == 0 {
                return Some(at);
            }
            at = past_blanks(bytes, at);
        }
    }
}

/// Past the string at `at`, and whether there are escapes in it.
#[inline]
fn string(bytes: &[u8], at: usize) -> Option<(usize, bool)> {
    let (mut at, mut escaped) = (at + 1, false);
    loop {
        while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            let special = special(u64::from_le_bytes(*eight));
            if special != 0 {
                at += special.trailing_zeros() as usize / 8;
                break;
            }
            at += 8;
        }
        match *bytes.get(at)? {
            b'"' => return Some((at + 1, escaped)),
            b'\\' => (at, escaped) = (past_escape(bytes, at)?, true),
            0..0x20 => return None,
            _ => at += 1,
        }
    }
}

/// Has the highest bit of the first byte that is a quote, a backslash or a control character, and none before.
#[inline]
fn special(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let is_zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let quotes = is_zero(word ^ (ONES * 0x22));
    let backslashes = is_zero(word ^ (ONES * 0x5c));
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    (quotes | backslashes | controls) & (ONES * 0x80)
}

fn past_escape(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 2),
        b'u' => bytes.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit).then_some(at + 6),
        _ => None,
    }
}

#[inline]
fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let digits = |mut at: usize| {
        let first = at;
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        (at > first).then_some(at)
    };
    let first = at + usize::from(bytes.get(at) == Some(&b'-'));
    let mut at = digits(first)?;
    if bytes.get(first) == Some(&b'0') && at > first + 1 {
        return None;
    }
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at = digits(at + 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-'))))?;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    fn is_taken(text: &[u8]) -> bool {
        find(text, &PathTree::default(), &mut []).is_some()
    }

    fn is_json(text: &[u8]) -> bool {
        serde_json::from_slice::<IgnoredAny>(text).is_ok() && std::str::from_utf8(text).is_ok()
    }

    #[test]
    fn what_json_is() {
        for text in [
            "0",
            "-0",
            "-1.50e+10",
            "1E5",
            "true",
            " null ",
            "\"\"",
            "\"\\u00e9\\ud800\\/\"",
            "[]",
            "{ }",
            "[ 1 , [ ] , { } ]",
            "{\"\":{\"a\":[{}]},\"b\":0}",
            "\"exactly8\"",
            "\"1234567\\n9\"",
            "\"\u{7f}é\"",
        ] {
            assert!(is_json(text.as_bytes()) && is_taken(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            " ",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "+1",
            "tru",
            "truex",
            "nul",
            "\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u12\"",
            "\"a\nb\"",
            "\"1234567\t\"",
            "[",
            "[1",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[}",
            "{]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "{1:2}",
            "{\"a\" 1}",
            "1 2",
            "[[]",
            "[]]",
            "NaN",
            "\u{c}1",
        ] {
            assert!(!is_json(text.as_bytes()) && !is_taken(text.as_bytes()), "{text}");
        }
        assert!(!is_taken(b"\"\xff\""));
        let deep = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
        assert!(is_taken(&deep(128)) && !is_taken(&deep(129)) && is_json(&deep(129)));
    }

    #[test]
    fn special_bytes() {
        for byte in 0..=u8::MAX {
            let is_special = byte < 0x20 || byte == b'"' || byte == b'\\';
            for at in 0..8 {
                let mut eight = [b'!', 0x80, 0xff, b'#', 0x7f, b' ', b'[', b']'];
                eight[at] = byte;
                let first = special(u64::from_le_bytes(eight)).trailing_zeros() / 8;
                assert_eq!(first == at as u32, is_special, "{byte} at {at}");
                assert!(first == 8 || is_special);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        /// What serde_json takes is taken, and nothing else.
        #[test]
        fn taken_is_what_serde_json_takes(pieces in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"a\":", "\"", "\\", "\\u00e9", "a", "12345678", "0", "-", ".", "e", "true", "null", " ", "\t", "[]", "{}", "\"x\"", "1,", "é", "\u{1}"]), 0..14)) {
            let text = pieces.concat();
            prop_assert_eq!(is_taken(text.as_bytes()), is_json(text.as_bytes()), "{}", text);
        }

        #[test]
        fn any_bytes_are_taken_or_not(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(is_taken(&bytes), is_json(&bytes));
        }
    }
}
