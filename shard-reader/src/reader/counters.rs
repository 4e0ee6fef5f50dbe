//! What the readers of a process did, for metrics: in all, and of each shard.

use std::sync::atomic::{AtomicU64, Ordering};

use super::actor::Actor;
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
    /// Records received that begin like a KPL aggregate and are none.
    pub aggregate_look_alikes: u64,
    /// Bytes received: payloads and partition keys.
    pub bytes_fetched: u64,
    /// Throttled calls.
    pub throttles: u64,
    /// Iterators that expired.
    pub iterator_expiries: u64,
    /// Times that a statement found records of its range gone: it failed, or went on behind them.
    pub gaps: u64,
    /// Subscriptions that began.
    pub subscriptions: u64,
    /// Of these, those that followed one that had ended after its time.
    pub resubscriptions: u64,
    /// Times that polling took over from fan-out.
    pub fallbacks: u64,
    /// Events pushed.
    pub events: u64,
    /// Bytes handed to statements from memory.
    pub bytes_from_cache: u64,
    /// Bytes handed to statements that were fetched for them.
    pub bytes_from_kinesis: u64,
    /// Bytes of records and decoded columns held.
    pub held_bytes: u64,
    /// Segments dropped for lack of memory.
    pub evictions: u64,
}

/// What was done for one shard, since the process first knew it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardCounters {
    /// GetRecords calls made, failed ones too.
    pub get_records_calls: u64,
    /// Records received.
    pub records_fetched: u64,
    /// Of these, records that had been received before.
    pub records_refetched: u64,
    /// Bytes received: payloads and partition keys.
    pub bytes_fetched: u64,
    /// Throttled calls.
    pub throttles: u64,
    /// Iterators that expired.
    pub iterator_expiries: u64,
    /// Times that a statement found records of its range gone: it failed, or went on behind them.
    pub gaps: u64,
    /// Subscriptions that began.
    pub subscriptions: u64,
    /// Of these, those that followed one that had ended after its time.
    pub resubscriptions: u64,
    /// Times that polling took over from fan-out.
    pub fallbacks: u64,
    /// Events pushed.
    pub events: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) calls: AtomicU64,
    pub(super) records: AtomicU64,
    pub(super) refetched: AtomicU64,
    pub(super) look_alikes: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) throttles: AtomicU64,
    pub(super) expiries: AtomicU64,
    pub(super) gaps: AtomicU64,
    pub(super) subscriptions: AtomicU64,
    pub(super) resubscriptions: AtomicU64,
    pub(super) fallbacks: AtomicU64,
    pub(super) events: AtomicU64,
    pub(super) cached: AtomicU64,
    pub(super) uncached: AtomicU64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }

    pub(super) fn totals(&self, budget: &MemoryBudget) -> CacheCounters {
        let shard = self.of_shard();
        CacheCounters {
            get_records_calls: shard.get_records_calls,
            records_fetched: shard.records_fetched,
            records_refetched: shard.records_refetched,
            aggregate_look_alikes: self.look_alikes.load(Ordering::Relaxed),
            bytes_fetched: shard.bytes_fetched,
            throttles: shard.throttles,
            iterator_expiries: shard.iterator_expiries,
            gaps: shard.gaps,
            subscriptions: shard.subscriptions,
            resubscriptions: shard.resubscriptions,
            fallbacks: shard.fallbacks,
            events: shard.events,
            bytes_from_cache: self.cached.load(Ordering::Relaxed),
            bytes_from_kinesis: self.uncached.load(Ordering::Relaxed),
            held_bytes: budget.held(),
            evictions: budget.evictions(),
        }
    }

    pub(super) fn of_shard(&self) -> ShardCounters {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ShardCounters {
            get_records_calls: get(&self.calls),
            records_fetched: get(&self.records),
            records_refetched: get(&self.refetched),
            bytes_fetched: get(&self.bytes),
            throttles: get(&self.throttles),
            iterator_expiries: get(&self.expiries),
            gaps: get(&self.gaps),
            subscriptions: get(&self.subscriptions),
            resubscriptions: get(&self.resubscriptions),
            fallbacks: get(&self.fallbacks),
            events: get(&self.events),
        }
    }
}

impl Actor {
    /// Counts for the process and for the shard.
    pub(super) fn tally(&self, counter: impl Fn(&Counters) -> &AtomicU64, amount: u64) {
        Counters::add(counter(&self.context.shared.counters), amount);
        Counters::add(counter(&self.shard.counters), amount);
    }
}
