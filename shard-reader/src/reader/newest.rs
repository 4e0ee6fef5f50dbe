//! A scan that begins with the newest records: for statements that will not want all.
//!
//! # Order
//!
//! First what is held in memory, the newest stretch first: it costs no call. Then what is not, from the newest end backwards. Kinesis reads forward
//! only, so what is not held is cut into windows of arrival time: the service is asked for the first record that arrived at or after a time, and what
//! lies between that record and what was read before is read forward. Windows begin with a minute and grow while they give little; where a window
//! turns out to be large, its nearer part is read first.
//!
//! # What it gives
//!
//! Each record of the range once, whatever arrival times say: the windows meet at positions, and together they are the range. Within a slice records
//! ascend; slices follow in no promised order.
//!
//! # What it may leave out
//!
//! Only what its caller says is not wanted: records before a position; and records that arrived before a time, which it leaves out where the service
//! says that everything before a place arrived earlier (see [`super::arrivals`]).

use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use super::context::StreamContext;
use super::error::ReadError;
use super::meter::{ScanTotals, StatementMeter};
use super::scan::{SegmentSlice, ShardScan};
use super::shard::Shard;
use super::snapshot::ShardRange;
use crate::{Position, Segment, SequenceNumber};

const FIRST_WINDOW_MS: i64 = 60_000;
const SHORTEST_WINDOW_MS: i64 = 1_000;
/// How a window grows when it held nothing.
const GROWTH: i64 = 10;
/// Tries to find a window of the right size; then the one that was found is read, however large.
const TRIES: u32 = 6;
/// Pages that a window may hold, to begin with; doubled with each window that is read.
const FIRST_PAGES: i64 = 4;

/// A scan of one shard's range, newest first. Starts nothing until the first [`NewestScan::next`].
pub struct NewestScan {
    context: Arc<StreamContext>,
    shard: Arc<Shard>,
    /// The whole range: its limits, totals and errors are this scan's.
    whole: ShardScan,
    /// What is still to be given: disjoint, ascending.
    rest: Vec<(Position, Position)>,
    /// A window being read.
    window: Option<ShardScan>,
    /// Segments fetched from here on (in ticks) are this statement's reading.
    began: Option<u64>,
    /// The last part given began here, with a record of this arrival time (ms since the epoch).
    edge: Option<(Position, i64)>,
    /// Not wanted: what arrived before (ms since the epoch).
    floor_ms: Option<i64>,
    span_ms: i64,
    pages: i64,
    tries: u32,
}

impl NewestScan {
    pub(super) fn new(context: Arc<StreamContext>, range: ShardRange, meter: Arc<StatementMeter>) -> Self {
        let rest = if range.start < range.end {
            vec![(range.start, range.end)]
        } else {
            Vec::new()
        };
        Self {
            shard: context.shard(&range.shard),
            whole: ShardScan::new(Arc::clone(&context), range, meter),
            context,
            rest,
            window: None,
            began: None,
            edge: None,
            floor_ms: None,
            span_ms: FIRST_WINDOW_MS,
            pages: FIRST_PAGES,
            tries: 0,
        }
    }

    /// Up to here the range was given without a gap: its end once all was given, its start before.
    pub fn position(&self) -> Position {
        self.whole.position()
    }

    /// What was handed out so far, and the calls it took.
    pub fn totals(&self) -> ScanTotals {
        let mut totals = self.whole.totals();
        if let Some(window) = &self.window {
            totals.add(&window.totals());
        }
        totals
    }

    /// Records before a position are not wanted any more.
    pub(super) fn leave_before(&mut self, position: Position) {
        while let Some((from, to)) = self.rest.first_mut()
            && *from < position
        {
            if position < *to {
                *from = position;
                break;
            }
            self.rest.remove(0);
        }
    }

    /// Records with a lower number are not wanted any more. They may be given all the same: a number that is no record's is no place to begin at, since
    /// it cannot be told from a record that expired.
    pub fn leave_below(&mut self, sequence: SequenceNumber) {
        let point = Position::Before(sequence);
        self.rest.retain(|(_, to)| *to > point);
        if self.shard.state.lock().holds(sequence) {
            self.leave_before(point);
        }
    }

