//! Documents that hold an array whose elements are rows; what stands beside the array is repeated on each of them.

use std::ops::Range;

use arrow::error::ArrowError;

use super::super::RowFormat;
use super::super::contents::DecodeError;
use super::super::rows::Rows;
use super::document;
use super::embedded::Embedded;
use super::gathered::{Beside, Gathered};
use super::outline::Outline;
use super::projection::{PathTree, Wanted};
use super::split::{Elements, Values};
use super::value::Found;
use super::waiting::{Elementwise, Waiting};

/// A row for each element of an array in a document.
#[derive(Debug)]
pub(super) struct Envelope {
    elements: Elementwise,
    outer: Outer,
    /// Where the array is.
    list: Vec<String>,
    /// Envelopes of this `messageType` give no rows.
    control: Option<&'static str>,
}

/// What stands beside the array.
#[derive(Debug)]
struct Outer {
    tree: PathTree,
    /// The place, past all columns, of the envelope's `messageType`.
    kind: usize,
    /// Columns that hold the array too.
    holding: Vec<usize>,
}

/// Places and paths of columns, by where their values stand.
#[derive(Debug, Default)]
struct Parts<'a> {
    /// In the elements; paths from there.
    inner: Vec<(usize, &'a [String])>,
    /// Beside the array.
    outer: Vec<(usize, &'a [String])>,
    /// In the JSON that an element's text holds; paths from there.
    embedded: Vec<(usize, &'a [String])>,
}

/// Keys of an event of CloudWatch Logs; all others are the envelope's.
/// (docs.aws.amazon.com/AmazonCloudWatch/latest/logs, "Subscription filters with Kinesis Data Streams")
const EVENT_KEYS: [&str; 4] = ["id", "timestamp", "message", "extractedFields"];
const EVENTS: &str = "logEvents";
const MESSAGE: &str = "message";

impl Envelope {
    /// Paths that begin with the list's lead into its elements.
    pub(super) fn new(list: &[String], columns: &[(usize, &[String])], rows: &Rows, always_slow: bool) -> Result<Self, ArrowError> {
        let mut parts = Parts::default();
        for (place, path) in columns {
            match path.starts_with(list) {
                true => parts.inner.push((*place, &path[list.len()..])),
                false => parts.outer.push((*place, path)),
            }
        }
        Self::of(list, &parts, None, rows, always_slow)
    }

    /// CloudWatch Logs: paths lead into the event or the envelope by their first key, and through `message` into JSON that it holds.
    pub(super) fn of_cloudwatch_logs(columns: &[(usize, &[String])], rows: &Rows, always_slow: bool) -> Result<Self, ArrowError> {
        let mut parts = Parts::default();
        for (place, path) in columns {
            match path.split_first() {
                Some((first, rest)) if first == EVENTS && !rest.is_empty() => match rest.split_first() {
                    Some((key, below)) if key == MESSAGE && !below.is_empty() => parts.embedded.push((*place, below)),
                    _ => parts.inner.push((*place, rest)),
                },
                Some((first, below)) if first == MESSAGE && !below.is_empty() => parts.embedded.push((*place, below)),
                Some((first, _)) if EVENT_KEYS.contains(&&**first) => parts.inner.push((*place, path)),
                _ => parts.outer.push((*place, *path)),
            }
        }
        Self::of(&[EVENTS.to_owned()], &parts, Some("CONTROL_MESSAGE"), rows, always_slow)
    }

    fn of(list: &[String], parts: &Parts<'_>, control: Option<&'static str>, rows: &Rows, always_slow: bool) -> Result<Self, ArrowError> {
        let mut tree = PathTree::default();
        for (place, path) in &parts.outer {
            tree.insert(
                path,
                Wanted {
                    place: *place,
                    takes_json: rows.takes_json(*place),
                },
            );
        }
        if control.is_some() {
            tree.insert(
                &["messageType".to_owned()],
                Wanted {
                    place: rows.width(),
                    takes_json: false,
                },
            );
        }
        let embedded = match &parts.embedded[..] {
            [] => None,
            columns => Some(Embedded::new(&[MESSAGE.to_owned()], columns, rows, always_slow)?),
        };
        let repeated = parts.outer.iter().map(|(place, _)| *place).collect();
        Ok(Self {
            elements: Elementwise::new(&parts.inner, repeated, embedded, rows, always_slow)?,
            outer: Outer {
                tree,
                kind: rows.width(),
                holding: parts
                    .outer
                    .iter()
                    .filter(|(_, path)| list.starts_with(path))
                    .map(|(place, _)| *place)
                    .collect(),
            },
            list: list.to_vec(),
            control,
        })
    }
}

impl RowFormat for Envelope {
    fn decode(&mut self, records: &[&[u8]], rows: &mut Rows) -> Result<(), DecodeError> {
        let mut waiting = Waiting::new(&mut self.elements);
        for record in records {
            let text = std::str::from_utf8(record).ok();
            let mut values = Values::new(record);
            loop {
                let rest = values.rest();
                if rest.is_empty() {
                    break;
                }
                let at = record.len() - rest.len();
                if let Some(text) = text
                    && let Some((count, (end, found))) =
                        waiting.gather(|gathered, tree| self.outer.gather(gathered, text, at, &self.list, tree))
                {
                    values.leave_out(end - at);
                    if self.control.is_some_and(|control| self.outer.is_of_kind(&found, control)) {
                        waiting.take_back(count);
                    } else {
                        waiting.envelope(found);
                        waiting.pushed(count, rows)?;
                    }
                    continue;
                }
                let outline = if rest.starts_with(b"{") {
                    Outline::of(rest, &self.list)
                } else {
                    None
                };
                let Some(outline) = outline else {
                    let value = values.next().unwrap_or_default();
                    let reason = document::document(value).err().unwrap_or_else(|| no_array(&self.list));
                    waiting.push(Err(&reason), rows)?;
                    continue;
                };
                values.leave_out(outline.end);
                let text = rest.get(..outline.end).unwrap_or_default();
                let found = match self.outer.read(text, outline.list.as_ref()) {
                    Ok(found) => found,
                    Err(reason) => {
                        waiting.push(Err(&reason), rows)?;
                        continue;
                    }
                };
                if self.control.is_some_and(|control| self.outer.is_of_kind(&found, control)) {
                    continue;
                }
                let Some(list) = outline.list.and_then(|list| text.get(list)) else {
                    waiting.push(Err(&no_array(&self.list)), rows)?;
                    continue;
                };
                waiting.envelope(found);
                match outline.elements {
                    Some(elements) => elements.into_iter().try_for_each(|element| waiting.push(Ok(element), rows))?,
                    None => Elements::new(list).try_for_each(|element| waiting.push(element, rows))?,
                }
            }
            waiting.end_record();
        }
        waiting.flush(rows)
    }
}

fn no_array(list: &[String]) -> String {
    format!("{}: there is no array", list.join("/"))
}

impl Outer {
    /// Gathers the elements of the list in the envelope at `at`; where the envelope ends, and what stands around the list. `None` if the envelope has none,
    /// or not all of it is JSON.
    fn gather<'a>(
        &self,
        gathered: &mut Gathered<'a>,
        text: &'a str,
        at: usize,
        list: &[String],
        elements: &PathTree,
    ) -> Option<(usize, Vec<Found<'a>>)> {
        let mut found = vec![Found::Nothing; self.kind + 1];
        let mut beside = Beside {
            tree: Some(&self.tree),
            found: &mut found,
        };
        let end = gathered.elements_of(text, at, list, elements, &mut beside)?;
        Some((end, found))
    }

    fn is_of_kind(&self, found: &[Found<'_>], kind: &str) -> bool {
        matches!(found.get(self.kind), Some(Found::Scalar(found)) if found == kind)
    }

    /// What stands around the list of an envelope. What is in the list is checked later, element by element; here the rest is.
    fn read(&self, text: &[u8], list: Option<&Range<usize>>) -> Result<Vec<Found<'static>>, String> {
        let mut found = vec![Found::Nothing; self.kind + 1];
        let around = list.and_then(|list| Some([text.get(..list.start)?, b"[]", text.get(list.end..)?].concat()));
        let around = around.as_deref().unwrap_or(text);
        document::walk(document::document(around)?, &self.tree, &mut found);
        if !self.holding.is_empty() {
            match document::document(text) {
                Ok(whole) => document::walk(whole, &self.tree, &mut found),
                // An element is broken: that is no reason to lose its neighbours, but what holds them all is broken too.
                Err(_) => self.holding.iter().for_each(|place| found[*place] = Found::Broken),
            }
        }
        Ok(found.into_iter().map(Found::into_owned).collect())
    }
}
