//! What reading a range will take, as far as what was read before tells.
//!
//! What is held is known, and so is what was read once and dropped since. What was never read is estimated: bytes per millisecond of arrival in
//! what was read beside it, times the arrival time that lies between. Where no arrival times tell, it is unknown; nothing is guessed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::config::ReaderConfig;
use super::context::StreamContext;
use super::seen::SeenStretch;
use super::shard::ShardState;
use super::snapshot::ShardRange;
use crate::Position;

/// The most bytes that a reply of GetRecords holds.
const PAGE_BYTES: u64 = 10 << 20;

/// One part in so many of the time must have been seen for an estimate to be relied on.
const RELIABLE_PART: f64 = 10.0;

/// Where the figures of a [`ReadEstimate`] come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EstimateSource {
    /// Everything is held: there is nothing to read.
    Held,
    /// All that is not held was read before, so its size is known.
    ReadBefore,
    /// From the rates at which records arrived in what was read before.
    OwnRates,
    /// Nothing tells.
    Unknown,
}

/// What reading a range will take.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadEstimate {
    /// Bytes of the range that are held in memory.
    pub bytes_in_memory: u64,
    /// Bytes of the range that are not, and that are stored on disk or in the object store.
    pub bytes_stored: u64,
    /// Bytes that must be read from Kinesis; `None` = unknown.
    pub bytes_to_read: Option<u64>,
    /// Bytes that must be read in any case: what is known, and at the lower rate of both sides what lies between where a tenth of the time was seen.
    pub least_to_read: u64,
    /// Whether `least_to_read` is known and not estimated.
    pub least_is_known: bool,
    /// The least time that this takes.
    pub least_time: Duration,
    /// Records that must be read.
    pub records_to_read: Option<u64>,
    /// GetRecords calls that this takes.
    pub calls: Option<u64>,
    /// Time that it takes within the budget of calls and bytes of the shard.
    pub time: Option<Duration>,
    /// The part of `bytes_to_read` that arrived longer ago than 7 days.
    pub bytes_long_ago: u64,
    /// Where this comes from.
    pub source: EstimateSource,
}

/// Records that are older than this are charged when read (AWS's long-term retention).
const LONG_AGO_MS: i64 = 7 * 24 * 3_600_000;

impl StreamContext {
    pub(super) fn estimate(&self, range: &ShardRange) -> ReadEstimate {
        let shard = self.shard(&range.shard);
        let now_ms = self.now_ms();
        let state = shard.state.lock();
        let figures = Figures::of(&state, range, now_ms, self.cutoff_ms());
        drop(state);
        let own = figures.estimate(&self.shared.config);
        if own.source == EstimateSource::Held {
            return own;
        }
        shard.estimated_elsewhere(range).unwrap_or(own)
    }
}

/// Bytes not held, by what is known of them.
#[derive(Debug, Default)]
struct Figures {
    held: u64,
    stored: u64,
    holes: u64,
    /// Known to the byte.
    known: u64,
    known_records: u64,
    /// By the rates seen.
    rated: f64,
    /// By the lowest rate beside it.
    least_rated: f64,
    long_ago: f64,
    unknown: bool,
    bytes_per_record: Option<f64>,
}

/// Between two points nothing is held.
#[derive(Clone, Copy)]
struct Hole {
    from: Position,
    to: Position,
}

impl Figures {
    fn of(state: &ShardState, range: &ShardRange, now_ms: i64, cutoff_ms: i64) -> Self {
        let mut figures = Self::default();
        let seen = state.seen.stretches();
        let (bytes, records) = seen.iter().fold((0, 0), |(bytes, records), stretch| {
            (bytes + stretch.bytes, records + stretch.records)
        });
        figures.bytes_per_record = (records > 0).then(|| bytes as f64 / records as f64);
        let start = match range.start {
            // what expired is not there to be read
            Position::TrimHorizon => state.horizon.map_or(Position::TrimHorizon, |horizon| horizon.start),
            start => start,
        };
        let holes = figures.holes(state, start, range.end);
        let holes = figures.not_stored(state, holes, cutoff_ms);
        figures.holes = holes.len() as u64;
        for stretch in seen.iter().filter(|stretch| stretch.from < range.end && stretch.to > start) {
            figures.read_before(state, stretch, &holes, (start, range.end), now_ms);
        }
        for hole in holes {
            let mut point = hole.from;
            for stretch in seen.iter().filter(|stretch| stretch.to > hole.from && stretch.from < hole.to) {
                if point < stretch.from {
                    figures.never_read(
                        state,
                        Hole {
                            from: point,
                            to: stretch.from,
                        },
                        now_ms,
                    );
                }
                point = stretch.to;
            }
            if point < hole.to {
                figures.never_read(state, Hole { from: point, to: hole.to }, now_ms);
            }
        }
        figures
    }