    /// Records that arrived before a time (ms since the epoch) are not wanted any more. They may be given all the same.
    pub fn leave_older(&mut self, time_ms: i64) {
        self.floor_ms = self.floor_ms.max(Some(time_ms));
    }

    /// The next run of rows; `None` once nothing is left that is wanted. Cancel safe: a dropped call loses nothing.
    ///
    /// # Errors
    /// As for [`ShardScan::next`].
    pub async fn next(&mut self) -> Result<Option<SegmentSlice>, ReadError> {
        loop {
            self.whole.check_limits()?;
            if let Some(window) = &mut self.window {
                let slice = window.next().await?;
                if slice.is_some() {
                    self.whole.delivered = true;
                    return Ok(slice);
                }
                self.whole.totals.add(&window.totals());
                self.window = None;
                continue;
            }
            let floor = self.floor_ms.and_then(|time| self.shard.state.lock().arrivals.all_before(time));
            if let Some(floor) = floor {
                self.leave_before(floor);
            }
            if let Some(slice) = self.take_held() {
                self.whole.count(&slice);
                self.whole.delivered = true;
                return Ok(Some(slice));
            }
            let Some(&hole) = self.rest.last() else {
                self.whole.finish();
                return Ok(None);
            };
            self.open_window(hole).await?;
        }
    }

    /// The newest part of the rest that is held; it is taken out of the rest.
    fn take_held(&mut self) -> Option<SegmentSlice> {
        let shard = Arc::clone(&self.shard);
        let began = *self.began.get_or_insert_with(|| shard.maker.budget.tick());
        let mut state = shard.state.lock();
        state.last_statement = Instant::now();
        for index in (0..self.rest.len()).rev() {
            let (mut from, mut to) = self.rest[index];
            while let Some((stretch_from, stretch)) = state.coverage.before(to)
                && stretch.to > from
            {
                let high = if stretch.to.completes(to) { to } else { stretch.to };
                let low = stretch_from.max(from);
                let segment: Arc<Segment> = Arc::clone(&stretch.segment);
                let records = segment.records();
                let rows = records.lower_bound(low)..records.lower_bound(high);
                // what is above it stays in the rest
                if high < to {
                    self.rest.insert(index + 1, (high, to));
                }
                (from, to) = (from, low);
                if from < to {
                    self.rest[index] = (from, to);
                } else {
                    self.rest.remove(index);
                }
                if !rows.is_empty() {
                    segment.touch();
                    self.edge = records.arrival(rows.start).map(|arrival| (low, arrival));
                    self.tries = 0;
                    let cached = segment.fetched() < began;
                    return Some(SegmentSlice { segment, rows, cached });
                }
                if from >= to {
                    break;
                }
            }
        }
        None
    }

    /// Looks for a window at the upper end of a hole: opens it, or learns how large it must be.
    async fn open_window(&mut self, (from, to): (Position, Position)) -> Result<(), ReadError> {
        if self.is_void(from, to) {
            self.rest.pop();
            return Ok(());
        }
        let now_ms = self.context.now_ms();
        let cutoff = now_ms.saturating_sub(i64::try_from(self.context.retention().as_millis()).unwrap_or(i64::MAX));
        let top = self.arrival_at(to).unwrap_or(now_ms).min(now_ms);
        let below = self.arrival_before(from).unwrap_or(i64::MIN);
        let mut time = top.saturating_sub(self.span_ms);
        if let Some(floor) = self.floor_ms.filter(|floor| *floor >= time) {
            time = floor;
        }
        if time <= cutoff.max(below) {
            return self.read(from, to).await;
        }
        let first = self.context.first_since(&self.shard, time, self.patience()).await;
        self.whole.check_limits()?;
        let Some(place) = first?.filter(|place| *place < to) else {
            // what the hole holds is older; if that is not wanted, the next turn leaves it out
            if self.floor_ms == Some(time) {
                self.leave_before(to);
            }
            self.span_ms = self.span_ms.saturating_mul(GROWTH);
            return Ok(());
        };
        if place <= from {
            return self.read(from, to).await;
        }
        let (reached, gap) = self.gap_after(place, top);
        self.tries += 1;
        if self.tries < TRIES {
            if reached.completes(to) {
                // all of it came with the answer
                return Ok(());
            }
            if let Some((span, left)) = gap
                && left > span.saturating_mul(self.pages)
            {
                self.span_ms = span.saturating_mul(2);
                return Ok(());
            }
        }
        self.read(if reached < to { reached } else { place }, to).await
    }

