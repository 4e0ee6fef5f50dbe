//! What this node does for others, and has them do: for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the process began.
#[derive(Debug, Default)]
pub(crate) struct ClusterCounters {
    /// Shards that others were asked to pin.
    pub(crate) pins_asked: Count,
    /// Of these, those that they did not answer, or not so that it could be used.
    pub(crate) pins_failed: Count,
    /// Shards that were pinned for others.
    pub(crate) pins_served: Count,
    /// Tasks of other nodes' statements that were begun.
    pub(crate) tasks: Count,
    /// Calls of clients that were relayed to the nodes that hold their sessions.
    pub(crate) relayed: Count,
}

/// A number that grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
