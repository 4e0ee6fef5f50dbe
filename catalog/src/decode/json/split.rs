//! The values in a record, and the elements in an array, found by their brackets alone: a value that is broken inside does not hide its neighbours.

use memchr::memchr_iter;

use super::scan::{bracket_end, string_end};

/// A value that may be one, or why there is none.
pub(super) type Piece<'a> = Result<&'a [u8], &'static str>;

/// The values of a payload, one after the other; blanks between them are not needed where brackets or quotes end one.
#[derive(Debug)]
pub(super) struct Values<'a> {
    rest: &'a [u8],
}

impl<'a> Values<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    /// What comes next, without blanks before it.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        self.rest = self.rest.trim_ascii_start();
        self.rest
    }

    /// Leaves out the next bytes.
    pub(super) fn leave_out(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.rest = self.rest.trim_ascii_start();
        let end = match self.rest.first()? {
            b'{' | b'[' => bracket_end(self.rest, 0),
            b'"' => string_end(self.rest, 0),
            _ => self
                .rest
                .iter()
                .skip(1)
                .position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'{' | b'[' | b'"'))
                .map_or(self.rest.len(), |position| position + 1),
        };
        let (value, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(value)
    }
}

/// The lines of a payload that are not blank.
pub(super) fn lines(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    let ends = memchr_iter(b'\n', payload).chain([payload.len()]);
    let lines = ends.filter_map(move |end| payload.get(std::mem::replace(&mut start, end + 1)..end));
    lines.map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
}

/// The elements of an array, at whose bracket the text begins; what follows the array is left alone.
#[derive(Debug)]
pub(super) struct Elements<'a> {
    text: &'a [u8],
    at: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    First,
    Further,
    Closed,
    Torn,
}

impl<'a> Elements<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 1,
            state: State::First,
        }
    }

    /// Past the array, once all elements have been taken; `None` if it is not closed.
    pub(super) fn end(&self) -> Option<usize> {
        (self.state == State::Closed).then_some(self.at)
    }

    fn element(&self, start: usize) -> &'a [u8] {
        self.text.get(start..self.at).unwrap_or_default().trim_ascii()
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let is_first = self.state == State::First;
        if !is_first && self.state != State::Further {
            return None;
        }
        self.state = State::Further;
        let start = self.at;
        while let Some(byte) = self.text.get(self.at) {
            match byte {
                b'"' => {
                    self.at = string_end(self.text, self.at);
                    continue;
                }
                b'{' | b'[' => {
                    self.at = bracket_end(self.text, self.at);
                    continue;
                }
                b']' => {
                    let element = self.element(start);
                    self.at += 1;
                    self.state = State::Closed;
                    return (!is_first || !element.is_empty()).then_some(Ok(element));
                }
                b'}' => break,
                b',' => {
                    let element = self.element(start);
                    self.at += 1;
                    return Some(Ok(element));
                }
                _ => self.at += 1,
            }
        }
        self.state = State::Torn;
        Some(Err("not valid JSON: the array is not closed"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(payload: &str) -> Vec<&str> {
        Values::new(payload.as_bytes())
            .map(|value| std::str::from_utf8(value).unwrap())
            .collect()
    }

    fn elements(array: &str) -> Vec<Result<&str, ()>> {
        Elements::new(array.as_bytes())
            .map(|element| element.map(|element| std::str::from_utf8(element).unwrap()).map_err(drop))
            .collect()
    }

    #[test]
    fn values_one_after_the_other() {
        assert_eq!(values(""), [""; 0]);
        assert_eq!(values(" \n"), [""; 0]);
        assert_eq!(
            values("{}{\"a\":\"}\\\"{\"}\n[1,[2]] 3 true\"x\"null"),
            ["{}", "{\"a\":\"}\\\"{\"}", "[1,[2]]", "3", "true", "\"x\"", "null"]
        );
        assert_eq!(values("{\"a\":1},{\"a\":2}"), ["{\"a\":1}", ",", "{\"a\":2}"], "nothing is dropped");
        assert_eq!(values("{\"a\":[1}"), ["{\"a\":[1}"]);
        assert_eq!(values("} \"x"), ["}", "\"x"]);
    }

    #[test]
    fn elements_of_arrays() {
        assert_eq!(elements("[]"), []);
        assert_eq!(elements("[ \n]"), []);
        assert_eq!(elements("[1, {\"a\":[2,3]} ,\",]\"]"), [Ok("1"), Ok("{\"a\":[2,3]}"), Ok("\",]\"")]);
        assert_eq!(elements("[1,]"), [Ok("1"), Ok("")]);
        assert_eq!(elements("[,1]"), [Ok(""), Ok("1")]);
        assert_eq!(
            elements("[{\"a\":},2]"),
            [Ok("{\"a\":}"), Ok("2")],
            "a broken element hides no other"
        );
        assert_eq!(elements("[1] x"), [Ok("1")]);
        for torn in ["[1,12", "[1,\"x", "[1,{\"a\":1", "[1,2}"] {
            assert_eq!(elements(torn), [Ok("1"), Err(())], "{torn}");
        }
        assert_eq!(elements("["), [Err(())]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_hangs(bytes in prop::collection::vec(prop_oneof![Just(b'['), Just(b']'), Just(b'{'), Just(b'}'), Just(b'"'), Just(b'\\'), Just(b','), any::<u8>()], 0..60)) {
            let kept: Vec<u8> = Values::new(&bytes).flatten().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
            let all: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
            prop_assert_eq!(kept, all);
            prop_assert!(Elements::new(&bytes).count() <= bytes.len() + 1);
        }
    }
}
