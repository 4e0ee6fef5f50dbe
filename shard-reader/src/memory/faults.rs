//! Faults of a memory stream.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::{ShardId, SourceErrorKind};

/// What a stream says of the distance to its tip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MillisBehind {
    /// The age of the oldest record not handed out yet.
    #[default]
    True,
    /// Always 0, as some services say.
    AlwaysZero,
    /// Always this much, even at the tip.
    Stuck(u64),
    /// Nothing.
    Absent,
    /// The time between the last record handed out and the last in the shard, as some services say.
    BetweenRecords,
}

/// Faults by chance, each per call, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Chances {
    /// Throttled reads.
    pub throttle: f64,
    /// Iterators that expired.
    pub expire: f64,
    /// Reads and opens that fail before they reach the stream.
    pub unavailable: f64,
    /// Reads that are done, and whose reply is lost.
    pub lost_reply: f64,
    /// Gaps: replies without records, though there are more.
    pub empty: f64,
    /// Replies with fewer records than there are.
    pub short: f64,
    /// Subscriptions that are refused, or cut at any event.
    pub cut: f64,
    /// The longest time a call takes.
    pub delay: Duration,
}

#[derive(Debug)]
enum Scripted {
    Fail(SourceErrorKind),
    /// So many more empty replies come after this one.
    Empty(u64),
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    scripts: BTreeMap<ShardId, VecDeque<Scripted>>,
    /// Gaps met by chance, by the index they lie before: how many empty replies are left. One that is passed stays passed.
    gaps: BTreeMap<(ShardId, usize), u64>,
    chances: Chances,
    random: Option<SmallRng>,
    pub(super) millis_behind: MillisBehind,
    pub(super) late_end: bool,
    pub(super) refuses_future: bool,
}

/// How far an empty reply comes in a gap.
const STEP_MS: u64 = 100_000;

/// What happens to a read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ReadFate {
    Whole,
    Fail(SourceErrorKind),
    /// Done, but the reply is lost.
    Lost,
    /// Nothing, and so much further from the tip (ms): while a service passes over a gap the distance falls.
    Empty(u64),
    /// This part of the records there are.
    Short(f64),
}

impl Faults {
    pub(super) fn fail(&mut self, shard: &ShardId, kind: SourceErrorKind, times: usize) {
        self.scripts
            .entry(shard.clone())
            .or_default()
            .extend((0..times).map(|_| Scripted::Fail(kind)));
    }

    pub(super) fn empty(&mut self, shard: &ShardId, times: usize) {
        self.scripts
            .entry(shard.clone())
            .or_default()
            .extend((0..times).rev().map(|more| Scripted::Empty(more as u64)));
    }

    pub(super) fn clear(&mut self) {
        self.scripts.clear();
    }

    pub(super) fn set_chances(&mut self, chances: Chances, seed: u64) {
        self.chances = chances;
        self.random = Some(SmallRng::seed_from_u64(seed));
    }

    /// One step through the gap before an index, if there is one; how many are left after it.
    fn gap(&mut self, shard: &ShardId, index: usize) -> Option<u64> {
        let chance = self.chances.empty;
        if chance == 0.0 {
            return None;
        }
        let key = (shard.clone(), index);
        if !self.gaps.contains_key(&key) {
            let length = if self.draw(chance) {
                self.random.as_mut().map_or(0, |random| random.random_range(1..6))
            } else {
                0
            };
            self.gaps.insert(key.clone(), length);
        }
        let left = self.gaps.get_mut(&key).filter(|left| **left > 0)?;
        *left -= 1;
        Some(*left)
    }

    fn draw(&mut self, chance: f64) -> bool {
        chance > 0.0 && self.random.as_mut().is_some_and(|random| random.random_bool(chance))
    }

    pub(super) fn delay(&mut self) -> Duration {
        let longest = self.chances.delay;
        let part = self.random.as_mut().map_or(0.0, |random| random.random_range(0.0..=1.0));
        longest.mul_f64(part)
    }

    pub(super) fn cuts(&mut self) -> bool {
        self.draw(self.chances.cut)
    }

    pub(super) fn open_fails(&mut self) -> bool {
        self.draw(self.chances.unavailable)
    }

    pub(super) fn read_fate(&mut self, shard: &ShardId, index: usize) -> ReadFate {
        match self.scripts.get_mut(shard).and_then(VecDeque::pop_front) {
            Some(Scripted::Fail(kind)) => return ReadFate::Fail(kind),
            Some(Scripted::Empty(more)) => return ReadFate::Empty(more * STEP_MS),
            None => {}
        }
        let chances = self.chances;
        if self.draw(chances.throttle) {
            ReadFate::Fail(SourceErrorKind::Throttled)
        } else if self.draw(chances.expire) {
            ReadFate::Fail(SourceErrorKind::ExpiredIterator)
        } else if self.draw(chances.unavailable) {
            ReadFate::Fail(SourceErrorKind::Unavailable)
        } else if self.draw(chances.lost_reply) {
            ReadFate::Lost
        } else if let Some(left) = self.gap(shard, index) {
            ReadFate::Empty(left * STEP_MS)
        } else if self.draw(chances.short) {
            ReadFate::Short(self.random.as_mut().map_or(1.0, |random| random.random_range(0.0..1.0)))
        } else {
            ReadFate::Whole
        }
    }
}
