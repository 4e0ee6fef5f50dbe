//! Runs of records through arrow-json.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::reader::Decoder as JsonDecoder;

use super::super::contents::CHUNK_ROWS;
use super::projection::{FastPlan, Leaf};

/// Reads what a plan asks for.
#[derive(Debug)]
pub(super) struct BatchReader {
    plan: FastPlan,
    batch: JsonDecoder,
    /// Reads records alone, without columns.
    probe: JsonDecoder,
}

impl BatchReader {
    pub(super) fn new(plan: FastPlan) -> Result<Self, ArrowError> {
        Ok(Self {
            batch: json_decoder(&plan, CHUNK_ROWS)?,
            probe: json_decoder(&FastPlan::default(), 1)?,
            plan,
        })
    }

    pub(super) fn leaves(&self) -> &[Leaf] {
        &self.plan.leaves
    }

    /// At most [`CHUNK_ROWS`] records in one struct. Rows that serde_json has to read are marked in `slow`; what the struct says of them does not
    /// count. `None` if that is all of them.
    pub(super) fn read(&mut self, rows: &[&[u8]], slow: &mut [bool]) -> Option<ArrayRef> {
        if let Some(root) = self.try_batch(rows, slow) {
            self.mark_composites(&root, rows, slow);
            return Some(root);
        }
        for (row, slow) in rows.iter().zip(slow.iter_mut()) {
            *slow = !self.is_readable(row);
        }
        let root = if slow.iter().all(|slow| *slow) {
            None
        } else {
            self.try_batch(rows, slow)
        };
        match &root {
            Some(root) => self.mark_composites(root, rows, slow),
            None => slow.fill(true),
        }
        root
    }

    fn try_batch(&mut self, rows: &[&[u8]], skip: &[bool]) -> Option<ArrayRef> {
        let read = rows.iter().zip(skip).enumerate().all(|(row, (payload, skip))| {
            let payload = if *skip { b"{}" } else { *payload };
            feeds_one_row(&mut self.batch, payload, row)
        });
        let batch = if read { self.batch.flush().ok().flatten() } else { None };
        match batch {
            Some(batch) if batch.num_rows() == rows.len() => Some(Arc::clone(batch.column(0))),
            _ => {
                // A decoder cannot be cleared in the middle of a record.
                if let Ok(fresh) = json_decoder(&self.plan, CHUNK_ROWS) {
                    self.batch = fresh;
                }
                None
            }
        }
    }

    /// Whether arrow-json reads exactly one value in this record.
    fn is_readable(&mut self, payload: &[u8]) -> bool {
        if feeds_one_row(&mut self.probe, payload, 0) && matches!(self.probe.flush(), Ok(Some(_))) {
            return true;
        }
        if let Ok(fresh) = json_decoder(&FastPlan::default(), 1) {
            self.probe = fresh;
        }
        false
    }

    /// arrow-json gives NULL for an object or array where text is asked for; such rows are read again.
    fn mark_composites(&self, root: &ArrayRef, rows: &[&[u8]], slow: &mut [bool]) {
        for leaf in &self.plan.leaves {
            let Some(texts) = leaf.texts(root).filter(|texts| texts.null_count() > 0) else {
                continue;
            };
            for (row, slow) in slow.iter_mut().enumerate() {
                *slow = *slow || texts.is_null(row) && leaf.may_be_composite(rows[row]);
            }
        }
    }
}

fn json_decoder(plan: &FastPlan, rows: usize) -> Result<JsonDecoder, ArrowError> {
    // Type conflicts are NULL rather than errors: finding out which of the rows an error means would take as many decodings again.
    ReaderBuilder::new_with_field(plan.root())
        .with_batch_size(rows)
        .with_coerce_primitive(true)
        .with_ignore_type_conflicts(true)
        .build_decoder()
}

/// Two values in a record would be two rows and an empty one none: rows would shift against positions.
fn feeds_one_row(decoder: &mut JsonDecoder, payload: &[u8], rows_before: usize) -> bool {
    decoder.decode(payload).is_ok_and(|read| read == payload.len()) && decoder.len() == rows_before + 1 && !decoder.has_partial_record()
}
