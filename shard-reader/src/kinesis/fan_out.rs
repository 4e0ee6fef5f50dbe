//! Consumers and subscriptions through the AWS SDK.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::primitives::event_stream::EventReceiver;
use aws_sdk_kinesis::types::error::SubscribeToShardEventStreamError;
use aws_sdk_kinesis::types::{ConsumerStatus, ShardIteratorType, StartingPosition, SubscribeToShardEvent, SubscribeToShardEventStream};
use tokio::time::Instant;

use super::errors::{by_code, classify};
use super::pushes::PushClient;
use super::{KinesisSource, StreamName, columns};
use crate::{
    ConsumerArn, FanOut, FanOutError, FanOutErrorKind, OpenAt, PushedRecords, SequenceNumber, ShardId, ShardSubscription, SourceError,
    SourceErrorKind,
};

/// A consumer becomes active within this time, or registering it fails. AWS takes some seconds.
const ACTIVE_WITHIN: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(3);
/// The reply to a subscription begins within this time. What follows has no limit.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// How a consumer was found.
struct Found {
    arn: String,
    status: ConsumerStatus,
}

fn of_code(code: Option<&str>, status: u16) -> FanOutErrorKind {
    match code.unwrap_or_default() {
        "ResourceInUseException" => FanOutErrorKind::InUse,
        "UnknownOperationException" | "UnsupportedOperationException" | "NotImplemented" => FanOutErrorKind::Invalid,
        _ => match by_code(code, status) {
            SourceErrorKind::Throttled => FanOutErrorKind::LimitExceeded,
            SourceErrorKind::NotFound => FanOutErrorKind::NotFound,
            SourceErrorKind::Denied => FanOutErrorKind::Denied,
            SourceErrorKind::ExpiredIterator | SourceErrorKind::Invalid => FanOutErrorKind::Invalid,
            SourceErrorKind::Unavailable => FanOutErrorKind::Unavailable,
        },
    }
}

impl From<SourceError> for FanOutError {
    fn from(error: SourceError) -> Self {
        let kind = match error.kind {
            SourceErrorKind::Throttled => FanOutErrorKind::LimitExceeded,
            SourceErrorKind::NotFound => FanOutErrorKind::NotFound,
            SourceErrorKind::Denied => FanOutErrorKind::Denied,
            SourceErrorKind::ExpiredIterator | SourceErrorKind::Invalid => FanOutErrorKind::Invalid,
            SourceErrorKind::Unavailable => FanOutErrorKind::Unavailable,
        };
        Self {
            kind,
            message: error.message,
            source: error.source,
        }
    }
}

type HttpResponse = aws_smithy_runtime_api::client::orchestrator::HttpResponse;

fn failed<E>(error: &SdkError<E, HttpResponse>, what: &str) -> FanOutError
where
    E: ProvideErrorMetadata + std::error::Error + fmt::Debug + 'static,
{
    let kind = match error {
        SdkError::ServiceError(context) => Some(of_code(context.err().code(), context.raw().status().as_u16())),
        _ => None,
    };
    let error = FanOutError::from(classify(error, what));
    FanOutError {
        kind: kind.unwrap_or(error.kind),
        ..error
    }
}

impl KinesisSource {
    async fn stream_arn(&self, stream: &str) -> Result<String, FanOutError> {
        let StreamName { name, arn } = StreamName::of(stream);
        if let Some(arn) = arn {
            return Ok(arn);
        }
        let what = format!("DescribeStreamSummary of {stream}");
        let reply = self.client.describe_stream_summary().set_stream_name(name).send().await;
        let reply = reply.map_err(|error| failed(&error, &what))?;
        let arn = reply.stream_description_summary().map(|summary| summary.stream_arn().to_owned());
        arn.filter(|arn| !arn.is_empty())
            .ok_or_else(|| FanOutError::new(FanOutErrorKind::Invalid, format!("{what}: the reply names no ARN")))
    }

    /// The consumer of that name, if there is one. In another account it is described by its own ARN only, which the list tells.
    async fn find_consumer(&self, stream_arn: &str, name: &str) -> Result<Option<Found>, FanOutError> {
        let described = self.client.describe_stream_consumer().stream_arn(stream_arn).consumer_name(name);
        match described.send().await {
            Ok(reply) => Ok(reply.consumer_description.map(|consumer| Found {
                arn: consumer.consumer_arn,
                status: consumer.consumer_status,
            })),
            Err(error) => {
                let error = failed(&error, &format!("DescribeStreamConsumer of {name} of {stream_arn}"));
                match error.kind {
                    FanOutErrorKind::NotFound => Ok(None),
                    FanOutErrorKind::Denied | FanOutErrorKind::Invalid => self.find_in_list(stream_arn, name).await,
                    _ => Err(error),
                }
            }
        }
    }

