//! A run of records in memory, with its decoded columns, counted in the one budget.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arrow::array::{Array, ArrayRef, UInt32Array};
use catalog::{BadRecord, DecodeError, Decoder, DefinitionError, Fingerprint, TableDefinition};
use parking_lot::Mutex;

use super::Records;
use super::builder::column_bytes;
use crate::memory_budget::MemoryBudget;
use crate::{SequenceNumber, ShardId};

/// An immutable run of records of one shard (never empty). What it holds (records and decoded columns) counts in the process's memory budget
/// until the last holder drops it.
pub struct Segment {
    shard: ShardId,
    records: Records,
    arrivals: (i64, i64),
    /// When it was fetched, in ticks of the budget's clock.
    fetched: u64,
    used: AtomicU64,
    raw_bytes: usize,
    decoded_bytes: AtomicUsize,
    decoded: Mutex<Vec<DecodedDefinition>>,
    budget: Arc<MemoryBudget>,
}

struct DecodedDefinition {
    fingerprint: Fingerprint,
    columns: Vec<Option<ArrayRef>>,
    bad: Option<Arc<Vec<BadRecord>>>,
    /// Of each row its record; `Some(None)` = rows are records, `None` = not known yet.
    origins: Option<Option<UInt32Array>>,
}

/// Columns of a segment, each as long as the segment has rows.
#[derive(Debug, Clone)]
pub struct DecodedColumns {
    /// The columns, in the order asked.
    pub columns: Vec<ArrayRef>,
    /// Bad rows, judged on all columns of the definition; present if and only if judging was asked for.
    pub bad: Option<Arc<Vec<BadRecord>>>,
    /// Verdicts that this call made and none before it; of one row there may be one for each column.
    pub fresh: Vec<BadRecord>,
    /// Of each row the index of its record in the segment, ascending; `None` = each record is one row.
    pub origins: Option<UInt32Array>,
}

/// Makes the segments of one shard.
#[derive(Debug)]
pub(crate) struct SegmentMaker {
    pub(crate) shard: ShardId,
    pub(crate) budget: Arc<MemoryBudget>,
}

impl SegmentMaker {
    /// A segment of a run that is not empty.
    pub(crate) fn fetched(&self, records: Records) -> Arc<Segment> {
        self.make(records, self.budget.tick())
    }

    /// A segment of a run that was stored: it counts as held from the beginning.
    pub(crate) fn loaded(&self, records: Records) -> Arc<Segment> {
        self.make(records, 0)
    }

    /// One segment of two that follow each other.
    pub(crate) fn merged(&self, first: &Segment, second: &Segment) -> Arc<Segment> {
        self.make(
            Records::concat(&[&first.records, &second.records]),
            first.fetched.min(second.fetched),
        )
    }

    fn make(&self, records: Records, fetched: u64) -> Arc<Segment> {
        let arrivals = if records.arrivals().null_count() > 0 {
            (i64::MIN, i64::MAX)
        } else {
            (
                arrow::compute::min(records.arrivals()).unwrap_or(i64::MIN),
                arrow::compute::max(records.arrivals()).unwrap_or(i64::MAX),
            )
        };
        let raw_bytes = records.bytes();
        self.budget.add(raw_bytes as u64);
        Arc::new(Segment {
            shard: self.shard.clone(),
            records,
            arrivals,
            fetched,
            used: AtomicU64::new(self.budget.tick()),
            raw_bytes,
            decoded_bytes: AtomicUsize::new(0),
            decoded: Mutex::default(),
            budget: Arc::clone(&self.budget),
        })
    }
}

impl Segment {
    /// The records.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// Whose records.
    pub fn shard(&self) -> &ShardId {
        &self.shard
    }

    /// Least and greatest arrival time, ms since the epoch; all of time where a record has none.
    pub fn arrival_range(&self) -> (i64, i64) {
        self.arrivals
    }

    /// First and last sequence number.
    pub fn sequence_range(&self) -> (SequenceNumber, SequenceNumber) {
        (self.records.sequence(0), self.records.sequence(self.records.len() - 1))
    }

