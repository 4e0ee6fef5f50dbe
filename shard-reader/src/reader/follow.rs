//! Following a stream: all its shards from their starts on, over splits and merges, until the statement ends.
//!
//! A shard is read once all its parents have been delivered to their ends, so rows of one partition key come in order whatever happens to the
//! shards. New shards are found in the list of shards, which is asked for when a shard ends and from time to time: some services name no parent,
//! and then a shard is read as soon as it is listed. What is found while following is read from its horizon; what a snapshot holds, from where it
//! was pinned. A shard is begun once, so no record comes twice.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, SelectAll, StreamExt};
use tokio::time::Instant;

use super::context::StreamContext;
use super::error::{ReadError, ReadErrorKind};
use super::gaps::{Gap, OnGap};
use super::meter::StatementMeter;
use super::scan::{SegmentSlice, ShardScan};
use super::snapshot::{ShardPin, ShardRange, TipKind};
use crate::{Position, ShardId, ShardInfo};

/// The list of shards is asked for again so soon after a shard has ended and no child of it is known; later each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Records are kept so long at least, less some minutes.
const RETAINED: Duration = Duration::from_secs(24 * 3600 - 300);

/// What comes while a stream is followed.
#[derive(Debug)]
pub enum Followed {
    /// Rows of a shard.
    Rows {
        /// The shard, and where its reading began.
        shard: Arc<ShardPin>,
        /// The rows.
        slice: SegmentSlice,
    },
    /// Records of a shard are gone; it goes on behind them.
    Gap {
        /// The shard.
        shard: Arc<ShardPin>,
        /// What is missing.
        gap: Gap,
    },
    /// A shard was delivered to its end.
    Ended {
        /// The shard.
        shard: Arc<ShardPin>,
        /// After its last row.
        position: Position,
    },
}

/// Which shards are of interest; one that is not counts as delivered.
type Filter = Box<dyn Fn(&ShardPin) -> bool + Send + Sync>;

/// A scan of a stream that does not end. Starts nothing until the first [`FollowScan::next`].
pub struct FollowScan {
    context: Arc<StreamContext>,
    meter: Arc<StatementMeter>,
    on_gap: OnGap,
    keep: Filter,
    shards: BTreeMap<ShardId, Stage>,
    reading: SelectAll<BoxStream<'static, Result<Followed, ReadError>>>,
    /// The list of shards is known: nothing is read before, since it tells the order.
    listed: bool,
    listing: Option<BoxFuture<'static, Result<(), ReadError>>>,
    list_at: Instant,
    pause: Duration,
}

/// How far a shard has come.
#[derive(Debug)]
enum Stage {
    /// A parent is still being read. One that was found while following was first listed then.
    Waiting(Box<ShardPin>, Option<Instant>),
    Reading,
    Delivered,
}

impl FollowScan {
    pub(super) fn new(context: Arc<StreamContext>, shards: Vec<ShardPin>, meter: Arc<StatementMeter>) -> Self {
        let shards = shards
            .into_iter()
            .map(|pin| (pin.range.shard.clone(), Stage::Waiting(Box::new(pin), None)));
        Self {
            pause: context.shared.config.follow_list_age,
            context,
            meter,
            on_gap: OnGap::Fail,
            keep: Box::new(|_| true),
            shards: shards.collect(),
            reading: SelectAll::new(),
            listed: false,
            listing: None,
            list_at: Instant::now(),
        }
    }

    /// What it does where records are gone; it fails if not told otherwise.
    #[must_use]
    pub fn on_gap(mut self, on_gap: OnGap) -> Self {
        self.on_gap = on_gap;
        self
    }

    /// Reads only shards that `keep` accepts.
    #[must_use]
    pub fn only(mut self, keep: impl Fn(&ShardPin) -> bool + Send + Sync + 'static) -> Self {
        self.keep = Box::new(keep);
        self
    }

