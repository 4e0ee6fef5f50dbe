//! JSON documents: one a record, several, or the elements of an array.
//!
//! arrow-json finds the requested fields of a whole run of documents at once, every one of them as text; the rules of conversion (see `sink`) then take a
//! column of texts. Documents that arrow-json cannot read, and fields that are objects or arrays, are read one by one with serde_json and converted by the
//! same rules, so that how a document was read never shows in its row.
//!
//! A document that is no object has no fields: NULLs, not bad. Of several fields of one name the last counts. What arrow-json takes for JSON
//! beyond the standard (superfluous, missing or trailing commas, control characters in strings) is taken in documents of scalars; a document that
//! has to be read with serde_json is held to the standard. Which of the two applies depends on nothing but the document and the columns asked for.

mod batch;
mod document;
mod documents;
mod fan_out;
mod projection;
mod split;
#[cfg(test)]
mod tests;
mod value;

use arrow::error::ArrowError;

use self::documents::Documents;
use self::fan_out::FanOut;
pub(super) use self::value::{BROKEN, Found, compact, elements, entries, fields, is_json, number};
use super::RowFormat;
use super::contents::DecodeError;
use super::rows::Rows;
use crate::{JsonFormat, JsonRows};

/// The format of a definition, for the columns of `rows`.
pub(super) fn new(format: &JsonFormat, rows: &Rows, always_slow: bool) -> Result<Box<dyn RowFormat>, ArrowError> {
    let columns: Vec<(usize, &[String])> = (0..rows.width()).map(|place| (place, &*rows.column(place).path)).collect();
    Ok(match format.rows {
        JsonRows::Value => Box::new(OneEach(Documents::new(&columns, rows, always_slow)?)),
        _ => Box::new(FanOut::new(format, &columns, rows, always_slow)?),
    })
}

/// A record is a document is a row.
#[derive(Debug)]
struct OneEach(Documents);

impl RowFormat for OneEach {
    fn decode(&mut self, records: &[&[u8]], rows: &mut Rows) -> Result<(), DecodeError> {
        self.0.decode(records, rows);
        rows.one_row_each(records.len())
    }
}
