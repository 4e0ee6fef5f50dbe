//! Checks of a source alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{TestService, TestStream, Violation, ensure, payloads};
use crate::{OpenAt, Page, SequenceNumber, ShardId, ShardInfo, SourceErrorKind};

/// Empty replies in a row after which a shard is taken to have no more.
const EMPTIES: u32 = 20;

struct Reading {
    records: Vec<(SequenceNumber, Vec<u8>)>,
    pages: Vec<Page>,
    /// The last reply said that the shard has ended.
    ended: bool,
}

/// Reads from a place to the tip or the end.
async fn read_on(stream: &dyn TestStream, shard: &ShardId, at: OpenAt, limit: u32) -> Result<Reading, Violation> {
    let source = stream.source();
    let mut cursor = Some(source.open(stream.name(), shard, at).await.map_err(Violation::of)?);
    let mut reading = Reading {
        records: Vec::new(),
        pages: Vec::new(),
        ended: false,
    };
    let mut empties = 0;
    while let Some(place) = cursor {
        let page = source.read(stream.name(), shard, &place, limit).await.map_err(Violation::of)?;
        let records = &page.records;
        ensure!(records.is_ascending(), "the records of a reply are not in order");
        reading
            .records
            .extend((0..records.len()).map(|row| (records.sequence(row), records.data().value(row).to_vec())));
        ensure!(
            reading.records.is_sorted_by(|a, b| a.0 < b.0),
            "a reply goes back behind the one before it"
        );
        empties = if records.is_empty() { empties + 1 } else { 0 };
        // the end of a closed shard may come one reply after its last record
        let at_tip = (empties >= 2 && page.millis_behind == Some(0)) || empties >= EMPTIES;
        reading.ended = page.next.is_none();
        cursor = page.next.clone().filter(|_| !at_tip);
        reading.pages.push(page);
    }
    Ok(reading)
}

async fn shards(stream: &dyn TestStream) -> Result<Vec<ShardInfo>, Violation> {
    stream.source().list_shards(stream.name()).await.map_err(Violation::of)
}

async fn only_shard(stream: &dyn TestStream) -> Result<ShardId, Violation> {
    let shards = shards(stream).await?;
    ensure!(shards.len() == 1, "{} shards instead of one", shards.len());
    Ok(shards[0].id.clone())
}

fn same(read: &[(SequenceNumber, Vec<u8>)], sequences: &[SequenceNumber], data: &[Vec<u8>]) -> Result<(), Violation> {
    ensure!(read.len() == data.len(), "{} records read, {} put", read.len(), data.len());
    for (index, (sequence, payload)) in read.iter().enumerate() {
        ensure!(payload == &data[index], "record {index} is another one");
        ensure!(
            *sequence == sequences[index],
            "record {index} has number {sequence}, acknowledged was {}",
            sequences[index]
        );
    }
    Ok(())
}

/// An empty shard gives empty replies at distance 0, and does not end.
pub async fn an_empty_shard_is_at_its_tip(service: &dyn TestService) -> Result<(), Violation> {
    let stream = service.create(2).await?;
    let description = stream.source().describe(stream.name()).await.map_err(Violation::of)?;
    ensure!(description.status == "ACTIVE", "the stream is {}", description.status);
    ensure!(
        description.retention >= Duration::from_secs(24 * 3600),
        "records are kept for {:?} only",
        description.retention
    );
    for shard in shards(&*stream).await? {
        let reading = read_on(&*stream, &shard.id, OpenAt::TrimHorizon, 10_000).await?;
        ensure!(
            reading.records.is_empty() && !reading.ended,
            "an empty open shard has records or an end"
        );
        ensure!(
            reading.pages.last().is_some_and(|page| !page.full && page.millis_behind == Some(0)),
            "an empty shard is not at its tip"
        );
    }
    stream.delete().await
}

/// Many records, over several replies: all, in the order and with the numbers they were acknowledged.
pub async fn many_records_come_whole_and_in_order(service: &dyn TestService) -> Result<(), Violation> {
    let stream = service.create(1).await?;
    let shard = only_shard(&*stream).await?;
    let data = payloads(&shard, 0..service.capabilities().most_records);
    let sequences = stream.put(&shard, &data).await?;
    for limit in [10_000, 3_333] {
        let reading = read_on(&*stream, &shard, OpenAt::TrimHorizon, limit).await?;
        same(&reading.records, &sequences, &data)?;
        let mut left = data.len();
        for page in &reading.pages {
            left -= page.records.len();
            let shorter = page.records.len() < limit as usize;
            ensure!(
                page.full != shorter || page.wire_bytes >= crate::FULL_PAGE_BYTES,
                "a reply of {} records: full = {}",
                page.records.len(),
                page.full
            );
            let silent = left > 0 && page.millis_behind == Some(0);
            ensure!(
                !(silent && service.capabilities().true_distance),
                "distance 0 while {left} records wait"
            );
        }
        ensure!(!reading.ended, "an open shard has ended");
    }
    stream.delete().await
}

