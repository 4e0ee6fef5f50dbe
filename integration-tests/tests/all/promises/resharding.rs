//! Shards that close, and the lineage that they leave.

use std::collections::BTreeSet;

use aws_sdk_kinesis::types::{ScalingType, Shard, ShardIteratorType};

use super::service::{Checked, Failure, Service, is_open, promise, promise_eq, range, refused, texts};

const REFUSED: &[&str] = &["InvalidArgumentException", "LimitExceededException", "ValidationException"];

fn find<'s>(shards: &'s [Shard], id: &str) -> Checked<&'s Shard> {
    shards
        .iter()
        .find(|shard| shard.shard_id() == id)
        .ok_or_else(|| Failure::Broken(format!("{id} is not listed any more")))
}

pub(super) async fn split(service: &Service, stream: &str, shard: &Shard) -> Checked {
    let (start, end) = range(shard)?;
    let middle = (start + (end - start) / 2 + 1).to_string();
    let split = service
        .client
        .split_shard()
        .stream_name(stream)
        .shard_to_split(shard.shard_id())
        .new_starting_hash_key(middle);
    split.send().await?;
    service.until_active(stream).await?;
    Ok(())
}

async fn merge(service: &Service, stream: &str, shard: &str, adjacent: &str) -> Checked {
    service
        .client
        .merge_shards()
        .stream_name(stream)
        .shard_to_merge(shard)
        .adjacent_shard_to_merge(adjacent)
        .send()
        .await?;
    service.until_active(stream).await?;
    Ok(())
}

pub(super) async fn a_split_closes_the_parent_and_divides_its_range(service: &Service) -> Checked {
    let stream = service.stream(2).await?;
    let before = service.shards(&stream).await?;
    let parent = &before[0];
    split(service, &stream, parent).await?;
    let shards = service.shards(&stream).await?;
    promise_eq!(shards.len(), 4, "shards");
    promise!(!is_open(find(&shards, parent.shard_id())?), "the parent is open");
    promise!(is_open(find(&shards, before[1].shard_id())?), "the other shard is closed");
    let children: Vec<_> = shards
        .iter()
        .filter(|shard| shard.parent_shard_id() == Some(parent.shard_id()))
        .collect();
    promise_eq!(children.len(), 2, "shards that name the parent");
    let mut ranges = [range(children[0])?, range(children[1])?];
    ranges.sort_unstable();
    let (start, end) = range(parent)?;
    promise_eq!((ranges[0].0, ranges[1].1), (start, end), "the children's ranges together");
    promise_eq!(ranges[0].1 + 1, ranges[1].0, "the children's common bound");
    promise!(
        children
            .iter()
            .all(|child| is_open(child) && child.adjacent_parent_shard_id().is_none()),
        "children: {children:?}"
    );
    promise_eq!(service.summary(&stream).await?.open_shard_count(), 3, "OpenShardCount");
    Ok(())
}

pub(super) async fn a_merge_closes_both_parents(service: &Service) -> Checked {
    let stream = service.stream(3).await?;
    let before = service.shards(&stream).await?;
    merge(service, &stream, before[0].shard_id(), before[1].shard_id()).await?;
    let shards = service.shards(&stream).await?;
    promise_eq!(shards.len(), 4, "shards");
    for parent in &before[..2] {
        promise!(!is_open(find(&shards, parent.shard_id())?), "parent {} is open", parent.shard_id());
    }
    let children: Vec<_> = shards.iter().filter(|shard| shard.parent_shard_id().is_some()).collect();
    promise_eq!(children.len(), 1, "shards that name a parent");
    let parents: BTreeSet<_> = [children[0].parent_shard_id(), children[0].adjacent_parent_shard_id()].into();
    promise_eq!(
        parents,
        [Some(before[0].shard_id()), Some(before[1].shard_id())].into(),
        "the child's parents"
    );
    promise_eq!(
        range(children[0])?,
        (range(&before[0])?.0, range(&before[1])?.1),
        "the child's range"
    );
    Ok(())
}

pub(super) async fn records_go_to_the_children_after_a_split(service: &Service) -> Checked {
    let stream = service.stream(1).await?;
    let parent = service.shards(&stream).await?.remove(0);
    split(service, &stream, &parent).await?;
    let records: Vec<_> = (0..30)
        .map(|number| (format!("k{number}"), number.to_string().into_bytes()))
        .collect();
    let placed: BTreeSet<_> = service
        .put_all(&stream, &records)
        .await?
        .into_iter()
        .map(|(shard, _)| shard)
        .collect();
    let open: BTreeSet<_> = service
        .shards(&stream)
        .await?
        .into_iter()
        .filter(is_open)
        .map(|shard| shard.shard_id)
        .collect();
    promise_eq!(placed, open, "the shards that took the records, and the open ones");
    promise!(!placed.contains(parent.shard_id()), "the parent still takes records");
    let mut read = Vec::new();
    for shard in &open {
        read.extend(texts(&service.read_all(&stream, shard).await?));
    }
    promise_eq!(read.into_iter().collect::<BTreeSet<_>>().len(), 30, "records of the children");
    Ok(())
}

