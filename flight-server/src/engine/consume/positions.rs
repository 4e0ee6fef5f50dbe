//! Ends of shards as they are now, and starts as far as the stream still has them.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::Start;
use shard_reader::checkpoints::{
    Ends, IterationRange, LostShard, RangeStart, ShardEnd, ShardTip, first_of, following_ends, ranges_between,
};
use shard_reader::{
    Freshness, OnGap, PinRequest, Position, ScanStart, ShardBounds, ShardId, ShardInfo, ShardPin, ShardRange, Snapshot, StreamReader,
    TipKind,
};
use tokio::time::Instant;

use super::super::error::EngineError;
use super::super::pin;
use super::super::statement_options::StatementOptions;

/// Shards that an error names.
const SHARDS_NAMED: usize = 3;

/// A stream, for one statement.
pub(super) struct StreamPositions {
    pub(super) reader: Arc<StreamReader>,
    pub(super) arrived: Instant,
    pub(super) freshness: Freshness,
    pub(super) on_gap: OnGap,
    /// For messages: whose positions these are.
    pub(super) whose: String,
    /// For messages: what can be done about a gap.
    pub(super) ways_on: &'static str,
}

/// Behind a gap, for who reads by a checkpoint.
pub(super) const WAYS_OF_CHECKPOINTS: &str =
    "Go on behind the gap with SET kinesis.on_gap = 'warn', or start elsewhere with CALL kinesis.system.reset_checkpoint";

/// A range with the start that was found for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FoundRange {
    pub(super) shard: ShardId,
    pub(super) start: Position,
    pub(super) end: Position,
    /// The start is not the previous end.
    pub(super) moved: bool,
}

impl StreamPositions {
    /// Where every shard ends, and to which moment (ms since the epoch) that is complete.
    pub(super) async fn tips(&self) -> Result<(Snapshot, i64), EngineError> {
        let mut complete_ms = self.reader.now_ms();
        match self.freshness {
            Freshness::Latest => {}
            Freshness::Within(age) => complete_ms = complete_ms.saturating_sub(ms(age)),
            Freshness::Cached => {
                let oldest = self.reader.shards().iter().filter_map(|shard| shard.tip_age).max();
                complete_ms = complete_ms.saturating_sub(oldest.map_or(0, ms));
            }
        }
        let request = PinRequest {
            start: ScanStart::Latest,
            freshness: self.freshness,
            arrived: self.arrived,
        };
        Ok((self.reader.pin(&request).await?, complete_ms))
    }

    /// Positions where a consumer without a past starts, and what was said.
    pub(super) async fn base(&self, start: Start) -> Result<Ends, EngineError> {
        let now_ms = self.reader.now_ms();
        let (start, since_ms) = match start {
            // shards that no end is known of begin at their first record
            Start::TrimHorizon => return Ok(Ends::default()),
            Start::Latest => (ScanStart::Latest, now_ms),
            Start::Age(age) => (ScanStart::Timestamp(now_ms.saturating_sub(ms(age))), now_ms.saturating_sub(ms(age))),
            Start::Timestamp(time) => (ScanStart::Timestamp(time.timestamp_millis()), time.timestamp_millis().min(now_ms)),
        };
        let request = PinRequest {
            start,
            freshness: Freshness::Latest,
            arrived: self.arrived,
        };
        let snapshot = self.reader.pin(&request).await?;
        let end = |pin: &ShardPin| {
            let over = pin.tip == TipKind::Closed && pin.range.start >= pin.range.end;
            let end = ShardEnd {
                position: pin.range.start,
                closed_ms: over.then_some(now_ms),
            };
            (pin.range.shard.clone(), end)
        };
        Ok(Ends {
            as_of_ms: Some(since_ms),
            retention_ms: ms(self.reader.retention()),
            shards: snapshot.shards.iter().map(end).collect(),
        })
    }