/// Opening at a record includes it, opening after it does not.
pub async fn cursors_open_at_and_after_a_record(service: &dyn TestService) -> Result<(), Violation> {
    let stream = service.create(1).await?;
    let shard = only_shard(&*stream).await?;
    let data = payloads(&shard, 0..50);
    let sequences = stream.put(&shard, &data).await?;
    for index in [0, 1, 25, 49] {
        let at = read_on(&*stream, &shard, OpenAt::At(sequences[index]), 10).await?;
        same(&at.records, &sequences[index..], &data[index..])?;
        let after = read_on(&*stream, &shard, OpenAt::After(sequences[index]), 10).await?;
        same(&after.records, &sequences[index + 1..], &data[index + 1..])?;
    }
    stream.delete().await
}

/// Opening by time begins with the first record that arrived then or later.
pub async fn cursors_open_by_time(service: &dyn TestService) -> Result<(), Violation> {
    let stream = service.create(1).await?;
    let shard = only_shard(&*stream).await?;
    let data = payloads(&shard, 0..20);
    let mut sequences = stream.put(&shard, &data[..10]).await?;
    // two arrival times that a service of whole milliseconds tells apart
    tokio::time::sleep(Duration::from_millis(50)).await;
    sequences.extend(stream.put(&shard, &data[10..]).await?);
    let all = read_on(&*stream, &shard, OpenAt::TrimHorizon, 10_000).await?;
    let arrivals: Vec<i64> = all
        .pages
        .iter()
        .flat_map(|page| (0..page.records.len()).filter_map(|row| page.records.arrival(row)))
        .collect();
    ensure!(arrivals.len() == 20, "{} of 20 records have an arrival time", arrivals.len());
    let old = read_on(&*stream, &shard, OpenAt::Timestamp(arrivals[0] - 3_600_000), 10_000).await?;
    same(&old.records, &sequences, &data)?;
    if service.capabilities().exact_times {
        for time in [arrivals[0], arrivals[10], arrivals[10] - 1, arrivals[19]] {
            let first = arrivals.partition_point(|arrival| *arrival < time);
            let reading = read_on(&*stream, &shard, OpenAt::Timestamp(time), 10_000).await?;
            same(&reading.records, &sequences[first..], &data[first..])?;
        }
        // not in the future: some services refuse that
        tokio::time::sleep(Duration::from_millis(20)).await;
        let reading = read_on(&*stream, &shard, OpenAt::Timestamp(arrivals[19] + 1), 10_000).await?;
        ensure!(reading.records.is_empty(), "{} records after the last", reading.records.len());
    }
    stream.delete().await
}

/// A cursor stands still: what was lost on the way can be asked for again.
pub async fn a_cursor_gives_the_same_twice(service: &dyn TestService) -> Result<(), Violation> {
    let stream = service.create(1).await?;
    let shard = only_shard(&*stream).await?;
    let sequences = stream.put(&shard, &payloads(&shard, 0..30)).await?;
    let source = stream.source();
    let cursor = source
        .open(stream.name(), &shard, OpenAt::At(sequences[5]))
        .await
        .map_err(Violation::of)?;
    let first = source.read(stream.name(), &shard, &cursor, 10).await.map_err(Violation::of)?;
    let next = first.next.clone().ok_or_else(|| Violation("an open shard has ended".into()))?;
    let second = source.read(stream.name(), &shard, &next, 10).await.map_err(Violation::of)?;
    for (cursor, page) in [(&cursor, &first), (&next, &second)] {
        let again = source.read(stream.name(), &shard, cursor, 10).await.map_err(Violation::of)?;
        ensure!(again.records == page.records, "the same cursor gave other records");
    }
    stream.delete().await
}

/// A reply holds no more records than asked for.
pub async fn a_limit_is_kept(service: &dyn TestService) -> Result<(), Violation> {
    if !service.capabilities().keeps_limit {
        return Ok(());
    }
    let stream = service.create(1).await?;
    let shard = only_shard(&*stream).await?;
    let data = payloads(&shard, 0..25);
    let sequences = stream.put(&shard, &data).await?;
    for limit in [1, 7, 25] {
        let reading = read_on(&*stream, &shard, OpenAt::TrimHorizon, limit).await?;
        same(&reading.records, &sequences, &data)?;
        ensure!(
            reading.pages.iter().all(|page| page.records.len() <= limit as usize),
            "more than {limit} records in a reply"
        );
    }
    stream.delete().await
}

