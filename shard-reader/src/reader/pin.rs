//! Pinning: fixing, for every shard of a stream, what a statement reads.
//!
//! Shards are pinned concurrently. New ones come only from shards that end, and a shard's end is told after its children are registered; so when no
//! pinned shard leaves an unpinned one behind, records acknowledged into brand-new children are in the snapshot too.
//!
//! A shard may be another process's to pin (see [`super::elsewhere`]): its answer names the children too. What that one does not answer is pinned here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;

use super::actor::Place;
use super::answer::{Pinned, Waiter, Want};
use super::context::StreamContext;
use super::elsewhere::{PinElsewhere, ShardToPin};
use super::error::{ReadError, ReadErrorKind};
use super::shard::{END, Shard};
use super::snapshot::{Freshness, PinRequest, ShardBounds, ShardPin, ShardRange};
use crate::{Position, ShardId, ShardInfo, SourceErrorKind};

/// Which shards a statement can need, and what of them; `None`: nothing of the shard.
pub type ShardScope<'a> = dyn Fn(&ShardInfo) -> Option<ShardBounds> + Send + Sync + 'a;

/// A registered waiter; gone when dropped.
pub(super) struct WaiterGuard {
    shard: Arc<Shard>,
    id: u64,
}

impl WaiterGuard {
    pub(super) fn new(shard: &Arc<Shard>, waiter: Waiter) -> Self {
        let mut state = shard.state.lock();
        let id = state.new_id();
        state.waiters.insert(id, waiter);
        state.last_statement = Instant::now();
        drop(state);
        Self {
            shard: Arc::clone(shard),
            id,
        }
    }
}

impl Drop for WaiterGuard {
    fn drop(&mut self) {
        self.shard.state.lock().waiters.remove(&self.id);
    }
}

