//! What was written so far: for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use shard_reader::WriteTotals;

/// Counts of all writers of an engine.
#[derive(Debug, Default)]
pub struct WriteCounts {
    records: AtomicU64,
    bytes: AtomicU64,
    retried: AtomicU64,
}

/// What they come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Records that were acknowledged.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Records that were sent again.
    pub retried: u64,
}

impl WriteCounts {
    pub(super) fn add(&self, totals: &WriteTotals) {
        self.records.fetch_add(totals.acknowledged, Ordering::Relaxed);
        self.bytes.fetch_add(totals.bytes, Ordering::Relaxed);
        self.retried.fetch_add(totals.retried, Ordering::Relaxed);
    }

    /// As they stand.
    pub fn now(&self) -> Written {
        Written {
            records: self.records.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            retried: self.retried.load(Ordering::Relaxed),
        }
    }
}
