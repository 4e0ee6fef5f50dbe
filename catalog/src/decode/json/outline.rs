//! Where a document ends, and where the array in it lies whose elements are rows: in one pass, since there is little else in such documents.

use std::ops::Range;

use super::scan::{past_blanks, string_end, value_end};
use super::split::Elements;
use super::value::unquoted;

/// Elements that are remembered; if there are more they are found a second time.
const MOST_REMEMBERED: usize = 1 << 20;

/// The outline of an object.
#[derive(Debug, Default)]
pub(super) struct Outline<'a> {
    /// The array, if there is one.
    pub(super) list: Option<Range<usize>>,
    /// Its elements, unless they are too many.
    pub(super) elements: Option<Vec<&'a [u8]>>,
    /// Past the object.
    pub(super) end: usize,
}

impl<'a> Outline<'a> {
    /// Of the object at the beginning of `text`; `None` if its brackets do not close.
    pub(super) fn of(text: &'a [u8], path: &[String]) -> Option<Self> {
        let mut outline = Self::default();
        outline.end = outline.object(text, 0, path)?;
        Some(outline)
    }

    /// Past the object at `at`, in which the rest of the path lies.
    fn object(&mut self, text: &'a [u8], at: usize, path: &[String]) -> Option<usize> {
        let (wanted, rest) = path.split_first()?;
        let mut at = at + 1;
        loop {
            at = past_blanks(text, at);
            if text.get(at) == Some(&b',') {
                at = past_blanks(text, at + 1);
            }
            match text.get(at)? {
                b'}' => return Some(at + 1),
                b'"' => {}
                _ => return None,
            }
            let key_end = string_end(text, at);
            let is_wanted = is_key(text.get(at..key_end)?, wanted);
            at = past_blanks(text, key_end);
            if text.get(at) != Some(&b':') {
                return None;
            }
            at = past_blanks(text, at + 1);
            at = match (is_wanted, text.get(at)?) {
                (true, b'[') if rest.is_empty() => self.array(text, at)?,
                (true, b'{') if !rest.is_empty() => {
                    self.list = None;
                    self.object(text, at, rest)?
                }
                (is_wanted, _) => {
                    // Of several fields of one name the last counts.
                    self.list = self.list.take().filter(|_| !is_wanted);
                    value_end(text, at)
                }
            };
        }
    }

    fn array(&mut self, text: &'a [u8], at: usize) -> Option<usize> {
        let mut elements = Elements::new(text.get(at..)?);
        let mut remembered = Some(Vec::new());
        for element in elements.by_ref() {
            let element = element.ok()?;
            if let Some(list) = &mut remembered {
                list.push(element);
                if list.len() > MOST_REMEMBERED {
                    remembered = None;
                }
            }
        }
        let end = at + elements.end()?;
        (self.list, self.elements) = (Some(at..end), remembered);
        Some(end)
    }
}

/// Whether a key, as written with its quotes, is this one.
fn is_key(raw: &[u8], key: &str) -> bool {
    match raw {
        [b'"', plain @ .., b'"'] if plain == key.as_bytes() && !plain.contains(&b'\\') => true,
        _ if raw.contains(&b'\\') => std::str::from_utf8(raw).is_ok_and(|raw| unquoted(raw).is_some_and(|raw| raw == key)),
        _ => false,
    }
}
