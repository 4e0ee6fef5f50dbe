//! `ListShards` and what describes a shard.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::Kinesis;
use super::error::{ApiError, ErrorCode};
use super::request::{ListShards, ShardFilter};
use super::response::{ListShardsResponse, SequenceNumberRange, ShardDescription};
use super::validate::{Violations, checked};
use crate::stream::{ShardMetadata, Stream, StreamState, parse_shard_id};

/// A page holds at most so many shards whatever is asked for.
const PAGE: i64 = 1_000;
/// A token lives so long.
const TOKEN_TTL_MS: i64 = 300_000;

/// Which shards are wanted.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
enum Wanted {
    All,
    /// Open now.
    Open,
    /// Open at that time.
    OpenAt(i64),
    /// Open at that time or later.
    OpenSince(i64),
}

/// What a `NextToken` says.
#[derive(Debug, Deserialize, Serialize)]
struct Token {
    stream: String,
    created_ms: i64,
    wanted: Wanted,
    after: u32,
    issued_ms: i64,
}

impl Kinesis {
    pub(super) fn list_shards(&self, request: &ListShards) -> Result<ListShardsResponse, ApiError> {
        let mut violations = Violations::default();
        violations.range(request.max_results, "maxResults", 1, 10_000);
        violations.check()?;
        let now_ms = self.clock.now_ms();
        let (stream, wanted, after) = match &request.next_token {
            Some(token) => self.resume(request, token, now_ms)?,
            None => {
                let stream = self.named(request.stream_name.as_deref(), request.stream_arn.as_deref())?;
                let created = request.stream_creation_timestamp;
                // The wire carries whole seconds from some clients.
                if created.is_some_and(|created| created.0 / 1_000 != stream.created_ms / 1_000) {
                    return Err(self.no_stream(&stream.name));
                }
                let start = request.exclusive_start_shard_id.as_deref();
                let after = start
                    .map(|id| parse_shard_id(id).ok_or_else(|| no_shard(id, &stream.name, self.account())))
                    .transpose()?;
                let (wanted, after_filter) = wanted(request.shard_filter.as_ref(), &stream, now_ms, self.account())?;
                (stream, wanted, after.max(after_filter))
            }
        };
        stream.expire(now_ms)?;
        let state = stream.state.read();
        self.alive(&stream, &state)?;
        let limit = usize::try_from(request.max_results.unwrap_or(PAGE).min(PAGE)).unwrap_or(1);
        let mut rest = state
            .metadata
            .shards
            .iter()
            .filter(|shard| after.is_none_or(|after| shard.number > after))
            .filter(|shard| wanted.includes(shard));
        let page: Vec<&ShardMetadata> = rest.by_ref().take(limit).collect();
        let more = rest.next().is_some();
        let next_token = match page.last().filter(|_| more) {
            None => None,
            Some(last) => {
                let token = Token {
                    stream: stream.name.to_string(),
                    created_ms: stream.created_ms,
                    wanted,
                    after: last.number,
                    issued_ms: now_ms,
                };
                Some(STANDARD.encode(serde_json::to_vec(&token).map_err(|error| ApiError::internal(&error))?))
            }
        };
        let shards = page.into_iter().map(|shard| describe(&state, shard)).collect::<Result<_, _>>()?;
        Ok(ListShardsResponse { shards, next_token })
    }

    fn resume(&self, request: &ListShards, token: &str, now_ms: i64) -> Result<(std::sync::Arc<Stream>, Wanted, Option<u32>), ApiError> {
        let beside = [
            (request.stream_name.is_some(), "StreamName"),
            (request.stream_arn.is_some(), "StreamARN"),
            (request.exclusive_start_shard_id.is_some(), "ExclusiveStartShardId"),
            (request.stream_creation_timestamp.is_some(), "StreamCreationTimestamp"),
            (request.shard_filter.is_some(), "ShardFilter"),
        ];
        if let Some((_, name)) = beside.iter().find(|(given, _)| *given) {
            return Err(ApiError::invalid(format!("NextToken and {name} cannot be provided together.")));
        }
        let token = STANDARD
            .decode(token)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Token>(&bytes).ok());
        let token = token.ok_or_else(|| ApiError::invalid("NextToken is not valid."))?;
        if now_ms - token.issued_ms > TOKEN_TTL_MS {
            return Err(ApiError::new(
                ErrorCode::ExpiredNextToken,
                "The pagination token passed to the operation is expired.",
            ));
        }
        let stream = self.named(Some(&token.stream), None)?;
        if stream.created_ms != token.created_ms {
            return Err(self.no_stream(&token.stream));
        }
        Ok((stream, token.wanted, Some(token.after)))
    }
}

