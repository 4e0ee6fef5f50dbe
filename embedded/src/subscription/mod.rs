//! A subscription: the events of one shard, as its records come.
//!
//! It belongs to the connection that asked for it, which takes one event at a time: a slow reader gets events later and larger, and none are kept
//! for it. It waits for signals only: an append, the clock, or its end.

mod body;

use std::sync::Arc;

use hyper::body::Bytes;

use crate::api::{ApiError, Call, ChildShard, ErrorBody, ErrorCode, Kinesis};
use crate::log::{Entry, PageRequest, Selection};
use crate::offload::{INLINE_BYTES, offload};
use crate::operation::Operation;
use crate::stream::{Bucket, Seat, Shard, Stream, SubscriptionEnd};
use crate::wire::{EventHead, PageWriter, Protocol, error_event, initial_response, records_event};

pub(crate) use body::EventBody;

const EVENT_RECORDS: usize = 10_000;
/// Bytes of data and keys in an event; a single record may be larger.
const EVENT_BYTES: u64 = 1 << 20;
/// What one consumer gets of one shard, where the service has limits.
const BYTES_PER_SECOND: f64 = 2.0 * 1_048_576.0;

/// Where a subscription reads.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) stream: Arc<Stream>,
    pub(crate) shard: Arc<Shard>,
    /// The smallest counter not given yet.
    pub(crate) next: u64,
}

#[derive(Debug)]
pub(crate) struct Subscription {
    service: Arc<Kinesis>,
    protocol: Protocol,
    place: Place,
    seat: Seat,
    ends_at_ms: i64,
    heartbeat_at_ms: i64,
    pace: Option<Bucket>,
    /// A fault: how it ends after so many events.
    end_after: Option<(u64, SubscriptionEnd)>,
    events: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Nothing was given yet.
    New,
    Open,
    Ended,
}

/// What there is to give.
#[derive(Debug)]
enum Next {
    Event(Vec<u8>),
    Last(Vec<u8>),
    Nothing,
}

/// An event, chosen but not read yet.
struct Chosen {
    selection: Selection,
    /// The smallest counter of what follows.
    next: u64,
    millis_behind: u64,
    /// The shard has ended.
    children: Option<Vec<ChildShard>>,
}

impl Chosen {
    fn payload(&self) -> u64 {
        self.selection.entries.iter().map(Entry::payload).sum()
    }

    fn write(self, shard: &Shard, protocol: Protocol) -> Result<Vec<u8>, ApiError> {
        let mut event = PageWriter::new(protocol, self.selection.entries.len(), self.payload());
        self.selection.read(|record| {
            event.record(
                shard.sequence_number(record.entry.counter).as_bytes(),
                record.entry.arrival_ms,
                record.key,
                record.data,
            );
        })?;
        let head = EventHead {
            continuation_sequence_number: self.children.is_none().then(|| shard.sequence_number(self.next.saturating_sub(1))),
            millis_behind_latest: self.millis_behind,
            child_shards: self.children,
        };
        event.finish(&head).map_err(ApiError::defect)
    }
}

/// What a connection sends next.
#[derive(Debug)]
pub(crate) enum Part {
    Bytes(Bytes),
    /// These bytes, and then the connection is cut.
    Cut(Bytes),
}

impl Subscription {
    pub(crate) fn new(service: Arc<Kinesis>, call: &Call, place: Place, seat: Seat, now_ms: i64, limits: bool) -> Self {
        let timing = service.timing;
        Self {
            service,
            protocol: call.protocol,
            place,
            seat,
            ends_at_ms: now_ms.saturating_add(timing.subscription_ms),
            heartbeat_at_ms: now_ms.saturating_add(timing.heartbeat_ms),
            pace: limits.then(|| Bucket::new(BYTES_PER_SECOND)),
            end_after: call.bend.end_after,
            events: 0,
            state: State::New,
        }
    }

    /// The next bytes; `None` after the last.
    pub(crate) async fn next(&mut self) -> Option<Part> {
        let part = self.try_next().await;
        part.unwrap_or_else(|error| {
            self.state = State::Ended;
            let how = if error.code == ErrorCode::ResourceNotFound {
                SubscriptionEnd::ResourceNotFound
            } else {
                // A defect or a failing disk, which was logged where it happened.
                SubscriptionEnd::InternalFailure
            };
            self.error(how, &error.message).ok().map(Part::Bytes)
        })
    }

    async fn try_next(&mut self) -> Result<Option<Part>, ApiError> {
        match self.state {
            State::New => {
                self.state = State::Open;
                return Ok(Some(Part::Bytes(initial_response(self.protocol).map_err(ApiError::defect)?)));
            }
            State::Ended => return Ok(None),
            State::Open => {}
        }
        let mut appended = self.place.shard.log.watch();
        loop {
            appended.borrow_and_update();
            let now_ms = self.service.clock.now_ms();
            let by_fault = self.end_after.filter(|(after, _)| self.events >= *after).map(|(_, how)| how);
            if let Some(how) = self.seat.end().or(by_fault) {
                return self.end(how, now_ms).await;
            }
            if now_ms >= self.ends_at_ms || self.service.stop.is_cancelled() {
                return self.end(SubscriptionEnd::Close, now_ms).await;
            }
            let paid_at_ms = self.pace.as_mut().map_or(now_ms, |pace| pace.paid_at(now_ms));
            if paid_at_ms <= now_ms {
                match self.take(now_ms).await? {
                    Next::Event(body) => return self.event(body).map(Some),
                    Next::Last(body) => {
                        self.state = State::Ended;
                        return self.event(body).map(Some);
                    }
                    Next::Nothing => {}
                }
            }
            let owed = paid_at_ms > now_ms;
            let wake_at_ms = if owed { paid_at_ms } else { self.heartbeat_at_ms }.min(self.ends_at_ms);
            tokio::select! {
                // The log is part of the shard that is held, so its end is never seen.
                _ = appended.changed(), if !owed => {}
                () = self.service.clock.sleep_until(wake_at_ms) => {}
                () = self.seat.ended() => {}
                () = self.service.stop.cancelled() => {}
            }
        }
    }

