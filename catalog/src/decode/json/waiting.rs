//! Documents of several records, or parts of one, whose values are added together.

use arrow::error::ArrowError;

use super::super::contents::{CHUNK_ROWS, DecodeError};
use super::super::rows::Rows;
use super::documents::{Documents, append};
use super::embedded::Embedded;
use super::gathered::Gathered;
use super::projection::PathTree;
use super::required::Required;
use super::value::Found;

/// Bytes of documents that are decoded in one go, as long as they are more than one.
const CHUNK_BYTES: usize = 4 << 20;

/// Decodes documents, what stands in text in them, and what stands around them.
#[derive(Debug)]
pub(super) struct Elementwise {
    documents: Documents,
    embedded: Option<Embedded>,
    /// Columns whose values come from the envelope.
    outer: Vec<usize>,
    required: Option<Required>,
    /// Whether documents are looked into where they are found.
    gathers: bool,
    width: usize,
}

impl Elementwise {
    pub(super) fn new(
        inner: &[(usize, &[String])],
        outer: Vec<usize>,
        embedded: Option<Embedded>,
        rows: &Rows,
        always_slow: bool,
    ) -> Result<Self, ArrowError> {
        Ok(Self {
            documents: Documents::new(inner, rows, always_slow)?,
            embedded,
            outer,
            required: None,
            gathers: !always_slow,
            width: rows.width(),
        })
    }

    /// Documents without this field are bad.
    pub(super) fn require(&mut self, key: &'static str) {
        self.required = Some(Required::new(key));
    }
}

/// Documents that wait until enough of them are there to be decoded together.
#[derive(Debug)]
pub(super) struct Waiting<'d, 'a> {
    elements: &'d mut Elementwise,
    gathered: Gathered<'a>,
    /// Of each record that has ended how many documents it has here.
    ends: Vec<usize>,
    /// Documents of the record that has not.
    of_open: usize,
    /// What stands around so many of the documents; the last goes on.
    envelopes: Vec<(Vec<Found<'a>>, usize)>,
}

impl<'d, 'a> Waiting<'d, 'a> {
    pub(super) fn new(elements: &'d mut Elementwise) -> Self {
        Self {
            gathered: Gathered::new(elements.width),
            elements,
            ends: Vec::new(),
            of_open: 0,
            envelopes: Vec::new(),
        }
    }

    /// What stands around the next documents.
    pub(super) fn envelope(&mut self, found: Vec<Found<'a>>) {
        self.envelopes.push((found, 0));
    }

    /// The next row of the open record: a document, or the reason why there is none.
    pub(super) fn push(&mut self, piece: Result<&'a [u8], &str>, rows: &mut Rows) -> Result<(), DecodeError> {
        match piece {
            Ok(piece) => {
                self.gathered.push(piece);
                self.pushed(1, rows)
            }
            Err(reason) => {
                self.flush(rows)?;
                rows.bad_row(reason);
                rows.rows_of(1)
            }
        }
    }

    /// The next rows of the open record: documents that `read` gathers with these columns. `None`, and none of them, if it cannot.
    pub(super) fn gather<T>(&mut self, read: impl FnOnce(&mut Gathered<'a>, &PathTree) -> Option<T>) -> Option<(usize, T)> {
        let tree = self.elements.documents.tree();
        let gathered = &mut self.gathered;
        match self.elements.gathers {
            true => gathered.all_or_none(|gathered| read(gathered, tree)),
            false => None,
        }
    }

    /// Drops documents that have just been gathered.
    pub(super) fn take_back(&mut self, count: usize) {
        self.gathered.take_back(count);
    }

    /// So many documents are rows of the open record.
    pub(super) fn pushed(&mut self, count: usize, rows: &mut Rows) -> Result<(), DecodeError> {
        self.of_open += count;
        if let Some((_, of_envelope)) = self.envelopes.last_mut() {
            *of_envelope += count;
        }
        match self.gathered.documents.len() >= CHUNK_ROWS || self.gathered.bytes >= CHUNK_BYTES {
            true => self.flush(rows),
            false => Ok(()),
        }
    }

    pub(super) fn end_record(&mut self) {
        self.ends.push(std::mem::take(&mut self.of_open));
    }

    /// Adds what waits. Call it when all records have ended.
    pub(super) fn flush(&mut self, rows: &mut Rows) -> Result<(), DecodeError> {
        let documents = &self.gathered.documents;
        if !documents.is_empty() {
            if let Some(required) = &self.elements.required {
                for (row, document) in (rows.len()..).zip(documents) {
                    if let Some(reason) = required.missing(document) {
                        rows.judge(row, reason);
                    }
                }
            }
            match self.gathered.is_checked() {
                true => self.elements.documents.append_found(&self.gathered.found, documents.len(), rows),
                false => self.elements.documents.decode(documents, rows),
            }
            if let Some(embedded) = &mut self.elements.embedded {
                embedded.decode(documents, rows);
            }
            self.repeat(rows)?;
        }
        for count in self.ends.drain(..) {
            rows.rows_of(count)?;
            rows.end_record();
        }
        if self.of_open > 0 {
            rows.rows_of(std::mem::take(&mut self.of_open))?;
        }
        self.gathered.clear();
        Ok(())
    }

    /// Adds the envelopes' values to each of their rows.
    fn repeat(&mut self, rows: &mut Rows) -> Result<(), DecodeError> {
        for (found, count) in &self.envelopes {
            for place in &self.elements.outer {
                let found = found.get(*place);
                let bytes = match found {
                    Some(Found::Scalar(text) | Found::Json(text)) => text.len().saturating_mul(*count),
                    _ => 0,
                };
                rows.repeat(bytes)?;
                match found.unwrap_or(&Found::Nothing).cell() {
                    Some(cell) if bytes <= CHUNK_BYTES => rows.cells(*place, *count, |_| cell),
                    _ => (0..*count).for_each(|_| append(rows, *place, found)),
                }
            }
        }
        let last = self.envelopes.len().saturating_sub(1);
        self.envelopes.drain(..last);
        if let Some((_, count)) = self.envelopes.last_mut() {
            *count = 0;
        }
        Ok(())
    }
}
