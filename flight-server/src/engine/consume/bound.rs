//! The most that one iteration takes in, so that a backlog is consumed in steps.

use std::collections::BTreeMap;

use shard_reader::{Freshness, PinRequest, Position, ScanStart, ShardBounds, ShardId, ShardInfo, ShardRange, ShardScan, StatementMeter};

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::super::error::EngineError;
use super::super::option_text::IterationMax;
use super::positions::{FoundRange, StreamPositions, ms};

/// Shards that are walked over at once.
const AT_ONCE: usize = 32;

/// Shortens ranges to what one iteration may take in; at least one record of a range that has any. The arrival time (ms since the epoch) of the
/// oldest record that is left, if any is.
pub(super) async fn bound(positions: &StreamPositions, max: IterationMax, ranges: &mut [FoundRange]) -> Result<Option<i64>, EngineError> {
    match max {
        IterationMax::Bytes(bytes) => by_bytes(positions, bytes, ranges).await,
        IterationMax::Time(time) => by_time(positions, ms(time), ranges).await,
    }
}

fn scan_of(positions: &StreamPositions, range: &FoundRange) -> ShardScan {
    let range = ShardRange {
        shard: range.shard.clone(),
        start: range.start,
        end: range.end,
    };
    positions
        .reader
        .scan(range, StatementMeter::new(u64::MAX, None))
        .on_gap(positions.on_gap)
}

/// Shards take turns for equal shares; what one leaves of its share goes to the others.
async fn by_bytes(positions: &StreamPositions, bytes: u64, ranges: &mut [FoundRange]) -> Result<Option<i64>, EngineError> {
    let mut left = bytes;
    let walks = ranges.iter_mut().filter(|range| range.start < range.end);
    let mut unfinished: Vec<Walk<'_>> = walks.map(|range| Walk::new(positions, range)).collect();
    let mut first = true;
    while !unfinished.is_empty() && (left > 0 || first) {
        let share = left / unfinished.len() as u64;
        let turns: Vec<BoxFuture<'_, _>> = unfinished.into_iter().map(|walk| walk.turn(share, first)).collect();
        let taken: Vec<(Walk<'_>, u64)> = stream::iter(turns).buffer_unordered(AT_ONCE).try_collect().await?;
        let taken_in_all: u64 = taken.iter().map(|(_, bytes)| bytes).sum();
        unfinished = taken.into_iter().map(|(walk, _)| walk).filter(|walk| !walk.ended).collect();
        left = left.saturating_sub(taken_in_all);
        if taken_in_all == 0 {
            break;
        }
        first = false;
    }
    let mut oldest_left = None;
    for walk in unfinished {
        let arrival = walk.cut();
        oldest_left = min_of(oldest_left, arrival);
    }
    Ok(oldest_left)
}

fn min_of(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// One shard's records, walked over.
struct Walk<'a> {
    range: &'a mut FoundRange,
    scan: ShardScan,
    /// Rows that were fetched and not taken.
    pending: Option<shard_reader::SegmentSlice>,
    reached: Position,
    /// Arrival time of the last record taken.
    arrival: Option<i64>,
    ended: bool,
}

impl<'a> Walk<'a> {
    fn new(positions: &StreamPositions, range: &'a mut FoundRange) -> Self {
        Self {
            scan: scan_of(positions, range),
            reached: range.start,
            range,
            pending: None,
            arrival: None,
            ended: false,
        }
    }

    fn turn(mut self, share: u64, one: bool) -> BoxFuture<'a, Result<(Self, u64), EngineError>> {
        async move {
            let taken = self.take(share, one).await?;
            Ok((self, taken))
        }
        .boxed()
    }

    /// Takes records of so many bytes together, or with `one` at least one. The bytes taken.
    async fn take(&mut self, share: u64, one: bool) -> Result<u64, EngineError> {
        let mut taken = 0;
        loop {
            let slice = match self.pending.take() {
                Some(slice) => Some(slice),
                None => self.scan.next().await?,
            };
            let Some(mut slice) = slice else {
                self.ended = true;
                return Ok(taken);
            };
            let records = slice.segment.records();
            while slice.rows.start < slice.rows.end {
                let row = slice.rows.start;
                let bytes = records.wire_bytes(row..row + 1);
                if taken + bytes > share && !(one && taken == 0) {
                    break;
                }
                taken += bytes;
                self.reached = records.end_of(row);
                self.arrival = records.arrival(row).or(self.arrival);
                slice.rows.start += 1;
            }
            if slice.rows.start < slice.rows.end {
                self.pending = Some(slice);
                return Ok(taken);
            }
        }
    }

    /// The range ends where the walk has come to. What is left arrived when the last record taken did, or later.
    fn cut(self) -> Option<i64> {
        self.range.end = self.reached.max(self.range.start);
        self.arrival
    }
}

/// What arrived within such a time of the oldest record.
async fn by_time(positions: &StreamPositions, time_ms: i64, ranges: &mut [FoundRange]) -> Result<Option<i64>, EngineError> {
    let first = |range: &FoundRange| {
        let mut scan = scan_of(positions, range);
        async move {
            let slice = scan.next().await?;
            Ok::<_, EngineError>(slice.and_then(|slice| slice.segment.records().arrival(slice.rows.start)))
        }
        .boxed()
    };
    let firsts: Vec<BoxFuture<'static, _>> = ranges.iter().filter(|range| range.start < range.end).map(first).collect();
    let arrivals: Vec<Option<i64>> = stream::iter(firsts).buffer_unordered(AT_ONCE).try_collect().await?;
    let oldest = arrivals.into_iter().fold(None, min_of);
    let Some(oldest) = oldest else { return Ok(None) };
    let until = oldest.saturating_add(time_ms);
    let request = PinRequest {
        start: ScanStart::Latest,
        freshness: Freshness::Cached,
        arrived: positions.arrived,
    };
    let wanted: BTreeMap<ShardId, Position> = ranges
        .iter()
        .filter(|range| range.start < range.end)
        .map(|range| (range.shard.clone(), range.end))
        .collect();
    let scope = |shard: &ShardInfo| {
        wanted.contains_key(&shard.id).then(|| ShardBounds {
            before_ms: Some(until),
            ..ShardBounds::default()
        })
    };
    let pinned = positions.reader.pin_scope(&request, &scope).await?;
    let ends: BTreeMap<ShardId, Position> = pinned.shards.into_iter().map(|pin| (pin.range.shard, pin.range.end)).collect();
    let mut left = false;
    for range in ranges.iter_mut() {
        if let Some(end) = ends.get(&range.shard)
            && *end < range.end
        {
            range.end = (*end).max(range.start);
            left = true;
        }
    }
    Ok(left.then_some(until))
}