impl StreamContext {
    /// Pins the shards that a scope names, or all.
    pub(super) async fn pin(
        self: &Arc<Self>,
        request: &PinRequest,
        scope: Option<&ShardScope<'_>>,
        elsewhere: Option<&dyn PinElsewhere>,
    ) -> Result<Vec<ShardPin>, ReadError> {
        if self.stop.is_cancelled() {
            return Err(self.stopped());
        }
        let patience = self.shared.config.pin_timeout;
        let deadline = Instant::now() + patience;
        if !self.ever_listed().await {
            self.list_until(request.arrived, deadline).await?;
        }
        let listed_since = match request.freshness {
            // a shard that is left out does not tell that it has ended, so its children must come from the list
            Freshness::Latest => (self.shared.config.list_shards_on_pin || scope.is_some()).then_some(request.arrived),
            Freshness::Within(age) => scope.and_then(|_| request.arrived.checked_sub(age)),
            Freshness::Cached => None,
        };
        let mut listing: Option<BoxFuture<'_, Result<(), ReadError>>> =
            listed_since.map(|since| Box::pin(self.list_until(since, deadline)) as BoxFuture<'_, _>);
        let mut registered = None;
        let mut waiting: BTreeMap<ShardId, Arc<Shard>> = BTreeMap::new();
        let mut pins: BTreeMap<ShardId, Option<ShardPin>> = BTreeMap::new();
        let mut pinning = FuturesUnordered::new();
        let mut asked = BTreeSet::new();
        let mut left: Vec<ShardToPin> = Vec::new();
        let mut asking = FuturesUnordered::new();
        let stalled = tokio::time::sleep(patience);
        tokio::pin!(stalled);
        loop {
            let mut here = Vec::new();
            let mut of_others: BTreeMap<Arc<str>, Vec<ShardToPin>> = BTreeMap::new();
            for shard in self.shards_since(&mut registered).unwrap_or_default() {
                if pins.contains_key(&shard.id) || waiting.contains_key(&shard.id) || asked.contains(&shard.id) {
                    continue;
                }
                let bounds = match scope {
                    Some(scope) => scope(&shard.info.lock()),
                    None => Some(ShardBounds::default()),
                };
                let Some(bounds) = bounds else {
                    pins.insert(shard.id.clone(), None);
                    continue;
                };
                let to_pin = ShardToPin {
                    shard: shard.id.clone(),
                    bounds,
                };
                match elsewhere.and_then(|others| others.owner(&shard.id)) {
                    Some(owner) => of_others.entry(owner).or_default().push(to_pin),
                    None => here.push(to_pin),
                }
            }
            if let Some(others) = elsewhere {
                for (owner, shards) in of_others {
                    asked.extend(shards.iter().map(|to_pin| to_pin.shard.clone()));
                    asking.push(Box::pin(async move {
                        let pinned = others.pin(&owner, request, &shards).await;
                        (shards, pinned)
                    }));
                }
            }
            here.append(&mut left);
            for to_pin in here {
                let shard = self.shard(&to_pin.shard);
                pinning.push(Box::pin(self.pin_shard(Arc::clone(&shard), Waiter::new(*request, to_pin.bounds))));
                waiting.insert(to_pin.shard, shard);
                stalled.as_mut().reset(Instant::now() + patience);
            }
            tokio::select! {
                biased;
                Some(listed) = async { Some(listing.as_mut()?.await) } => {
                    listing = None;
                    listed?;
                }
                Some((id, pinned)) = pinning.next() => {
                    waiting.remove(&id);
                    pins.insert(id, pinned?);
                    stalled.as_mut().reset(Instant::now() + patience);
                }
                Some((shards, pinned)) = asking.next() => {
                    let (theirs, ours) = self.of_others(request, shards, pinned);
                    if !theirs.is_empty() {
                        stalled.as_mut().reset(Instant::now() + patience);
                    }
                    pins.extend(theirs.into_iter().map(|(id, pin)| (id, Some(pin))));
                    left = ours;
                }
                () = &mut stalled, if !waiting.is_empty() => {
                    let failing = waiting.values().find(|shard| shard.state.lock().failing.is_some());
                    if let Some(shard) = failing.or_else(|| waiting.values().next()) {
                        return Err(self.not_in_time(shard));
                    }
                }
                else => return Ok(pins.into_values().flatten().collect()),
            }
        }
    }

    /// Lists the shards, trying again until the deadline.
    pub(super) async fn list_until(&self, after: Instant, deadline: Instant) -> Result<(), ReadError> {
        let mut backoff = super::rate::Rate::new(None, None, super::rate::Pace::default());
        loop {
            let error = match tokio::time::timeout_at(deadline, self.list(after)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) if !error.is_retryable() => {
                    return Err(self
                        .superseded()
                        .cloned()
                        .unwrap_or_else(|| ReadError::of_source(&self.stream, &error)));
                }
                Ok(Err(error)) => ReadError::of_source(&self.stream, &error),
                Err(_) => {
                    return Err(ReadError::new(
                        ReadErrorKind::Unavailable,
                        &self.stream,
                        "the shards could not be listed in time",
                    ));
                }
            };
            backoff.failed();
            match backoff.ready_at(true) {
                Some(at) if at < deadline => tokio::time::sleep_until(at).await,
                _ => return Err(error),
            }
        }
    }

    /// The shard with its range; `None`: the shard is gone from the service.
    pub(super) async fn pin_shard(self: &Arc<Self>, shard: Arc<Shard>, waiter: Waiter) -> (ShardId, Result<Option<ShardPin>, ReadError>) {
        let pinned = match self.wait_for(&shard, waiter, None).await {
            Ok(pinned) => Ok(Some(shard_pin(&shard, pinned, self.cutoff_ms()))),
            Err(error) if error.kind == ReadErrorKind::NotFound => {
                let now = Instant::now();
                match self.list_until(now, now + self.shared.config.pin_timeout).await {
                    Ok(()) if self.superseded().is_none() && self.retire_unlisted(&shard.id) => Ok(None),
                    Ok(()) => Err(error),
                    Err(unlisted) => Err(unlisted),
                }
            }
            Err(error) => Err(error),
        };
        (shard.id.clone(), pinned)
    }

