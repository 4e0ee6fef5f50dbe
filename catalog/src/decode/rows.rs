//! The rows of a run of records while they are decoded.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{StringArray, UInt32Array};

use super::Decoded;
use super::cell::Cell;
use super::contents::DecodeError;
use super::sink::{Refusal, Sink, Told};
use super::verdict::{BadRecord, by_row, path_text};
use crate::{ColumnDefinition, TableDefinition};

/// Scalars that a run of records may decode to: a small record may say many rows, and many elements, at little cost to its writer.
pub(super) const MOST_CELLS: usize = 1 << 27;
/// Bytes that values which stand once in a record may take in all of its rows, and that verdicts may take.
const MOST_REPEATED: usize = 1 << 30;

/// Where a format puts what it decodes: columns, of which each gets as many values as the others, and verdicts.
///
/// A column is filled value by value, by runs of texts or by arrays, the columns one after the other or row by row, as suits the format. Once all of them
/// have the values of some rows, [`Rows::one_row_each`] or [`Rows::rows_of`] says of which records these rows are.
#[derive(Debug)]
pub(super) struct Rows {
    definition: Arc<TableDefinition>,
    /// Of each requested column its place in the definition.
    columns: Vec<usize>,
    sinks: Vec<Sink>,
    bad: Vec<BadRecord>,
    /// Rows that have been given to records.
    rows: usize,
    /// Records that have been given their rows.
    records: usize,
    /// The record of each row, once a record has had none or several.
    origins: Option<Vec<u32>>,
    /// Rows of the next record so far.
    open: usize,
    repeated: usize,
    /// [`MOST_CELLS`], or less in tests.
    pub(super) most_cells: usize,
    /// Bytes of verdicts.
    told: usize,
    refused: Vec<usize>,
}

impl Rows {
    /// Of columns of the definition, which has them.
    pub(super) fn new(definition: &Arc<TableDefinition>, columns: &[usize]) -> Result<Self, String> {
        let sinks = columns
            .iter()
            .map(|column| {
                let column = &definition.columns[*column];
                Sink::new(&column.column_type, column.format.as_ref(), definition.compat)
                    .map_err(|message| format!("column {}: {message}", column.name))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            definition: Arc::clone(definition),
            columns: columns.to_vec(),
            sinks,
            bad: Vec::new(),
            rows: 0,
            records: 0,
            origins: None,
            open: 0,
            repeated: 0,
            most_cells: MOST_CELLS,
            told: 0,
            refused: Vec::new(),
        })
    }

    /// Number of requested columns.
    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// Makes room for so many rows.
    pub(super) fn reserve(&mut self, rows: usize) {
        self.sinks.iter_mut().for_each(|sink| sink.reserve(rows));
    }

    /// Rows that have been given to records: the first of the next rows.
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// Adds a value to a column.
    #[inline]
    pub(super) fn cell(&mut self, place: usize, cell: Cell<'_>) {
        if let Err(refusal) = self.sinks[place].append(cell) {
            self.refuse(place, self.sinks[place].len() - 1, &refusal);
        }
    }

    /// Adds NULL to a column, of a value that is not even that.
    #[cold]
    pub(super) fn broken(&mut self, place: usize, reason: &str) {
        self.cell(place, Cell::Null);
        let refusal = Refusal {
            inside: String::new(),
            reason: reason.to_owned(),
        };
        self.refuse(place, self.sinks[place].len() - 1, &refusal);
    }

    /// Adds some of these texts to a column.
    pub(super) fn texts(&mut self, place: usize, texts: &StringArray, range: Range<usize>) {
        let (row, first) = (self.sinks[place].len(), range.start);
        let mut refused = std::mem::take(&mut self.refused);
        self.sinks[place].append_run(texts, range, &mut refused);
        self.refuse_all(place, row, first, refused, |index| Some(texts.value(index)));
    }

