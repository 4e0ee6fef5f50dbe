//! Columns being built: the one set of rules of what converts how, whatever format a value comes from.
//!
//! Values come as texts, one ([`Sink::append`]) or many at a time ([`Sink::append_run`]), as JSON, or typed. What a typed value becomes is what its text
//! would become.

mod nested;
mod runs;
mod shape;
#[cfg(test)]
mod tests;
mod values;

use std::ops::Range;

use arrow::array::{Array, ArrayRef, StringArray, new_empty_array};
use arrow::compute::concat;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

pub(super) use self::shape::{Growth, Shape, Told, keep_first};
use self::values::Values;
use super::cell::Cell;
use super::verdict::shown;
use crate::{ColumnType, Compat, FieldFormat};

/// Bytes of text that one array holds at most; a column's arrays are put together when it is finished.
const MOST_TEXT: usize = 1 << 30;

/// Converts the values of one column and keeps them; a value that does not convert becomes NULL and is reported.
#[derive(Debug)]
pub(super) struct Sink {
    values: Values,
    /// Arrays that are complete, before what is in `values`.
    pieces: Vec<ArrayRef>,
    /// Values in `pieces`.
    in_pieces: usize,
    /// How many of them were closed because they are long.
    long_pieces: usize,
    data_type: DataType,
    /// What a value should have been: `a bigint`.
    expected: String,
    takes_json: bool,
    /// Why the values so far cannot be put together.
    failed: Option<ArrowError>,
}

/// Why a value did not convert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Where in the value: empty, or `/2/name`.
    pub(super) inside: String,
    /// `"x" is not a bigint`
    pub(super) reason: String,
}

impl Sink {
    pub(super) fn new(column_type: &ColumnType, format: Option<&FieldFormat>, compat: Compat) -> Result<Self, String> {
        let article = if matches!(column_type, ColumnType::Integer | ColumnType::Array(_)) {
            "an"
        } else {
            "a"
        };
        let expected = match format {
            Some(FieldFormat::Pattern(pattern)) => format!("{article} {column_type} of the pattern \"{pattern}\""),
            Some(format) => format!("{article} {column_type} ({format})"),
            None => format!("{article} {column_type}"),
        };
        let numbers_as_json = compat == Compat::Presto && format.is_none();
        let takes_json = match column_type {
            ColumnType::Json => true,
            ColumnType::Boolean
            | ColumnType::TinyInt
            | ColumnType::SmallInt
            | ColumnType::Integer
            | ColumnType::BigInt
            | ColumnType::Real
            | ColumnType::Double => numbers_as_json,
            nested => nested.is_nested(),
        };
        Ok(Self {
            values: Values::new(column_type, format, compat)?,
            pieces: Vec::new(),
            in_pieces: 0,
            long_pieces: 0,
            data_type: column_type.data_type(),
            expected,
            takes_json,
            failed: None,
        })
    }

    /// Whether JSON values are wanted as they are written ([`Cell::Json`]), scalars too, and not as texts.
    pub(super) fn takes_json(&self) -> bool {
        self.takes_json
    }

    /// Values added since the last [`Self::finish`].
    pub(super) fn len(&self) -> usize {
        self.in_pieces + self.values.len()
    }

    /// Scalars held, those in arrays and rows too.
    pub(super) fn cells(&self) -> usize {
        self.in_pieces + self.values.cells()
    }

    /// Whether there is more text than one array holds.
    pub(super) fn is_long(&self) -> bool {
        self.long_pieces > 1
    }

    /// Makes room for so many values.
    pub(super) fn reserve(&mut self, rows: usize) {
        self.values.reserve(rows);
    }

    /// Adds a run of texts; rows (of `texts`) whose text does not convert are added to `refused`.
    pub(super) fn append_run(&mut self, texts: &StringArray, rows: Range<usize>, refused: &mut Vec<usize>) {
        if matches!(self.values, Values::Text(_)) && rows.len() == texts.len() && !texts.is_empty() {
            self.take_over(std::sync::Arc::new(texts.clone()));
            return;
        }
        if texts.null_count() == 0 {
            self.append_texts(rows, |row| Some(texts.value(row)), refused);
        } else {
            self.append_texts(rows, |row| texts.is_valid(row).then(|| texts.value(row)), refused);
        }
    }

    /// Adds the texts of these rows, each by its index; of those whose text does not convert the index is added to `refused`.
    pub(super) fn append_texts<'a>(&mut self, rows: Range<usize>, text: impl Fn(usize) -> Option<&'a str>, refused: &mut Vec<usize>) {
        self.values.append_texts(rows, text, refused);
        self.split_text();
    }

    /// Adds one value. The error is why NULL was added in its place, or in the place of something in it.
    #[inline]
    pub(super) fn append(&mut self, cell: Cell<'_>) -> Result<(), Refusal> {
        if self.values.append_own(cell) {
            self.split_text();
            return Ok(());
        }
        let appended = self.values.append(cell);
        self.split_text();
        match appended {
            Ok(()) => Ok(()),
            Err(Some(inside)) => Err(*inside),
            Err(None) => Err(self.refusal(cell)),
        }
    }

    /// Why a value was refused.
    #[cold]
    pub(super) fn refusal(&self, cell: Cell<'_>) -> Refusal {
        let value = match cell {
            Cell::Json(json) if json.starts_with('{') => "an object".to_owned(),
            Cell::Json(json) if json.starts_with('[') => "an array".to_owned(),
            Cell::Bytes(bytes) if std::str::from_utf8(bytes).is_err() => format!("a value of {} bytes", bytes.len()),
            other => shown(&other.text().unwrap_or_default()),
        };
        Refusal {
            inside: String::new(),
            reason: format!("{value} is not {}", self.expected),
        }
    }

    /// All values added since the last call.
    ///
    /// # Errors
    /// More text than one array holds.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        (self.in_pieces, self.long_pieces) = (0, 0);
        if let Some(error) = self.failed.take() {
            self.forget();
            return Err(error);
        }
        let mut pieces = std::mem::take(&mut self.pieces);
        if self.values.len() > 0 {
            pieces.push(self.values.finish(&self.data_type)?);
        }
        match pieces.len() {
            0 => Ok(new_empty_array(&self.data_type)),
            1 => Ok(pieces.swap_remove(0)),
            _ => concat(&pieces.iter().map(|piece| &**piece as &dyn Array).collect::<Vec<_>>()),
        }
    }

    /// Drops the values added since the last [`Self::finish`].
    pub(super) fn forget(&mut self) {
        (self.in_pieces, self.long_pieces) = (0, 0);
        self.pieces.clear();
        self.failed = None;
        if let Err(error) = self.values.finish(&self.data_type) {
            tracing::debug!(%error, "values that are dropped");
        }
    }

    /// Adds an array of this column's type as it is.
    fn take_over(&mut self, array: ArrayRef) {
        self.in_pieces += array.len();
        if self.values.len() > 0 {
            self.close_piece();
        }
        self.pieces.push(array);
    }

    fn close_piece(&mut self) {
        let length = self.values.len();
        match self.values.finish(&self.data_type) {
            Ok(piece) => self.pieces.push(piece),
            Err(error) => self.failed = Some(error),
        }
        self.in_pieces += length;
    }

    /// An array of text panics beyond 31 bits, so it is closed before.
    #[inline]
    fn split_text(&mut self) {
        if self.values.text_bytes() > MOST_TEXT {
            self.long_pieces += 1;
            self.close_piece();
        }
    }
}
