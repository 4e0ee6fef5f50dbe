//! Making, deleting, finding and describing streams.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Kinesis;
use super::error::{ApiError, ErrorCode};
use super::request::{CreateStream, DeleteStream, DescribeStream, ListStreams, OnStream, StreamModeDetails};
use super::response::{
    DescribeStreamResponse, DescribeStreamSummaryResponse, EnhancedMonitoring, ListStreamsResponse, StreamDescription,
    StreamDescriptionSummary, StreamFacts, StreamModeBody, StreamSummary,
};
use super::validate::{Violations, checked};
use crate::stream::{Stream, StreamMode, StreamState};
use crate::wire::Timestamp;

/// Shards of an on-demand stream when it is made, as on AWS.
const ON_DEMAND_SHARDS: u32 = 4;

pub(super) const STREAM_MODES: &[(&str, StreamMode)] = &[("PROVISIONED", StreamMode::Provisioned), ("ON_DEMAND", StreamMode::OnDemand)];

impl Kinesis {
    /// The stream that a request names, by name, ARN or both.
    pub(super) fn named(&self, name: Option<&str>, arn: Option<&str>) -> Result<Arc<Stream>, ApiError> {
        let mut violations = Violations::default();
        if let Some(name) = name {
            violations.name(name, "streamName");
        }
        violations.check()?;
        let from_arn = arn.map(|arn| {
            arn.rsplit_once(":stream/")
                .map(|(_, name)| name)
                .filter(|name| self.streams.arn(name) == arn)
        });
        let name = match (name, from_arn) {
            (None, None) => return Err(ApiError::invalid("Either StreamName or StreamARN must be provided.")),
            (_, Some(None)) => {
                let arn = arn.unwrap_or_default();
                return Err(ApiError::not_found(format!(
                    "Stream with ARN {arn} not found in account {}.",
                    self.account
                )));
            }
            (Some(name), Some(Some(from_arn))) if name != from_arn => {
                return Err(ApiError::invalid("StreamName and StreamARN do not name the same stream."));
            }
            (Some(name), _) | (None, Some(Some(name))) => name,
        };
        self.streams
            .streams
            .read()
            .get(name)
            .map(Arc::clone)
            .ok_or_else(|| self.no_stream(name))
    }

    pub(super) fn no_stream(&self, name: &str) -> ApiError {
        ApiError::not_found(format!("Stream {name} under account {} not found.", self.account))
    }

    /// The error of a stream that was deleted while the request was under way.
    pub(super) fn alive(&self, stream: &Stream, state: &StreamState) -> Result<(), ApiError> {
        if state.deleted { Err(self.no_stream(&stream.name)) } else { Ok(()) }
    }

    pub(super) fn account(&self) -> &str {
        &self.account
    }

    pub(super) fn create_stream(&self, request: CreateStream) -> Result<(), ApiError> {
        let mut violations = Violations::default();
        let name = violations.required(request.stream_name, "streamName");
        if let Some(name) = &name {
            violations.name(name, "streamName");
        }
        violations.range(request.shard_count, "shardCount", 1, 100_000);
        let mode = stream_mode(request.stream_mode_details.as_ref(), &mut violations).unwrap_or(StreamMode::Provisioned);
        violations.check()?;
        let name = checked(name)?;
        let shards = match (mode, request.shard_count) {
            (StreamMode::OnDemand, None) => ON_DEMAND_SHARDS,
            (StreamMode::OnDemand, Some(_)) => {
                return Err(ApiError::new(
                    ErrorCode::Validation,
                    "ShardCount must not be provided when StreamMode is ON_DEMAND.",
                ));
            }
            (StreamMode::Provisioned, None) => {
                return Err(ApiError::new(
                    ErrorCode::Validation,
                    "ShardCount must be provided when StreamMode is PROVISIONED.",
                ));
            }
            (StreamMode::Provisioned, Some(count)) => self.within_shard_limit(count)?,
        };
        let tags = request.tags.unwrap_or_default();
        super::settings::check_tags(&tags, &BTreeMap::new())?;
        let now_ms = self.clock.now_ms();
        if now_ms < 0 {
            return Err(ApiError::defect("the clock stands before 1970"));
        }
        match self.streams.create(&name, shards, mode, tags, now_ms)? {
            Some(_) => Ok(()),
            None => Err(ApiError::new(
                ErrorCode::ResourceInUse,
                format!("Stream {name} under account {} already exists.", self.account),
            )),
        }
    }

    /// A number of open shards that a stream may have.
    pub(super) fn within_shard_limit(&self, count: i64) -> Result<u32, ApiError> {
        u32::try_from(count).ok().filter(|count| *count <= self.shard_limit).ok_or_else(|| {
            let limit = self.shard_limit;
            let account = &self.account;
            ApiError::new(
                ErrorCode::LimitExceeded,
                format!("This request would exceed the shard limit for the account {account}. Limit: {limit}. Requested: {count}."),
            )
        })
    }

