//! A record's bytes -> columns.
//!
//! A record that is compressed is inflated first (see `compression`); one whose payload is damaged is undecodable. A format then finds the values of the
//! requested columns, as text or typed, and hands them to one set of rules of what converts how (see `sink`), which does not depend on the format:
//!
//! | value | integer types | real, double | decimal | boolean | varchar | date, time, timestamp |
//! |---|---|---|---|---|---|---|
//! | number | if integral and in range (`12.0`, `1e3` too) | if finite in the type | if exact in it | refused | as written | timestamp without format: milliseconds |
//! | text | as a number of that text | as a number of that text | as a number of that text | `true`, `false` in any case | the text | by its format, else ISO 8601 |
//! | boolean | refused | refused | refused | value | `true`, `false` | refused |
//! | object, array | refused | refused | refused | refused | compact JSON | refused |
//! | null, missing | NULL | NULL | NULL | NULL | NULL | NULL |
//!
//! `json` takes any JSON value, `uuid` any spelling of one, `varbinary` the bytes of a text (or what base64 or hex says); `array`, `map` and `row` take JSON
//! arrays and objects, and texts that hold such.
//!
//! A refused value is NULL and makes its row bad; of an array, map or row only the part that is refused is NULL. An undecodable record is one row that is NULL
//! in all columns. A record may have no row, one or many; a row is judged by itself.

mod avro;
mod cell;
mod coerce;
mod contents;
mod csv;
mod decimal;
mod fixed;
mod framing;
mod json;
mod log_lines;
mod presto;
mod protobuf;
mod raw;
mod regex;
mod rows;
mod sink;
mod time;
mod verdict;
mod written;
mod zone;

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, UInt32Array};
use arrow::error::ArrowError;

pub(crate) use self::avro::{
    Id as AvroId, Node as AvroNode, Schema as AvroSchema, Writers as AvroWriters, check_path as check_avro_path, compile as compile_avro,
    declared as declared_by_avro, key as avro_key,
};
pub(crate) use self::cell::with_point;
use self::contents::{Contents, chunk_end, payload};
pub use self::contents::{DecodeError, MOST_INFLATED_IN_ALL};
use self::json::JsonLike;
pub(crate) use self::json::{array_index, compact as compact_json};
pub(crate) use self::log_lines::{TIME as LOG_TIME, TIME_PATTERN as LOG_TIME_PATTERN, check_part as check_log_part};
pub(crate) use self::protobuf::{
    Types as ProtobufTypes, check_elements as check_protobuf_elements, check_path as check_protobuf_path, compile as compile_protobuf,
    declared as declared_by_protobuf, duration as duration_text,
};
pub(crate) use self::raw::check as check_raw;
pub(crate) use self::regex::{check_group, compile as compile_regex};
use self::rows::Rows;
pub(crate) use self::time::{DateParser, Pattern, Reading, TimeParser};
pub use self::verdict::BadRecord;
pub(crate) use self::written::text as json_text;
use crate::compression::Inflater;
use crate::{DefinitionError, Format, TableDefinition};

/// Decodes records of one definition into a fixed set of its columns.
#[derive(Debug)]
pub struct Decoder {
    /// None for a format without a message.
    format: Option<Box<dyn RowFormat>>,
    rows: Rows,
    inflater: Inflater,
    /// Bytes that a run may inflate to.
    most_inflated: usize,
}

/// What a run of records decodes to.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// One array for each requested column, each as long as there are rows.
    pub columns: Vec<ArrayRef>,
    /// Verdicts on rows that are bad as far as the requested columns go, in row order, one per bad row.
    pub bad: Vec<BadRecord>,
    /// Of each row the index of its record in the run, ascending: a record may have no row, or several. `None` = each record has exactly one. It does not
    /// depend on the columns that were requested.
    pub records: Option<UInt32Array>,
}

/// A row format: finds the values of the requested columns in records.
trait RowFormat: fmt::Debug + Send {
    /// Adds the rows of these records, which are inflated, to all columns of `rows`, and tells it of which records they are. A record that cannot be decoded
    /// is a bad row, never an error.
    ///
    /// # Errors
    /// The records are too large for memory.
    fn decode(&mut self, records: &[&[u8]], rows: &mut Rows) -> Result<(), DecodeError>;
}