    /// What is stored is loaded, and not read from Kinesis.
    fn not_stored(&mut self, state: &ShardState, holes: Vec<Hole>, cutoff_ms: i64) -> Vec<Hole> {
        let mut left = Vec::with_capacity(holes.len());
        for hole in holes {
            let mut point = hole.from;
            for piece in state.stored_within(hole.from, hole.to, cutoff_ms) {
                if point < piece.from {
                    left.push(Hole {
                        from: point,
                        to: piece.from,
                    });
                }
                self.stored += piece.wire_bytes;
                point = piece.to;
            }
            if point < hole.to {
                left.push(Hole { from: point, to: hole.to });
            }
        }
        left
    }

    fn holes(&mut self, state: &ShardState, start: Position, end: Position) -> Vec<Hole> {
        let mut holes = Vec::new();
        let mut point = start;
        for (from, stretch) in state.coverage.stretches() {
            if stretch.to <= start || from >= end {
                continue;
            }
            if point < from {
                holes.push(Hole { from: point, to: from });
            }
            let records = stretch.segment.records();
            self.held += records.wire_bytes(records.lower_bound(start)..records.lower_bound(end));
            point = point.max(stretch.to);
        }
        if point < end {
            holes.push(Hole { from: point, to: end });
        }
        holes
    }

    /// What was read of a stretch and is held no more.
    fn read_before(&mut self, state: &ShardState, stretch: &SeenStretch, holes: &[Hole], range: (Position, Position), now_ms: i64) {
        if !holes.iter().any(|hole| hole.from < stretch.to && hole.to > stretch.from) {
            return;
        }
        let (mut bytes, mut records) = (stretch.bytes, stretch.records);
        for (_, held) in state
            .coverage
            .stretches()
            .filter(|(from, held)| *from < stretch.to && held.to > stretch.from)
        {
            let rows = held.segment.records();
            let rows_within = rows.lower_bound(stretch.from)..rows.lower_bound(stretch.to);
            records = records.saturating_sub(rows_within.len() as u64);
            bytes = bytes.saturating_sub(rows.wire_bytes(rows_within));
        }
        if range.0 <= stretch.from && stretch.to <= range.1 {
            self.known += bytes;
            self.known_records += records;
        } else {
            // how much of it lies in the range is not known: all of it, at most
            self.rated += bytes as f64;
        }
        self.long_ago += share_long_ago(stretch.arrivals, now_ms) * bytes as f64;
    }

    /// What was never read.
    fn never_read(&mut self, state: &ShardState, hole: Hole, now_ms: i64) {
        let seen = state.seen.stretches();
        let before = seen.iter().rev().find(|stretch| stretch.to <= hole.from);
        let after = seen.iter().find(|stretch| stretch.from >= hole.to);
        let at_horizon = state
            .horizon
            .filter(|horizon| horizon.start == hole.from)
            .and_then(|horizon| horizon.arrival_ms);
        let begin = at_horizon.or_else(|| before.and_then(|stretch| Some(stretch.arrivals?.1)));
        let complete_to = tip_time(state, hole.to, now_ms);
        let end = complete_to.or_else(|| after.and_then(|stretch| Some(stretch.arrivals?.0)));
        let (Some(begin), Some(end)) = (begin, end) else {
            self.unknown = true;
            return;
        };
        let span = end.saturating_sub(begin).max(0) as f64;
        let beside: Vec<f64> = [before, after]
            .into_iter()
            .flatten()
            .filter_map(|stretch| rate(state, stretch, now_ms))
            .collect();
        let rate = if beside.is_empty() {
            overall(state, now_ms)
        } else {
            Some(beside.iter().sum::<f64>() / beside.len() as f64)
        };
        match rate {
            Some(rate) => {
                self.rated += rate * span;
                self.long_ago += share_long_ago(Some((begin, end)), now_ms) * rate * span;
            }
            None if span == 0.0 => {}
            None => self.unknown = true,
        }
        // what was seen may have been bursts: only where it is a good part of the time is it something to rely on
        let seen_span: f64 = [before, after]
            .into_iter()
            .flatten()
            .filter_map(|stretch| volume(state, stretch, now_ms))
            .map(|(_, span)| span)
            .sum();
        if seen_span * RELIABLE_PART >= span {
            self.least_rated += beside.iter().copied().reduce(f64::min).unwrap_or(0.0) * span;
        }
    }

