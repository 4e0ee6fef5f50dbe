//! ListShards, whole: each shard once.

use std::collections::BTreeSet;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::Shard;

use super::StreamName;
use super::errors::classify;
use crate::{PositionError, SequenceNumber, ShardId, ShardInfo, SourceError, SourceErrorKind};

/// The most that one reply holds (ListShards, MaxResults).
const MOST: i32 = 10_000;
/// More pages than any stream has; a service that never ends its list is broken.
const PAGES: usize = 1000;

/// Follows `NextToken`, which must stand alone. A service whose paging is broken (a token that it rejects, or gives again) is asked for everything in
/// one call; if even that is a part only, the answer is an error, never a part.
pub(super) async fn list_shards(client: &Client, stream: &str) -> Result<Vec<ShardInfo>, SourceError> {
    let what = || format!("ListShards of {stream}");
    let StreamName { name, arn } = StreamName::of(stream);
    let first = client.list_shards().set_stream_name(name).set_stream_arn(arn).send().await;
    let first = first.map_err(|error| classify(&error, what()))?;
    let mut shards = first.shards.unwrap_or_default();
    let mut token = first.next_token;
    let mut tokens = BTreeSet::new();
    while let Some(next) = token {
        if !tokens.insert(next.clone()) || tokens.len() > PAGES {
            return collect(in_one_call(client, stream).await?, stream);
        }
        let page = match client.list_shards().next_token(next).send().await {
            Ok(page) => page,
            Err(error) => {
                let error = classify(&error, what());
                if error.is_retryable() || error.kind == SourceErrorKind::Denied {
                    return Err(error);
                }
                return collect(in_one_call(client, stream).await?, stream);
            }
        };
        shards.extend(page.shards.unwrap_or_default());
        token = page.next_token;
    }
    match collect(shards, stream) {
        Ok(shards) => Ok(shards),
        Err(_) => collect(in_one_call(client, stream).await?, stream),
    }
}

async fn in_one_call(client: &Client, stream: &str) -> Result<Vec<Shard>, SourceError> {
    let mut shards: Vec<Shard> = Vec::new();
    loop {
        let StreamName { name, arn } = StreamName::of(stream);
        let after = shards.last().map(|shard| shard.shard_id.clone());
        let request = client.list_shards().set_stream_name(name).set_stream_arn(arn).max_results(MOST);
        let page = request.set_exclusive_start_shard_id(after).send().await;
        let page = page.map_err(|error| classify(&error, format!("ListShards of {stream}")))?;
        let more = page.next_token.is_some();
        let part = page.shards.unwrap_or_default();
        if !more {
            shards.extend(part);
            return Ok(shards);
        }
        let known: BTreeSet<&str> = shards.iter().map(Shard::shard_id).collect();
        if part.is_empty() || part.iter().any(|shard| known.contains(shard.shard_id())) {
            let message = format!("ListShards of {stream}: the service's paging gives no whole list");
            return Err(SourceError::new(SourceErrorKind::Invalid, message));
        }
        shards.extend(part);
    }
}

fn collect(shards: Vec<Shard>, stream: &str) -> Result<Vec<ShardInfo>, SourceError> {
    let invalid = |message: String| SourceError::new(SourceErrorKind::Invalid, format!("ListShards of {stream}: {message}"));
    let mut ids = BTreeSet::new();
    let mut infos = Vec::with_capacity(shards.len());
    for shard in shards {
        if !ids.insert(shard.shard_id.clone()) {
            return Err(invalid(format!("shard {} is listed twice", shard.shard_id)));
        }
        let id = shard.shard_id.clone();
        infos.push(info(shard).map_err(|error| invalid(format!("shard {id}: {error}")))?);
    }
    Ok(infos)
}

fn info(shard: Shard) -> Result<ShardInfo, PositionError> {
    let hash = |text: Option<&str>, default: u128| text.and_then(|text| text.parse().ok()).unwrap_or(default);
    let hashes = shard.hash_key_range.as_ref();
    let number = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::parse::<SequenceNumber>).transpose();
    let numbers = shard.sequence_number_range.as_ref();
    Ok(ShardInfo {
        hash_start: hash(hashes.map(|range| range.starting_hash_key()), 0),
        hash_end: hash(hashes.map(|range| range.ending_hash_key()), u128::MAX),
        starting_sequence: number(numbers.map(|range| range.starting_sequence_number()))?,
        ending_sequence: number(numbers.and_then(|range| range.ending_sequence_number()))?,
        id: ShardId::from(shard.shard_id),
        parent: shard.parent_shard_id.map(ShardId::from),
        adjacent_parent: shard.adjacent_parent_shard_id.map(ShardId::from),
    })
}
