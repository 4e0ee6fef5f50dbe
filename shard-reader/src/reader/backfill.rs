//! The backfill: pages that scans wait for, and at most two ahead of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::actor::{Actor, Closing};
use super::fetch::{CONTRADICTED_AFTER, Failure, Run};
use super::shard::{Demand, DemandFailure, ShardState};
use super::snapshot::TipKind;
use super::tail::Tail;
use crate::{Page, Position, SequenceNumber};

/// Cursors kept for scans that read in several places.
const RUNS: usize = 4;

impl Actor {
    /// One page from a point that a scan has come to.
    pub(super) async fn backfill(&mut self, point: Position) -> Result<(), Failure> {
        if matches!(&self.tail, Tail::Live(run) if run.position == Some(point)) {
            let done = self.read_tail().await;
            self.shard.state.lock().read_from(point);
            return done;
        }
        if self.shard.lists_are_due() {
            // another node may have stored it since
            let (context, shard) = (Arc::clone(&self.context), Arc::clone(&self.shard));
            context.look_in_store(&shard).await;
            return Ok(());
        }
        let kept = self.runs.iter().position(|run| run.position == Some(point));
        let mut run = kept.map_or_else(|| Run::at(point), |index| self.runs.remove(index));
        let page = match self.fetch(&mut run, self.page_limit()).await {
            Ok(Some(page)) => page,
            Ok(None) => {
                self.keep(run);
                return Ok(());
            }
            Err(failure) => {
                self.keep(run);
                return Err(failure);
            }
        };
        let tip = run.complete_as_of(&page);
        self.absorb(&mut run, &page)?;
        let end = tip.filter(|_| page.records.is_empty() && page.next.is_some());
        let ending = match end {
            Some(_) => self.ending_at(point).await,
            None => Ok(None),
        };
        let ending = match ending {
            Ok(ending) => ending,
            Err(failure) => {
                self.keep(run);
                return Err(failure);
            }
        };
        {
            let mut state = self.shard.state.lock();
            state.read_from(point);
            if point == Position::TrimHorizon && page.records.is_empty() && (page.next.is_none() || tip.is_some()) {
                let start = state.closed_at.or(state.tail).unwrap_or(point);
                state.saw_first(start, None, page.requested_at);
            }
            if let Some(end) = end {
                state.scans_at_tip(point, end, ending);
            }
        }
        if page.next.is_none() {
            self.closing = Some(Closing {
                position: run.position,
                children: page.children,
            });
        } else if self.is_new_tail(&run, tip, &page) {
            self.last_tail_read = Instant::now();
            let read = self.tail_read(&run, &page, tip).await;
            self.tail = Tail::Live(run);
            read?;
        } else {
            if page.records.is_empty() {
                self.pause_after(&page);
            } else {
                self.short_replies = 0;
            }
            self.keep(run);
        }
        Ok(())
    }

    /// The bound of the shard's sequence numbers, if it is closed, for what a tip at `point` says to the scans that wait there. A range may end with that
    /// bound and come from a process that knew the shard closed when this one did not, so where it is not known the shards are listed first.
    pub(super) async fn ending_at(&mut self, point: Position) -> Result<Option<SequenceNumber>, Failure> {
        let (context, shard) = (Arc::clone(&self.context), Arc::clone(&self.shard));
        let known = || shard.info.lock().ending_sequence;
        // a follower waits at every tip, and its range ends with no number
        let is_wanted = |demand: &Demand| demand.waiting && demand.position == point && demand.following.is_none();
        if known().is_none() && shard.state.lock().demands.values().any(is_wanted) {
            context.list(Instant::now()).await?;
        }
        Ok(known())
    }

    /// A follower has come to the tip by a cursor of its own, further than the tail's: from here on this is the tail.
    fn is_new_tail(&self, run: &Run, tip: Option<(Instant, TipKind)>, page: &Page) -> bool {
        let further = match &self.tail {
            Tail::Live(tail) => tail.position <= run.position,
            Tail::Cold { .. } | Tail::Probe { .. } => true,
        };
        further
            && tip.is_some_and(|(as_of, _)| self.is_tip(as_of, page.requested_at))
            && self.shard.state.lock().is_followed_at(run.position)
    }

    /// Keeps a cursor to read on from.
    pub(super) fn keep(&mut self, run: Run) {
        self.runs.retain(|other| other.position != run.position);
        self.runs.push(run);
        if self.runs.len() > RUNS {
            self.runs.remove(0);
        }
    }
}

impl ShardState {
    /// The shard is complete up to `point`, after a whole record, and scans wait there for more that was there before. A range that ends with a closed
    /// shard is complete: the bound of its numbers is not a record's. So is one that ends with that very record. Any other is missing its last records.
    pub(super) fn scans_at_tip(&mut self, point: Position, tip: (Instant, TipKind), ending: Option<SequenceNumber>) {
        let (as_of, kind) = tip;
        let lasted = if kind == TipKind::Assumed {
            CONTRADICTED_AFTER
        } else {
            Duration::ZERO
        };
        let bound = ending.map(Position::after_record);
        let waiting = |demand: &&mut Demand| {
            demand.following.is_none() && demand.waiting && demand.position == point && demand.since + lasted <= as_of
        };
        for demand in self.demands.values_mut().filter(waiting) {
            if Some(demand.end) == bound || point.completes(demand.end) {
                demand.complete = true;
            } else {
                let message = "the shard ends before the range does: its last records are gone".into();
                demand.failed.get_or_insert(DemandFailure::Gone(message));
            }
        }
    }
}
