//! What the tasks, pins and scans of one stream share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::actor::Actor;
use super::answer::Moment;
use super::config::ReaderConfig;
use super::consumer::Consumer;
use super::counters::Counters;
use super::error::{ReadError, ReadErrorKind};
use super::incarnation::is_another;
use super::shard::Shard;
use super::storing::{self, StreamStorage};
use crate::memory_budget::MemoryBudget;
use crate::{ShardId, ShardInfo, ShardSource, SourceError, SourceErrorKind, StreamIdentity};

/// What all streams of the process share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: ReaderConfig,
    pub(super) budget: Arc<MemoryBudget>,
    pub(super) counters: Counters,
    /// Calls in flight: bounds connections, and the memory of pages on their way (10 MiB each at most).
    pub(super) calls: Semaphore,
}

#[derive(Debug)]
pub(super) struct StreamContext {
    pub(super) shared: Arc<Shared>,
    pub(super) source: Arc<dyn ShardSource>,
    /// Name or ARN, as the source is asked.
    pub(super) stream: Arc<str>,
    pub(super) identity: StreamIdentity,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    pub(super) consumer: Consumer,
    on_demand: AtomicBool,
    pub(super) retention_ms: AtomicU64,
    /// When the stream was last described. The lock is also what makes concurrent requests share one call.
    pub(super) described: tokio::sync::Mutex<Option<Instant>>,
    /// Why it is not the stream of its name any more.
    pub(super) superseded: OnceLock<ReadError>,
    shards: Mutex<BTreeMap<ShardId, Arc<Shard>>>,
    /// Shards registered so far, so that who has seen all of them need not look again.
    registered: AtomicU64,
    listed: Mutex<BTreeSet<ShardId>>,
    /// When the last list of shards was asked for. The lock is also what makes concurrent requests share one call.
    listing: tokio::sync::Mutex<Option<Instant>>,
    pub(super) storage: Option<Arc<StreamStorage>>,
}

impl StreamContext {
    pub(super) fn new(
        shared: Arc<Shared>,
        source: Arc<dyn ShardSource>,
        stream: Arc<str>,
        identity: StreamIdentity,
        retention: Duration,
        stop: CancellationToken,
        storage: Option<Arc<StreamStorage>>,
    ) -> Arc<Self> {
        let context = Self {
            shared,
            source,
            stream,
            identity,
            stop,
            tasks: TaskTracker::new(),
            consumer: Consumer::default(),
            retention_ms: AtomicU64::new(0),
            on_demand: AtomicBool::new(false),
            described: tokio::sync::Mutex::default(),
            superseded: OnceLock::new(),
            shards: Mutex::default(),
            registered: AtomicU64::new(0),
            listed: Mutex::default(),
            listing: tokio::sync::Mutex::default(),
            storage,
        };
        context.set_retention(retention);
        let context = Arc::new(context);
        if let Some(storage) = &context.storage {
            // the tracker belongs to the stream's reader, which ends its tasks when it ends
            drop(context.tasks.spawn(storing::write(Arc::clone(&context), Arc::clone(storage))));
            drop(context.tasks.spawn(storing::upload(Arc::clone(&context), Arc::clone(storage))));
        }
        context
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.shared.config.wall_clock.now_ms()
    }

    pub(super) fn retention(&self) -> Duration {
        Duration::from_millis(self.retention_ms.load(Ordering::Relaxed))
    }

    pub(super) fn set_retention(&self, retention: Duration) {
        self.retention_ms.store(retention.as_millis() as u64, Ordering::Relaxed);
    }

    /// Whether the stream's capacity is on demand.
    pub(super) fn on_demand(&self) -> bool {
        self.on_demand.load(Ordering::Relaxed)
    }

    pub(super) fn set_on_demand(&self, on_demand: bool) {
        self.on_demand.store(on_demand, Ordering::Relaxed);
    }

    /// Records that arrived before are past the stream's retention (ms since the epoch).
    pub(super) fn cutoff_ms(&self) -> i64 {
        self.now_ms().saturating_sub(self.retention_ms.load(Ordering::Relaxed) as i64)
    }

    pub(super) fn moment(&self, shard: &Shard) -> Moment {
        Moment {
            now: Instant::now(),
            now_ms: self.now_ms(),
            cutoff_ms: self.cutoff_ms(),
            ending: shard.info.lock().ending_sequence,
        }
    }

    pub(super) fn shards(&self) -> Vec<Arc<Shard>> {
        self.shards.lock().values().cloned().collect()
    }

    /// All shards, if one was registered since `seen` was last brought up to date here.
    pub(super) fn shards_since(&self, seen: &mut Option<u64>) -> Option<Vec<Arc<Shard>>> {
        let shards = self.shards.lock();
        let now = Some(self.registered.load(Ordering::Relaxed));
        (std::mem::replace(seen, now) != now).then(|| shards.values().cloned().collect())
    }

    pub(super) fn known_shard(&self, id: &ShardId) -> Option<Arc<Shard>> {
        self.shards.lock().get(id).cloned()
    }

