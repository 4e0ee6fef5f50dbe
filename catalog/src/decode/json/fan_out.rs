//! Records that hold any number of documents.

use arrow::error::ArrowError;

use super::super::RowFormat;
use super::super::contents::{CHUNK_ROWS, DecodeError};
use super::super::rows::Rows;
use super::documents::Documents;
use super::split::{Elements, Piece, Values, is_array, lines};
use crate::{JsonFormat, JsonRows};

/// Bytes of documents that are decoded in one go, as long as they are more than one.
const CHUNK_BYTES: usize = 4 << 20;

/// A row for each of a record's documents.
#[derive(Debug)]
pub(super) struct FanOut {
    documents: Documents,
    split: JsonRows,
}

impl FanOut {
    pub(super) fn new(format: &JsonFormat, columns: &[(usize, &[String])], rows: &Rows, always_slow: bool) -> Result<Self, ArrowError> {
        Ok(Self {
            documents: Documents::new(columns, rows, always_slow)?,
            split: format.rows,
        })
    }
}

impl RowFormat for FanOut {
    fn decode(&mut self, records: &[&[u8]], rows: &mut Rows) -> Result<(), DecodeError> {
        let mut waiting = Waiting {
            documents: &mut self.documents,
            pieces: Vec::new(),
            bytes: 0,
            ends: Vec::new(),
            of_open: 0,
        };
        for record in records {
            match self.split {
                JsonRows::Lines => {
                    for line in lines(record) {
                        waiting.push(Ok(line), rows)?;
                    }
                }
                JsonRows::Value | JsonRows::Values => {
                    for value in Values::new(record) {
                        waiting.push(Ok(value), rows)?;
                    }
                }
                JsonRows::Elements => {
                    for value in Values::new(record) {
                        if is_array(value) {
                            for element in Elements::new(value) {
                                waiting.push(element, rows)?;
                            }
                        } else {
                            waiting.push(Ok(value), rows)?;
                        }
                    }
                }
            }
            waiting.end_record();
        }
        waiting.flush(rows)
    }
}

/// Documents that wait until enough of them are there to be decoded together.
struct Waiting<'d, 'a> {
    documents: &'d mut Documents,
    pieces: Vec<&'a [u8]>,
    bytes: usize,
    /// Of each record that has ended how many pieces it has here.
    ends: Vec<usize>,
    /// Pieces of the record that has not.
    of_open: usize,
}

impl<'a> Waiting<'_, 'a> {
    fn push(&mut self, piece: Piece<'a>, rows: &mut Rows) -> Result<(), DecodeError> {
        match piece {
            Ok(piece) => {
                self.pieces.push(piece);
                self.bytes += piece.len();
                self.of_open += 1;
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

    fn end_record(&mut self) {
        self.ends.push(std::mem::take(&mut self.of_open));
    }

    fn flush(&mut self, rows: &mut Rows) -> Result<(), DecodeError> {
        self.documents.decode(&self.pieces, rows);
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
}