pub(super) async fn a_closed_shard_stays_readable_and_ends(service: &Service) -> Checked {
    let stream = service.stream(1).await?;
    let parent = service.shards(&stream).await?.remove(0);
    let records: Vec<_> = (0..20)
        .map(|number| (format!("k{number}"), number.to_string().into_bytes()))
        .collect();
    service.put_all(&stream, &records).await?;
    let before = service.iterator(&stream, parent.shard_id(), ShardIteratorType::TrimHorizon).await?;
    split(service, &stream, &parent).await?;
    service.put(&stream, "k", "after").await?;
    let after = service.iterator(&stream, parent.shard_id(), ShardIteratorType::TrimHorizon).await?;
    for iterator in [before, after] {
        let mut read = Vec::new();
        let mut next = Some(iterator);
        let mut calls = 0;
        while let Some(iterator) = next {
            let page = service.page(&iterator, Some(8)).await?;
            read.extend(texts(page.records()));
            next = page.next_shard_iterator;
            calls += 1;
            promise!(
                calls < 20,
                "no end of a closed shard after {calls} calls and {} records",
                read.len()
            );
        }
        promise_eq!(
            read,
            (0..20).map(|number| number.to_string()).collect::<Vec<_>>(),
            "the closed shard's records"
        );
    }
    Ok(())
}

pub(super) async fn the_end_of_a_shard_names_its_children(service: &Service) -> Checked {
    let stream = service.stream(2).await?;
    let before = service.shards(&stream).await?;
    service.put(&stream, "k", "x").await?;
    merge(service, &stream, before[0].shard_id(), before[1].shard_id()).await?;
    let child = service.shards(&stream).await?.into_iter().find(is_open);
    let child = child.ok_or_else(|| Failure::Broken("no open shard after a merge".to_owned()))?;
    for parent in &before {
        let mut next = Some(service.iterator(&stream, parent.shard_id(), ShardIteratorType::TrimHorizon).await?);
        let mut children = Vec::new();
        let mut calls = 0;
        while let Some(iterator) = next {
            let page = service.page(&iterator, None).await?;
            children = page.child_shards.unwrap_or_default();
            promise!(children.is_empty() || page.next_shard_iterator.is_none(), "children before the end");
            next = page.next_shard_iterator;
            calls += 1;
            promise!(calls < 20, "no end of a closed shard after {calls} calls");
        }
        promise_eq!(children.len(), 1, "children of {}", parent.shard_id());
        promise_eq!(children[0].shard_id(), child.shard_id(), "the child");
        let parents: BTreeSet<_> = children[0].parent_shards().iter().map(String::as_str).collect();
        promise_eq!(parents, before.iter().map(Shard::shard_id).collect(), "the child's parents");
    }
    Ok(())
}

pub(super) async fn update_shard_count_leaves_a_lineage(service: &Service) -> Checked {
    let stream = service.stream(2).await?;
    let mut known: BTreeSet<String> = service.shards(&stream).await?.into_iter().map(|shard| shard.shard_id).collect();
    for target in [4, 3, 2] {
        let update = service.client.update_shard_count().stream_name(&stream).target_shard_count(target);
        update.scaling_type(ScalingType::UniformScaling).send().await?;
        service.until_active(&stream).await?;
        let shards = service.shards(&stream).await?;
        let mut open = Vec::new();
        for shard in shards.iter().filter(|shard| is_open(shard)) {
            open.push(range(shard)?);
        }
        open.sort_unstable();
        promise_eq!(open.len(), target as usize, "open shards");
        promise_eq!(
            (open[0].0, open[open.len() - 1].1),
            (0, u128::MAX),
            "the open shards' ranges together"
        );
        promise!(
            open.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0),
            "open ranges with holes: {open:?}"
        );
        promise!(
            known.iter().all(|id| shards.iter().any(|shard| shard.shard_id() == id)),
            "a shard is not listed any more"
        );
        for new in shards.iter().filter(|shard| !known.contains(shard.shard_id())) {
            let parent = new
                .parent_shard_id()
                .ok_or_else(|| Failure::Broken(format!("{} names no parent", new.shard_id())))?;
            let (start, end) = range(new)?;
            let (parent_start, parent_end) = range(find(&shards, parent)?)?;
            promise!(
                start <= parent_end && parent_start <= end,
                "{} does not overlap its parent {parent}",
                new.shard_id()
            );
            promise!(!is_open(find(&shards, parent)?), "parent {parent} is open");
        }
        known.extend(shards.into_iter().map(|shard| shard.shard_id));
    }
    Ok(())
}

pub(super) async fn update_shard_count_at_most_doubles(service: &Service) -> Checked {
    let stream = service.stream(2).await?;
    for target in [5, 0] {
        let update = service.client.update_shard_count().stream_name(&stream).target_shard_count(target);
        refused(
            update.scaling_type(ScalingType::UniformScaling).send().await,
            &format!("2 shards to {target}"),
            REFUSED,
        )?;
    }
    promise_eq!(service.until_active(&stream).await?.open_shard_count(), 2, "OpenShardCount");
    Ok(())
}

pub(super) async fn only_open_shards_and_neighbours_are_resharded(service: &Service) -> Checked {
    let stream = service.stream(3).await?;
    let shards = service.shards(&stream).await?;
    let merge = service
        .client
        .merge_shards()
        .stream_name(&stream)
        .shard_to_merge(shards[0].shard_id());
    refused(
        merge.adjacent_shard_to_merge(shards[2].shard_id()).send().await,
        "a merge of shards apart",
        REFUSED,
    )?;
    let (_, end) = range(&shards[0])?;
    let outside = service
        .client
        .split_shard()
        .stream_name(&stream)
        .shard_to_split(shards[0].shard_id());
    refused(
        outside.new_starting_hash_key((end + 5).to_string()).send().await,
        "a split outside of the shard",
        REFUSED,
    )?;
    promise_eq!(service.until_active(&stream).await?.open_shard_count(), 3, "OpenShardCount");
    Ok(())
}
