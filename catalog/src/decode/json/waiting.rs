//! Documents of several records, or parts of one, decoded together.

use arrow::error::ArrowError;

use super::super::contents::{CHUNK_ROWS, DecodeError};
use super::super::rows::Rows;
use super::documents::{Documents, append};
use super::embedded::Embedded;
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
    pieces: Vec<&'a [u8]>,
    bytes: usize,
    /// Of each record that has ended how many pieces it has here.
    ends: Vec<usize>,
    /// Pieces of the record that has not.
    of_open: usize,
    /// What stands around so many of the pieces; the last goes on.
    envelopes: Vec<(Vec<Found<'static>>, usize)>,
}

impl<'d, 'a> Waiting<'d, 'a> {
    pub(super) fn new(elements: &'d mut Elementwise) -> Self {
        Self {
            elements,
            pieces: Vec::new(),
            bytes: 0,
            ends: Vec::new(),
            of_open: 0,
            envelopes: Vec::new(),
        }
    }

    /// What stands around the next pieces.
    pub(super) fn envelope(&mut self, found: Vec<Found<'static>>) {
        self.envelopes.push((found, 0));
    }

    /// The next row of the open record: a document, or the reason why there is none.
    pub(super) fn push(&mut self, piece: Result<&'a [u8], &str>, rows: &mut Rows) -> Result<(), DecodeError> {
        match piece {
            Ok(piece) => {
                self.pieces.push(piece);
                self.bytes += piece.len();
                self.of_open += 1;
                if let Some((_, count)) = self.envelopes.last_mut() {
                    *count += 1;
                }
                if self.pieces.len() >= CHUNK_ROWS || self.bytes >= CHUNK_BYTES {
                    self.flush(rows)?;
                }
                Ok(())
            }
            Err(reason) => {
                self.flush(rows)?;
                rows.bad_row(reason);
                rows.rows_of(1)
            }
        }
    }

    pub(super) fn end_record(&mut self) {
        self.ends.push(std::mem::take(&mut self.of_open));
    }

    /// Decodes what waits. Call it when all records have ended.
    pub(super) fn flush(&mut self, rows: &mut Rows) -> Result<(), DecodeError> {
        if !self.pieces.is_empty() {
            if let Some(required) = &self.elements.required {
                for (row, piece) in (rows.len()..).zip(&self.pieces) {
                    if let Some(reason) = required.missing(piece) {
                        rows.judge(row, reason);
                    }
                }
            }
            self.elements.documents.decode(&self.pieces, rows);
            if let Some(embedded) = &mut self.elements.embedded {
                embedded.decode(&self.pieces, rows);
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
        self.pieces.clear();
        self.bytes = 0;
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
