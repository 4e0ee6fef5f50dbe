//! Pins that other processes make: of several that share streams, each shard has one that reads it.
//!
//! Nothing is taken on trust that a row depends on: an answer must be about the shards that were asked for, and as new as was asked. What is not
//! answered, or answered wrongly, is pinned here, which costs reading it twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{FuturesUnordered, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::answer::Waiter;
use super::context::StreamContext;
use super::estimate::ReadEstimate;
use super::shard::Shard;
use super::snapshot::{Freshness, PinRequest, ShardBounds, ShardPin, ShardRange, TipKind};
use crate::{ShardId, SourceErrorKind};

/// A shard that is to be pinned, and what of it is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardToPin {
    /// Which.
    pub shard: ShardId,
    /// What is needed of it.
    pub bounds: ShardBounds,
}

/// A shard that another process has pinned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PinnedShard {
    /// Its range.
    pub pin: ShardPin,
    /// Shards that came from it, as far as that process knows: of one that has ended, all.
    pub children: Vec<ShardId>,
    /// What reading the range takes that process.
    pub estimate: ReadEstimate,
}

/// What was pinned for another process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PinsForAnother {
    /// These.
    pub pinned: Vec<PinnedShard>,
    /// Shards that are still being read, and at most throttled.
    pub pending: Vec<ShardId>,
}

/// The other processes that read a stream.
#[async_trait]
pub trait PinElsewhere: Send + Sync {
    /// Who pins a shard; `None` = this process.
    fn owner(&self, shard: &ShardId) -> Option<Arc<str>>;

    /// Has it pin shards. Those that it does not answer in good time are missing.
    async fn pin(&self, owner: &str, request: &PinRequest, shards: &[ShardToPin]) -> Vec<PinnedShard>;
}

/// A range, and what reading it takes the process that owns the shard.
pub(super) type Estimated = (ShardRange, ReadEstimate);

impl Shard {
    /// What reading this very range takes whoever pinned it.
    pub(super) fn estimated_elsewhere(&self, range: &ShardRange) -> Option<ReadEstimate> {
        let known = self.elsewhere.lock();
        known.as_ref().filter(|(known, _)| known == range).map(|(_, estimate)| *estimate)
    }
}

impl PinnedShard {
    /// Whether it can be the answer to what was asked.
    pub fn answers(&self, request: &PinRequest, asked: &ShardToPin) -> bool {
        let range = &self.pin.range;
        let new_enough = self.pin.tip != TipKind::Cached || request.freshness != Freshness::Latest;
        let bounded = self.pin.tip != TipKind::Bounded || asked.bounds != ShardBounds::default();
        range.shard == asked.shard && range.start <= range.end && new_enough && bounded
    }
}

impl StreamContext {
    /// Of what was asked of another process: what it pinned, and what is left to be pinned here. Children that it names are registered before.
    pub(super) fn of_others(
        &self,
        request: &PinRequest,
        asked: Vec<ShardToPin>,
        pinned: Vec<PinnedShard>,
    ) -> (BTreeMap<ShardId, ShardPin>, Vec<ShardToPin>) {
        let mut pinned: BTreeMap<ShardId, PinnedShard> =
            pinned.into_iter().map(|pinned| (pinned.pin.range.shard.clone(), pinned)).collect();
        let (mut theirs, mut ours) = (BTreeMap::new(), Vec::new());
        for to_pin in asked {
            let answer = pinned.remove(&to_pin.shard).filter(|pinned| pinned.answers(request, &to_pin));
            let Some(PinnedShard {
                mut pin,
                children,
                estimate,
            }) = answer
            else {
                ours.push(to_pin);
                continue;
            };
            for child in &children {
                self.register_child(child, &to_pin.shard);
            }
            let shard = self.shard(&to_pin.shard);
            let info = shard.info.lock().clone();
            pin.shard_start = info.starting_sequence.or(pin.shard_start);
            pin.shard_end = info.ending_sequence.or(pin.shard_end);
            pin.hash_range = info.hash_range().or(pin.hash_range);
            *shard.elsewhere.lock() = Some((pin.range.clone(), estimate));
            theirs.insert(to_pin.shard, pin);
        }
        (theirs, ours)
    }

    /// See [`super::StreamReader::pin_for_another`].
    pub(super) async fn pin_for_another(self: &Arc<Self>, request: &PinRequest, asked: &[ShardToPin], until: Instant) -> PinsForAnother {
        if asked.iter().any(|to_pin| self.known_shard(&to_pin.shard).is_none())
            && let Err(error) = self.list_until(request.arrived, until).await
        {
            tracing::debug!(stream = %self.stream, %error, "shards of another process's statement cannot be listed");
        }
        let known = asked
            .iter()
            .filter_map(|to_pin| Some((self.known_shard(&to_pin.shard)?, to_pin.bounds)));
        let mut pinning: FuturesUnordered<_> = known
            .map(|(shard, bounds)| self.pin_shard(shard, Waiter::new(*request, bounds)))
            .collect();
        let mut pending: BTreeSet<ShardId> = asked.iter().map(|to_pin| to_pin.shard.clone()).collect();
        let mut answer = Vec::with_capacity(asked.len());
        while let Ok(Some((shard, pinned))) = tokio::time::timeout_at(until, pinning.next()).await {
            pending.remove(&shard);
            match pinned {
                Ok(Some(pin)) => answer.push(pin),
                Ok(None) => {}
                Err(error) => tracing::debug!(stream = %self.stream, %shard, %error, "a shard is not pinned for another process"),
            }
        }
        let mut children: BTreeMap<ShardId, Vec<ShardId>> = BTreeMap::new();
        // after the pins: a shard's end is told once its children are registered
        for shard in self.shards() {
            let info = shard.info.lock();
            for parent in info.parent.iter().chain(&info.adjacent_parent) {
                children.entry(parent.clone()).or_default().push(shard.id.clone());
            }
        }
        let described = |pin: ShardPin| PinnedShard {
            children: children.remove(&pin.range.shard).unwrap_or_default(),
            estimate: self.estimate(&pin.range),
            pin,
        };
        let pinned = answer.into_iter().map(described).collect();
        // another reader would only add to what a shard is throttled for
        let is_read = |id: &ShardId| {
            let Some(shard) = self.known_shard(id) else { return false };
            let state = shard.state.lock();
            let failing = state.failing.as_ref();
            failing.is_none_or(|failing| failing.error.kind == SourceErrorKind::Throttled)
        };
        PinsForAnother {
            pinned,
            pending: pending.into_iter().filter(is_read).collect(),
        }
    }
}
