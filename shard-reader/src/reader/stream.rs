//! The shared reader of one incarnation of a stream.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::context::{Shared, StreamContext};
use super::counters::ShardCounters;
use super::elsewhere::{PinElsewhere, PinsForAnother, ShardToPin};
use super::error::ReadError;
use super::estimate::ReadEstimate;
use super::follow::FollowScan;
use super::meter::StatementMeter;
use super::newest::NewestScan;
use super::pin::ShardScope;
use super::scan::ShardScan;
use super::snapshot::{PinRequest, ShardBounds, ShardPin, ShardRange, Snapshot};
use super::storing::StreamStorage;
use crate::{Position, ShardId, ShardInfo, ShardSource, StreamDescription, StreamIdentity};

/// One per (source, stream incarnation) and process, shared by all statements.
pub struct StreamReader {
    context: Arc<StreamContext>,
    identity: StreamIdentity,
    name: Arc<str>,
}

/// What is known of a shard, for system tables and metrics.
#[derive(Clone, Debug)]
pub struct ShardFacts {
    /// As the service describes it.
    pub info: ShardInfo,
    /// `cold`, `tailing` or `closed`.
    pub state: &'static str,
    /// Whether its task runs.
    pub running: bool,
    /// How its tail is read: `polling` or `fan_out`.
    pub read_by: &'static str,
    /// The first record, or where the shard was empty.
    pub first: Option<Position>,
    /// The last known tip.
    pub tip: Option<Position>,
    /// How long ago everything before the tip was complete.
    pub tip_age: Option<Duration>,
    /// How far behind the tip the last reply was (ms), as the service said.
    pub millis_behind: Option<u64>,
    /// Segments held.
    pub segments: usize,
    /// Records held.
    pub records: u64,
    /// Bytes held, decoded columns too.
    pub bytes: u64,
    /// Scans that read it now.
    pub scans: usize,
    /// What was done for it.
    pub counters: ShardCounters,
    /// What its calls fail with at the moment.
    pub failing: Option<String>,
}

impl StreamReader {
    pub(super) fn new(
        shared: Arc<Shared>,
        source: Arc<dyn ShardSource>,
        stream: &str,
        description: &StreamDescription,
        stop: CancellationToken,
        storage: Option<Arc<StreamStorage>>,
    ) -> Arc<Self> {
        let identity = description.identity.clone();
        let context = StreamContext::new(shared, source, Arc::from(stream), identity, description.retention, stop, storage);
        Arc::new(Self {
            context,
            identity: description.identity.clone(),
            name: Arc::clone(&description.name),
        })
    }

    pub(super) fn describe(&self, description: &StreamDescription) {
        self.context.set_retention(description.retention);
        self.context.set_on_demand(description.on_demand);
    }

    /// Which incarnation.
    pub fn identity(&self) -> &StreamIdentity {
        &self.identity
    }

    /// Name of the stream.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// ARN of the stream (its name, where a service gives none).
    pub fn arn(&self) -> &str {
        &self.identity.arn
    }

    /// How long the stream keeps records.
    pub fn retention(&self) -> Duration {
        self.context.retention()
    }

