//! Documents that hold an array whose elements are rows; what stands beside the array is repeated on each of them.

use arrow::error::ArrowError;
use serde::de::IgnoredAny;

use super::super::RowFormat;
use super::super::contents::DecodeError;
use super::super::rows::Rows;
use super::document;
use super::embedded::Embedded;
use super::projection::{PathTree, Wanted};
use super::split::{Elements, Values};
use super::value::Found;
use super::waiting::{Elementwise, Waiting};

/// Where what is needed of an envelope beside columns is put: past the columns.
#[derive(Debug, Clone, Copy)]
struct Extra {
    list: usize,
    kind: usize,
}

/// A row for each element of an array in a document.
#[derive(Debug)]
pub(super) struct Envelope {
    elements: Elementwise,
    /// Columns that stand beside the array, and the array.
    outer: PathTree,
    extra: Extra,
    list: Vec<String>,
    /// Envelopes of this `messageType` give no rows.
    control: Option<&'static str>,
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
        let extra = Extra {
            list: rows.width(),
            kind: rows.width() + 1,
        };
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
        tree.insert(
            list,
            Wanted {
                place: extra.list,
                takes_json: true,
            },
        );
        if control.is_some() {
            tree.insert(
                &["messageType".to_owned()],
                Wanted {
                    place: extra.kind,
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
            outer: tree,
            extra,
            list: list.to_vec(),
            control,
        })
    }
}

impl RowFormat for Envelope {
    fn decode(&mut self, records: &[&[u8]], rows: &mut Rows) -> Result<(), DecodeError> {
        let Self {
            elements,
            outer,
            extra,
            list: path,
            control,
        } = self;
        let places = extra.kind + 1;
        let mut waiting = Waiting::new(elements);
        for record in records {
            for value in Values::new(record) {
                let mut found = vec![Found::Nothing; places];
                if let Err(reason) = read(value, outer, extra.list, &mut found) {
                    waiting.push(Err(&reason), rows)?;
                    continue;
                }
                if let (Some(control), Found::Scalar(kind)) = (*control, &found[extra.kind])
                    && kind == control
                {
                    continue;
                }
                let list = match &found[extra.list] {
                    Found::Json(list) if list.starts_with('[') => *list,
                    _ => {
                        waiting.push(Err(&format!("{}: there is no array", path.join("/"))), rows)?;
                        continue;
                    }
                };
                found.truncate(extra.list);
                waiting.envelope(found);
                for element in Elements::new(list.as_bytes()) {
                    waiting.push(element, rows)?;
                }
            }
            waiting.end_record();
        }
        waiting.flush(rows)
    }
}

/// Finds what stands at the places of a tree. What is in the list is checked later, element by element; here the rest is.
fn read<'a>(value: &'a [u8], tree: &PathTree, list: usize, found: &mut [Found<'a>]) -> Result<(), String> {
    let raw = document::text(value)?;
    document::walk(raw, tree, found);
    let parsed = match &found[list] {
        Found::Json(elements) if elements.starts_with('[') && elements.ends_with(']') => {
            // The list is a part of the text, so it lies between these.
            let start = elements.as_ptr() as usize - raw.as_ptr() as usize;
            let (before, after) = (raw.get(..start), raw.get(start + elements.len()..));
            serde_json::from_str::<IgnoredAny>(&[before.unwrap_or_default(), "[]", after.unwrap_or_default()].concat())
        }
        _ => serde_json::from_str::<IgnoredAny>(raw),
    };
    parsed.map(drop).map_err(|error| document::reason(&error))
}
