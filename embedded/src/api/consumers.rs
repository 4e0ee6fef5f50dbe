//! Registered consumers of enhanced fan-out.

use std::ops::Bound;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::Kinesis;
use super::error::{ApiError, ErrorCode};
use super::request::{ListStreamConsumers, OnConsumer, RegisterStreamConsumer};
use super::response::{
    Consumer, ConsumerDescription, DescribeStreamConsumerResponse, ListStreamConsumersResponse, RegisterStreamConsumerResponse,
};
use super::validate::{Violations, checked};
use crate::stream::{ConsumerMetadata, Stream, SubscriptionEnd};
use crate::wire::Timestamp;

/// Consumers of a stream.
const CONSUMERS: usize = 20;
/// Consumers of a stream that are `CREATING` at once.
const CREATING: usize = 5;
/// A page holds so many consumers unless less is asked for.
const PAGE: i64 = 100;
/// A token lives so long.
const TOKEN_TTL_MS: i64 = 300_000;

/// What a `NextToken` says.
#[derive(Debug, Deserialize, Serialize)]
struct Token {
    after: String,
    issued_ms: i64,
}

/// The parts of `<stream ARN>/consumer/<name>:<creation in seconds>`: the stream's ARN and the consumer's name.
pub(super) fn parse_arn(arn: &str) -> Option<(&str, &str)> {
    let (stream, consumer) = arn.split_once("/consumer/")?;
    let (name, _) = consumer.rsplit_once(':')?;
    Some((stream, name))
}

impl Kinesis {
    fn consumer_arn(stream: &Stream, name: &str, consumer: ConsumerMetadata) -> String {
        format!("{}/consumer/{name}:{}", stream.arn, consumer.created_ms / 1_000)
    }

    /// The consumer that an ARN names.
    pub(super) fn consumer(&self, arn: &str) -> Result<(Arc<Stream>, String, ConsumerMetadata), ApiError> {
        let gone = || ApiError::not_found(format!("Consumer {arn} under account {} not found.", self.account()));
        let (stream, name) = parse_arn(arn).ok_or_else(gone)?;
        let stream = self.named(None, Some(stream)).map_err(|_| gone())?;
        let found = {
            let state = stream.state.read();
            self.alive(&stream, &state)?;
            state.metadata.consumers.get(name).copied()
        };
        let consumer = found
            .filter(|consumer| Self::consumer_arn(&stream, name, *consumer) == arn)
            .ok_or_else(gone)?;
        Ok((stream, name.to_owned(), consumer))
    }

    fn described(&self, stream: &Stream, name: &str, consumer: ConsumerMetadata) -> Consumer {
        Consumer {
            consumer_name: name.to_owned(),
            consumer_arn: Self::consumer_arn(stream, name, consumer),
            consumer_status: if consumer.is_active(self.clock.now_ms()) {
                "ACTIVE"
            } else {
                "CREATING"
            },
            consumer_creation_timestamp: Timestamp(consumer.created_ms),
        }
    }

    pub(super) fn register_consumer(&self, request: &RegisterStreamConsumer) -> Result<RegisterStreamConsumerResponse, ApiError> {
        let mut violations = Violations::default();
        violations.required(request.stream_arn.as_deref(), "streamARN");
        let name = violations.required(request.consumer_name.as_deref(), "consumerName");
        if let Some(name) = name {
            violations.name(name, "consumerName");
        }
        violations.check()?;
        let name = checked(name)?;
        let stream = self.named(None, request.stream_arn.as_deref())?;
        let mut state = stream.state.write();
        self.alive(&stream, &state)?;
        let consumers = &state.metadata.consumers;
        let (stream_name, account) = (&stream.name, self.account());
        if consumers.contains_key(name) {
            return Err(ApiError::new(
                ErrorCode::ResourceInUse,
                format!("Consumer {name} under stream {stream_name} already exists for account {account}."),
            ));
        }
        let now_ms = self.clock.now_ms();
        let creating = consumers.values().filter(|consumer| !consumer.is_active(now_ms)).count();
        if consumers.len() >= CONSUMERS || creating >= CREATING {
            return Err(ApiError::new(
                ErrorCode::LimitExceeded,
                format!(
                    "Stream {stream_name} under account {account} has {} consumers, {creating} of them CREATING. Limits: {CONSUMERS}, and {CREATING} CREATING at once.",
                    consumers.len()
                ),
            ));
        }
        let consumer = ConsumerMetadata {
            created_ms: now_ms,
            active_ms: now_ms.saturating_add(self.timing.consumer_creating_ms),
        };
        stream.change(&mut state, |metadata| {
            metadata.consumers.insert(name.to_owned(), consumer);
        })?;
        Ok(RegisterStreamConsumerResponse {
            consumer: self.described(&stream, name, consumer),
        })
    }

