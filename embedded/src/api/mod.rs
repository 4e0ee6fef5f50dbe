//! The operations: requests in, responses out, nothing about HTTP.

mod consumers;
mod error;
mod get;
mod iterate;
mod put;
mod request;
mod reshard;
mod response;
mod settings;
mod shards;
mod streams;
mod subscribe;
#[cfg(test)]
mod tests;
mod validate;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::counters::{CallCounters, CallCounts};
use crate::faults::Faults;
use crate::operation::Operation;
use crate::options::{EmbeddedError, Options};
use crate::stream::{Stream, StreamDirectory, SubscriptionEnd};
use crate::subscription::Subscription;
use crate::wire::Protocol;

pub(crate) use error::{ApiError, ErrorBody, ErrorCode};
pub(crate) use get::expired;
pub(crate) use request::Request;
pub(crate) use response::ChildShard;

/// The service without its listener.
#[derive(Debug)]
pub(crate) struct Kinesis {
    pub(crate) clock: Clock,
    pub(crate) faults: Faults,
    pub(crate) counters: CallCounters,
    streams: StreamDirectory,
    account: String,
    limits: bool,
    shard_limit: u32,
    iterator_ttl_ms: i64,
    pub(crate) timing: Timing,
    /// The service stops: subscriptions end.
    pub(crate) stop: CancellationToken,
}

/// The times of consumers and subscriptions, in ms of the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    consumer_creating_ms: i64,
    pub(crate) subscription_ms: i64,
    pub(crate) heartbeat_ms: i64,
}

/// What a request is answered with.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The response's body, empty where AWS gives none.
    Whole(Vec<u8>),
    /// Events as they happen.
    Events(Box<Subscription>),
}

/// How faults bend the work of a call that goes on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bend {
    /// `GetRecords` gives no records.
    pub(crate) empty: bool,
    /// Every so manieth entry of `PutRecords` fails.
    pub(crate) fail_every: Option<usize>,
    /// A subscription ends so after so many events.
    pub(crate) end_after: Option<(u64, SubscriptionEnd)>,
}

/// One call: how to answer it, and what it was found to be about.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) operation: Operation,
    pub(crate) protocol: Protocol,
    pub(crate) bend: Bend,
}

impl Call {
    fn answer<T: serde::Serialize>(&self, value: &T) -> Result<Vec<u8>, ApiError> {
        self.protocol.encode(value).map_err(ApiError::defect)
    }
}

impl Kinesis {
    pub(crate) fn open(options: &Options) -> Result<Self, EmbeddedError> {
        Ok(Self {
            clock: options.clock.clone(),
            faults: Faults::default(),
            counters: CallCounters::default(),
            streams: StreamDirectory::open(options)?,
            account: options.account.clone(),
            limits: options.limits,
            shard_limit: options.shard_limit,
            iterator_ttl_ms: millis(options.iterator_ttl),
            timing: Timing {
                consumer_creating_ms: millis(options.consumer_creating),
                subscription_ms: millis(options.subscription),
                heartbeat_ms: millis(options.heartbeat),
            },
            stop: CancellationToken::new(),
        })
    }

    /// Carries a request out.
    pub(crate) fn run(self: &Arc<Self>, call: &Call, request: Request) -> Result<Answer, ApiError> {
        let none = |()| Vec::new();
        let body = match request {
            Request::SubscribeToShard(request) => return Ok(Answer::Events(Box::new(self.subscribe(call, &request)?))),
            Request::AddTagsToStream(request) => self.add_tags(request).map(none),
            Request::CreateStream(request) => self.create_stream(request).map(none),
            Request::DecreaseStreamRetentionPeriod(request) => self.decrease_retention(&request).map(none),
            Request::DeleteStream(request) => self.delete_stream(&request).map(none),
            Request::DeregisterStreamConsumer(request) => self.deregister_consumer(&request).map(none),
            Request::DescribeStreamConsumer(request) => call.answer(&self.describe_consumer(&request)?),
            Request::DescribeStream(request) => call.answer(&self.describe_stream(&request)?),
            Request::DescribeStreamSummary(request) => call.answer(&self.describe_stream_summary(&request)?),
            Request::GetRecords(request) => self.get_records(call, &request),
            Request::GetShardIterator(request) => call.answer(&self.get_shard_iterator(&request)?),
            Request::IncreaseStreamRetentionPeriod(request) => self.increase_retention(&request).map(none),
            Request::ListShards(request) => call.answer(&self.list_shards(&request)?),
            Request::ListStreamConsumers(request) => call.answer(&self.list_consumers(&request)?),
            Request::ListStreams(request) => call.answer(&self.list_streams(&request)?),
            Request::ListTagsForStream(request) => call.answer(&self.list_tags(&request)?),
            Request::MergeShards(request) => self.merge_shards(&request).map(none),
            Request::PutRecord(request) => call.answer(&self.put_record(request)?),
            Request::PutRecords(request) => call.answer(&self.put_records(call, request)?),
            Request::RegisterStreamConsumer(request) => call.answer(&self.register_consumer(&request)?),
            Request::RemoveTagsFromStream(request) => self.remove_tags(&request).map(none),
            Request::SplitShard(request) => self.split_shard(&request).map(none),
            Request::UpdateMaxRecordSize(request) => self.update_max_record_size(&request).map(none),
            Request::UpdateShardCount(request) => call.answer(&self.update_shard_count(&request)?),
            Request::UpdateStreamMode(request) => self.update_stream_mode(&request).map(none),
        };
        body.map(Answer::Whole)
    }

    /// Ends the subscriptions of all streams; the answer is how many.
    pub(crate) fn end_subscriptions(&self, end: SubscriptionEnd) -> usize {
        let streams = self.streams.streams.read();
        streams.values().map(|stream| stream.subscriptions.end(None, end)).sum()
    }

    /// Counts a call that was answered, in `shard` if it was about one.
    pub(crate) fn count_call(&self, operation: Operation, stream: Option<&str>, shard: Option<&str>, failed: bool) {
        let counts = CallCounts {
            calls: 1,
            errors: u64::from(failed),
            records: 0,
            bytes: 0,
        };
        self.counters
            .add(operation, stream.map(Arc::from).as_ref(), shard.map(Arc::from).as_ref(), counts);
    }

    pub(crate) fn count_records(&self, operation: Operation, stream: &Stream, shard: &Arc<str>, records: u64, bytes: u64) {
        let counts = CallCounts {
            calls: 0,
            errors: 0,
            records,
            bytes,
        };
        self.counters.add(operation, Some(&stream.name), Some(shard), counts);
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