    /// What there is after what was given.
    async fn take(&mut self, now_ms: i64) -> Result<Next, ApiError> {
        let Some(chosen) = self.choose(now_ms)? else {
            return Ok(Next::Nothing);
        };
        let (records, payload) = (chosen.selection.entries.len() as u64, chosen.payload());
        let (next, ended) = (chosen.next, chosen.children.is_some());
        let (shard, protocol) = (Arc::clone(&self.place.shard), self.protocol);
        let written = offload(payload > INLINE_BYTES as u64, move || chosen.write(&shard, protocol)).await;
        let body = written.unwrap_or_else(|error| Err(ApiError::internal(&error)))?;
        self.service.count_records(
            Operation::SubscribeToShard,
            &self.place.stream,
            &self.place.shard.id,
            records,
            payload,
        );
        if let Some(pace) = &mut self.pace {
            #[expect(clippy::cast_precision_loss, reason = "an event has at most some MiB")]
            pace.take(payload as f64);
        }
        self.heartbeat_at_ms = now_ms.saturating_add(self.service.timing.heartbeat_ms);
        self.place.next = next;
        Ok(if ended { Next::Last(body) } else { Next::Event(body) })
    }

    fn choose(&self, now_ms: i64) -> Result<Option<Chosen>, ApiError> {
        let Place { stream, shard, next } = &self.place;
        let state = stream.state.read();
        let Some(metadata) = state.metadata.shard(shard.number).filter(|_| !state.deleted) else {
            let message = format!("Shard {} in stream {} is gone.", shard.id, stream.name);
            return Err(ApiError::not_found(message));
        };
        let selection = shard.log.select(PageRequest {
            next: *next,
            horizon_ms: now_ms - state.metadata.retention_ms(),
            records: EVENT_RECORDS,
            bytes: EVENT_BYTES,
        })?;
        let waiting = selection.waiting_since_ms;
        let ended = metadata.closed.is_some() && waiting.is_none();
        let mut next = selection.next.max(*next);
        if selection.entries.is_empty() && !ended {
            if now_ms < self.heartbeat_at_ms {
                return Ok(None);
            }
            match shard.log.read_through(next, now_ms) {
                Some(through) => next = next.max(through + 1),
                // appended just now, and so signalled
                None => return Ok(None),
            }
        }
        Ok(Some(Chosen {
            selection,
            next,
            millis_behind: waiting.map_or(0, |since_ms| u64::try_from(now_ms - since_ms).unwrap_or(0).max(1)),
            children: ended.then(|| state.children(shard.number).map(ChildShard::of).collect()),
        }))
    }

    fn event(&mut self, body: Vec<u8>) -> Result<Part, ApiError> {
        self.events += 1;
        records_event(self.protocol, body).map(Part::Bytes).map_err(ApiError::defect)
    }

    async fn end(&mut self, how: SubscriptionEnd, now_ms: i64) -> Result<Option<Part>, ApiError> {
        self.state = State::Ended;
        let name = &self.place.shard.id;
        match how {
            SubscriptionEnd::Close => Ok(None),
            SubscriptionEnd::Cut => {
                self.heartbeat_at_ms = now_ms;
                let (Next::Event(body) | Next::Last(body)) = self.take(now_ms).await? else {
                    return Err(ApiError::defect("no event to cut"));
                };
                let whole = records_event(self.protocol, body).map_err(ApiError::defect)?;
                Ok(Some(Part::Cut(whole.slice(..whole.len() / 2))))
            }
            SubscriptionEnd::ResourceInUse => {
                let message = format!("Another subscription took over shard {name}.");
                self.error(how, &message).map(|bytes| Some(Part::Bytes(bytes)))
            }
            SubscriptionEnd::ResourceNotFound => {
                let message = format!("The consumer or the stream of shard {name} is gone.");
                self.error(how, &message).map(|bytes| Some(Part::Bytes(bytes)))
            }
            SubscriptionEnd::InternalFailure => {
                let message = format!("Internal failure on shard {name}.");
                self.error(how, &message).map(|bytes| Some(Part::Bytes(bytes)))
            }
        }
    }

    fn error(&self, how: SubscriptionEnd, message: &str) -> Result<Bytes, ApiError> {
        let name = match how {
            SubscriptionEnd::ResourceInUse => ErrorCode::ResourceInUse.name(),
            SubscriptionEnd::ResourceNotFound => ErrorCode::ResourceNotFound.name(),
            // In event streams the name has this ending.
            SubscriptionEnd::InternalFailure | SubscriptionEnd::Cut | SubscriptionEnd::Close => "InternalFailureException",
        };
        let error = ErrorBody { code: name, message };
        let body = self.protocol.encode(&error).map_err(ApiError::defect)?;
        error_event(self.protocol, name, body).map_err(ApiError::defect)
    }
}