    /// What comes next. Cancel safe: a dropped call loses nothing.
    ///
    /// # Errors
    /// As [`ShardScan::next`]; `LimitExceeded` also where rows are not taken as they come, `Recreated` and `NotFound` when the stream is no more. After
    /// an error nothing more comes of the shard that had it.
    pub async fn next(&mut self) -> Result<Followed, ReadError> {
        loop {
            if self.listing.is_none() && Instant::now() >= self.list_at {
                self.begin_listing();
            }
            let deadline = self.meter.deadline();
            let (stop, list_at) = (self.context.stop.clone(), self.list_at);
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(self.context.stopped()),
                () = sleep_until(deadline) => return Err(self.timed_out()),
                listed = async { self.listing.as_mut()?.await.into() }, if self.listing.is_some() => {
                    self.listing = None;
                    self.take_list(listed)?;
                }
                () = tokio::time::sleep_until(list_at), if self.listing.is_none() => {}
                Some(followed) = self.reading.next(), if !self.reading.is_empty() => {
                    let followed = followed?;
                    if let Followed::Ended { shard, .. } = &followed {
                        self.delivered(&shard.range.shard);
                    }
                    return Ok(followed);
                }
            }
        }
    }

    fn begin_listing(&mut self) {
        let (context, after) = (Arc::clone(&self.context), Instant::now());
        let deadline = after + context.shared.config.pin_timeout;
        self.listing = Some(Box::pin(async move { context.list_until(after, deadline).await }));
    }

    /// The list is there, or could not be had.
    fn take_list(&mut self, listed: Option<Result<(), ReadError>>) -> Result<(), ReadError> {
        let most = self.context.shared.config.follow_list_age;
        match listed {
            Some(Err(error)) if !self.listed || !error.is_retryable() => return Err(error),
            Some(Err(error)) => tracing::warn!(stream = %self.context.stream, %error, "the shards of a followed stream cannot be listed"),
            Some(Ok(())) | None => self.listed = true,
        }
        if self.find() {
            self.pause = most;
        }
        self.list_at = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(most);
        self.begin_ready();
        Ok(())
    }

    /// A shard was delivered to its end.
    fn delivered(&mut self, shard: &ShardId) {
        self.shards.insert(shard.clone(), Stage::Delivered);
        // the reader lists the shards when it comes to an end, before it says so
        self.find();
        let has_child = self
            .context
            .listed_infos()
            .iter()
            .any(|info| parents(info).any(|parent| parent == shard));
        if !has_child {
            self.pause = FIRST_PAUSE;
            self.list_at = Instant::now();
        }
        self.begin_ready();
    }

    /// Takes in shards that are listed and not known yet; says whether there were any.
    fn find(&mut self) -> bool {
        let mut found = false;
        for info in self.context.listed_infos() {
            if self.shards.contains_key(&info.id) {
                continue;
            }
            found = true;
            let pin = ShardPin {
                range: ShardRange {
                    shard: info.id.clone(),
                    start: Position::TrimHorizon,
                    end: Position::TrimHorizon,
                },
                shard_start: info.starting_sequence,
                shard_end: info.ending_sequence,
                hash_range: info.hash_range(),
                tip: TipKind::Reached,
                bytes_cached: 0,
            };
            self.shards.insert(info.id, Stage::Waiting(Box::new(pin), Some(Instant::now())));
        }
        found
    }

    /// Begins every shard whose parents have been delivered.
    fn begin_ready(&mut self) {
        if !self.listed {
            return;
        }
        let infos: BTreeMap<ShardId, ShardInfo> = self
            .context
            .listed_infos()
            .into_iter()
            .map(|info| (info.id.clone(), info))
            .collect();
        loop {
            // a parent that is not known has expired
            let delivered = |parent: &ShardId| self.shards.get(parent).is_none_or(|stage| matches!(stage, Stage::Delivered));
            let is_ready = |shard: &ShardId| infos.get(shard).is_none_or(|info| parents(info).all(delivered));
            let waiting = self.shards.iter().filter(|(_, stage)| matches!(stage, Stage::Waiting(..)));
            let ready: Vec<ShardId> = waiting.map(|(shard, _)| shard.clone()).filter(is_ready).collect();
            if ready.is_empty() {
                return;
            }
            for shard in ready {
                if let Some(Stage::Waiting(pin, found)) = self.shards.insert(shard.clone(), Stage::Reading) {
                    // one that is passed over may let its children begin
                    let stage = self.begin(*pin, found);
                    self.shards.insert(shard, stage);
                }
            }
        }
    }

    fn begin(&mut self, pin: ShardPin, found: Option<Instant>) -> Stage {
        let closed = pin.tip == TipKind::Closed;
        if !(self.keep)(&pin) || (closed && pin.range.start >= pin.range.end) {
            return Stage::Delivered;
        }
        if let Some(waited) = found.map(|found| found.elapsed()).filter(|waited| *waited >= RETAINED) {
            self.reading.push(self.doubtful(&pin, waited));
        }
        let (context, range, meter) = (Arc::clone(&self.context), pin.range.clone(), Arc::clone(&self.meter));
        let scan = if closed {
            ShardScan::new(context, range, meter)
        } else {
            ShardScan::following(context, range, meter)
        };
        self.reading.push(rows(scan.on_gap(self.on_gap), Arc::new(pin)));
        Stage::Reading
    }

    /// A shard waited for its parents so long that its first records may have expired: which they were, nobody knows.
    fn doubtful(&self, pin: &ShardPin, waited: Duration) -> BoxStream<'static, Result<Followed, ReadError>> {
        let hours = waited.as_secs() / 3600;
        let reason = format!("the shard waited {hours} h for its parents to be read; its first records may have expired");
        let shard = &pin.range.shard;
        self.context.count_gap(shard);
        let said = match self.on_gap {
            OnGap::Fail => Err(ReadError::new(ReadErrorKind::DataLoss, &self.context.stream, reason).at(shard, Some(pin.range.start))),
            OnGap::Warn => {
                let gap = Gap {
                    shard: shard.clone(),
                    from: pin.range.start,
                    to: None,
                    reason,
                };
                self.context.log_gap(&gap);
                let shard = Arc::new(pin.clone());
                Ok(Followed::Gap { shard, gap })
            }
        };
        stream::iter([said]).boxed()
    }

    fn timed_out(&self) -> ReadError {
        let message = "the statement took longer than it may (option max_seconds)";
        ReadError::new(ReadErrorKind::TimedOut, &self.context.stream, message)
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn parents(info: &ShardInfo) -> impl Iterator<Item = &ShardId> {
    info.parent.iter().chain(&info.adjacent_parent)
}

/// What comes of one shard, its end included; nothing after an error.
fn rows(scan: ShardScan, shard: Arc<ShardPin>) -> BoxStream<'static, Result<Followed, ReadError>> {
    enum Next {
        Read,
        Say(Vec<Gap>, Option<SegmentSlice>),
        Nothing,
    }
    let state = (scan, Next::Read);
    stream::try_unfold(state, move |(mut scan, mut next)| {
        let shard = Arc::clone(&shard);
        async move {
            if let Next::Read = next {
                let read = scan.next().await?;
                let mut gaps = scan.take_gaps();
                gaps.reverse();
                next = Next::Say(gaps, read);
            }
            let Next::Say(mut gaps, read) = next else { return Ok(None) };
            if let Some(gap) = gaps.pop() {
                return Ok(Some((Followed::Gap { shard, gap }, (scan, Next::Say(gaps, read)))));
            }
            match read {
                Some(slice) => Ok(Some((Followed::Rows { shard, slice }, (scan, Next::Read)))),
                None => {
                    let position = scan.position();
                    Ok(Some((Followed::Ended { shard, position }, (scan, Next::Nothing))))
                }
            }
        }
    })
    .boxed()
}

impl fmt::Debug for FollowScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FollowScan")
            .field("stream", &self.context.stream)
            .field("shards", &self.shards)
            .finish_non_exhaustive()
    }
}