/// A split shard stays readable, ends, and its children are listed; its records lie within its bounds.
pub async fn a_closed_shard_ends_and_names_its_children(service: &dyn TestService) -> Result<(), Violation> {
    let capabilities = service.capabilities();
    if !capabilities.reshards {
        return Ok(());
    }
    let stream = service.create(1).await?;
    let parent = only_shard(&*stream).await?;
    let data = payloads(&parent, 0..40);
    let sequences = stream.put(&parent, &data).await?;
    stream.split(&parent).await?;
    let listed = shards(&*stream).await?;
    let children: Vec<&ShardInfo> = listed.iter().filter(|shard| shard.parent.as_ref() == Some(&parent)).collect();
    ensure!(children.len() == 2, "{} children listed", children.len());
    let info = listed
        .iter()
        .find(|shard| shard.id == parent)
        .ok_or_else(|| Violation("the parent is not listed".into()))?;
    ensure!(
        info.hash_start == children[0].hash_start.min(children[1].hash_start),
        "the children begin elsewhere"
    );
    ensure!(
        info.hash_end == children[0].hash_end.max(children[1].hash_end),
        "the children end elsewhere"
    );
    let ending = info
        .ending_sequence
        .ok_or_else(|| Violation("the parent is not listed as closed".into()))?;
    ensure!(
        sequences.iter().all(|sequence| *sequence <= ending),
        "a record lies beyond the shard's ending number"
    );
    let reading = read_on(&*stream, &parent, OpenAt::TrimHorizon, 15).await?;
    same(&reading.records, &sequences, &data)?;
    ensure!(reading.ended, "a closed shard does not end");
    if capabilities.names_children {
        let named: BTreeSet<ShardId> = reading.pages.iter().flat_map(|page| page.children.clone()).collect();
        ensure!(
            named == children.iter().map(|child| child.id.clone()).collect(),
            "the end names {named:?}"
        );
    }
    for child in children {
        ensure!(child.ending_sequence.is_none(), "a child is closed");
        let data = payloads(&child.id, 0..5);
        let sequences = stream.put(&child.id, &data).await?;
        same(
            &read_on(&*stream, &child.id, OpenAt::TrimHorizon, 100).await?.records,
            &sequences,
            &data,
        )?;
    }
    stream.delete().await
}

/// A merge has one child with two parents, and both end.
pub async fn a_merged_shard_has_two_parents(service: &dyn TestService) -> Result<(), Violation> {
    if !service.capabilities().reshards {
        return Ok(());
    }
    let stream = service.create(2).await?;
    let parents: Vec<ShardId> = shards(&*stream).await?.into_iter().map(|shard| shard.id).collect();
    stream.put(&parents[0], &payloads(&parents[0], 0..3)).await?;
    stream.merge(&parents[0], &parents[1]).await?;
    let listed = shards(&*stream).await?;
    ensure!(listed.len() == 3, "{} shards listed", listed.len());
    let child = listed
        .iter()
        .find(|shard| shard.parent.is_some())
        .ok_or_else(|| Violation("no child is listed".into()))?;
    let named: BTreeSet<ShardId> = child.parent.iter().chain(&child.adjacent_parent).cloned().collect();
    ensure!(named == parents.iter().cloned().collect(), "the child's parents are {named:?}");
    for parent in &parents {
        ensure!(
            read_on(&*stream, parent, OpenAt::TrimHorizon, 100).await?.ended,
            "{parent} does not end"
        );
    }
    stream.delete().await
}

/// More shards than one reply of ListShards holds are listed each once, and cover all hash keys.
pub async fn many_shards_are_listed_each_once(service: &dyn TestService) -> Result<(), Violation> {
    for count in [101, 1100].into_iter().filter(|count| *count <= service.capabilities().most_shards) {
        let stream = service.create(count).await?;
        let listed = shards(&*stream).await?;
        let by_hash: BTreeMap<u128, u128> = listed.iter().map(|shard| (shard.hash_start, shard.hash_end)).collect();
        let ids: BTreeSet<&ShardId> = listed.iter().map(|shard| &shard.id).collect();
        ensure!(
            listed.len() == count && ids.len() == count,
            "{} shards listed, {} of them different, of {count}",
            listed.len(),
            ids.len()
        );
        let mut next = Some(0);
        for (start, end) in by_hash {
            ensure!(next == Some(start), "no shard has hash key {next:?}");
            next = end.checked_add(1);
        }
        ensure!(next.is_none(), "no shard has the last hash keys");
        stream.delete().await?;
    }
    Ok(())
}

/// A stream or shard that does not exist is said not to.
pub async fn what_is_missing_is_not_found(service: &dyn TestService) -> Result<(), Violation> {
    if !service.capabilities().not_found {
        return Ok(());
    }
    let stream = service.create(1).await?;
    let source = stream.source();
    let shard = source
        .open(stream.name(), &"shardId-000000999999".into(), OpenAt::TrimHorizon)
        .await;
    ensure!(
        shard.as_ref().is_err_and(|error| error.kind == SourceErrorKind::NotFound),
        "a missing shard: {shard:?}"
    );
    stream.delete().await?;
    let gone = source.describe(stream.name()).await;
    ensure!(
        gone.as_ref().is_err_and(|error| error.kind == SourceErrorKind::NotFound),
        "a deleted stream: {gone:?}"
    );
    Ok(())
}
