//! What the process knows of one shard, shared between its task (the only writer of records), the pins and the scans.
//!
//! The lock is held for moments, never across an await. Every change bumps `version`; who waits looks again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::answer::Waiter;
use super::arrivals::Arrivals;
use super::counters::Counters;
use super::coverage::Coverage;
use super::elsewhere::Estimated;
use super::error::ReadError;
use super::following::Following;
use super::seen::Seen;
use super::snapshot::TipKind;
use super::storing::{ShardStorage, Unsaved};
use crate::memory_budget::{Candidate, MemoryBudget, SegmentHolder};
use crate::records::SegmentMaker;
use crate::{Position, Segment, ShardId, ShardInfo, SourceError};

/// Greater than every point of a shard.
pub(super) const END: Position = Position::after_record(MOST);
const MOST: crate::SequenceNumber = crate::SequenceNumber::MAX;

#[derive(Debug)]
pub(super) struct Shard {
    pub(super) id: ShardId,
    pub(super) info: Mutex<ShardInfo>,
    pub(super) maker: SegmentMaker,
    /// What the process counts, of this shard alone.
    pub(super) counters: Counters,
    pub(super) state: Mutex<ShardState>,
    pub(super) version: watch::Sender<u64>,
    /// Wakes the shard's task.
    pub(super) wake: Notify,
    /// What the process that pinned it last, if that is another one, said of reading the range.
    pub(super) elsewhere: Mutex<Option<Estimated>>,
}

/// The furthest that is known to be complete.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tip {
    /// Everything acknowledged before this moment lies before `end`.
    pub(super) as_of: Instant,
    pub(super) end: Position,
    pub(super) kind: TipKind,
}

/// The oldest point of the shard, as a read from the trim horizon showed it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Horizon {
    /// `Before` the first record; where there was none, the shard's tip then.
    pub(super) start: Position,
    pub(super) arrival_ms: Option<i64>,
    /// When; `None` = by an earlier process.
    pub(super) observed: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct ShardState {
    pub(super) coverage: Coverage,
    pub(super) seen: Seen,
    /// Where the tail cursor stands, once it knows.
    pub(super) tail: Option<Position>,
    /// After the last record that was ever fetched.
    pub(super) frontier: Position,
    pub(super) tip: Option<Tip>,
    /// The shard has ended here. Set after its children are registered.
    pub(super) closed_at: Option<Position>,
    pub(super) horizon: Option<Horizon>,
    pub(super) arrivals: Arrivals,
    /// Empty replies from the trim horizon since the horizon was last known.
    pub(super) horizon_tries: u32,
    pub(super) waiters: BTreeMap<u64, Waiter>,
    pub(super) demands: BTreeMap<u64, Demand>,
    pub(super) next_id: u64,
    /// The shard's task, while one runs.
    pub(super) running: Option<u64>,
    pub(super) last_statement: Instant,
    pub(super) failing: Option<Failing>,
    pub(super) millis_behind: Option<u64>,
    pub(super) storage: Option<ShardStorage>,
    pub(super) unsaved: Unsaved,
    /// A task loads what is stored.
    pub(super) loading: bool,
    /// Its records are pushed.
    pub(super) pushed: bool,
}

/// Calls have failed since.
#[derive(Clone, Debug)]
pub(super) struct Failing {
    pub(super) since: Instant,
    pub(super) error: SourceError,
}

/// What a live scan wants.
#[derive(Debug)]
pub(super) struct Demand {
    /// Where the scan stands.
    pub(super) position: Position,
    pub(super) end: Position,
    /// The scan found nothing held at its position and waits.
    pub(super) waiting: bool,
    /// Since when it waits, or when it began.
    pub(super) since: Instant,
    /// Segments of the page it waited for, so that eviction cannot come between.
    pub(super) handed: VecDeque<(Position, Position, Arc<Segment>)>,
    /// Pages that may be fetched ahead of it.
    pub(super) pages_ahead: usize,
    /// Pages of its range that were fetched and that the scan has not counted yet.
    pub(super) calls: u64,
    /// When they were handed over.
    pub(super) handed_at: Instant,
    /// The last point fetched from while it did not wait; nothing is fetched ahead twice, even if it was evicted meanwhile.
    pub(super) fetched_ahead: Option<Position>,
    /// It does not end before the shard does.
    pub(super) following: Option<Following>,
    /// The range ends with the closed shard, and so it has.
    pub(super) complete: bool,
    pub(super) failed: Option<DemandFailure>,
}