    /// Adds so many texts to a column, each by its index. They are at most some MiB together.
    pub(super) fn texts_by_index<'a>(&mut self, place: usize, count: usize, text: impl Fn(usize) -> Option<&'a str>) {
        let row = self.sinks[place].len();
        let mut refused = std::mem::take(&mut self.refused);
        self.sinks[place].append_texts(0..count, &text, &mut refused);
        self.refuse_all(place, row, 0, refused, text);
    }

    /// Adds these values to a column, each by its index. They are at most some MiB together.
    #[inline]
    pub(super) fn cells<'c>(&mut self, place: usize, count: usize, cell: impl Fn(usize) -> Cell<'c>) {
        self.many(place, |sink, told| sink.append_cells(count, cell, told));
    }

    fn refuse_all<'a>(&mut self, place: usize, row: usize, first: usize, mut refused: Vec<usize>, text: impl Fn(usize) -> Option<&'a str>) {
        for index in refused.drain(..) {
            let refusal = self.sinks[place].refusal(Cell::Text(text(index).unwrap_or_default()));
            self.refuse(place, row + index - first, &refusal);
        }
        self.refused = refused;
    }

    /// Adds a value of several parts to a column; `append` adds exactly one to its sink.
    pub(super) fn parts(&mut self, place: usize, append: impl FnOnce(&mut Sink) -> Told) {
        if let Some(refusal) = append(&mut self.sinks[place]) {
            self.refuse(place, self.sinks[place].len().saturating_sub(1), &refusal);
        }
    }

    /// Adds values to a column. `append` says of which of them, by their index, it adds NULL, and why.
    #[inline]
    pub(super) fn many(&mut self, place: usize, append: impl FnOnce(&mut Sink, &mut Vec<(usize, Refusal)>)) {
        let row = self.sinks[place].len();
        let mut told = Vec::new();
        append(&mut self.sinks[place], &mut told);
        for (index, refusal) in told {
            self.refuse(place, row + index, &refusal);
        }
    }

    /// Judges a row, before or after its values are added. What is said here of a row is said before what is said of its values, if it is said first.
    pub(super) fn judge(&mut self, row: usize, reason: impl Into<String>) {
        let error = reason.into();
        self.told += size_of::<BadRecord>() + error.len();
        self.bad.push(BadRecord { row, error });
    }

    /// A whole row of NULLs, for that reason. Every column has as many values.
    pub(super) fn bad_row(&mut self, reason: impl Into<String>) {
        let row = self.sinks.first().map_or(self.rows, Sink::len);
        self.judge(row, reason);
        for place in 0..self.sinks.len() {
            self.cell(place, Cell::Null);
        }
    }

    /// The next record is undecodable: one row of NULLs.
    pub(super) fn bad_record(&mut self, reason: impl Into<String>) -> Result<(), DecodeError> {
        self.bad_row(reason);
        self.one_row_each(1)
    }

    /// The next records have a row each, whose values have been added.
    pub(super) fn one_row_each(&mut self, records: usize) -> Result<(), DecodeError> {
        if let Some(origins) = &mut self.origins {
            origins.extend((self.records..self.records + records).map(record_index));
        }
        self.rows += records;
        self.records += records;
        self.check()
    }

    /// The next record has so many more rows, whose values have been added. [`Self::end_record`] ends it.
    pub(super) fn rows_of(&mut self, rows: usize) -> Result<(), DecodeError> {
        self.open += rows;
        self.rows += rows;
        self.check()
    }

    /// All rows of the next record have been told of.
    pub(super) fn end_record(&mut self) {
        let rows = std::mem::take(&mut self.open);
        if rows != 1 || self.origins.is_some() {
            let origins = self.origins.get_or_insert_with(|| (0..self.records).map(record_index).collect());
            origins.extend(std::iter::repeat_n(record_index(self.records), rows));
        }
        self.records += 1;
    }

    /// Counts bytes of values that stand once in a record and in each of its rows.
    pub(super) fn repeat(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.repeated = self.repeated.saturating_add(bytes);
        if self.repeated > MOST_REPEATED {
            Err(self.too_large())
        } else {
            Ok(())
        }
    }

    fn check(&self) -> Result<(), DecodeError> {
        if self.told > MOST_REPEATED
            || self.sinks.iter().any(Sink::is_long)
            || self.rows > self.most_cells
            || self.sinks.iter().map(Sink::cells).sum::<usize>() > self.most_cells
        {
            return Err(self.too_large());
        }
        Ok(())
    }

    /// Whether one column is not too much already, while others wait for their values.
    pub(super) fn check_column(&self, place: usize) -> Result<(), DecodeError> {
        let sink = &self.sinks[place];
        match self.told > MOST_REPEATED || sink.is_long() || sink.cells() > self.most_cells {
            true => Err(self.too_large()),
            false => Ok(()),
        }
    }

    pub(super) fn too_large(&self) -> DecodeError {
        DecodeError::TooLarge { records: self.records }
    }

    #[cold]
    fn refuse(&mut self, place: usize, row: usize, refusal: &Refusal) {
        let path = path_text(self.column(place));
        let error = match (&*path, &*refusal.inside) {
            ("/", inside) if !inside.is_empty() => format!("{inside}: {}", refusal.reason),
            (path, inside) => format!("{path}{inside}: {}", refusal.reason),
        };
        self.judge(row, error);
    }

    /// A requested column.
    pub(super) fn column(&self, place: usize) -> &ColumnDefinition {
        &self.definition.columns[self.columns[place]]
    }

    /// Whether a column wants JSON values as they are written.
    pub(super) fn takes_json(&self, place: usize) -> bool {
        self.sinks[place].takes_json()
    }

    /// Everything since the last call.
    pub(super) fn finish(&mut self) -> Result<Decoded, DecodeError> {
        let bad = by_row(std::mem::take(&mut self.bad));
        let records = self.origins.take().map(UInt32Array::from);
        let too_large = self.too_large();
        self.start_again();
        let mut columns = Vec::with_capacity(self.sinks.len());
        let mut failed = false;
        for sink in &mut self.sinks {
            match sink.finish() {
                Ok(column) => columns.push(column),
                Err(_) => failed = true,
            }
        }
        if failed {
            return Err(too_large);
        }
        Ok(Decoded { columns, bad, records })
    }

    fn start_again(&mut self) {
        (self.rows, self.records, self.open, self.repeated, self.told) = (0, 0, 0, 0, 0);
    }

    /// Drops everything since the last [`Self::finish`].
    pub(super) fn forget(&mut self) {
        self.sinks.iter_mut().for_each(Sink::forget);
        self.bad.clear();
        self.origins = None;
        self.start_again();
    }
}

/// Records of a run are at most as many as 31 bits count, since their offsets are.
fn record_index(record: usize) -> u32 {
    u32::try_from(record).unwrap_or(u32::MAX)
}
