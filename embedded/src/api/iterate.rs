//! `GetShardIterator`.

use super::Kinesis;
use super::error::{ApiError, ErrorCode};
use super::request::GetShardIterator;
use super::response::GetShardIteratorResponse;
use super::shards::no_shard;
use super::validate::{Violations, checked};
use crate::stream::{ForeignSequence, Shard, ShardIterator, Stream, parse_shard_id, shard_id};
use crate::wire::Timestamp;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum IteratorType {
    AtSequenceNumber,
    AfterSequenceNumber,
    TrimHorizon,
    Latest,
    AtTimestamp,
}

pub(super) const TYPES: &[(&str, IteratorType)] = &[
    ("AFTER_SEQUENCE_NUMBER", IteratorType::AfterSequenceNumber),
    ("LATEST", IteratorType::Latest),
    ("AT_TIMESTAMP", IteratorType::AtTimestamp),
    ("AT_SEQUENCE_NUMBER", IteratorType::AtSequenceNumber),
    ("TRIM_HORIZON", IteratorType::TrimHorizon),
];

impl Kinesis {
    pub(super) fn get_shard_iterator(&self, request: &GetShardIterator) -> Result<GetShardIteratorResponse, ApiError> {
        let mut violations = Violations::default();
        let shard_name = violations.required(request.shard_id.as_deref(), "shardId");
        if let Some(id) = shard_name {
            violations.name(id, "shardId");
        }
        let kind = violations.one_of(request.shard_iterator_type.as_deref(), "shardIteratorType", TYPES);
        violations.check()?;
        let (shard_name, kind) = (checked(shard_name)?, checked(kind)?);

        let stream = self.named(request.stream_name.as_deref(), request.stream_arn.as_deref())?;
        let now_ms = self.clock.now_ms();
        stream.expire(now_ms)?;
        let state = stream.state.read();
        self.alive(&stream, &state)?;
        let shard = parse_shard_id(shard_name).and_then(|number| state.shards.get(&number));
        let shard = shard.ok_or_else(|| no_shard(shard_name, &stream.name, self.account()))?;
        if self.limits && !shard.limiter.lock().iterator(now_ms) {
            return Err(ApiError::new(
                ErrorCode::ProvisionedThroughputExceeded,
                self.exceeded(&stream, shard),
            ));
        }
        let sequence = request.starting_sequence_number.as_deref();
        let next = self.place(kind, sequence, request.timestamp, now_ms, &stream, shard)?;
        Ok(GetShardIteratorResponse {
            shard_iterator: self.iterator(&stream, shard.number, next, now_ms),
        })
    }

    /// The smallest counter that is read from a place on.
    pub(super) fn place(
        &self,
        kind: IteratorType,
        sequence: Option<&str>,
        timestamp: Option<Timestamp>,
        now_ms: i64,
        stream: &Stream,
        shard: &Shard,
    ) -> Result<u64, ApiError> {
        Ok(match kind {
            IteratorType::TrimHorizon => 0,
            IteratorType::Latest => shard.log.tip(),
            IteratorType::AtTimestamp => shard.log.first_since(time(timestamp, now_ms)?),
            IteratorType::AtSequenceNumber => self.counter(sequence, stream, shard)?,
            IteratorType::AfterSequenceNumber => self.counter(sequence, stream, shard)?.saturating_add(1),
        })
    }

    pub(super) fn iterator(&self, stream: &Stream, shard: u32, next: u64, issued_ms: i64) -> String {
        ShardIterator {
            stream: stream.name.to_string(),
            created_ms: stream.created_ms,
            tag: stream.tag,
            shard,
            next,
            issued_ms,
        }
        .encode()
    }

    fn counter(&self, sequence: Option<&str>, stream: &Stream, shard: &Shard) -> Result<u64, ApiError> {
        let Some(text) = sequence else {
            return Err(ApiError::invalid(
                "Must either specify (1) AT_SEQUENCE_NUMBER iterator type and startingSequenceNumber or (2) AFTER_SEQUENCE_NUMBER iterator type and startingSequenceNumber. Request specified the type and no startingSequenceNumber.",
            ));
        };
        shard.sequence.counter(text).map_err(|foreign| {
            let (id, name, account) = (&shard.id, &stream.name, self.account());
            match foreign {
                ForeignSequence::OtherStream => ApiError::invalid(format!(
                    "StartingSequenceNumber {text} used on shard {id} in stream {name} under account {account} is invalid because it did not come from this stream."
                )),
                ForeignSequence::OtherShard(other) => {
                    let other = u32::try_from(other).map_or_else(|_| "an unknown shard".to_owned(), shard_id);
                    ApiError::invalid(format!(
                        "Invalid StartingSequenceNumber. It encodes {other}, while it was used in a call to a shard with {id}"
                    ))
                }
            }
        })
    }
}

/// A time that is not in the future: AWS refuses those.
fn time(timestamp: Option<Timestamp>, now_ms: i64) -> Result<i64, ApiError> {
    match timestamp {
        None => Err(ApiError::invalid(
            "Must specify timestampInMillis for iterator of type AT_TIMESTAMP.",
        )),
        Some(at) if at.0 > now_ms => Err(ApiError::invalid(format!(
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: {}, currentTimestampInMillis: {now_ms}",
            at.0
        ))),
        Some(at) => Ok(at.0),
    }
}