/// The decoder of a definition's format, for the columns of `rows`; `None` without a message. `always_slow` makes JSON do without arrow-json.
fn row_format(format: &Format, rows: &Rows, always_slow: bool) -> Result<Option<Box<dyn RowFormat>>, ArrowError> {
    Ok(match format {
        Format::Json(options) => Some(json::new(JsonLike::Json(options), rows, always_slow)?),
        Format::CloudWatchLogs => Some(json::new(JsonLike::CloudWatchLogs, rows, always_slow)?),
        Format::CloudEvents => Some(json::new(JsonLike::CloudEvents, rows, always_slow)?),
        Format::Csv(options) => Some(Box::new(csv::Csv::new(options, rows))),
        Format::Raw(options) => Some(raw::new(options, rows).map_err(ArrowError::InvalidArgumentError)?),
        Format::Avro(options) => Some(avro::new(options, rows).map_err(ArrowError::InvalidArgumentError)?),
        Format::Protobuf(options) => Some(protobuf::new(options, rows).map_err(ArrowError::InvalidArgumentError)?),
        Format::LogLines(kind) => Some(log_lines::new(*kind, rows).map_err(ArrowError::InvalidArgumentError)?),
        Format::Regex(options) => Some(regex::new(options, rows).map_err(ArrowError::InvalidArgumentError)?),
        Format::Dummy => None,
    })
}

impl Decoder {
    /// A decoder for `columns` (indexes into `definition.columns`, any order, may be empty).
    ///
    /// # Errors
    /// An index without a column; options or a pattern that do not compile (which parsing a definition has ruled out).
    pub fn new(definition: &Arc<TableDefinition>, columns: &[usize]) -> Result<Self, DefinitionError> {
        Self::with(definition, columns, false)
    }

    /// As [`Self::new`], for tests: JSON is read by serde_json alone.
    #[cfg(test)]
    pub(crate) fn slow(definition: &Arc<TableDefinition>, columns: &[usize]) -> Result<Self, DefinitionError> {
        Self::with(definition, columns, true)
    }

    fn with(definition: &Arc<TableDefinition>, columns: &[usize], always_slow: bool) -> Result<Self, DefinitionError> {
        let refuse = |message: String| DefinitionError {
            line: None,
            column: None,
            message,
        };
        if let Some(index) = columns.iter().find(|index| **index >= definition.columns.len()) {
            return Err(refuse(format!(
                "table {} has {} columns; there is no column number {index}",
                definition.name,
                definition.columns.len()
            )));
        }
        let rows = Rows::new(definition, columns).map_err(refuse)?;
        let format =
            row_format(&definition.format, &rows, always_slow).map_err(|error| refuse(format!("table {}: {error}", definition.name)))?;
        Ok(Self {
            format,
            rows,
            inflater: Inflater::new(definition.compression.clone()),
            most_inflated: MOST_INFLATED_IN_ALL,
        })
    }

    /// Decodes all of `payloads`; never fails for a bad record. A NULL counts as an empty record.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`].
    pub fn decode(&mut self, payloads: &BinaryArray) -> Result<Decoded, DecodeError> {
        let decoded = self.decode_all(payloads).and_then(|()| self.rows.finish());
        decoded.map_err(|error| {
            self.rows.forget();
            match error {
                DecodeError::TooLarge { .. } => DecodeError::TooLarge { records: payloads.len() },
                other => other,
            }
        })
    }

    fn decode_all(&mut self, payloads: &BinaryArray) -> Result<(), DecodeError> {
        let Some(format) = &mut self.format else {
            return Ok(());
        };
        self.rows.reserve(payloads.len());
        let (mut start, mut inflated) = (0, 0);
        while start < payloads.len() {
            let end = chunk_end(payloads, start);
            let records: Vec<&[u8]> = (start..end).map(|record| payload(payloads, record)).collect();
            if !records.iter().any(|payload| self.inflater.touches(payload)) {
                format.decode(&records, &mut self.rows)?;
                start = end;
                continue;
            }
            let mut done = 0;
            while done < records.len() {
                let contents = Contents::of(&records[done..], &mut self.inflater);
                inflated += contents.inflated;
                if inflated > self.most_inflated {
                    return Err(self.rows.too_large());
                }
                let some = contents.rows();
                let mut next = 0;
                for (record, reason) in &contents.damaged {
                    if next < *record {
                        format.decode(&some[next..*record], &mut self.rows)?;
                    }
                    self.rows.bad_record(reason.clone())?;
                    next = record + 1;
                }
                if next < some.len() {
                    format.decode(&some[next..], &mut self.rows)?;
                }
                done += some.len();
            }
            start = end;
        }
        Ok(())
    }
}

/// Records decoded into all columns of their table.
#[cfg(test)]
fn every_column(table: &Arc<TableDefinition>, records: &[&[u8]]) -> Decoded {
    let all: Vec<usize> = (0..table.columns.len()).collect();
    let mut decoder = Decoder::new(table, &all).unwrap();
    decoder.decode(&BinaryArray::from(records.to_vec())).unwrap()
}
