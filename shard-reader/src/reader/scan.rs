//! Scanning: the rows of a range, from memory where they are held, else as their pages come.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::context::StreamContext;
use super::counters::Counters;
use super::error::{ReadError, ReadErrorKind};
use super::following::Following;
use super::gaps::{Gap, OnGap};
use super::meter::{ScanTotals, StatementMeter};
use super::shard::{Demand, DemandFailure, END, PAGES_AHEAD, Shard};
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
    on_gap: OnGap,
    /// It ends with the shard; what lies before this point was there when the statement was planned.
    follows: Option<Position>,
    /// Where it begins to look: the range's start, or behind a gap.
    begin: Position,
    /// After the last row handed out.
    position: Position,
    pub(super) delivered: bool,
    pub(super) totals: ScanTotals,
    pages_ahead: usize,
    ended: bool,
    gaps: Vec<Gap>,
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
            begin: range.start,
            position: range.start,
            range,
            meter,
            on_gap: OnGap::Fail,
            follows: None,
            delivered: false,
            totals: ScanTotals::default(),
            pages_ahead: PAGES_AHEAD,
            ended: false,
            gaps: Vec::new(),
            live: None,
        }
    }

    /// A scan that goes on until its shard ends; before `range.end` lies what was there when the statement was planned.
    pub(super) fn following(context: Arc<StreamContext>, range: ShardRange, meter: Arc<StatementMeter>) -> Self {
        let planned = range.end;
        let mut scan = Self::new(context, ShardRange { end: END, ..range }, meter);
        scan.follows = Some(planned);
        scan
    }

    /// What it does where records are gone; it fails if not told otherwise.
    #[must_use]
    pub fn on_gap(mut self, on_gap: OnGap) -> Self {
        self.on_gap = on_gap;
        self
    }

    /// The gaps it went on behind since this was asked last.
    pub fn take_gaps(&mut self) -> Vec<Gap> {
        std::mem::take(&mut self.gaps)
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
            if self.ended || self.range.start >= self.range.end {
                return Ok(None);
            }
            self.check_limits()?;
            if self.live.is_none()
                && let Err(failure) = self.begin().await
            {
                self.failed(failure).await?;
                continue;
            }
            let Some(live) = &mut self.live else { return Ok(None) };
            live.version.borrow_and_update();
            let turn = Self::turn(&self.context, live, &self.range, self.follows.is_some());
            let calls = std::mem::take(&mut live.calls);
            self.totals.calls += calls;
            self.meter.count_calls(calls);
            let turn = match turn {
                Ok(turn) => turn,
                Err(failure) => {
                    self.failed(failure).await?;
                    continue;
                }
            };
            match turn {
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

    /// Goes on behind records that are gone, where that is wanted.
    async fn failed(&mut self, failure: TurnFailure) -> Result<(), ReadError> {
        let error = failure.of(self);
        let error = match error.kind {
            ReadErrorKind::Expired | ReadErrorKind::DataLoss => error,
            ReadErrorKind::NotFound => {
                let reason = self.context.explain_missing(&self.range.shard, error).await?;
                TurnFailure::Of(DemandFailure::Gone(reason)).of(self)
            }
            _ => return Err(error),
        };
        self.context.count_gap(&self.range.shard);
        if self.on_gap == OnGap::Fail {
            return Err(error);
        }
        let from = self.live.take().map_or(self.begin, |live| live.reached);
        let shard = self.context.shard(&self.range.shard);
        let follows = self.follows.is_some();
        let behind = self
            .context
            .behind_gap(&shard, from, self.range.end, follows, self.patience())
            .await;
        self.check_limits()?;
        let behind = behind?;
        let gap = Gap {
            shard: self.range.shard.clone(),
            from,
            to: behind.filter(|to| *to > from),
            reason: error.message,
        };
        self.context.log_gap(&gap);
        self.gaps.push(gap);
        match behind {
            Some(to) => self.begin = to,
            None => self.ended = true,
        }
        Ok(())
    }

    /// Makes the scan's demand known.
    async fn begin(&mut self) -> Result<(), TurnFailure> {
        let shard = self.context.shard(&self.range.shard);
        let mut reached = self.begin;
        if reached == Position::TrimHorizon {
            let first = self.context.first_record(&shard, self.patience()).await;
            self.check_limits().map_err(TurnFailure::Error)?;
            reached = first.map_err(TurnFailure::Error)?;
            let none = !matches!(reached, Position::Before(_)) || reached >= self.range.end;
            if none && self.follows.is_none() {
                // the bound of a closed shard's numbers names no record: such a shard may have had none
                let bound = shard.info.lock().ending_sequence.map(Position::after_record);
                if bound == Some(self.range.end) {
                    return Ok(());
                }
                return Err(TurnFailure::Error(
                    self.error(ReadErrorKind::Expired, "all records of the range have expired"),
                ));
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
                handed_at: Instant::now(),
                following: self.follows.map(|_| Following::default()),
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

    fn turn(context: &Arc<StreamContext>, live: &mut Live, range: &ShardRange, follows: bool) -> Result<Turn, TurnFailure> {
        let mut guard = live.shard.state.lock();
        let state = &mut *guard;
        let Some(demand) = state.demands.get_mut(&live.demand) else {
            return Ok(Turn::End);
        };
        live.calls += std::mem::take(&mut demand.calls);
        if live.reached >= range.end {
            return Ok(Turn::End);
        }
        if live.reached == Position::TrimHorizon {
            // a shard that was empty when it began to be followed
            live.reached = demand.position;
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
                if follows {
                    return Ok(Turn::End);
                }
                let bound = live.shard.info.lock().ending_sequence.map(Position::after_record);
                // beyond the end: the shard was found empty after its records had expired
                let ends = live.reached == closed && (bound == Some(range.end) || closed.completes(range.end));
                return if ends { Ok(Turn::End) } else { Err(TurnFailure::EndsEarly(closed)) };
            }
            if !demand.waiting {
                (demand.waiting, demand.since) = (true, Instant::now());
            }
            demand.drained(state.tip.map(|tip| tip.end));
            drop(guard);
            context.wake_for_scan(&live.shard).map_err(TurnFailure::Error)?;
            return Ok(Turn::Wait);
        };
        let end = if to.completes(range.end) { range.end } else { to };
        let records = segment.records();
        let rows = records.lower_bound(live.reached)..records.lower_bound(end);
        live.reached = end;
        demand.position = end;
        demand.waiting = false;
        demand.took(segment.wire_bytes(rows.clone()));
        segment.touch();
        let wanted = state.wanted(context.cutoff_ms());
        drop(guard);
        if wanted.fetch.is_some() || wanted.load.is_some() {
            context.wake_for_scan(&live.shard).map_err(TurnFailure::Error)?;
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
        if self
            .follows
            .is_none_or(|planned| slice.segment.records().start_of(slice.rows.start) < planned)
        {
            self.meter.count(bytes, slice.cached);
        } else {
            self.meter.count_new(bytes);
        }
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
            let end = scan.follows.map_or_else(|| format!("to {}", scan.range.end), |_| "on".to_owned());
            let start = scan.range.start;
            scan.error(kind, format!("records of the range {start} {end} were lost {when}: {message}"))
        };
        match self {
            Self::Of(DemandFailure::Gone(message)) => gone(message),
            Self::Of(DemandFailure::Lagging(bytes)) => scan.error(
                ReadErrorKind::LimitExceeded,
                format!("the rows are not taken as they come: {bytes} bytes of the shard lie unread since the statement had everything"),
            ),
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