    async fn find_in_list(&self, stream_arn: &str, name: &str) -> Result<Option<Found>, FanOutError> {
        let mut pages = self.client.list_stream_consumers().stream_arn(stream_arn).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed(&error, &format!("ListStreamConsumers of {stream_arn}")))?;
            let consumers = page.consumers.unwrap_or_default();
            if let Some(consumer) = consumers.into_iter().find(|consumer| consumer.consumer_name() == name) {
                return Ok(Some(Found {
                    arn: consumer.consumer_arn,
                    status: consumer.consumer_status,
                }));
            }
        }
        Ok(None)
    }

    /// `None`: somebody else registers it at this moment.
    async fn register(&self, stream_arn: &str, name: &str) -> Result<Option<Found>, FanOutError> {
        let reply = self
            .client
            .register_stream_consumer()
            .stream_arn(stream_arn)
            .consumer_name(name)
            .send()
            .await;
        match reply {
            Ok(reply) => Ok(reply.consumer.map(|consumer| {
                tracing::info!(
                    stream = stream_arn,
                    consumer = name,
                    "consumer registered; it stays registered, and AWS charges for it"
                );
                Found {
                    arn: consumer.consumer_arn,
                    status: consumer.consumer_status,
                }
            })),
            Err(error) => {
                let error = failed(&error, &format!("RegisterStreamConsumer {name} of {stream_arn}"));
                if error.kind == FanOutErrorKind::InUse {
                    Ok(None)
                } else {
                    Err(error)
                }
            }
        }
    }
}

