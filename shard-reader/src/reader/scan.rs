//! Scanning: the rows of a range, from memory where they are held, else as their pages come.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::context::StreamContext;
use super::counters::Counters;
use super::error::{ReadError, ReadErrorKind};
use super::meter::{ScanTotals, StatementMeter};
use super::shard::{Demand, DemandFailure, PAGES_AHEAD, Shard};
use super::snapshot::ShardRange;
use crate::{Position, Segment};

/// Rows of a segment.
#[derive(Clone, Debug)]
pub struct SegmentSlice {
    /// The segment.
    pub segment: Arc<Segment>,
    /// Its rows that lie in the range; never empty.
    pub rows: Range<usize>,
    /// Whether it was in memory before the scan began.
    pub cached: bool,
}

/// A scan of one shard's range. Starts nothing until the first [`ShardScan::next`].
pub struct ShardScan {
    context: Arc<StreamContext>,
    range: ShardRange,
    meter: Arc<StatementMeter>,
    /// After the last row handed out.
    position: Position,
    pub(super) delivered: bool,
    pub(super) totals: ScanTotals,
    pages_ahead: usize,
    live: Option<Live>,
}

/// A scan that has begun: its demand is known to the shard's task until it is dropped.
struct Live {
    shard: Arc<Shard>,
    demand: u64,
    version: watch::Receiver<u64>,
    /// Everything before is handed out.
    reached: Position,
    /// Segments fetched from here on (in ticks) are this statement's reading.
    began: u64,
    /// Calls since the last turn.
    calls: u64,
}

impl Drop for Live {
    fn drop(&mut self) {
        let mut state = self.shard.state.lock();
        state.demands.remove(&self.demand);
        state.last_statement = Instant::now();
    }
}

enum Turn {
    Rows(SegmentSlice),
    Passed,
    Wait,
    End,
}

impl ShardScan {
    pub(super) fn new(context: Arc<StreamContext>, range: ShardRange, meter: Arc<StatementMeter>) -> Self {
        Self {
            context,
            position: range.start,
            range,
            meter,
            delivered: false,
            totals: ScanTotals::default(),
            pages_ahead: PAGES_AHEAD,
            live: None,
        }
    }

    /// After the last row handed out; the range's start before the first.
    pub fn position(&self) -> Position {
        self.position
    }

    /// What was handed out so far, and the calls it took.
    pub fn totals(&self) -> ScanTotals {
        self.totals
    }

    /// Fetches nothing ahead.
    pub(super) fn of_one_page(mut self) -> Self {
        self.pages_ahead = 1;
        self
    }

    /// The range.
    pub fn range(&self) -> &ShardRange {
        &self.range
    }

    /// The next run of rows in the range, in order; `None` at its end. Cancel safe: a dropped call loses nothing.
    ///
    /// # Errors
    /// `Expired` and `DataLoss` when records of the range are gone, `LimitExceeded` and `TimedOut` as the statement's meter says, and what the source
    /// reports when it does so for long. After an error the scan stands where it stood.
    pub async fn next(&mut self) -> Result<Option<SegmentSlice>, ReadError> {
        loop {
            if self.range.start >= self.range.end {
                return Ok(None);
            }
            self.check_limits()?;
            if self.live.is_none() {
                self.begin().await?;
            }
            let Some(live) = &mut self.live else { return Ok(None) };
            live.version.borrow_and_update();
            let turn = Self::turn(&self.context, live, &self.range);
            let calls = std::mem::take(&mut live.calls);
            self.totals.calls += calls;
            self.meter.count_calls(calls);
            match turn.map_err(|failure| failure.of(self))? {
                Turn::Rows(slice) => {
                    self.count(&slice);
                    self.position = slice.segment.records().end_of(slice.rows.end - 1);
                    self.delivered = true;
                    return Ok(Some(slice));
                }
                Turn::Passed => {}
                Turn::End => return Ok(None),
                Turn::Wait => self.wait().await?,
            }
        }
    }

    /// Makes the scan's demand known.
    async fn begin(&mut self) -> Result<(), ReadError> {
        let shard = self.context.shard(&self.range.shard);
        let mut reached = self.range.start;
        if reached == Position::TrimHorizon {
            let first = self.context.first_record(&shard, self.patience()).await;
            self.check_limits()?;
            reached = first?;
            if !matches!(reached, Position::Before(_)) || reached >= self.range.end {
                // the bound of a closed shard's numbers names no record: such a shard may have had none
                let bound = shard.info.lock().ending_sequence.map(Position::after_record);
                if bound == Some(self.range.end) {
                    return Ok(());
                }
                return Err(self.error(ReadErrorKind::Expired, "all records of the range have expired"));
            }
        }
        let began = shard.maker.budget.tick();
        let version = shard.version.subscribe();
        let mut state = shard.state.lock();
        let demand = state.new_id();
        state.demands.insert(
            demand,
            Demand {
                position: reached,
                end: self.range.end,
                waiting: false,
                since: Instant::now(),
                handed: Default::default(),
                pages_ahead: self.pages_ahead,
                calls: 0,
                fetched_ahead: None,
                complete: false,
                failed: None,
            },
        );
        state.last_statement = Instant::now();
        drop(state);
        self.live = Some(Live {
            shard,
            demand,
            version,
            reached,
            began,
            calls: 0,
        });
        Ok(())
    }

