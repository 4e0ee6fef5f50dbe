//! The arithmetic between iterations: each record of a shard lies in one of them, whatever was split, merged or expired in between.

use std::collections::BTreeMap;
use std::fmt;

use super::model::{Ends, ShardEnd};
use crate::{Position, ShardId};

/// A closed shard that the service no longer names is remembered for so long beyond the retention (ms): should it be listed once more, it is not read
/// again.
const REMEMBERED_MS: i64 = 86_400_000;

/// Clocks of the service and ours may differ so much (ms).
const CLOCK_SLACK_MS: i64 = 60_000;

/// Where a shard ended when an iteration was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardTip {
    /// Shard.
    pub shard: ShardId,
    /// After its last record; where it has none, anywhere before it.
    pub end: Position,
    /// Nothing can come after.
    pub closed: bool,
}

/// A shard of which records may have expired unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostShard {
    /// Shard.
    pub shard: ShardId,
    /// Consumed up to here; `None`: never.
    pub consumed: Option<Position>,
    /// Where its records begin now; `None`: the service names it no longer.
    pub begins: Option<Position>,
}

impl fmt::Display for LostShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {} ", self.shard)?;
        match self.consumed {
            Some(position) => write!(f, "is consumed up to {position}")?,
            None => write!(f, "was never read")?,
        }
        match self.begins {
            Some(position) => write!(f, ", and the stream holds it from {position} on"),
            None => write!(f, ", and the stream names it no longer"),
        }
    }
}

/// Where the range of a shard begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeStart {
    /// Here.
    At(Position),
    /// At its first record: the shard came after the iteration before.
    First,
}

/// What an iteration holds of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IterationRange {
    /// Shard.
    pub shard: ShardId,
    /// Where it begins.
    pub start: RangeStart,
    /// Where it ends.
    pub end: Position,
}

impl IterationRange {
    /// Holds no record.
    pub fn is_empty(&self) -> bool {
        matches!(self.start, RangeStart::At(start) if start >= self.end)
    }
}

/// The ends of the iteration that follows on `previous`, with the shards as they are now. Ends never go back: what a service does not show now was
/// consumed all the same.
///
/// `lost`: shards that are gone with an unknown number of records behind their previous ends.
pub fn following_ends(previous: &Ends, tips: &[ShardTip], now_ms: i64, retention_ms: i64, as_of_ms: Option<i64>) -> (Ends, Vec<LostShard>) {
    let mut shards: BTreeMap<ShardId, ShardEnd> = BTreeMap::new();
    for tip in tips {
        let before = previous.shards.get(&tip.shard);
        let position = before.map_or(tip.end, |before| before.position.max(tip.end));
        let closed_ms = before.and_then(|before| before.closed_ms).or(tip.closed.then_some(now_ms));
        shards.insert(tip.shard.clone(), ShardEnd { position, closed_ms });
    }
    let mut lost = Vec::new();
    for (shard, before) in &previous.shards {
        if shards.contains_key(shard) {
            continue;
        }
        match before.closed_ms {
            Some(closed) if now_ms.saturating_sub(closed) > retention_ms.saturating_add(REMEMBERED_MS) => {}
            Some(_) => {
                shards.insert(shard.clone(), *before);
            }
            None => lost.push(LostShard {
                shard: shard.clone(),
                consumed: Some(before.position),
                begins: None,
            }),
        }
    }
    let ends = Ends {
        as_of_ms,
        retention_ms,
        shards,
    };
    (ends, lost)
}

/// The ranges between two ends, with the starts that are known otherwise. Ranges without records are among them.
pub fn ranges_between(previous: &Ends, starts: &BTreeMap<ShardId, Position>, ends: &Ends) -> Vec<IterationRange> {
    let range = |(shard, end): (&ShardId, &ShardEnd)| {
        let known = starts
            .get(shard)
            .copied()
            .or_else(|| previous.shards.get(shard).map(|before| before.position));
        IterationRange {
            shard: shard.clone(),
            start: known.map_or(RangeStart::First, RangeStart::At),
            end: end.position,
        }
    };
    ends.shards.iter().map(range).collect()
}

