//! A memory stream pushes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{MemorySource, Stream};
use crate::{
    ConsumerArn, FULL_PAGE_BYTES, FanOut, FanOutError, FanOutErrorKind, OpenAt, PushedRecords, SequenceNumber, ShardId, ShardSubscription,
};

/// As on AWS.
const LIFE: Duration = Duration::from_secs(300);
const HEARTBEAT: Duration = Duration::from_secs(5);
const EXCLUSIVE: Duration = Duration::from_secs(5);
/// Records in an event.
const EVENT_RECORDS: usize = 100;

/// Consumers and who is subscribed.
#[derive(Debug, Default)]
pub(super) struct Pushes {
    /// By name; whether registering works.
    consumers: BTreeMap<String, ConsumerArn>,
    refused: Option<FanOutErrorKind>,
    /// The number and the time of the latest subscription to a shard.
    subscribed: BTreeMap<(ConsumerArn, ShardId), (u64, Instant)>,
    changed: watch::Sender<()>,
    latest: u64,
    /// Subscriptions up to this one are to be cut.
    cut: u64,
}

impl Pushes {
    pub(super) fn signal(&self) {
        self.changed.send_replace(());
    }
}

impl MemorySource {
    /// Cuts all subscriptions.
    pub fn cut_subscriptions(&self) {
        let mut stream = self.stream.lock();
        stream.pushes.cut = stream.pushes.latest;
        stream.pushes.signal();
    }

    /// Consumers and subscriptions are refused so, until told otherwise.
    pub fn refuse_subscriptions(&self, kind: Option<FanOutErrorKind>) {
        self.stream.lock().pushes.refused = kind;
    }

    /// Deregisters all consumers; their subscriptions end.
    pub fn forget_consumers(&self) {
        self.stream.lock().pushes.consumers.clear();
        self.cut_subscriptions();
    }
}

impl Stream {
    fn check_fan_out(&self, consumer: Option<&ConsumerArn>) -> Result<(), FanOutError> {
        if let Some(kind) = self.pushes.refused {
            return Err(FanOutError::new(kind, format!("scripted: {kind:?}")));
        }
        let known = consumer.is_none_or(|consumer| self.pushes.consumers.values().any(|known| known == consumer));
        if self.deleted || !known {
            return Err(FanOutError::new(FanOutErrorKind::NotFound, "no such stream or consumer"));
        }
        Ok(())
    }

    fn subscribe(&mut self, consumer: &ConsumerArn, shard: &ShardId, at: OpenAt) -> Result<(usize, u64), FanOutError> {
        self.calls.subscribe += 1;
        self.check_fan_out(Some(consumer))?;
        if self.faults.cuts() {
            return Err(FanOutError::new(FanOutErrorKind::Unavailable, "connection reset"));
        }
        let found = self
            .shards
            .get(shard)
            .ok_or_else(|| FanOutError::new(FanOutErrorKind::NotFound, format!("shard {shard} not found")))?;
        let index = found.index_of(at);
        let pair = (consumer.clone(), shard.clone());
        if self
            .pushes
            .subscribed
            .get(&pair)
            .is_some_and(|(_, since)| since.elapsed() < EXCLUSIVE)
        {
            return Err(FanOutError::new(
                FanOutErrorKind::InUse,
                "another active subscription exists for this consumer",
            ));
        }
        self.pushes.latest += 1;
        let number = self.pushes.latest;
        self.pushes.subscribed.insert(pair, (number, Instant::now()));
        self.pushes.signal();
        Ok((index, number))
    }
}

#[async_trait]
impl FanOut for MemorySource {
    async fn ensure_consumer(&self, _stream: &str, name: &str) -> Result<ConsumerArn, FanOutError> {
        let delay = self.stream.lock().faults.delay();
        tokio::time::sleep(delay).await;
        let mut stream = self.stream.lock();
        stream.check_fan_out(None)?;
        let arn = ConsumerArn::from(format!("consumer/{name}:{}", stream.created).as_str());
        if stream.pushes.consumers.insert(name.to_owned(), arn.clone()).is_none() {
            stream.calls.register += 1;
        }
        Ok(arn)
    }