    pub(super) fn delete_stream(&self, request: &DeleteStream) -> Result<(), ApiError> {
        let stream = self.named(request.stream_name.as_deref(), request.stream_arn.as_deref())?;
        let has_consumers = !stream.state.read().metadata.consumers.is_empty();
        if has_consumers && request.enforce_consumer_deletion != Some(true) {
            return Err(ApiError::new(
                ErrorCode::ResourceInUse,
                format!(
                    "Stream {} under account {} has registered consumers, and EnforceConsumerDeletion is not set.",
                    stream.name, self.account
                ),
            ));
        }
        if self.streams.delete(&stream.name)? {
            Ok(())
        } else {
            Err(self.no_stream(&stream.name))
        }
    }

    fn facts(&self, stream: &Stream, state: &StreamState) -> StreamFacts {
        StreamFacts {
            stream_name: stream.name.to_string(),
            stream_arn: stream.arn.clone(),
            stream_status: "ACTIVE",
            stream_mode_details: StreamModeBody {
                stream_mode: state.metadata.mode,
            },
            retention_period_hours: state.metadata.retention_hours,
            stream_creation_timestamp: Timestamp(stream.created_ms),
            enhanced_monitoring: [EnhancedMonitoring { shard_level_metrics: [] }],
            encryption_type: "NONE",
        }
    }

    pub(super) fn describe_stream(&self, request: &DescribeStream) -> Result<DescribeStreamResponse, ApiError> {
        let mut violations = Violations::default();
        violations.range(request.limit, "limit", 1, 10_000);
        violations.check()?;
        let stream = self.named(request.stream_name.as_deref(), request.stream_arn.as_deref())?;
        stream.expire(self.clock.now_ms())?;
        let state = stream.state.read();
        self.alive(&stream, &state)?;
        let limit = usize::try_from(request.limit.unwrap_or(100)).unwrap_or(100);
        let start = request.exclusive_start_shard_id.as_deref();
        let mut shards = super::shards::after(&state, start, &self.account)?.map(|shard| super::shards::describe(&state, shard));
        let page = shards.by_ref().take(limit).collect::<Result<Vec<_>, _>>()?;
        let has_more_shards = shards.next().is_some();
        Ok(DescribeStreamResponse {
            stream_description: StreamDescription {
                facts: self.facts(&stream, &state),
                shards: page,
                has_more_shards,
            },
        })
    }

    pub(super) fn describe_stream_summary(&self, request: &OnStream) -> Result<DescribeStreamSummaryResponse, ApiError> {
        let stream = self.named(request.stream_name.as_deref(), request.stream_arn.as_deref())?;
        stream.expire(self.clock.now_ms())?;
        let state = stream.state.read();
        self.alive(&stream, &state)?;
        let open_shard_count = state.metadata.open_shards().count();
        Ok(DescribeStreamSummaryResponse {
            stream_description_summary: StreamDescriptionSummary {
                facts: self.facts(&stream, &state),
                open_shard_count,
                consumer_count: state.metadata.consumers.len(),
                max_record_size: state.metadata.max_record_kib,
            },
        })
    }

    pub(super) fn list_streams(&self, request: &ListStreams) -> Result<ListStreamsResponse, ApiError> {
        let mut violations = Violations::default();
        violations.range(request.limit, "limit", 1, 10_000);
        if let Some(start) = &request.exclusive_start_stream_name {
            violations.name(start, "exclusiveStartStreamName");
        }
        violations.check()?;
        let from_token = match &request.next_token {
            None => None,
            Some(token) => {
                let name = STANDARD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                Some(name.ok_or_else(|| ApiError::invalid("NextToken is not valid."))?)
            }
        };
        let start = from_token
            .as_ref()
            .or(request.exclusive_start_stream_name.as_ref())
            .map_or("", |name| name);
        let limit = usize::try_from(request.limit.unwrap_or(100)).unwrap_or(100);
        let streams = self.streams.streams.read();
        let mut rest = streams
            .range::<str, _>((Bound::Excluded(start), Bound::Unbounded))
            .map(|(_, stream)| stream);
        let summaries: Vec<StreamSummary> = rest
            .by_ref()
            .take(limit)
            .map(|stream| StreamSummary {
                stream_name: stream.name.to_string(),
                stream_arn: stream.arn.clone(),
                stream_status: "ACTIVE",
                stream_mode_details: StreamModeBody {
                    stream_mode: stream.state.read().metadata.mode,
                },
                stream_creation_timestamp: Timestamp(stream.created_ms),
            })
            .collect();
        let has_more_streams = rest.next().is_some();
        Ok(ListStreamsResponse {
            stream_names: summaries.iter().map(|summary| summary.stream_name.clone()).collect(),
            next_token: summaries
                .last()
                .filter(|_| has_more_streams)
                .map(|last| STANDARD.encode(&last.stream_name)),
            stream_summaries: summaries,
            has_more_streams,
        })
    }
}

pub(super) fn stream_mode(details: Option<&StreamModeDetails>, violations: &mut Violations) -> Option<StreamMode> {
    details.and_then(|details| violations.one_of(details.stream_mode.as_deref(), "streamModeDetails.streamMode", STREAM_MODES))
}