/// Where a range begins, given the first record that the shard still holds at or behind its start (`found`).
///
/// # Errors
/// Records may have expired before they were consumed: the record at the start is gone, and so long ago was it known to be the last that others may
/// have come and gone. `kept_until_ms`: see [`Ends::kept_until_ms`].
pub fn first_of(
    range: &IterationRange,
    found: Position,
    kept_until_ms: Option<i64>,
    is_base: bool,
    now_ms: i64,
) -> Result<Position, LostShard> {
    let (start, consumed) = match range.start {
        RangeStart::At(start) if found <= start => return Ok(start),
        RangeStart::At(start) => (start, Some(start)),
        // a consumer that starts at the trim horizon wants what is there
        RangeStart::First if is_base => return Ok(found),
        RangeStart::First => (Position::TrimHorizon, None),
    };
    let nothing_expired = kept_until_ms.is_some_and(|until| now_ms.saturating_add(CLOCK_SLACK_MS) < until);
    if nothing_expired || found == start {
        return Ok(found);
    }
    Err(LostShard {
        shard: range.shard.clone(),
        consumed,
        begins: Some(found),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::SequenceNumber;

    fn shard(number: u32) -> ShardId {
        ShardId::from(format!("shardId-{number:012}").as_str())
    }

    fn after(sequence: u64) -> Position {
        Position::after_record(SequenceNumber::from(sequence))
    }

    fn before(sequence: u64) -> Position {
        Position::Before(SequenceNumber::from(sequence))
    }

    fn tip(number: u32, end: Position, closed: bool) -> ShardTip {
        ShardTip {
            shard: shard(number),
            end,
            closed,
        }
    }

    const HOUR: i64 = 3_600_000;

    #[test]
    fn children_begin_at_their_first_record_and_parents_end_for_good() {
        let (first, lost) = following_ends(&Ends::default(), &[tip(0, after(10), false)], 0, 24 * HOUR, Some(0));
        assert_eq!(lost, []);
        let tips = [
            tip(0, after(15), true),
            tip(1, after(30), false),
            tip(2, Position::TrimHorizon, false),
        ];
        let (second, lost) = following_ends(&first, &tips, HOUR, 24 * HOUR, Some(HOUR));
        assert_eq!(lost, []);
        let ranges = ranges_between(&first, &BTreeMap::new(), &second);
        assert_eq!(ranges[0].start, RangeStart::At(after(10)));
        assert_eq!((ranges[1].start, ranges[1].end), (RangeStart::First, after(30)));
        assert_eq!(second.shards[&shard(0)].closed_ms, Some(HOUR));
        // gone from the list, it is remembered, then forgotten
        let (third, lost) = following_ends(&second, &tips[1..], 20 * HOUR, 24 * HOUR, Some(20 * HOUR));
        assert_eq!((third.shards.len(), lost.len()), (3, 0));
        let (fourth, lost) = following_ends(&third, &tips[1..], 100 * HOUR, 24 * HOUR, Some(100 * HOUR));
        assert_eq!((fourth.shards.len(), lost.len()), (2, 0));
    }

    #[test]
    fn a_shard_that_is_gone_unread_is_lost() {
        let (first, _) = following_ends(&Ends::default(), &[tip(0, after(10), false)], 0, HOUR, Some(0));
        let (_, lost) = following_ends(&first, &[tip(1, after(1), false)], 2 * HOUR, HOUR, None);
        assert_eq!(lost.len(), 1);
        assert_eq!(lost[0].consumed, Some(after(10)));
    }

    #[test]
    fn what_is_gone_is_lost_unless_time_proves_that_nothing_was_there() {
        let range = IterationRange {
            shard: shard(0),
            start: RangeStart::At(after(10)),
            end: after(20),
        };
        assert_eq!(first_of(&range, before(10), None, false, 0), Ok(after(10)));
        assert_eq!(first_of(&range, before(15), Some(HOUR), false, 0), Ok(before(15)));
        assert!(first_of(&range, before(15), Some(HOUR), false, HOUR).is_err());
        assert!(first_of(&range, before(15), None, false, 0).is_err());
        let new = IterationRange {
            start: RangeStart::First,
            ..range
        };
        assert_eq!(first_of(&new, before(15), Some(HOUR), false, 0), Ok(before(15)));
        assert_eq!(first_of(&new, before(15), None, true, 0), Ok(before(15)));
        assert!(first_of(&new, before(15), None, false, 0).is_err());
    }

    proptest! {
        /// Iterations one after the other hold every record once: the union of their ranges is what the shards held, without overlap.
        #[test]
        fn iterations_neither_leave_out_nor_repeat(steps in proptest::collection::vec(proptest::collection::vec((0u32..4, 0u64..50), 0..6), 1..8)) {
            let mut written: BTreeMap<u32, u64> = BTreeMap::new();
            let mut ends = Ends::default();
            let mut seen: BTreeMap<u32, u64> = BTreeMap::new();
            for step in steps {
                for (number, more) in step {
                    *written.entry(number).or_default() += more;
                }
                let tips: Vec<ShardTip> = written
                    .iter()
                    .map(|(number, last)| tip(*number, if *last == 0 { Position::TrimHorizon } else { after(*last) }, false))
                    .collect();
                let (next, lost) = following_ends(&ends, &tips, 0, HOUR, Some(0));
                prop_assert!(lost.is_empty());
                for range in ranges_between(&ends, &BTreeMap::new(), &next) {
                    let number = written.keys().copied().find(|number| shard(*number) == range.shard).unwrap();
                    let start = first_of(&range, before(1), Some(HOUR), false, 0).unwrap();
                    let holds = |sequence: u64| start < after(sequence) && before(sequence) < range.end;
                    for sequence in 1..=written[&number] {
                        if holds(sequence) {
                            prop_assert_eq!(sequence, seen.get(&number).copied().unwrap_or(0) + 1);
                            seen.insert(number, sequence);
                        }
                    }
                }
                for (number, last) in &written {
                    prop_assert_eq!(seen.get(number).copied().unwrap_or(0), *last);
                }
                ends = next;
            }
        }
    }
}