    /// The shard, also one that no list has named yet: a range may come from elsewhere.
    pub(super) fn shard(&self, id: &ShardId) -> Arc<Shard> {
        let mut shards = self.shards.lock();
        let shard = shards.entry(id.clone()).or_insert_with(|| self.new_shard(unlisted(id, None)));
        Arc::clone(shard)
    }

    /// A shard to be registered while the lock of the register is held.
    fn new_shard(&self, info: ShardInfo) -> Arc<Shard> {
        self.registered.fetch_add(1, Ordering::Relaxed);
        let storage = self.storage.as_ref().map(|storage| storage.shard(&info.id));
        Shard::new(info, &self.shared.budget, storage)
    }

    /// Lists the shards unless that was asked after `after`; new ones are registered.
    pub(super) async fn list(&self, after: Instant) -> Result<(), SourceError> {
        let mut listing = self.listing.lock().await;
        if listing.is_some_and(|listed| listed > after) {
            return Ok(());
        }
        let requested = Instant::now();
        let infos = match self.source.list_shards(&self.stream).await {
            Ok(infos) if self.are_of_another(&infos) => {
                // the service decides; a bound that it corrected is no other stream
                self.same_stream(requested).await?;
                infos
            }
            Ok(infos) => infos,
            Err(error) => {
                if error.kind == SourceErrorKind::NotFound {
                    self.same_stream(requested).await?;
                }
                return Err(error);
            }
        };
        let mut shards = self.shards.lock();
        *self.listed.lock() = infos.iter().map(|info| info.id.clone()).collect();
        for info in infos {
            match shards.get(&info.id) {
                Some(shard) => {
                    let known = std::mem::replace(&mut *shard.info.lock(), info.clone());
                    if known != info {
                        shard.take_up_end();
                        // that it is closed may be what somebody waits for
                        shard.changed();
                        shard.wake.notify_one();
                    }
                }
                None => drop(shards.insert(info.id.clone(), self.new_shard(info))),
            }
        }
        *listing = Some(requested);
        Ok(())
    }

    fn are_of_another(&self, infos: &[ShardInfo]) -> bool {
        let shards = self.shards.lock();
        infos
            .iter()
            .any(|info| shards.get(&info.id).is_some_and(|known| is_another(&known.info.lock(), info)))
    }

    async fn same_stream(&self, after: Instant) -> Result<(), SourceError> {
        let checked = self.check_incarnation(after).await;
        checked.map_err(|error| SourceError::new(SourceErrorKind::NotFound, error.message))
    }

    /// The shards of the last list, as it describes them.
    pub(super) fn listed_infos(&self) -> Vec<ShardInfo> {
        let shards = self.shards.lock();
        let listed = self.listed.lock();
        listed.iter().filter_map(|id| Some(shards.get(id)?.info.lock().clone())).collect()
    }

    /// The last list of shards had it.
    pub(super) fn is_listed(&self, id: &ShardId) -> bool {
        self.listed.lock().contains(id)
    }

    pub(super) async fn ever_listed(&self) -> bool {
        self.listing.lock().await.is_some()
    }

    /// A child that the end of its parent names, listed or not yet.
    pub(super) fn register_child(&self, child: &ShardId, parent: &ShardId) {
        let mut shards = self.shards.lock();
        shards
            .entry(child.clone())
            .or_insert_with(|| self.new_shard(unlisted(child, Some(parent))));
    }

    /// Forgets a shard that the service does not know any more; false if it is still listed.
    pub(super) fn retire_unlisted(&self, id: &ShardId) -> bool {
        let gone = !self.listed.lock().contains(id);
        if gone {
            self.shards.lock().remove(id);
        }
        gone
    }

    /// Sees to it that the shard's task runs and looks at what is wanted.
    pub(super) fn wake(self: &Arc<Self>, shard: &Arc<Shard>) -> Result<(), ReadError> {
        if self.stop.is_cancelled() {
            return Err(self.stopped().at(&shard.id, None));
        }
        let mut state = shard.state.lock();
        if state.running.is_none() {
            let id = state.new_id();
            state.running = Some(id);
            // the tracker belongs to the stream's reader, which ends its tasks when it ends
            drop(self.tasks.spawn(Actor::run(Arc::clone(self), Arc::clone(shard), id)));
        }
        drop(state);
        shard.wake.notify_one();
        Ok(())
    }

    pub(super) fn stopped(&self) -> ReadError {
        self.superseded().cloned().unwrap_or_else(|| {
            let why = "the stream's reader has ended: the server stops, or the stream was created anew";
            ReadError::new(ReadErrorKind::Unavailable, &self.stream, why)
        })
    }
}

fn unlisted(id: &ShardId, parent: Option<&ShardId>) -> ShardInfo {
    ShardInfo {
        id: id.clone(),
        parent: parent.cloned(),
        adjacent_parent: None,
        hash_start: 0,
        hash_end: u128::MAX,
        starting_sequence: None,
        ending_sequence: None,
    }
}
