//! Fixed ranges of bytes, as the Presto and Trino connectors' `raw`.
//!
//! A number is what its encoding says, big-endian unless told otherwise; bytes of its range beyond its size are of no account. `byte` is a signed byte into
//! a boolean, integer or floating point type, and text or bytes into any other; `text` is text or bytes into every type. A range that the record is too
//! short for is NULL, and its row bad; so is text that ends before its range does, since a cut record is a broken one.

mod check;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub(crate) use self::check::check;
use super::RowFormat;
use super::cell::Cell;
use super::contents::DecodeError;
use super::rows::Rows;
use crate::{ColumnType, Endian, FieldFormat, RawEncoding, RawField, RawFormat};

/// A row a record.
#[derive(Debug)]
struct Raw {
    fields: Vec<Field>,
}

/// What one column is read from.
#[derive(Debug, Clone, Copy)]
struct Field {
    start: usize,
    /// `None` = to the record's end.
    end: Option<usize>,
    reading: Reading,
    endian: Endian,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Reading {
    Number(RawEncoding),
    /// A number that is a boolean: whether it is not 0.
    Truth(RawEncoding),
    /// Bytes, which may be text.
    Bytes,
    /// Text that stands for bytes.
    Encoded,
}

/// The format of a definition, for the columns of `rows`.
pub(super) fn new(format: &RawFormat, rows: &Rows) -> Result<Box<dyn RowFormat>, String> {
    let fields = (0..rows.width())
        .map(|place| {
            let column = rows.column(place);
            let raw = column
                .raw
                .ok_or_else(|| format!("column {}: a raw column needs its bytes", column.name))?;
            check(&raw, &column.column_type)?;
            let mut field = Field::new(&raw, &column.column_type, format.endian);
            if matches!(column.format, Some(FieldFormat::Base64 | FieldFormat::Hex)) {
                field.reading = Reading::Encoded;
            }
            Ok(field)
        })
        .collect::<Result<_, String>>()?;
    Ok(Box::new(Raw { fields }))
}

impl RowFormat for Raw {
    fn decode(&mut self, records: &[&[u8]], rows: &mut Rows) -> Result<(), DecodeError> {
        for (place, field) in self.fields.iter().enumerate() {
            if records.iter().all(|record| field.bytes(record).is_ok()) {
                field.column(place, records, rows);
                continue;
            }
            for record in records {
                match field.bytes(record) {
                    Ok(bytes) => rows.cell(place, field.cell(bytes)),
                    Err(range) => rows.broken(place, &too_short(record.len(), &range)),
                }
            }
        }
        rows.one_row_each(records.len())
    }
}

impl Field {
    fn new(raw: &RawField, column_type: &ColumnType, endian: Endian) -> Self {
        let reading = check::reading(raw.encoding, column_type);
        let end = match reading {
            Reading::Number(encoding) | Reading::Truth(encoding) => raw.start.checked_add(check::size(encoding)),
            Reading::Bytes | Reading::Encoded => raw.end,
        };
        Self {
            start: raw.start,
            end,
            reading,
            endian: raw.endian.unwrap_or(endian),
        }
    }

    /// The field's bytes, or else the range that the record does not have.
    fn bytes<'a>(&self, record: &'a [u8]) -> Result<&'a [u8], Range<usize>> {
        let end = self.end.unwrap_or(record.len().max(self.start));
        record.get(self.start..end).ok_or(self.start..end)
    }

    /// Adds a column of records none of which is too short. The commonest readings are decided on once.
    fn column(&self, place: usize, records: &[&[u8]], rows: &mut Rows) {
        let count = records.len();
        let bytes = |row: usize| self.bytes(records[row]).unwrap_or_default();
        let endian = self.endian;
        match self.reading {
            Reading::Bytes => rows.cells(place, count, |row| Cell::Bytes(bytes(row))),
            Reading::Number(RawEncoding::Int) => rows.cells(place, count, |row| number(RawEncoding::Int, endian, bytes(row))),
            Reading::Number(RawEncoding::Long) => rows.cells(place, count, |row| number(RawEncoding::Long, endian, bytes(row))),
            Reading::Number(RawEncoding::Double) => rows.cells(place, count, |row| number(RawEncoding::Double, endian, bytes(row))),
            _ => rows.cells(place, count, |row| self.cell(bytes(row))),
        }
    }

    fn cell<'a>(&self, bytes: &'a [u8]) -> Cell<'a> {
        match self.reading {
            Reading::Bytes => Cell::Bytes(bytes),
            Reading::Encoded => Cell::of_text(bytes),
            Reading::Number(encoding) => number(encoding, self.endian, bytes),
            Reading::Truth(encoding) => match number(encoding, self.endian, bytes) {
                Cell::Integer(value) => Cell::Boolean(value != 0),
                other => other,
            },
        }
    }
}

/// The number that these bytes are, as many as it has.
#[inline(always)]
fn number(encoding: RawEncoding, endian: Endian, bytes: &[u8]) -> Cell<'static> {
    fn array<const N: usize>(bytes: &[u8], endian: Endian) -> [u8; N] {
        let mut array = bytes.first_chunk().copied().unwrap_or([0; N]);
        if bytes.len() < N {
            array.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        }
        if endian == Endian::Little {
            array.reverse();
        }
        array
    }
    match encoding {
        RawEncoding::Byte | RawEncoding::Text => Cell::Integer(i64::from(i8::from_be_bytes(array(bytes, endian)))),
        RawEncoding::Short => Cell::Integer(i64::from(i16::from_be_bytes(array(bytes, endian)))),
        RawEncoding::Int => Cell::Integer(i64::from(i32::from_be_bytes(array(bytes, endian)))),
        RawEncoding::Long => Cell::Integer(i64::from_be_bytes(array(bytes, endian))),
        RawEncoding::Float => Cell::Real(f32::from_be_bytes(array(bytes, endian))),
        RawEncoding::Double => Cell::Double(f64::from_be_bytes(array(bytes, endian))),
    }
}

#[cold]
fn too_short(length: usize, range: &Range<usize>) -> String {
    format!("the record has {length} bytes, and not {}:{}", range.start, range.end)
}