/// Filter and, for `AFTER_SHARD_ID`, the shard after which to begin.
fn wanted(filter: Option<&ShardFilter>, stream: &Stream, now_ms: i64, account: &str) -> Result<(Wanted, Option<u32>), ApiError> {
    let Some(filter) = filter else { return Ok((Wanted::All, None)) };
    let mut violations = Violations::default();
    let kinds = [
        "AFTER_SHARD_ID",
        "AT_TRIM_HORIZON",
        "FROM_TRIM_HORIZON",
        "AT_LATEST",
        "AT_TIMESTAMP",
        "FROM_TIMESTAMP",
    ];
    let kind = violations.one_of(filter.kind.as_deref(), "shardFilter.type", &kinds.map(|kind| (kind, kind)));
    violations.check()?;
    let kind = checked(kind)?;
    // Records older than the horizon are gone, and a stream younger than its retention begins with its creation.
    let horizon_ms = (now_ms - stream.state.read().metadata.retention_ms()).max(stream.created_ms);
    let since = || match filter.timestamp {
        None => Err(ApiError::invalid(format!(
            "Timestamp must be provided when ShardFilter type is {kind}."
        ))),
        Some(at) if at.0 > now_ms => Err(ApiError::invalid(format!(
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: {}, currentTimestampInMillis: {now_ms}",
            at.0
        ))),
        Some(at) => Ok(at.0.max(horizon_ms)),
    };
    match kind {
        "AFTER_SHARD_ID" => {
            let id = filter
                .shard_id
                .as_deref()
                .ok_or_else(|| ApiError::invalid("ShardId must be provided when ShardFilter type is AFTER_SHARD_ID."))?;
            let number = parse_shard_id(id).ok_or_else(|| no_shard(id, &stream.name, account))?;
            Ok((Wanted::All, Some(number)))
        }
        "AT_TRIM_HORIZON" => Ok((Wanted::OpenAt(horizon_ms), None)),
        "FROM_TRIM_HORIZON" => Ok((Wanted::OpenSince(horizon_ms), None)),
        "AT_LATEST" => Ok((Wanted::Open, None)),
        "AT_TIMESTAMP" => Ok((Wanted::OpenAt(since()?), None)),
        _ => Ok((Wanted::OpenSince(since()?), None)),
    }
}

impl Wanted {
    fn includes(self, shard: &ShardMetadata) -> bool {
        let closed_after = |at_ms: i64| shard.closed.is_none_or(|closed| closed.at_ms >= at_ms);
        match self {
            Self::All => true,
            Self::Open => shard.closed.is_none(),
            Self::OpenAt(at_ms) => shard.created_ms <= at_ms && closed_after(at_ms),
            Self::OpenSince(at_ms) => closed_after(at_ms),
        }
    }
}

/// The shards after one, in order.
pub(super) fn after<'a>(
    state: &'a StreamState,
    start: Option<&str>,
    account: &str,
) -> Result<impl Iterator<Item = &'a ShardMetadata> + use<'a>, ApiError> {
    let after = start
        .map(|id| parse_shard_id(id).ok_or_else(|| no_shard(id, &state.metadata.name, account)))
        .transpose()?;
    Ok(state
        .metadata
        .shards
        .iter()
        .filter(move |shard| after.is_none_or(|after| shard.number > after)))
}

pub(super) fn describe(state: &StreamState, shard: &ShardMetadata) -> Result<ShardDescription, ApiError> {
    let live = state
        .shards
        .get(&shard.number)
        .ok_or_else(|| ApiError::defect("a stored shard is not in memory"))?;
    let range = SequenceNumberRange {
        starting_sequence_number: live.sequence_number(shard.starting_counter),
        ending_sequence_number: shard.closed.map(|closed| live.sequence_number(closed.ending_counter)),
    };
    Ok(ShardDescription::new(shard, range))
}

pub(super) fn no_shard(id: &str, stream: &str, account: &str) -> ApiError {
    ApiError::not_found(format!("Could not find shard {id} in stream {stream} under account {account}."))
}