    fn turn(context: &Arc<StreamContext>, live: &mut Live, range: &ShardRange) -> Result<Turn, TurnFailure> {
        let mut guard = live.shard.state.lock();
        let state = &mut *guard;
        let Some(demand) = state.demands.get_mut(&live.demand) else {
            return Ok(Turn::End);
        };
        live.calls += std::mem::take(&mut demand.calls);
        if live.reached >= range.end {
            return Ok(Turn::End);
        }
        let handed = std::iter::from_fn(|| demand.handed.pop_front()).find(|(from, to, _)| *from <= live.reached && live.reached < *to);
        let held = handed.map(|(_, to, segment)| (to, segment)).or_else(|| {
            let (_, stretch) = state.coverage.at(live.reached)?;
            Some((stretch.to, Arc::clone(&stretch.segment)))
        });
        let Some((to, segment)) = held else {
            if demand.complete {
                return Ok(Turn::End);
            }
            if let Some(failure) = demand.failed.take() {
                return Err(TurnFailure::Of(failure));
            }
            if let Some(closed) = state.closed_at.filter(|closed| live.reached >= *closed) {
                let bound = live.shard.info.lock().ending_sequence.map(Position::after_record);
                // beyond the end: the shard was found empty after its records had expired
                let ends = live.reached == closed && (bound == Some(range.end) || closed.completes(range.end));
                return if ends { Ok(Turn::End) } else { Err(TurnFailure::EndsEarly(closed)) };
            }
            if !demand.waiting {
                (demand.waiting, demand.since) = (true, Instant::now());
            }
            drop(guard);
            context.wake(&live.shard).map_err(TurnFailure::Error)?;
            return Ok(Turn::Wait);
        };
        let end = if to.completes(range.end) { range.end } else { to };
        let records = segment.records();
        let rows = records.lower_bound(live.reached)..records.lower_bound(end);
        live.reached = end;
        demand.position = end;
        demand.waiting = false;
        segment.touch();
        let fetch_ahead = state.backfill_wanted().is_some();
        drop(guard);
        if fetch_ahead {
            context.wake(&live.shard).map_err(TurnFailure::Error)?;
        }
        if rows.is_empty() {
            return Ok(Turn::Passed);
        }
        let cached = segment.fetched() < live.began;
        Ok(Turn::Rows(SegmentSlice { segment, rows, cached }))
    }

    async fn wait(&mut self) -> Result<(), ReadError> {
        let Some(live) = &mut self.live else { return Ok(()) };
        let deadline = self.meter.deadline();
        let timed_out = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.context.stop.cancelled() => Err(self.context.stopped().at(&self.range.shard, Some(self.position))),
            changed = live.version.changed() => changed.map_err(|_| self.context.stopped()),
            () = timed_out => self.check_limits(),
        }
    }

    /// A scan of a part of the range.
    pub(super) fn part(&self, range: ShardRange) -> Self {
        let mut part = Self::new(Arc::clone(&self.context), range, Arc::clone(&self.meter));
        part.delivered = self.delivered;
        part
    }

    /// All of the range was given, by whatever way.
    pub(super) fn finish(&mut self) {
        self.position = self.range.end;
    }

    /// How long to wait for an answer of the service.
    pub(super) fn patience(&self) -> Instant {
        let patience = Instant::now() + self.context.shared.config.scan_timeout;
        self.meter.deadline().map_or(patience, |deadline| deadline.min(patience))
    }

    pub(super) fn count(&mut self, slice: &SegmentSlice) {
        let bytes = slice.segment.wire_bytes(slice.rows.clone());
        self.meter.count(bytes, slice.cached);
        let counters = &self.context.shared.counters;
        let (counter, own) = if slice.cached {
            (&counters.cached, &mut self.totals.bytes_cached)
        } else {
            (&counters.uncached, &mut self.totals.bytes_read)
        };
        Counters::add(counter, bytes);
        *own += bytes;
        self.totals.records += slice.rows.len() as u64;
    }

    pub(super) fn check_limits(&self) -> Result<(), ReadError> {
        if self.meter.deadline().is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(self.error(
                ReadErrorKind::TimedOut,
                "the statement took longer than it may (option max_seconds)",
            ));
        }
        if let Some(most) = self.meter.exceeded() {
            let message = format!("the statement read more than {most} bytes from Kinesis (option max_bytes)");
            return Err(self.error(ReadErrorKind::LimitExceeded, message));
        }
        Ok(())
    }

    fn error(&self, kind: ReadErrorKind, message: impl Into<String>) -> ReadError {
        ReadError::new(kind, &self.context.stream, message).at(&self.range.shard, Some(self.position))
    }
}

enum TurnFailure {
    Of(DemandFailure),
    EndsEarly(Position),
    Error(ReadError),
}

impl TurnFailure {
    fn of(self, scan: &ShardScan) -> ReadError {
        let gone = |message: String| {
            let (kind, when) = if scan.delivered {
                (ReadErrorKind::DataLoss, "while the range was being read")
            } else {
                (ReadErrorKind::Expired, "before it was read")
            };
            let range = format!("{} to {}", scan.range.start, scan.range.end);
            scan.error(kind, format!("records of the range {range} were lost {when}: {message}"))
        };
        match self {
            Self::Of(DemandFailure::Gone(message)) => gone(message),
            Self::Of(DemandFailure::Error(error)) | Self::Error(error) => error.at(&scan.range.shard, Some(scan.position)),
            Self::EndsEarly(closed) => gone(format!("the closed shard ends at {closed}")),
        }
    }
}

impl fmt::Debug for ShardScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardScan")
            .field("range", &self.range)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