    fn estimate(self, config: &ReaderConfig) -> ReadEstimate {
        let rated = self.rated.round() as u64;
        let to_read = (!self.unknown).then_some(self.known + rated);
        let records = to_read.and_then(|_| match (rated, self.bytes_per_record) {
            (0, _) => Some(self.known_records),
            (rated, Some(size)) => Some(self.known_records + (rated as f64 / size).ceil() as u64),
            (_, None) => None,
        });
        let calls = to_read.map(|bytes| {
            let pages = bytes
                .div_ceil(PAGE_BYTES)
                .max(records.unwrap_or(0).div_ceil(u64::from(config.page_limit.max(1))));
            pages.max(self.holes)
        });
        let source = if self.holes == 0 {
            EstimateSource::Held
        } else if self.unknown {
            EstimateSource::Unknown
        } else if rated == 0 && self.known > 0 {
            EstimateSource::ReadBefore
        } else {
            EstimateSource::OwnRates
        };
        let least = self.known + self.least_rated as u64;
        ReadEstimate {
            bytes_in_memory: self.held,
            bytes_stored: self.stored,
            bytes_to_read: to_read,
            least_to_read: least,
            least_is_known: self.least_rated == 0.0,
            least_time: time(config, least, 0),
            records_to_read: records,
            calls,
            time: to_read.zip(calls).map(|(bytes, calls)| time(config, bytes, calls)),
            bytes_long_ago: (self.long_ago.round() as u64).min(to_read.unwrap_or(0)),
            source,
        }
    }
}

impl ReadEstimate {
    /// Bytes of the range that need not be read from Kinesis.
    pub fn bytes_held(&self) -> u64 {
        self.bytes_in_memory + self.bytes_stored
    }

    /// That of a range with nothing in it.
    pub const NOTHING: Self = Self {
        bytes_in_memory: 0,
        bytes_stored: 0,
        bytes_to_read: Some(0),
        least_to_read: 0,
        least_is_known: true,
        least_time: Duration::ZERO,
        records_to_read: Some(0),
        calls: Some(0),
        time: Some(Duration::ZERO),
        bytes_long_ago: 0,
        source: EstimateSource::Held,
    };
}

/// The budgets run beside each other: the scarcer one decides.
fn time(config: &ReaderConfig, bytes: u64, calls: u64) -> Duration {
    let by_calls = config
        .calls_per_second
        .filter(|rate| *rate > 0.0)
        .map_or(0.0, |rate| calls as f64 / rate);
    let by_bytes = config
        .bytes_per_second
        .filter(|rate| *rate > 0)
        .map_or(0.0, |rate| bytes as f64 / rate as f64);
    Duration::try_from_secs_f64(by_calls.max(by_bytes)).unwrap_or(Duration::MAX)
}

/// Bytes per ms of arrival in a stretch; `None` where no time passed in it.
fn rate(state: &ShardState, stretch: &SeenStretch, now_ms: i64) -> Option<f64> {
    let (bytes, span) = volume(state, stretch, now_ms)?;
    (span > 0.0).then(|| bytes / span)
}

fn overall(state: &ShardState, now_ms: i64) -> Option<f64> {
    let volumes = state.seen.stretches().iter().filter_map(|stretch| volume(state, stretch, now_ms));
    let (bytes, span) = volumes.fold((0.0, 0.0), |(bytes, span), one| (bytes + one.0, span + one.1));
    (span > 0.0).then(|| bytes / span)
}

/// Bytes of a stretch, and the arrival time that it covers: up to now, if it ends at the tip.
fn volume(state: &ShardState, stretch: &SeenStretch, now_ms: i64) -> Option<(f64, f64)> {
    let (first, last) = stretch.arrivals?;
    let last = tip_time(state, stretch.to, now_ms).map_or(last, |complete| last.max(complete));
    Some((stretch.bytes as f64, last.saturating_sub(first) as f64))
}

/// When the tip was complete, if this is the tip.
fn tip_time(state: &ShardState, point: Position, now_ms: i64) -> Option<i64> {
    let tip = state.tip.filter(|tip| tip.end == point)?;
    let age = Instant::now().saturating_duration_since(tip.as_of);
    Some(now_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)))
}

/// The part of a span of arrival times that is longer ago than reading is free.
fn share_long_ago(arrivals: Option<(i64, i64)>, now_ms: i64) -> f64 {
    let Some((first, last)) = arrivals else { return 0.0 };
    let bound = now_ms.saturating_sub(LONG_AGO_MS);
    if last <= bound {
        1.0
    } else if first >= bound {
        0.0
    } else {
        bound.saturating_sub(first) as f64 / last.saturating_sub(first) as f64
    }
}