/// Points that scans want to go on from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    /// Stored.
    pub(super) load: Option<Position>,
    /// To be fetched.
    pub(super) fetch: Option<Position>,
}

#[derive(Clone, Debug)]
pub(super) enum DemandFailure {
    /// The records are gone from the service.
    Gone(String),
    /// It follows, and so many bytes came since it had everything.
    Lagging(u64),
    Error(ReadError),
}

/// Pages fetched ahead of a scan.
pub(super) const PAGES_AHEAD: usize = 2;
/// What a scan does not fetch for so long is not kept for it where memory is short.
const KEPT_FOR: Duration = Duration::from_secs(2);

impl Demand {
    /// Where to fetch next for it, if anywhere: the point, and whether the scan waits for it. The tail of what it follows comes by itself.
    fn wanted(&self, coverage: &Coverage, closed_at: Option<Position>, tail: Option<Position>) -> Option<(Position, bool)> {
        if self.failed.is_some() || self.complete || self.is_at_tail(coverage, tail) {
            return None;
        }
        let front = self.handed.back().map_or(self.position, |(_, to, _)| *to);
        let (reached, segments) = coverage.reach(front, self.pages_ahead);
        // what was walked over are whole records; a range may begin inside one
        let done = reached >= self.end
            || (reached > self.position && reached.completes(self.end))
            || closed_at.is_some_and(|closed| reached >= closed);
        if done || self.handed.len() + segments >= self.pages_ahead {
            return None;
        }
        let waits = self.waiting && reached == self.position;
        (waits || self.fetched_ahead.is_none_or(|last| reached > last)).then_some((reached, waits))
    }
}

impl ShardState {
    fn new(storage: Option<ShardStorage>) -> Self {
        Self {
            coverage: Coverage::default(),
            seen: Seen::default(),
            tail: None,
            frontier: Position::TrimHorizon,
            tip: None,
            closed_at: None,
            horizon: None,
            arrivals: Arrivals::default(),
            horizon_tries: 0,
            waiters: BTreeMap::new(),
            demands: BTreeMap::new(),
            next_id: 0,
            running: None,
            last_statement: Instant::now(),
            failing: None,
            millis_behind: None,
            storage,
            unsaved: Unsaved::default(),
            loading: false,
            pushed: false,
        }
    }

    pub(super) fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// What scans want next: the one that waits longest goes first, then what is read ahead. Stored records are loaded unless they arrived before
    /// `cutoff_ms`, the beginning of retention by our clock: then the service is asked whether it still has them.
    pub(super) fn wanted(&self, cutoff_ms: i64) -> Wanted {
        let stored = |point| self.storage.as_ref().is_some_and(|storage| storage.files.holds(point, cutoff_ms));
        let mut wanted: Vec<_> = self
            .demands
            .values()
            .filter_map(|demand| {
                let (position, waits) = demand.wanted(&self.coverage, self.closed_at, self.tail)?;
                Some(((!waits, demand.since), position))
            })
            .collect();
        wanted.sort_by_key(|(rank, _)| *rank);
        Wanted {
            load: wanted.iter().map(|(_, point)| *point).find(|point| stored(*point)),
            fetch: wanted.iter().map(|(_, point)| *point).find(|point| !stored(*point)),
        }
    }

    /// The shard has ended: nothing comes after this.
    pub(super) fn close_at(&mut self, end: Position) {
        self.tail = Some(end);
        self.closed_at = Some(end);
        self.tip = Some(Tip {
            as_of: Instant::now(),
            end,
            kind: TipKind::Closed,
        });
    }

