//! Delimited text: each line of a record that is not blank is a row.
//!
//! csv-core (the parser of the `csv` and `arrow-csv` crates) finds the fields; it takes any input, so what it lets pass is checked here: a quote that is not
//! closed, text that is not UTF-8, a line that has not as many fields as its header. A field that a line does not have is NULL.

mod lines;
#[cfg(test)]
mod tests;

use self::lines::{Lines, Reader};
use super::RowFormat;
use super::cell::Cell;
use super::contents::{CHUNK_ROWS, DecodeError};
use super::rows::Rows;
use crate::{ColumnType, CsvFormat};

/// Bytes of lines that are decoded in one go, as long as they are more than one.
const CHUNK_BYTES: usize = 4 << 20;

/// Rows of the lines of records.
#[derive(Debug)]
pub(super) struct Csv {
    options: CsvFormat,
    reader: Reader,
    columns: Vec<Column>,
    /// The names by which the columns' fields were found last.
    header: Option<Vec<u8>>,
    header_fields: usize,
    header_line: Lines,
    lines: Lines,
}

/// Where a requested column's values are.
#[derive(Debug)]
struct Column {
    source: Source,
    field: Option<usize>,
    /// An empty field is a value.
    keeps_empty: bool,
}

#[derive(Debug)]
enum Source {
    Index,
    Name(String),
}

impl Csv {
    pub(super) fn new(options: &CsvFormat, rows: &Rows) -> Self {
        let columns = (0..rows.width())
            .map(|place| {
                let column = rows.column(place);
                Column {
                    source: match column.index {
                        Some(_) => Source::Index,
                        None => Source::Name(column.path.join("/")),
                    },
                    field: column.index,
                    keeps_empty: matches!(column.column_type, ColumnType::Varchar | ColumnType::Varbinary) && column.format.is_none(),
                }
            })
            .collect();
        Self {
            reader: Reader::new(options),
            options: options.clone(),
            columns,
            header: None,
            header_fields: 0,
            header_line: Lines::default(),
            lines: Lines::default(),
        }
    }

    /// The first line of a record names its fields.
    fn read_header(&mut self, line: &[u8], names: &[&[u8]]) {
        if self.header.as_deref() == Some(line) {
            return;
        }
        for column in &mut self.columns {
            if let Source::Name(name) = &column.source {
                column.field = names.iter().position(|field| field.trim_ascii() == name.as_bytes());
            }
        }
        self.header_fields = names.len();
        self.header = Some(line.to_vec());
    }

    /// Adds the lines that wait to the columns. They have one header.
    fn flush(&mut self, rows: &mut Rows) {
        let first = rows.len();
        let is_text = self.lines.check_text();
        for (row, problem) in self.lines.problems() {
            rows.judge(first + row, problem);
        }
        if self.options.header {
            for (row, fields) in self.lines.widths() {
                if fields != self.header_fields {
                    rows.judge(
                        first + row,
                        format!("the line has {fields} fields, its header {}", self.header_fields),
                    );
                }
            }
        }
        let text = if is_text { self.lines.text() } else { None };
        for (place, column) in self.columns.iter().enumerate() {
            if let Some(text) = text.filter(|text| column.is_whole(text, &self.lines)) {
                let field = |row| {
                    let field = text.get(self.lines.range(row, column.field?)?)?;
                    column.value(field, &self.options)
                };
                rows.texts_by_index(place, self.lines.len(), field);
                continue;
            }
            for row in 0..self.lines.len() {
                let bytes = column.field.and_then(|field| self.lines.field(row, field));
                rows.cell(place, column.cell(bytes, &self.options));
            }
        }
        self.lines.clear();
    }
}

impl Column {
    /// Whether its fields are text one by one: a delimiter may stand within the bytes of a character, which is whole again without it.
    fn is_whole(&self, text: &str, lines: &Lines) -> bool {
        let Some(field) = self.field else { return true };
        text.is_ascii() || (0..lines.len()).all(|row| lines.range(row, field).is_none_or(|range| text.get(range).is_some()))
    }

    /// What a field says; `None` = NULL.
    #[inline]
    fn value<'a>(&self, field: &'a str, options: &CsvFormat) -> Option<&'a str> {
        let text = if options.trim { field.trim_ascii() } else { field };
        let is_null = options.null.as_deref() == Some(text) || text.is_empty() && !self.keeps_empty;
        (!is_null).then_some(text)
    }

    fn cell<'a>(&self, field: Option<&'a [u8]>, options: &CsvFormat) -> Cell<'a> {
        let Some(field) = field else { return Cell::Null };
        match std::str::from_utf8(field) {
            Ok(text) => self.value(text, options).map_or(Cell::Null, Cell::Text),
            Err(_) => Cell::Bytes(field),
        }
    }
}

impl RowFormat for Csv {
    fn decode(&mut self, records: &[&[u8]], rows: &mut Rows) -> Result<(), DecodeError> {
        let mut ends = Vec::new();
        for record in records {
            let mut rest = self.reader.begin(record);
            if self.options.header {
                let before = rest;
                let mut header = std::mem::take(&mut self.header_line);
                header.clear();
                let mut problem = None;
                if self.reader.read_line(&mut rest, &mut header) {
                    problem = header.problems().next();
                    let line = &before[..before.len() - rest.len()];
                    if self.header.as_deref() != Some(line) {
                        self.give(&mut ends, rows)?;
                        let names = header.raw_fields(0);
                        self.read_header(line, &names);
                    }
                }
                self.header_line = header;
                if let Some((_, problem)) = problem {
                    // Whatever follows has no names.
                    self.give(&mut ends, rows)?;
                    rows.bad_record(format!("header: {problem}"))?;
                    continue;
                }
            }
            let mut count = 0;
            while self.reader.read_line(&mut rest, &mut self.lines) {
                count += 1;
                if self.lines.len() >= CHUNK_ROWS || self.lines.bytes() >= CHUNK_BYTES {
                    self.give(&mut ends, rows)?;
                    rows.rows_of(count)?;
                    count = 0;
                }
            }
            ends.push(count);
        }
        self.give(&mut ends, rows)
    }
}

impl Csv {
    /// Decodes the lines that wait and gives those of records that have ended to them.
    fn give(&mut self, ends: &mut Vec<usize>, rows: &mut Rows) -> Result<(), DecodeError> {
        self.flush(rows);
        for count in ends.drain(..) {
            rows.rows_of(count)?;
            rows.end_record();
        }
        Ok(())
    }
}
