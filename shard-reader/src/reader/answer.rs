//! What a pin needs of a shard, and its answer once that is known.

use std::time::Duration;

use tokio::time::Instant;

use super::error::ReadError;
use super::shard::{END, Horizon, ShardState};
use super::snapshot::{Freshness, PinRequest, ScanStart, TipKind};
use crate::{Position, SequenceNumber};

/// A horizon that the service showed so recently is taken, whatever the clocks say of its first record's age.
const FRESH_HORIZON: Duration = Duration::from_secs(10);
/// Empty replies from the trim horizon after which the first record counts as unknown.
const HORIZON_TRIES: u32 = 3;

/// A pin that waits for a shard's task.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) request: PinRequest,
    /// Wants the first record itself and nothing else: a scan that begins at the trim horizon.
    pub(super) insist: bool,
    pub(super) resolved: Option<ResolvedTime>,
    pub(super) failed: Option<ReadError>,
}

/// Where a start by time is.
#[derive(Clone, Copy, Debug)]
pub(super) enum ResolvedTime {
    At(Position),
    /// No record arrived at or after it.
    Nothing,
}

impl Waiter {
    pub(super) fn new(request: PinRequest) -> Self {
        Self {
            request,
            insist: false,
            resolved: None,
            failed: None,
        }
    }

    /// How new the tip must be; `None` = any known tip will do.
    fn as_of(&self, tip_known: bool) -> Option<Instant> {
        match self.request.freshness {
            Freshness::Latest => Some(self.request.arrived),
            Freshness::Within(age) => Some(self.request.arrived.checked_sub(age).unwrap_or(self.request.arrived)),
            Freshness::Cached if tip_known => None,
            Freshness::Cached => Some(self.request.arrived),
        }
    }
}

/// A shard's range, pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pinned {
    pub(super) start: Position,
    pub(super) end: Position,
    pub(super) kind: TipKind,
}

/// What has to be asked of the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// A tip that is complete to this moment.
    pub(super) tip: Option<Instant>,
    /// The first record.
    pub(super) horizon: bool,
    /// The first record at or after this time.
    pub(super) timestamp: Option<i64>,
}

/// The moment of looking.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Instant,
    /// Records that arrived before are past the stream's retention (ms since the epoch).
    pub(super) cutoff_ms: i64,
    /// The bound of sequence numbers of a shard that is listed as closed.
    pub(super) ending: Option<SequenceNumber>,
}

impl ShardState {
    /// The answer for a waiter, or what it still needs.
    pub(super) fn answer(&mut self, id: u64, moment: &Moment) -> Result<Result<Pinned, Needs>, ReadError> {
        let Some(waiter) = self.waiters.get_mut(&id) else {
            return Ok(Err(Needs::default()));
        };
        if let Some(error) = waiter.failed.take() {
            return Err(error);
        }
        let (start, insist, resolved) = (waiter.request.start, waiter.insist, waiter.resolved);
        let arrived = waiter.request.arrived;
        let as_of = waiter.as_of(self.tip.is_some());
        let mut needs = Needs::default();
        let end = if insist {
            Some((END, TipKind::Cached))
        } else {
            self.end(as_of, arrived, moment)
        };
        if end.is_none() {
            needs.tip = as_of;
        }
        let tip = end.map(|(end, _)| end);
        let start = match start {
            ScanStart::Latest => tip,
            ScanStart::TrimHorizon => {
                let horizon = self.horizon_start(moment);
                let unknown = (!insist && self.horizon_tries >= HORIZON_TRIES).then_some(Position::TrimHorizon);
                needs.horizon = horizon.is_none() && unknown.is_none();
                horizon.or(unknown)
            }
            ScanStart::Timestamp(time) => match resolved {
                Some(ResolvedTime::At(position)) => Some(position),
                Some(ResolvedTime::Nothing) => tip,
                None => {
                    let held = tip.and_then(|tip| self.time_in_memory(time, tip, moment));
                    needs.timestamp = held.is_none().then_some(time);
                    held
                }
            },
        };
        match (start, end) {
            // a record that came after the tip was seen is not in the range
            (Some(start), Some((end, kind))) => Ok(Ok(Pinned {
                start: start.min(end),
                end,
                kind,
            })),
            _ => Ok(Err(needs)),
        }
    }

    fn end(&self, as_of: Option<Instant>, arrived: Instant, moment: &Moment) -> Option<(Position, TipKind)> {
        if let Some(closed) = self.closed_at {
            return Some((closed, TipKind::Closed));
        }
        if let Some(tip) = self.tip {
            let kind = if tip.as_of > arrived { tip.kind } else { TipKind::Cached };
            return as_of.is_none_or(|as_of| tip.as_of > as_of).then_some((tip.end, kind));
        }
        // A closed shard takes no more records: all it has lies before the bound, and its last record need not be looked for.
        let ending = moment.ending.filter(|_| self.tail.is_none())?;
        Some((Position::after_record(ending), TipKind::Closed))
    }

    /// What all waiters need together.
    pub(super) fn needs(&mut self, moment: &Moment) -> Needs {
        let ids: Vec<u64> = self
            .waiters
            .iter()
            .filter(|(_, waiter)| waiter.failed.is_none())
            .map(|(id, _)| *id)
            .collect();
        let mut all = Needs::default();
        for id in ids {
            if let Ok(Err(needs)) = self.answer(id, moment) {
                all.tip = match (all.tip, needs.tip) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
                all.horizon |= needs.horizon;
                all.timestamp = all.timestamp.or(needs.timestamp);
            }
        }
        all
    }

    /// Where the shard begins. The service decides what has expired: by our clock a record is only suspected to be gone, and the service is asked again.
    fn horizon_start(&self, moment: &Moment) -> Option<Position> {
        let horizon = self.horizon?;
        let expired = horizon.arrival_ms.is_some_and(|arrival| arrival < moment.cutoff_ms);
        let fresh = moment.now.saturating_duration_since(horizon.observed) < FRESH_HORIZON;
        (!expired || fresh).then_some(horizon.start)
    }

    /// The first record at or after a time, where what is held proves it: the run up to the tip begins at the horizon, or with an older record.
    fn time_in_memory(&self, time: i64, tip: Position, moment: &Moment) -> Option<Position> {
        if self.closed_at.is_some_and(|closed| closed == tip) || self.tail == Some(tip) {
            let begin = self.coverage.run_start(tip);
            let (_, first) = self.coverage.at(begin)?;
            let records = first.segment.records();
            let older = records.arrival(records.lower_bound(begin)).is_some_and(|arrival| arrival < time);
            if !older && self.horizon_start(moment) != Some(begin) {
                return None;
            }
            for (_, stretch) in self.coverage.run(begin, END) {
                let (_, latest) = stretch.segment.arrival_range();
                if latest < time {
                    continue;
                }
                let records = stretch.segment.records();
                if let Some(row) = (0..records.len()).find(|row| records.arrival(*row).is_none_or(|arrival| arrival >= time)) {
                    return Some(records.start_of(row));
                }
            }
            return Some(tip);
        }
        None
    }

    /// A read from the trim horizon or from where the horizon was empty began with this record.
    pub(super) fn saw_first(&mut self, start: Position, arrival_ms: Option<i64>, observed: Instant) {
        self.horizon = Some(Horizon {
            start,
            arrival_ms,
            observed,
        });
        self.horizon_tries = 0;
    }
}