    /// The starts of ranges, as far as the stream still has what they name. `previous`: the ends that they follow on.
    ///
    /// # Errors
    /// FAILED_PRECONDITION if records may have expired unread, unless `on_gap` is `warn`.
    pub(super) async fn find(&self, ranges: Vec<IterationRange>, previous: &Ends) -> Result<Vec<FoundRange>, EngineError> {
        let wanted: BTreeMap<ShardId, Option<Position>> = ranges
            .iter()
            .filter(|range| !range.is_empty())
            .map(|range| {
                let start = match range.start {
                    RangeStart::At(start) => Some(start),
                    RangeStart::First => None,
                };
                (range.shard.clone(), start)
            })
            .collect();
        let mut found: BTreeMap<ShardId, Position> = BTreeMap::new();
        if !wanted.is_empty() {
            let request = PinRequest {
                start: ScanStart::TrimHorizon,
                freshness: Freshness::Cached,
                arrived: self.arrived,
            };
            let scope = |shard: &ShardInfo| {
                let from = (*wanted.get(&shard.id)?).and_then(|start| start.sequence());
                Some(ShardBounds {
                    from,
                    ..ShardBounds::default()
                })
            };
            let pinned = self.reader.pin_scope(&request, &scope).await?;
            found.extend(pinned.shards.into_iter().map(|pin| (pin.range.shard, pin.range.start)));
        }
        let now_ms = self.reader.now_ms();
        let kept_until = previous.kept_until_ms(ms(self.reader.retention()));
        // a start at the trim horizon, or taken over from elsewhere, wants what is there of shards that it does not name
        let is_base = previous.as_of_ms.is_none();
        let mut lost = Vec::new();
        let mut starts = Vec::with_capacity(ranges.len());
        for range in ranges {
            let known = match range.start {
                RangeStart::At(start) => start,
                RangeStart::First => Position::TrimHorizon,
            };
            let start = if range.is_empty() {
                known
            } else if let Some(found) = found.get(&range.shard) {
                match first_of(&range, *found, kept_until, is_base, now_ms) {
                    Ok(start) => start,
                    Err(gone) => {
                        lost.push(gone);
                        *found
                    }
                }
            } else {
                lost.push(LostShard {
                    shard: range.shard.clone(),
                    consumed: Some(known).filter(|known| *known > Position::TrimHorizon),
                    begins: None,
                });
                range.end
            };
            starts.push(FoundRange {
                moved: range.start != RangeStart::At(start),
                shard: range.shard,
                start: start.min(range.end),
                end: range.end,
            });
        }
        self.fail_or_warn(&lost)?;
        Ok(starts)
    }

    /// What follows on these ends, up to the tips; nothing is written.
    pub(super) async fn behind(&self, previous: &Ends) -> Result<Snapshot, EngineError> {
        let (tips, complete_ms) = self.tips().await?;
        let now_ms = self.reader.now_ms();
        let retention_ms = ms(self.reader.retention());
        let (ends, lost) = following_ends(previous, &shard_tips(&tips), now_ms, retention_ms, Some(complete_ms));
        self.fail_or_warn(&lost)?;
        let found = self.find(ranges_between(previous, &BTreeMap::new(), &ends), previous).await?;
        Ok(self.snapshot(found))
    }

    /// What is gone fails the statement, or is said aloud.
    pub(super) fn fail_or_warn(&self, lost: &[LostShard]) -> Result<(), EngineError> {
        if lost.is_empty() {
            return Ok(());
        }
        let named: Vec<String> = lost.iter().take(SHARDS_NAMED).map(ToString::to_string).collect();
        let more = match lost.len().saturating_sub(SHARDS_NAMED) {
            0 => String::new(),
            more => format!("; and {more} more shards"),
        };
        let message = format!("{}: records may have expired unread: {}{more}", self.whose, named.join("; "));
        match self.on_gap {
            OnGap::Warn => {
                tracing::warn!("{message}");
                Ok(())
            }
            OnGap::Fail => Err(EngineError::FailedPrecondition(format!("{message}. {}", self.ways_on))),
        }
    }

    /// The ranges as a snapshot. `shards`: what is known of shards now.
    pub(super) fn snapshot(&self, ranges: Vec<FoundRange>) -> Snapshot {
        let facts: BTreeMap<ShardId, ShardInfo> = self
            .reader
            .shards()
            .into_iter()
            .map(|shard| (shard.info.id.clone(), shard.info))
            .collect();
        let pin = |range: FoundRange| {
            let info = facts.get(&range.shard);
            ShardPin {
                shard_start: info.and_then(|info| info.starting_sequence),
                shard_end: info.and_then(|info| info.ending_sequence),
                hash_range: info.and_then(ShardInfo::hash_range),
                tip: TipKind::Bounded,
                bytes_cached: 0,
                range: ShardRange {
                    shard: range.shard,
                    start: range.start,
                    end: range.end,
                },
            }
        };
        Snapshot {
            stream: self.reader.identity().clone(),
            name: self.reader.name().into(),
            shards: ranges.into_iter().map(pin).collect(),
        }
    }
}

/// What a stream has behind these ends, for a statement that no checkpoint belongs to. `whose`: the positions, for messages.
pub(in super::super) async fn rows_behind(
    reader: Arc<StreamReader>,
    whose: String,
    previous: &Ends,
    options: &StatementOptions,
    arrived: Instant,
) -> Result<Snapshot, EngineError> {
    let positions = StreamPositions {
        reader,
        arrived,
        freshness: pin::freshness(options),
        on_gap: options.on_gap,
        whose,
        ways_on: "Read on behind the gap with SET kinesis.on_gap = 'warn'",
    };
    positions.behind(previous).await
}

/// Tips as the arithmetic of iterations takes them.
pub(super) fn shard_tips(snapshot: &Snapshot) -> Vec<ShardTip> {
    let tip = |pin: &ShardPin| ShardTip {
        shard: pin.range.shard.clone(),
        end: pin.range.end,
        closed: pin.tip == TipKind::Closed,
    };
    snapshot.shards.iter().map(tip).collect()
}

pub(super) fn ms(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
