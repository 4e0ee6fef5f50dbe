//! What it means for a shard that scans follow it: its tail is wanted as soon as it is there.

use std::time::Duration;

use super::coverage::Coverage;
use super::shard::{Demand, DemandFailure, ShardState};
use crate::{Position, Records};

/// So long after a reply that was at the tip the tail is asked again while somebody follows it, if the shard's budget of calls allows: 10 calls/s
/// where there is none.
pub(super) const FOLLOW_POLL: Duration = Duration::from_millis(100);

/// A follower with more segments than these before it has not come to the tail yet.
const NEAR_SEGMENTS: usize = 8;

/// A scan that does not end before its shard does.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Following {
    /// It had everything there was, once.
    caught_up: bool,
    /// Bytes that came at the tip since, and that it has not taken yet.
    behind: u64,
}

impl Demand {
    /// Whether the scan follows, and all that is held lies before the tail.
    pub(super) fn is_at_tail(&self, coverage: &Coverage, tail: Option<Position>) -> bool {
        let front = self.handed.back().map_or(self.position, |(_, to, _)| *to);
        self.following.is_some() && self.failed.is_none() && tail.is_some_and(|tail| coverage.reach(front, NEAR_SEGMENTS).0 == tail)
    }

    /// The scan took rows.
    pub(super) fn took(&mut self, bytes: u64) {
        if let Some(following) = &mut self.following {
            following.behind = following.behind.saturating_sub(bytes);
        }
    }

    /// The scan has nothing more to take; `tip` is the end of the shard as far as it is known.
    pub(super) fn drained(&mut self, tip: Option<Position>) {
        let position = self.position;
        if let Some(following) = &mut self.following
            && tip.is_some_and(|tip| position >= tip)
        {
            *following = Following {
                caught_up: true,
                behind: 0,
            };
        }
    }
}

impl ShardState {
    /// Somebody follows the shard and has, or is about to have, all that was read of it: what comes next is wanted as soon as it is there.
    pub(super) fn wants_tail(&self) -> bool {
        self.closed_at.is_none() && self.demands.values().any(|demand| demand.is_at_tail(&self.coverage, self.tail))
    }

    /// A follower stands at this very point.
    pub(super) fn is_followed_at(&self, point: Option<Position>) -> bool {
        point.is_some() && self.demands.values().any(|demand| demand.is_at_tail(&self.coverage, point))
    }

    /// The shard's first record is known, or where it was empty: who waits for it begins there.
    pub(super) fn begin_following(&mut self, start: Position) {
        let waiting = |demand: &&mut Demand| demand.following.is_some() && demand.position == Position::TrimHorizon;
        for demand in self.demands.values_mut().filter(waiting) {
            demand.position = start;
        }
    }

    /// Records came up to `to`. A follower that had caught up and has left more than `most` bytes lying since is ended: what it has not taken would be
    /// fetched once more for it alone.
    pub(super) fn told_followers(&mut self, to: Position, records: &Records, most: u64) {
        if to <= self.frontier {
            return;
        }
        let first = records.lower_bound(self.frontier);
        let bytes = records.wire_bytes(first..records.len());
        self.frontier = to;
        for demand in self.demands.values_mut() {
            let Some(following) = demand.following.as_mut().filter(|following| following.caught_up) else {
                continue;
            };
            following.behind = following.behind.saturating_add(bytes);
            if following.behind > most && demand.failed.is_none() {
                demand.failed = Some(DemandFailure::Lagging(following.behind));
                demand.handed.clear();
            }
        }
    }
}
