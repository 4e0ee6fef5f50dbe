//! The one byte budget over everything that segments hold.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::Position;

/// Counts what segments hold, and takes the least recently used back when it is too much.
pub(crate) struct MemoryBudget {
    capacity: u64,
    held: AtomicU64,
    evictions: AtomicU64,
    clock: AtomicU64,
    holders: Mutex<Vec<Weak<dyn SegmentHolder>>>,
    /// One reclaim at a time; others go on meanwhile.
    reclaiming: Mutex<()>,
}

/// Something that keeps segments (a shard's coverage).
pub(crate) trait SegmentHolder: Send + Sync {
    /// Adds every segment that nobody reads at the moment.
    fn candidates(self: Arc<Self>, into: &mut Vec<Candidate>);
    /// Drops a segment unless somebody began to read it since; says whether it did.
    fn evict(&self, candidate: &Candidate) -> bool;
}

/// A segment that could go.
pub(crate) struct Candidate {
    pub(crate) holder: Arc<dyn SegmentHolder>,
    pub(crate) from: Position,
    pub(crate) used: u64,
}

impl MemoryBudget {
    pub(crate) fn new(capacity: u64) -> Arc<Self> {
        Arc::new(Self {
            capacity,
            held: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
            clock: AtomicU64::new(0),
            holders: Mutex::default(),
            reclaiming: Mutex::default(),
        })
    }

    /// The next moment of use.
    pub(crate) fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    pub(crate) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    pub(crate) fn register(&self, holder: Weak<dyn SegmentHolder>) {
        let mut holders = self.holders.lock();
        // only when the list would grow: thousands of shards register one after the other
        if holders.len() == holders.capacity() {
            holders.retain(|holder| holder.strong_count() > 0);
        }
        holders.push(holder);
    }

    /// When over budget, drops least recently used segments down to 90 %. Segments being read are freed when their readers let go.
    ///
    /// Must not be called with a holder's lock held.
    pub(crate) fn reclaim(&self) {
        if self.held() <= self.capacity {
            return;
        }
        let Some(_one_at_a_time) = self.reclaiming.try_lock() else { return };
        let target = self.capacity / 10 * 9;
        let holders: Vec<_> = self.holders.lock().iter().filter_map(Weak::upgrade).collect();
        let mut candidates = Vec::new();
        for holder in holders {
            holder.candidates(&mut candidates);
        }
        candidates.sort_unstable_by_key(|candidate| candidate.used);
        for candidate in &candidates {
            if self.held() <= target {
                break;
            }
            if candidate.holder.evict(candidate) {
                self.evictions.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl fmt::Debug for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBudget")
            .field("capacity", &self.capacity)
            .field("held", &self.held())
            .finish_non_exhaustive()
    }
}
