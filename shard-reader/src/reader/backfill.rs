//! The backfill: pages that scans wait for, and at most two ahead of them.

use super::actor::{Actor, Closing};
use super::fetch::{Failure, Run};
use super::shard::{DemandFailure, ShardState};
use super::tail::Tail;
use crate::Position;
use tokio::time::Instant;

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
        let mut state = self.shard.state.lock();
        state.read_from(point);
        if let Some((as_of, _)) = tip.filter(|_| page.records.is_empty() && page.next.is_some()) {
            state.fail_unreachable(point, as_of);
        }
        drop(state);
        if page.next.is_none() {
            self.closing = Some(Closing {
                position: run.position,
                children: page.children,
            });
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
    /// The shard is complete up to `tip`, and a scan waits for more that was there before.
    pub(super) fn fail_unreachable(&mut self, tip: Position, as_of: Instant) {
        let failure = DemandFailure::Gone("the shard ends before the range does: its last records are gone".into());
        self.fail_demands(&failure, |demand, _| {
            demand.waiting && demand.position == tip && demand.since <= as_of
        });
    }
}
