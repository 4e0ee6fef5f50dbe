//! ListShards: pages and filters.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{ShardFilter, ShardFilterType};

use super::service::{Checked, Service, is_open, promise, promise_eq};

pub(super) async fn pages_join_to_the_whole_list(service: &Service) -> Checked {
    let stream = service.stream(5).await?;
    let mut ids = Vec::new();
    let mut page = service.client.list_shards().stream_name(&stream).max_results(2).send().await?;
    loop {
        promise!(page.shards().len() <= 2, "{} shards with MaxResults 2", page.shards().len());
        promise!(!page.shards().is_empty(), "an empty page");
        ids.extend(page.shards().iter().map(|shard| shard.shard_id().to_owned()));
        promise!(ids.len() <= 5, "more shards than there are: {ids:?}");
        // With a token, nothing else may be said, not even the stream.
        let Some(token) = page.next_token() else { break };
        page = service.client.list_shards().next_token(token).max_results(2).send().await?;
    }
    let distinct: BTreeSet<_> = ids.iter().collect();
    promise_eq!((ids.len(), distinct.len()), (5, 5), "shards of all pages, and different ones");
    Ok(())
}

async fn filtered(service: &Service, stream: &str, filter: ShardFilter) -> Checked<BTreeSet<String>> {
    let answer = service.client.list_shards().stream_name(stream).shard_filter(filter).send().await?;
    Ok(answer.shards().iter().map(|shard| shard.shard_id().to_owned()).collect())
}

fn filter(kind: ShardFilterType) -> ShardFilter {
    ShardFilter::builder().r#type(kind).build().unwrap()
}

pub(super) async fn after_shard_id_lists_the_rest(service: &Service) -> Checked {
    let stream = service.stream(4).await?;
    let all: Vec<_> = service.shards(&stream).await?.into_iter().map(|shard| shard.shard_id).collect();
    let after = ShardFilter::builder()
        .r#type(ShardFilterType::AfterShardId)
        .shard_id(&all[1])
        .build()
        .unwrap();
    promise_eq!(
        filtered(service, &stream, after).await?,
        all[2..].iter().cloned().collect(),
        "shards after {}",
        all[1]
    );
    Ok(())
}

/// A stream whose only shard was split; gives (stream, parent, children, the time after it).
async fn split(service: &Service) -> Checked<(String, String, BTreeSet<String>, DateTime)> {
    let stream = service.stream(1).await?;
    let parent = service.shards(&stream).await?.remove(0).shard_id;
    service.put(&stream, "k", "in the parent").await?;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let middle = (1_u128 << 127).to_string();
    service
        .client
        .split_shard()
        .stream_name(&stream)
        .shard_to_split(&parent)
        .new_starting_hash_key(middle)
        .send()
        .await?;
    service.until_active(&stream).await?;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let after = DateTime::from(SystemTime::now());
    tokio::time::sleep(Duration::from_millis(50)).await;
    let shards = service.shards(&stream).await?;
    let children = shards
        .iter()
        .filter(|shard| is_open(shard))
        .map(|shard| shard.shard_id.clone())
        .collect();
    promise!(
        shards.iter().any(|shard| shard.shard_id == parent),
        "the parent is not listed any more"
    );
    Ok((stream, parent, children, after))
}

pub(super) async fn at_latest_lists_open_shards_only(service: &Service) -> Checked {
    let (stream, _, children, _) = split(service).await?;
    promise_eq!(children.len(), 2, "children");
    promise_eq!(
        filtered(service, &stream, filter(ShardFilterType::AtLatest)).await?,
        children,
        "shards at LATEST"
    );
    Ok(())
}

pub(super) async fn at_timestamp_lists_what_was_open_then(service: &Service) -> Checked {
    let (stream, _, children, after) = split(service).await?;
    let at = ShardFilter::builder()
        .r#type(ShardFilterType::AtTimestamp)
        .timestamp(after)
        .build()
        .unwrap();
    promise_eq!(filtered(service, &stream, at).await?, children, "shards open after the split");
    Ok(())
}

pub(super) async fn from_timestamp_lists_what_was_open_since(service: &Service) -> Checked {
    let (stream, _, children, after) = split(service).await?;
    let from = ShardFilter::builder()
        .r#type(ShardFilterType::FromTimestamp)
        .timestamp(after)
        .build()
        .unwrap();
    promise_eq!(filtered(service, &stream, from).await?, children, "shards from after the split on");
    Ok(())
}

pub(super) async fn from_trim_horizon_lists_closed_shards_too(service: &Service) -> Checked {
    let (stream, parent, mut all, _) = split(service).await?;
    all.insert(parent);
    promise_eq!(
        filtered(service, &stream, filter(ShardFilterType::FromTrimHorizon)).await?,
        all,
        "shards from TRIM_HORIZON on"
    );
    Ok(())
}
