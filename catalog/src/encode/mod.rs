//! Columns -> a record's bytes: the way back of `decode`, one record a row.
//!
//! What is written is read again as the value that was given, or it is refused: a text that stands for NULL, a fraction of a second that a pattern does
//! not say, bytes that are no text where text is wanted. NULL is left out where a format can do without (`json`, fields at the end of a CSV line), else it is
//! what the format has for it, else refused.

mod avro;
mod compress;
mod csv;
mod json;
mod protobuf;
mod protobuf_value;
mod raw;
mod scalar;
#[cfg(test)]
mod tests;
mod time;

use std::fmt;
use std::sync::Arc;

use arrow::array::ArrayRef;

use self::compress::Compressor;
use crate::{ColumnDefinition, Format, JsonRows, TableDefinition};

/// Why a row cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct EncodeError {
    /// The column, if it is about one.
    pub column: Option<String>,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "column `{column}`: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl EncodeError {
    fn of(column: &ColumnDefinition, message: impl Into<String>) -> Self {
        Self {
            column: Some(column.name.clone()),
            message: message.into(),
        }
    }

    fn whole(message: impl Into<String>) -> Self {
        Self {
            column: None,
            message: message.into(),
        }
    }
}

/// Writes rows of some columns as records of a definition.
#[derive(Debug)]
pub struct Encoder {
    format: Box<dyn RecordFormat>,
    compressor: Compressor,
    uncompressed: Vec<u8>,
}

/// Writes one row as one record.
trait RecordFormat: fmt::Debug + Send {
    /// Adds the record of a row to `out`. `values` are arrays of the columns' types, in the order of the columns.
    fn encode(&mut self, values: &[ArrayRef], row: usize, out: &mut Vec<u8>) -> Result<(), EncodeError>;
}

impl Encoder {
    /// An encoder for `columns` (indexes into `definition.columns`, each once); the others are NULL.
    ///
    /// # Errors
    /// The format cannot be written, or not with these columns.
    pub fn new(definition: &Arc<TableDefinition>, columns: &[usize]) -> Result<Self, EncodeError> {
        let used: Vec<ColumnDefinition> = columns
            .iter()
            .map(|index| {
                let column = definition.columns.get(*index).cloned();
                column.ok_or_else(|| EncodeError::whole(format!("table {} has no column number {index}", definition.name)))
            })
            .collect::<Result<_, _>>()?;
        let format: Box<dyn RecordFormat> = match &definition.format {
            Format::Json(options) if options.rows == JsonRows::Elements && !options.elements_of.is_empty() => {
                return Err(EncodeError::whole(format!(
                    "table {}: its rows are elements of an array within a document, and such documents cannot be written",
                    definition.name
                )));
            }
            Format::Json(options) => Box::new(json::Json::new(options, used)?),
            Format::Csv(options) => Box::new(csv::Csv::new(options, used)?),
            Format::Avro(options) => Box::new(avro::Avro::new(options, used)?),
            Format::Protobuf(options) => Box::new(protobuf::Protobuf::new(options, used)?),
            Format::Raw(options) => Box::new(raw::Raw::new(*options, used, definition)?),
            other => {
                return Err(EncodeError::whole(format!(
                    "table {}: records of format {} cannot be written; json, ndjson, csv, raw, avro and protobuf can",
                    definition.name,
                    other.name()
                )));
            }
        };
        Ok(Self {
            format,
            compressor: Compressor::new(&definition.compression),
            uncompressed: Vec::new(),
        })
    }

    /// The record of a row. `values` are arrays of the columns' types, in the order of the columns.
    ///
    /// # Errors
    /// A value cannot be written.
    pub fn encode(&mut self, values: &[ArrayRef], row: usize) -> Result<Vec<u8>, EncodeError> {
        if self.compressor.is_idle() {
            let mut record = Vec::with_capacity(self.uncompressed.len());
            self.format.encode(values, row, &mut record)?;
            return Ok(record);
        }
        self.uncompressed.clear();
        self.format.encode(values, row, &mut self.uncompressed)?;
        self.compressor.compress(&self.uncompressed).map_err(EncodeError::whole)
    }
}