    /// Bytes held: records and decoded columns.
    pub fn bytes(&self) -> usize {
        self.raw_bytes + self.decoded_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn raw_bytes(&self) -> usize {
        self.raw_bytes
    }

    pub(crate) fn fetched(&self) -> u64 {
        self.fetched
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn touch(&self) {
        self.used.store(self.budget.tick(), Ordering::Relaxed);
    }

    /// Decoded columns of the whole segment (indexes into the definition's columns). Missing ones are decoded now, once however many ask, and kept
    /// as long as the segment. With `judge`, each row is judged on all columns of the definition. Which rows are whose is known even if no column is
    /// asked for.
    ///
    /// Synchronous work of some milliseconds for a page of 10,000 records.
    ///
    /// # Errors
    /// When the definition cannot be decoded at all (an index out of range, a type this version does not know), or the records inflate beyond all bounds.
    pub fn decoded(&self, definition: &Arc<TableDefinition>, columns: &[usize], judge: bool) -> Result<DecodedColumns, DecodeError> {
        if let Some(column) = columns.iter().find(|column| **column >= definition.columns.len()) {
            let message = format!(
                "{} has {} columns; there is no column {column}",
                definition.name,
                definition.columns.len()
            );
            return Err(DefinitionError {
                line: None,
                column: None,
                message,
            }
            .into());
        }
        self.touch();
        let fingerprint = definition.fingerprint();
        let mut held = self.decoded.lock();
        let index = held
            .iter()
            .position(|decoded| decoded.fingerprint == fingerprint)
            .unwrap_or_else(|| {
                held.push(DecodedDefinition {
                    fingerprint,
                    columns: vec![None; definition.columns.len()],
                    bad: None,
                    origins: (!definition.format.may_fan_out()).then_some(None),
                });
                held.len() - 1
            });
        let entry = &mut held[index];
        let mut added = 0;
        let mut fresh = Vec::new();
        if judge && entry.bad.is_none() {
            let all: Vec<usize> = (0..definition.columns.len()).collect();
            let decoded = Decoder::new(definition, &all)?.decode(self.records.data())?;
            added += decoded
                .bad
                .iter()
                .map(|bad| size_of::<BadRecord>() + bad.error.len())
                .sum::<usize>();
            fresh.clone_from(&decoded.bad);
            entry.bad = Some(Arc::new(decoded.bad));
            added += entry.know_origins(decoded.records);
            for (column, array) in decoded
                .columns
                .into_iter()
                .enumerate()
                .filter(|(column, _)| columns.contains(column))
            {
                added += keep(&mut entry.columns[column], array);
            }
        }
        let mut missing: Vec<usize> = columns.iter().copied().filter(|column| entry.columns[*column].is_none()).collect();
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() || entry.origins.is_none() {
            let decoded = Decoder::new(definition, &missing)?.decode(self.records.data())?;
            if entry.bad.is_none() {
                fresh = decoded.bad;
            }
            added += entry.know_origins(decoded.records);
            for (column, array) in missing.iter().zip(decoded.columns) {
                added += keep(&mut entry.columns[*column], array);
            }
        }
        let arrays = columns.iter().filter_map(|column| entry.columns[*column].clone()).collect();
        let bad = judge.then(|| entry.bad.clone()).flatten();
        let origins = entry.origins.clone().flatten();
        drop(held);
        if added > 0 {
            self.decoded_bytes.fetch_add(added, Ordering::Relaxed);
            self.budget.add(added as u64);
            self.budget.reclaim();
        }
        Ok(DecodedColumns {
            columns: arrays,
            bad,
            fresh,
            origins,
        })
    }

    /// Bytes on the wire of a range of rows.
    pub(crate) fn wire_bytes(&self, rows: Range<usize>) -> u64 {
        self.records.wire_bytes(rows)
    }
}

impl DecodedDefinition {
    /// What they take.
    fn know_origins(&mut self, origins: Option<UInt32Array>) -> usize {
        if self.origins.is_some() {
            return 0;
        }
        let bytes = origins.as_ref().map_or(0, |origins| origins.values().inner().len());
        self.origins = Some(origins);
        bytes
    }
}

fn keep(slot: &mut Option<ArrayRef>, array: ArrayRef) -> usize {
    if slot.is_some() {
        return 0;
    }
    let bytes = column_bytes(&array);
    *slot = Some(array);
    bytes
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.budget.subtract(self.bytes() as u64);
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("shard", &self.shard)
            .field("rows", &self.records.len())
            .field("sequences", &self.sequence_range())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
