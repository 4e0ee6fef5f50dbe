//! JSON documents: one a record, several, or the elements of an array.
//!
//! arrow-json finds the requested fields of a whole run of documents at once, every one of them as text; the rules of conversion (see `sink`) then take a
//! column of texts. Documents that stand in others, and those of which columns take objects or arrays, are checked and looked into in one pass (see `checked`
//! and `gathered`), since arrow-json would have them cut up first. What neither of them reads is read with serde_json, which also says what is wrong with it,
//! and converted by the same rules, so that how a document was read never shows in its row.
//!
//! A document that is no object has no fields: NULLs, not bad. Of several fields of one name the last counts. What arrow-json takes for JSON
//! beyond the standard (superfluous, missing or trailing commas, control characters in strings) is taken in documents of scalars; any other is
//! held to the standard. Which of the two applies depends on nothing but the document and the columns asked for.

mod batch;
mod checked;
mod document;
mod documents;
mod embedded;
mod envelope;
mod fan_out;
#[cfg(test)]
mod fan_out_tests;
mod gathered;
mod outline;
mod projection;
mod required;
mod scan;
mod split;
#[cfg(test)]
mod tests;
mod value;
mod waiting;

use arrow::error::ArrowError;

use self::documents::Documents;
use self::envelope::Envelope;
use self::fan_out::FanOut;
pub(crate) use self::projection::index as array_index;
pub(crate) use self::value::compact;
pub(super) use self::value::{BROKEN, Found, elements, entries, fields, is_json, number};
use super::RowFormat;
use super::contents::DecodeError;
use super::rows::Rows;
use crate::{JsonFormat, JsonRows};

/// A JSON format, for the columns of `rows`. `always_slow` makes it do without arrow-json.
pub(super) fn new(format: JsonLike<'_>, rows: &Rows, always_slow: bool) -> Result<Box<dyn RowFormat>, ArrowError> {
    let columns: Vec<(usize, &[String])> = (0..rows.width()).map(|place| (place, &*rows.column(place).path)).collect();
    Ok(match format {
        JsonLike::Json(JsonFormat { rows: JsonRows::Value, .. }) => Box::new(OneEach(Documents::new(&columns, rows, always_slow)?)),
        JsonLike::Json(JsonFormat { rows: split, elements_of }) if elements_of.is_empty() => {
            Box::new(FanOut::new(*split, &columns, rows, always_slow)?)
        }
        JsonLike::Json(JsonFormat { elements_of, .. }) => Box::new(Envelope::new(elements_of, &columns, rows, always_slow)?),
        JsonLike::CloudWatchLogs => Box::new(Envelope::of_cloudwatch_logs(&columns, rows, always_slow)?),
        JsonLike::CloudEvents => Box::new(FanOut::of_cloudevents(&columns, rows, always_slow)?),
    })
}

/// Formats that are JSON.
#[derive(Debug, Clone, Copy)]
pub(super) enum JsonLike<'f> {
    Json(&'f JsonFormat),
    CloudWatchLogs,
    CloudEvents,
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