    /// The time of day by which its records age, ms since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.context.now_ms()
    }

    /// Whether the stream's capacity is on demand.
    pub fn on_demand(&self) -> bool {
        self.context.on_demand()
    }

    /// Fixes what a statement reads of every shard. Waits for the tips only, not for the records in between.
    ///
    /// # Errors
    /// When a shard's tip cannot be reached within `pin_timeout` (it is named), or the service refuses.
    pub async fn pin(&self, request: &PinRequest) -> Result<Snapshot, ReadError> {
        let shards = self.context.pin(request, None, None).await?;
        Ok(self.snapshot(shards))
    }

    /// As [`StreamReader::pin`], of what a statement can need: shards for which `scope` gives nothing are left out, the ranges of others may be
    /// shorter by what their bounds leave out.
    ///
    /// # Errors
    /// As for [`StreamReader::pin`].
    pub async fn pin_scope(
        &self,
        request: &PinRequest,
        scope: &(dyn Fn(&ShardInfo) -> Option<ShardBounds> + Send + Sync),
    ) -> Result<Snapshot, ReadError> {
        let shards = self.context.pin(request, Some(scope), None).await?;
        Ok(self.snapshot(shards))
    }

    /// As [`StreamReader::pin`], or [`StreamReader::pin_scope`] with a scope; shards of others are pinned by them, and here what they do not answer.
    ///
    /// # Errors
    /// As for [`StreamReader::pin`].
    pub async fn pin_among(
        &self,
        request: &PinRequest,
        scope: Option<&ShardScope<'_>>,
        others: &dyn PinElsewhere,
    ) -> Result<Snapshot, ReadError> {
        let shards = self.context.pin(request, scope, Some(others)).await?;
        Ok(self.snapshot(shards))
    }

    /// Pins shards for another process, until a moment. What is unknown here, or fails, is not in the answer.
    pub async fn pin_for_another(&self, request: &PinRequest, shards: &[ShardToPin], until: Instant) -> PinsForAnother {
        self.context.pin_for_another(request, shards, until).await
    }

    fn snapshot(&self, shards: Vec<ShardPin>) -> Snapshot {
        Snapshot {
            stream: self.identity.clone(),
            name: Arc::clone(&self.name),
            shards,
        }
    }

    /// A scan of a range. Starts nothing until it is asked for rows.
    pub fn scan(&self, range: ShardRange, meter: Arc<StatementMeter>) -> ShardScan {
        ShardScan::new(Arc::clone(&self.context), range, meter)
    }

    /// What reading a range will take, as far as what was read before tells. Makes no call.
    pub fn estimate(&self, range: &ShardRange) -> ReadEstimate {
        self.context.estimate(range)
    }

    /// Reads one page of a range at the first place where nothing is held; it stays held. Says whether anything was read.
    ///
    /// # Errors
    /// As a scan's.
    pub async fn probe(&self, range: ShardRange) -> Result<bool, ReadError> {
        let mut scan = ShardScan::new(Arc::clone(&self.context), range, StatementMeter::new(u64::MAX, None)).of_one_page();
        while let Some(slice) = scan.next().await? {
            if !slice.cached {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A scan of a range, newest records first. Starts nothing until it is asked for rows.
    pub fn scan_newest(&self, range: ShardRange, meter: Arc<StatementMeter>) -> NewestScan {
        NewestScan::new(Arc::clone(&self.context), range, meter)
    }

    /// Follows the stream from the starts of a snapshot's shards. See [`FollowScan`].
    pub fn follow(&self, shards: Vec<ShardPin>, meter: Arc<StatementMeter>) -> FollowScan {
        FollowScan::new(Arc::clone(&self.context), shards, meter)
    }

    /// It reads no more: the stream was deleted, or created anew, or the process stops.
    pub(super) fn has_ended(&self) -> bool {
        self.context.stop.is_cancelled()
    }

    /// All shards known, sorted by id.
    pub fn shards(&self) -> Vec<ShardFacts> {
        let now = Instant::now();
        let facts = |shard: Arc<super::shard::Shard>| {
            let info = shard.info.lock().clone();
            let state = shard.state.lock();
            let held = |count: fn(&crate::Segment) -> u64| state.coverage.stretches().map(|(_, stretch)| count(&stretch.segment)).sum();
            ShardFacts {
                info,
                state: match (state.closed_at, state.tip) {
                    (Some(_), _) => "closed",
                    (None, Some(_)) => "tailing",
                    (None, None) => "cold",
                },
                running: state.running.is_some(),
                read_by: if state.pushed { "fan_out" } else { "polling" },
                first: state.horizon.map(|horizon| horizon.start),
                tip: state.tip.map(|tip| tip.end),
                tip_age: state.tip.map(|tip| now.saturating_duration_since(tip.as_of)),
                millis_behind: state.millis_behind,
                segments: state.coverage.stretches().count(),
                records: held(|segment| segment.records().len() as u64),
                bytes: held(|segment| segment.bytes() as u64),
                scans: state.demands.len(),
                counters: shard.counters.of_shard(),
                failing: state.failing.as_ref().map(|failing| failing.error.message.clone()),
            }
        };
        self.context.shards().into_iter().map(facts).collect()
    }

    /// Ids of all shards known, sorted.
    pub fn shard_ids(&self) -> Vec<ShardId> {
        self.context.shards().iter().map(|shard| shard.id.clone()).collect()
    }

    pub(super) fn context(&self) -> &Arc<StreamContext> {
        &self.context
    }

    /// The stream was deleted: nothing more is stored of it.
    pub(super) fn delete_stored(&self) {
        if let Some(storage) = &self.context.storage {
            storage.stream().delete();
        }
    }

    /// Ends the tasks; who waits for them is told why.
    pub(super) fn cancel(&self, why: &ReadError) {
        self.context.supersede(why.clone());
    }

    /// Ends the tasks and waits for them.
    pub(super) async fn stop(&self) {
        self.context.stop.cancel();
        self.context.tasks.close();
        self.context.tasks.wait().await;
    }
}

impl Drop for StreamReader {
    fn drop(&mut self) {
        self.context.stop.cancel();
    }
}

impl fmt::Debug for StreamReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamReader")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