#[async_trait]
impl FanOut for KinesisSource {
    async fn ensure_consumer(&self, stream: &str, name: &str) -> Result<ConsumerArn, FanOutError> {
        let stream_arn = self.stream_arn(stream).await?;
        let deadline = Instant::now() + ACTIVE_WITHIN;
        let mut pause = FIRST_PAUSE;
        loop {
            let found = match self.find_consumer(&stream_arn, name).await? {
                Some(found) => Some(found),
                None => self.register(&stream_arn, name).await?,
            };
            match found {
                Some(found) if found.status == ConsumerStatus::Active => return Ok(ConsumerArn::from(found.arn.as_str())),
                // it is being created, or deleted: then the next look registers it anew
                _ if Instant::now() + pause < deadline => tokio::time::sleep(pause).await,
                _ => {
                    let message = format!("consumer {name} of {stream} is not active after {ACTIVE_WITHIN:?}");
                    return Err(FanOutError::new(FanOutErrorKind::Unavailable, message));
                }
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    async fn subscribe(
        &self,
        stream: &str,
        consumer: &ConsumerArn,
        shard: &ShardId,
        at: OpenAt,
    ) -> Result<Box<dyn ShardSubscription>, FanOutError> {
        let what = format!("SubscribeToShard of {stream}, {shard}, {at:?}");
        let start = StartingPosition::builder();
        let start = match at {
            OpenAt::TrimHorizon => start.r#type(ShardIteratorType::TrimHorizon),
            OpenAt::At(sequence) => start
                .r#type(ShardIteratorType::AtSequenceNumber)
                .sequence_number(self.text_of(sequence)),
            OpenAt::After(sequence) => start
                .r#type(ShardIteratorType::AfterSequenceNumber)
                .sequence_number(self.text_of(sequence)),
            OpenAt::Timestamp(time) => start.r#type(ShardIteratorType::AtTimestamp).timestamp(DateTime::from_millis(time)),
        };
        let invalid = |error: &dyn fmt::Display| FanOutError::new(FanOutErrorKind::Invalid, format!("{what}: {error}"));
        let pushes = self.pushes.lease();
        let request = pushes
            .client
            .subscribe_to_shard()
            .consumer_arn(consumer.as_str())
            .shard_id(shard.as_str())
            .starting_position(start.build().map_err(|error| invalid(&error))?);
        let reply = tokio::time::timeout(ANSWER_TIMEOUT, request.send()).await;
        let reply =
            reply.map_err(|_| FanOutError::new(FanOutErrorKind::Unavailable, format!("{what}: no answer within {ANSWER_TIMEOUT:?}")))?;
        let reply = reply.map_err(|error| failed(&error, &what))?;
        Ok(Box::new(Subscription {
            source: self.clone(),
            events: reply.event_stream,
            _client: pushes,
            what: format!("subscription to {stream}, {shard}"),
        }))
    }
}

struct Subscription {
    source: KinesisSource,
    events: EventReceiver<SubscribeToShardEventStream, SubscribeToShardEventStreamError>,
    _client: PushClient,
    what: String,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

#[async_trait]
impl ShardSubscription for Subscription {
    async fn next(&mut self) -> Result<Option<PushedRecords>, FanOutError> {
        loop {
            match self.events.recv().await {
                Ok(Some(SubscribeToShardEventStream::SubscribeToShardEvent(event))) => {
                    self.source
                        .note_padding(event.records.iter().map(|record| record.sequence_number()));
                    let pushed = pushed(event).map_err(|error| FanOutError {
                        source: Some(Arc::new(error.clone())),
                        ..FanOutError::new(FanOutErrorKind::Invalid, format!("{}: {error}", self.what))
                    });
                    return pushed.map(Some);
                }
                // an event of a kind that this version does not know
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(error) => return Err(self.failed(&error)),
            }
        }
    }
}

impl Subscription {
    fn failed<R: fmt::Debug>(&self, error: &SdkError<SubscribeToShardEventStreamError, R>) -> FanOutError {
        let (kind, cause) = match error {
            SdkError::ServiceError(context) => {
                let error = context.err();
                let code = match error {
                    SubscribeToShardEventStreamError::ResourceInUseException(_) => Some("ResourceInUseException"),
                    SubscribeToShardEventStreamError::ResourceNotFoundException(_) => Some("ResourceNotFoundException"),
                    SubscribeToShardEventStreamError::InternalFailureException(_) => Some("InternalFailure"),
                    other => other.code(),
                };
                let message = error.message().unwrap_or("no message");
                (of_code(code, 500), format!("{}: {message}", code.unwrap_or("error without a code")))
            }
            // cut off, or not readable; another one may be
            other => (
                FanOutErrorKind::Unavailable,
                format!("{}", aws_sdk_kinesis::error::DisplayErrorContext(other)),
            ),
        };
        FanOutError::new(kind, format!("{}: {cause}", self.what))
    }
}

/// The SDK gives an absent ContinuationSequenceNumber as empty text.
fn pushed(event: SubscribeToShardEvent) -> Result<PushedRecords, crate::PositionError> {
    let continuation = Some(event.continuation_sequence_number.as_str())
        .filter(|text| !text.is_empty())
        .map(str::parse::<SequenceNumber>)
        .transpose()?;
    let children = event
        .child_shards
        .map(|children| children.into_iter().map(|child| ShardId::from(child.shard_id)).collect());
    Ok(PushedRecords {
        records: columns(&event.records)?,
        continuation,
        millis_behind: u64::try_from(event.millis_behind_latest).unwrap_or(0),
        children,
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_kinesis::primitives::Blob;
    use aws_sdk_kinesis::types::{ChildShard, HashKeyRange, Record};

    use super::*;

    #[test]
    fn codes_become_categories() {
        let cases = [
            ("ResourceInUseException", 400, FanOutErrorKind::InUse),
            ("LimitExceededException", 400, FanOutErrorKind::LimitExceeded),
            ("ResourceNotFoundException", 400, FanOutErrorKind::NotFound),
            ("AccessDeniedException", 400, FanOutErrorKind::Denied),
            ("InvalidArgumentException", 400, FanOutErrorKind::Invalid),
            ("UnsupportedOperationException", 501, FanOutErrorKind::Invalid),
            ("InternalFailure", 500, FanOutErrorKind::Unavailable),
        ];
        for (code, status, kind) in cases {
            assert_eq!(of_code(Some(code), status), kind, "{code}");
        }
    }

    #[test]
    fn an_event_without_a_continuation_ends_the_shard_only_with_its_children() {
        let record = Record::builder()
            .sequence_number("49546986683135544286507457936321625675700192471156785154")
            .data(Blob::new("payload"))
            .partition_key("key");
        let event = SubscribeToShardEvent::builder()
            .records(record.build().unwrap())
            .continuation_sequence_number("12")
            .millis_behind_latest(7);
        let whole = pushed(event.clone().build().unwrap()).unwrap();
        assert_eq!(
            (whole.records.len(), whole.continuation, whole.millis_behind, whole.children),
            (1, Some(12.into()), 7, None)
        );
        let bare = pushed(event.clone().continuation_sequence_number("").build().unwrap()).unwrap();
        assert_eq!((bare.continuation, bare.children), (None, None));
        let range = HashKeyRange::builder().starting_hash_key("0").ending_hash_key("9").build().unwrap();
        let child = ChildShard::builder()
            .shard_id("child")
            .parent_shards("parent")
            .hash_key_range(range);
        let last = event.continuation_sequence_number("").child_shards(child.build().unwrap());
        let last = pushed(last.build().unwrap()).unwrap();
        assert_eq!((last.continuation, last.children), (None, Some(vec!["child".into()])));
        let odd = SubscribeToShardEvent::builder()
            .set_records(Some(Vec::new()))
            .continuation_sequence_number("x")
            .millis_behind_latest(0);
        assert!(pushed(odd.build().unwrap()).is_err());
    }
}