    /// Whether it is known that nothing lies there.
    fn is_void(&self, from: Position, to: Position) -> bool {
        // the bound of a closed shard's numbers lies behind its last record
        let bound = self.shard.info.lock().ending_sequence.map(Position::after_record);
        let state = self.shard.state.lock();
        let ended = state.closed_at == Some(from) && bound == Some(to);
        let begins_later = from == Position::TrimHorizon && state.horizon.is_some_and(|horizon| horizon.start >= to);
        ended || (begins_later && to < self.whole.range().end)
    }

    /// Reads what lies between two points of the last hole forward.
    async fn read(&mut self, from: Position, to: Position) -> Result<(), ReadError> {
        let range = self.whole.range();
        let mut start = from;
        if from == Position::TrimHorizon && to < range.end {
            // the range begins where the shard does, which may be at what was read already
            let first = self.context.first_record(&self.shard, self.patience()).await;
            self.whole.check_limits()?;
            start = first?;
        }
        match self.rest.last_mut() {
            Some((hole, end)) if *hole < from => *end = from,
            _ => drop(self.rest.pop()),
        }
        if start < to {
            let range = ShardRange {
                shard: range.shard.clone(),
                start,
                end: to,
            };
            self.window = Some(self.whole.part(range));
        }
        self.edge = None;
        self.tries = 0;
        self.pages = self.pages.saturating_mul(2);
        self.span_ms = self.span_ms.saturating_mul(2);
        Ok(())
    }

    /// How far records are held from a place on; how long the time is that they arrived in, and how long that from there to `top` (ms).
    fn gap_after(&self, place: Position, top: i64) -> (Position, Option<(i64, i64)>) {
        let state = self.shard.state.lock();
        let (mut reached, mut first, mut last) = (place, None, None);
        for (_, stretch) in state.coverage.run(place, self.whole.range().end) {
            let records = stretch.segment.records();
            let rows = records.lower_bound(reached)..records.len();
            if !rows.is_empty() {
                first = first.or(records.arrival(rows.start));
                last = records.arrival(rows.end - 1);
            }
            reached = stretch.to;
        }
        let gap = first.zip(last).map(|(first, last)| {
            let span = last.saturating_sub(first).max(SHORTEST_WINDOW_MS);
            (span, top.saturating_sub(last))
        });
        (reached, gap)
    }

    /// Arrival time of the first record at or after a point.
    fn arrival_at(&self, point: Position) -> Option<i64> {
        let state = self.shard.state.lock();
        let held = state.coverage.at(point).and_then(|(_, stretch)| {
            let records = stretch.segment.records();
            let row = records.lower_bound(point);
            (row < records.len()).then(|| records.arrival(row)).flatten()
        });
        held.or(self.edge.filter(|(edge, _)| *edge == point).map(|(_, arrival)| arrival))
    }

    /// Arrival time of the last record before a point.
    fn arrival_before(&self, point: Position) -> Option<i64> {
        let state = self.shard.state.lock();
        let (_, stretch) = state.coverage.before(point)?;
        let records = stretch.segment.records();
        let row = records.lower_bound(point).checked_sub(1)?;
        (stretch.to >= point).then(|| records.arrival(row)).flatten()
    }

    fn patience(&self) -> Instant {
        self.whole.patience()
    }
}

impl fmt::Debug for NewestScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewestScan")
            .field("range", self.whole.range())
            .field("rest", &self.rest)
            .finish_non_exhaustive()
    }
}