    async fn subscribe(
        &self,
        _stream: &str,
        consumer: &ConsumerArn,
        shard: &ShardId,
        at: OpenAt,
    ) -> Result<Box<dyn ShardSubscription>, FanOutError> {
        let delay = self.stream.lock().faults.delay();
        tokio::time::sleep(delay).await;
        let mut stream = self.stream.lock();
        let (index, number) = stream.subscribe(consumer, shard, at)?;
        Ok(Box::new(Subscription {
            stream: Arc::clone(&self.stream),
            changed: stream.pushes.changed.subscribe(),
            consumer: consumer.clone(),
            shard: shard.clone(),
            number,
            index,
            place: None,
            ends_at: Instant::now() + LIFE,
            beat_at: Instant::now() + HEARTBEAT,
            ended: false,
        }))
    }
}

#[derive(Debug)]
struct Subscription {
    stream: Arc<Mutex<Stream>>,
    changed: watch::Receiver<()>,
    consumer: ConsumerArn,
    shard: ShardId,
    number: u64,
    index: usize,
    /// Continuation of the last event.
    place: Option<SequenceNumber>,
    ends_at: Instant,
    beat_at: Instant,
    ended: bool,
}

#[async_trait]
impl ShardSubscription for Subscription {
    async fn next(&mut self) -> Result<Option<PushedRecords>, FanOutError> {
        loop {
            self.changed.borrow_and_update();
            if self.ended || Instant::now() >= self.ends_at {
                return Ok(None);
            }
            if let Some(event) = self.event()? {
                return Ok(Some(event));
            }
            // the stream holds the sender
            let _ = tokio::time::timeout_at(self.beat_at.min(self.ends_at), self.changed.changed()).await;
        }
    }
}

impl Subscription {
    fn event(&mut self) -> Result<Option<PushedRecords>, FanOutError> {
        let mut guard = self.stream.lock();
        let stream = &mut *guard;
        stream.check_fan_out(Some(&self.consumer))?;
        let pair = (self.consumer.clone(), self.shard.clone());
        if stream.pushes.subscribed.get(&pair).is_none_or(|(latest, _)| *latest != self.number) {
            return Err(FanOutError::new(FanOutErrorKind::InUse, "another subscription took over"));
        }
        if self.number <= stream.pushes.cut {
            return Err(FanOutError::new(FanOutErrorKind::Unavailable, "the connection was cut"));
        }
        let Some(shard) = stream.shards.get(&self.shard) else {
            return Err(FanOutError::new(
                FanOutErrorKind::NotFound,
                format!("shard {} not found", self.shard),
            ));
        };
        let (records, next) = shard.page(self.index, EVENT_RECORDS, FULL_PAGE_BYTES as usize);
        let ended = shard.info.ending_sequence.is_some() && next >= shard.records.len();
        if records.is_empty() && !ended && Instant::now() < self.beat_at {
            return Ok(None);
        }
        if stream.faults.cuts() {
            return Err(FanOutError::new(FanOutErrorKind::Unavailable, "the connection was cut"));
        }
        let millis_behind = stream.true_distance(shard, next);
        let children = ended.then(|| shard.children.clone());
        // as on AWS it advances without records too, and then names none
        let place = match records.len().checked_sub(1) {
            Some(last) => records.sequence(last),
            None => {
                stream.last_sequence += 1;
                stream.last_sequence.into()
            }
        };
        self.place = self.place.max(Some(place));
        self.index = next;
        self.ended = ended;
        self.beat_at = Instant::now() + HEARTBEAT;
        stream.calls.events += 1;
        stream.calls.records += records.len() as u64;
        Ok(Some(PushedRecords {
            records,
            continuation: self.place.filter(|_| !ended),
            millis_behind,
            children,
        }))
    }
}