    /// Waits until a shard's task has found what a waiter needs; without a deadline the caller keeps the time.
    async fn wait_for(self: &Arc<Self>, shard: &Arc<Shard>, waiter: Waiter, deadline: Option<Instant>) -> Result<Pinned, ReadError> {
        let mut version = shard.version.subscribe();
        let waiting = WaiterGuard::new(shard, waiter);
        let overdue = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(overdue);
        loop {
            version.borrow_and_update();
            let moment = self.moment(shard);
            if let Ok(pinned) = shard.state.lock().answer(waiting.id, &moment)? {
                return Ok(pinned);
            }
            self.wake(shard)?;
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(self.stopped().at(&shard.id, None)),
                changed = version.changed() => if changed.is_err() { return Err(self.stopped().at(&shard.id, None)) },
                () = &mut overdue => return Err(self.not_in_time(shard)),
            }
        }
    }

    fn not_in_time(&self, shard: &Shard) -> ReadError {
        let state = shard.state.lock();
        let (kind, why, source) = match &state.failing {
            Some(failing) if failing.error.kind == SourceErrorKind::Throttled => (
                ReadErrorKind::Throttled,
                failing.error.message.clone(),
                failing.error.source.clone(),
            ),
            Some(failing) => (
                ReadErrorKind::Unavailable,
                failing.error.message.clone(),
                failing.error.source.clone(),
            ),
            None => {
                let behind = state
                    .millis_behind
                    .map_or_else(String::new, |behind| format!("; the last reply was {behind} ms behind it"));
                (
                    ReadErrorKind::Unavailable,
                    format!("more records than fit into this time lie before it{behind}"),
                    None,
                )
            }
        };
        let seconds = self.shared.config.pin_timeout.as_secs_f64();
        let message = format!("the shard's tip was not reached within {seconds} s: {why}");
        ReadError {
            source,
            ..ReadError::new(kind, &self.stream, message).at(&shard.id, state.tail)
        }
    }

    /// The first record of a shard, for a range that begins at the trim horizon.
    pub(super) async fn first_record(self: &Arc<Self>, shard: &Arc<Shard>, deadline: Instant) -> Result<Position, ReadError> {
        Ok(self.wait_for(shard, Waiter::only(Want::First), Some(deadline)).await?.start)
    }

    /// The first record that arrived at or after a time; `None` if there is none. The service's word, unless what is held proves it.
    pub(super) async fn first_since(
        self: &Arc<Self>,
        shard: &Arc<Shard>,
        time: i64,
        deadline: Instant,
    ) -> Result<Option<Position>, ReadError> {
        let waiter = Waiter::only(Want::Place(Place::Time(time)));
        let found = self.wait_for(shard, waiter, Some(deadline)).await?.start;
        Ok((found < END).then_some(found))
    }
}

fn shard_pin(shard: &Shard, pinned: Pinned, cutoff_ms: i64) -> ShardPin {
    let info = shard.info.lock().clone();
    let bytes_cached = {
        let state = shard.state.lock();
        let held = state
            .coverage
            .stretches()
            .filter(|(from, stretch)| *from < pinned.end && stretch.to > pinned.start);
        let in_memory: u64 = held
            .map(|(_, stretch)| stretch.segment.wire_bytes(0..stretch.segment.records().len()))
            .sum();
        let stored = state.stored_within(pinned.start, pinned.end, cutoff_ms);
        in_memory + stored.iter().map(|piece| piece.wire_bytes).sum::<u64>()
    };
    ShardPin {
        range: ShardRange {
            shard: shard.id.clone(),
            start: pinned.start,
            end: pinned.end,
        },
        shard_start: info.starting_sequence,
        shard_end: info.ending_sequence,
        hash_range: info.hash_range(),
        tip: pinned.kind,
        bytes_cached,
    }
}
