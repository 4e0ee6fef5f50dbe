//! What the readers of a process did, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::memory_budget::MemoryBudget;

/// Totals since the process began, and what is held now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounters {
    /// GetRecords calls made, failed ones too.
    pub get_records_calls: u64,
    /// Records received.
    pub records_fetched: u64,
    /// Of these, records that had been received before (evicted since, or overlapping what is held).
    pub records_refetched: u64,
    /// Bytes received: payloads and partition keys.
    pub bytes_fetched: u64,
    /// Throttled calls.
    pub throttles: u64,
    /// Iterators that expired.
    pub iterator_expiries: u64,
    /// Bytes of records and decoded columns held.
    pub held_bytes: u64,
    /// Segments dropped for lack of memory.
    pub evictions: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) calls: AtomicU64,
    pub(super) records: AtomicU64,
    pub(super) refetched: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) throttles: AtomicU64,
    pub(super) expiries: AtomicU64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }

    pub(super) fn totals(&self, budget: &MemoryBudget) -> CacheCounters {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheCounters {
            get_records_calls: get(&self.calls),
            records_fetched: get(&self.records),
            records_refetched: get(&self.refetched),
            bytes_fetched: get(&self.bytes),
            throttles: get(&self.throttles),
            iterator_expiries: get(&self.expiries),
            held_bytes: budget.held(),
            evictions: budget.evictions(),
        }
    }
}