    /// The consumer that a request names, by its ARN or by stream and name.
    fn on_consumer(&self, request: &OnConsumer) -> Result<(Arc<Stream>, String, ConsumerMetadata), ApiError> {
        let by_name = match (&request.consumer_arn, &request.stream_arn, &request.consumer_name) {
            (Some(arn), None, None) => return self.consumer(arn),
            (arn, Some(stream), Some(name)) => (arn, stream, name),
            _ => {
                return Err(ApiError::invalid(
                    "Either ConsumerARN, or StreamARN and ConsumerName must be provided.",
                ));
            }
        };
        let (arn, stream, name) = by_name;
        let stream = self.named(None, Some(stream))?;
        let found = {
            let state = stream.state.read();
            self.alive(&stream, &state)?;
            state.metadata.consumers.get(name).copied()
        };
        let consumer = found.filter(|found| arn.as_ref().is_none_or(|arn| *arn == Self::consumer_arn(&stream, name, *found)));
        let consumer = consumer.ok_or_else(|| {
            ApiError::not_found(format!(
                "Consumer {name} under stream {} not found for account {}.",
                stream.name,
                self.account()
            ))
        })?;
        Ok((stream, name.clone(), consumer))
    }

    pub(super) fn deregister_consumer(&self, request: &OnConsumer) -> Result<(), ApiError> {
        let (stream, name, consumer) = self.on_consumer(request)?;
        let mut state = stream.state.write();
        self.alive(&stream, &state)?;
        if state.metadata.consumers.get(&name) == Some(&consumer) {
            stream.change(&mut state, |metadata| {
                metadata.consumers.remove(&name);
            })?;
        }
        drop(state);
        stream.subscriptions.end(Some(&name), SubscriptionEnd::ResourceNotFound);
        Ok(())
    }

    pub(super) fn describe_consumer(&self, request: &OnConsumer) -> Result<DescribeStreamConsumerResponse, ApiError> {
        let (stream, name, consumer) = self.on_consumer(request)?;
        Ok(DescribeStreamConsumerResponse {
            consumer_description: ConsumerDescription {
                consumer: self.described(&stream, &name, consumer),
                stream_arn: stream.arn.clone(),
            },
        })
    }

    pub(super) fn list_consumers(&self, request: &ListStreamConsumers) -> Result<ListStreamConsumersResponse, ApiError> {
        let mut violations = Violations::default();
        violations.required(request.stream_arn.as_deref(), "streamARN");
        violations.range(request.max_results, "maxResults", 1, 10_000);
        violations.check()?;
        let stream = self.named(None, request.stream_arn.as_deref())?;
        let created = request.stream_creation_timestamp;
        // The wire carries whole seconds from some clients.
        if created.is_some_and(|created| created.0 / 1_000 != stream.created_ms / 1_000) {
            return Err(self.no_stream(&stream.name));
        }
        let now_ms = self.clock.now_ms();
        let token = request.next_token.as_deref().map(|token| resume(token, now_ms)).transpose()?;
        let limit = usize::try_from(request.max_results.unwrap_or(PAGE).min(PAGE)).unwrap_or(1);
        let state = stream.state.read();
        self.alive(&stream, &state)?;
        let from = token
            .as_ref()
            .map_or(Bound::Unbounded, |token| Bound::Excluded(token.after.as_str()));
        let mut rest = state.metadata.consumers.range::<str, _>((from, Bound::Unbounded));
        let consumers: Vec<Consumer> = rest
            .by_ref()
            .take(limit)
            .map(|(name, consumer)| self.described(&stream, name, *consumer))
            .collect();
        let more = rest.next().is_some();
        let next_token = match consumers.last().filter(|_| more) {
            None => None,
            Some(last) => {
                let token = Token {
                    after: last.consumer_name.clone(),
                    issued_ms: now_ms,
                };
                Some(STANDARD.encode(serde_json::to_vec(&token).map_err(|error| ApiError::internal(&error))?))
            }
        };
        Ok(ListStreamConsumersResponse { consumers, next_token })
    }
}

fn resume(token: &str, now_ms: i64) -> Result<Token, ApiError> {
    let decoded = STANDARD
        .decode(token)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Token>(&bytes).ok());
    let token = decoded.ok_or_else(|| ApiError::invalid("NextToken is not valid."))?;
    if now_ms - token.issued_ms > TOKEN_TTL_MS {
        return Err(ApiError::new(
            ErrorCode::ExpiredNextToken,
            "The pagination token passed to the operation is expired.",
        ));
    }
    Ok(token)
}
