//! Proposes columns from a sample of records.
//!
//! All values that a field had in the sample decide its type: the narrowest that holds every one of them exactly. Fields come in the order in which
//! they were first seen. Objects become rows, arrays arrays; a field that is now an object and now a text becomes `json`. A text is a date, a
//! timestamp or a UUID if every text of the field is one of the same kind. A sample proves nothing about later records: what does not fit is a bad
//! field then, as the definition's `bad_records` says.
//!
//! Avro and Protocol Buffers declare what they hold: there the columns are the schema's, and the sample is looked at for containers, which bring theirs.

mod csv;
mod declared;
mod documents;
mod fixed;
mod instants;
mod propose;
mod shape;

use std::sync::Arc;

use arrow::array::BinaryArray;

use crate::compression::Inflater;
use crate::{Compression, Decoder, Format, JsonFormat, TableDefinition};

pub use propose::InferredColumn;

/// What a sample says.
#[derive(Debug, Clone, PartialEq)]
pub struct Inferred {
    /// Columns, in the order in which their fields were first seen.
    pub columns: Vec<InferredColumn>,
    /// Records in the sample.
    pub records: usize,
    /// Records of it that are no JSON document, or cannot be inflated.
    pub unreadable: usize,
    /// Why the first of those is not.
    pub reason: Option<String>,
}

/// Infers columns from records of a format; what else the definition says, its columns apart, holds of them. The error is a sentence.
pub fn infer(records: &[&[u8]], definition: &Arc<TableDefinition>) -> Result<Inferred, String> {
    match &definition.format {
        Format::Json(json) => Ok(infer_json(records.iter().copied(), &definition.compression, json)),
        Format::Csv(csv) => csv::infer(records, definition, csv),
        other => match fixed::columns(other) {
            Some(columns) => Ok(of_fixed(columns, records, definition)),
            None => match declared::columns(records, definition) {
                Some(columns) => Ok(of_fixed(columns?, records, definition)),
                None => Err(format!(
                    "columns are inferred from JSON and CSV, known of log lines and envelopes, and declared by schemas of Avro and Protocol Buffers; for format `{}` \
                     they are given",
                    other.name()
                )),
            },
        },
    }
}

/// Which records are of the format, the definition's decoder says.
fn of_fixed(columns: Vec<InferredColumn>, records: &[&[u8]], definition: &Arc<TableDefinition>) -> Inferred {
    let payloads = BinaryArray::from_iter_values(records);
    let decoded = Decoder::new(definition, &[])
        .map_err(|error| error.message)
        .and_then(|mut decoder| {
            let decoded = decoder.decode(&payloads);
            decoded.map_err(|error| error.to_string())
        });
    let (unreadable, reason) = match decoded {
        Ok(decoded) => (decoded.bad.len(), decoded.bad.into_iter().next().map(|bad| bad.error)),
        Err(error) => (records.len(), Some(error)),
    };
    Inferred {
        columns,
        records: records.len(),
        unreadable,
        reason,
    }
}

/// Infers columns from records of JSON: of their rows, as the format has them.
pub fn infer_json<'a>(records: impl IntoIterator<Item = &'a [u8]>, compression: &Compression, format: &JsonFormat) -> Inferred {
    let mut inflater = Inflater::new(compression.clone());
    let mut shape = shape::Shape::default();
    let (mut count, mut unreadable, mut reason) = (0, 0, None);
    for record in records {
        count += 1;
        let seen = inflater.inflate(record).and_then(|content| {
            let rows = documents::rows(&content, format).map_err(|error| format!("not valid JSON: {error}"))?;
            rows.into_iter()
                .try_for_each(|row| shape.see(row.as_bytes()))
                .map_err(|error| format!("not valid JSON: {error}"))
        });
        if let Err(error) = seen {
            unreadable += 1;
            reason.get_or_insert(error);
        }
    }
    Inferred {
        columns: propose::columns(&shape),
        records: count,
        unreadable,
        reason,
    }
}

#[cfg(test)]
mod tests;