    /// Gives the segments that hold `[from, to)` to the scans that wait in there.
    pub(super) fn hand_over(&mut self, from: Position, to: Position) {
        for demand in self
            .demands
            .values_mut()
            .filter(|demand| demand.waiting && demand.position >= from && demand.position < to)
        {
            let run = self.coverage.run(demand.position, to);
            demand.handed = run
                .map(|(from, stretch)| (from, stretch.to, Arc::clone(&stretch.segment)))
                .collect();
            demand.handed_at = Instant::now();
            demand.waiting = demand.handed.is_empty();
        }
    }

    /// A page was read from this point.
    pub(super) fn read_from(&mut self, point: Position) {
        for demand in self
            .demands
            .values_mut()
            .filter(|demand| demand.position <= point && point < demand.end)
        {
            demand.fetched_ahead = demand.fetched_ahead.max(Some(point));
            demand.calls += 1;
        }
    }

    /// A part of a file was read from this point.
    pub(super) fn loaded_from(&mut self, point: Position) {
        for demand in self
            .demands
            .values_mut()
            .filter(|demand| demand.position <= point && point < demand.end)
        {
            demand.fetched_ahead = demand.fetched_ahead.max(Some(point));
        }
    }

    /// Fails the scans that wait, or also those that do not yet.
    pub(super) fn fail_demands(&mut self, failure: &DemandFailure, which: impl Fn(&Demand, &Coverage) -> bool) {
        for demand in self.demands.values_mut() {
            if demand.failed.is_none() && which(demand, &self.coverage) {
                demand.failed = Some(failure.clone());
            }
        }
    }

    pub(super) fn fail_waiters(&mut self, error: &ReadError) {
        for waiter in self.waiters.values_mut() {
            waiter.failed.get_or_insert_with(|| error.clone());
        }
    }
}

impl Shard {
    pub(super) fn new(info: ShardInfo, budget: &Arc<MemoryBudget>, storage: Option<ShardStorage>) -> Arc<Self> {
        let shard = Arc::new(Self {
            id: info.id.clone(),
            maker: SegmentMaker {
                shard: info.id.clone(),
                budget: Arc::clone(budget),
            },
            info: Mutex::new(info),
            counters: Counters::default(),
            state: Mutex::new(ShardState::new(storage)),
            version: watch::Sender::new(0),
            wake: Notify::new(),
            elsewhere: Mutex::default(),
        });
        let holder: Arc<dyn SegmentHolder> = Arc::<Self>::clone(&shard);
        budget.register(Arc::downgrade(&holder));
        shard.take_up();
        shard
    }

    /// Lets everybody who waits look again.
    pub(super) fn changed(&self) {
        self.version.send_modify(|version| *version = version.wrapping_add(1));
    }
}

impl SegmentHolder for Shard {
    fn candidates(self: Arc<Self>, into: &mut Vec<Candidate>) {
        let mut state = self.state.lock();
        for demand in state.demands.values_mut().filter(|demand| demand.handed_at.elapsed() >= KEPT_FOR) {
            demand.handed.clear();
        }
        for (from, stretch) in state.coverage.stretches() {
            if Arc::strong_count(&stretch.segment) == 1 {
                let holder: Arc<dyn SegmentHolder> = Arc::<Self>::clone(&self);
                into.push(Candidate {
                    holder,
                    from,
                    used: stretch.segment.used(),
                });
            }
        }
    }

    fn evict(&self, candidate: &Candidate) -> bool {
        let mut state = self.state.lock();
        let Some(stretch) = state.coverage.evict(candidate.from, candidate.used) else {
            return false;
        };
        let records = stretch.segment.records();
        let leaves = |storage: &ShardStorage| storage.files.leave(candidate.from, stretch.to, records);
        if state.storage.as_ref().is_some_and(leaves) {
            state.save_soon();
        }
        true
    }
}
