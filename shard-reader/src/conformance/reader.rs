//! Checks of the shared reader on a service.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::{TestService, TestStream, Violation, ensure, payloads};
use crate::{Freshness, PinRequest, Readers, ScanStart, ShardId, StatementMeter, StreamReader};

pub(super) async fn reader(readers: &Readers, stream: &dyn TestStream) -> Result<Arc<StreamReader>, Violation> {
    readers
        .stream("conformance", stream.source(), stream.name())
        .await
        .map_err(Violation::of)
}

pub(super) type Rows = BTreeMap<ShardId, Vec<Vec<u8>>>;

/// One statement: pins everything there is now, or what is known, and reads it.
pub(super) async fn statement(reader: &StreamReader, freshness: Freshness) -> Result<Rows, Violation> {
    let request = PinRequest {
        start: ScanStart::TrimHorizon,
        freshness,
        arrived: Instant::now(),
    };
    let snapshot = reader.pin(&request).await.map_err(Violation::of)?;
    let meter = StatementMeter::new(u64::MAX, None);
    let mut rows = Rows::new();
    for pin in snapshot.shards {
        let read = rows.entry(pin.range.shard.clone()).or_default();
        let mut scan = reader.scan(pin.range, Arc::clone(&meter));
        while let Some(slice) = scan.next().await.map_err(Violation::of)? {
            let data = slice.segment.records().data();
            read.extend(slice.rows.map(|row| data.value(row).to_vec()));
        }
    }
    Ok(rows)
}

pub(super) fn compare(read: &Rows, put: &Rows) -> Result<(), Violation> {
    for (shard, data) in put {
        let rows = read.get(shard).map(Vec::as_slice).unwrap_or_default();
        ensure!(rows.len() == data.len(), "{shard}: {} rows read, {} put", rows.len(), data.len());
        let differs = rows.iter().zip(data).position(|(row, payload)| row != payload);
        ensure!(differs.is_none(), "{shard}: row {differs:?} is another one");
    }
    let rows: usize = read.values().map(Vec::len).sum();
    let records: usize = put.values().map(Vec::len).sum();
    ensure!(rows == records, "{rows} rows read, {records} put");
    Ok(())
}

/// Statement after statement, each complete to what was acknowledged before it, and no record fetched twice.
pub async fn a_reader_reads_each_record_once(service: &dyn TestService) -> Result<(), Violation> {
    let stream = service.create(3).await?;
    let shards: Vec<ShardId> = stream
        .source()
        .list_shards(stream.name())
        .await
        .map_err(Violation::of)?
        .into_iter()
        .map(|shard| shard.id)
        .collect();
    let readers = Readers::new(service.reader_config());
    let reader = reader(&readers, &*stream).await?;
    let mut put = Rows::new();
    compare(&statement(&reader, Freshness::Latest).await?, &put)?;
    let most = service.capabilities().most_records.min(24_000) / 6;
    for round in 0..4 {
        for (index, shard) in shards.iter().enumerate().take(2) {
            let known = put.entry(shard.clone()).or_default();
            let data = payloads(shard, known.len()..known.len() + [most, 1, 0, 17][(round + index) % 4]);
            stream.put(shard, &data).await?;
            known.extend(data);
        }
        compare(&statement(&reader, Freshness::Latest).await?, &put)?;
        compare(&statement(&reader, Freshness::Latest).await?, &put)?;
    }
    let counters = readers.counters();
    let records: usize = put.values().map(Vec::len).sum();
    // what a statement polls is pushed as well, where both are under way
    let once = counters.records_refetched == 0 || service.reader_config().fan_out.is_some();
    ensure!(
        counters.records_fetched - counters.records_refetched == records as u64 && once,
        "{records} records put, but {counters:?}"
    );
    readers.shutdown().await;
    stream.delete().await
}

/// A warm reader finds what was acknowledged into children that it has not seen yet.
pub async fn a_reader_follows_reshards(service: &dyn TestService) -> Result<(), Violation> {
    if !service.capabilities().reshards {
        return Ok(());
    }
    let stream = service.create(2).await?;
    let readers = Readers::new(service.reader_config());
    let reader = reader(&readers, &*stream).await?;
    let mut put = Rows::new();
    for round in 0..3 {
        let open: Vec<_> = stream.source().list_shards(stream.name()).await.map_err(Violation::of)?;
        let open: Vec<_> = open.into_iter().filter(|shard| shard.ending_sequence.is_none()).collect();
        for shard in &open {
            let known = put.entry(shard.id.clone()).or_default();
            let data = payloads(&shard.id, known.len()..known.len() + 10);
            stream.put(&shard.id, &data).await?;
            known.extend(data);
        }
        compare(&statement(&reader, Freshness::Latest).await?, &put)?;
        // the last records of the parents, then the reshard, then the first of the children: all before one statement
        let mut ordered = open.clone();
        ordered.sort_by_key(|shard| shard.hash_start);
        for shard in &ordered[..2] {
            let known = put.entry(shard.id.clone()).or_default();
            let data = payloads(&shard.id, known.len()..known.len() + 3);
            stream.put(&shard.id, &data).await?;
            known.extend(data);
        }
        if round == 1 {
            stream.merge(&ordered[0].id, &ordered[1].id).await?;
        } else {
            stream.split(&ordered[0].id).await?;
        }
        let now = stream.source().list_shards(stream.name()).await.map_err(Violation::of)?;
        for child in &now {
            if put.contains_key(&child.id) {
                continue;
            }
            let data = payloads(&child.id, 0..7);
            stream.put(&child.id, &data).await?;
            put.insert(child.id.clone(), data);
        }
        compare(&statement(&reader, Freshness::Latest).await?, &put)?;
    }
    // and a cold reader reads the same
    let cold = Readers::new(service.reader_config());
    compare(&statement(&*self::reader(&cold, &*stream).await?, Freshness::Latest).await?, &put)?;
    cold.shutdown().await;
    readers.shutdown().await;
    stream.delete().await
}

/// Four writers and a reader that follows them: none lost, none doubled.
pub async fn a_reader_survives_concurrent_writers(service: &dyn TestService) -> Result<(), Violation> {
    const WRITERS: usize = 4;
    let stream: Arc<dyn TestStream> = Arc::from(service.create(2).await?);
    let shards: Vec<ShardId> = stream
        .source()
        .list_shards(stream.name())
        .await
        .map_err(Violation::of)?
        .into_iter()
        .map(|shard| shard.id)
        .collect();
    let readers = Readers::new(service.reader_config());
    let reader = reader(&readers, &*stream).await?;
    let each = service.capabilities().most_records.min(20_000) / WRITERS;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (stream, shard) = (Arc::clone(&stream), shards[writer % 2].clone());
        writers.spawn(async move {
            for begin in (0..each).step_by(100) {
                let data: Vec<_> = (begin..(begin + 100).min(each))
                    .map(|number| format!("{writer}/{number}").into_bytes())
                    .collect();
                stream.put(&shard, &data).await?;
            }
            Ok::<(), Violation>(())
        });
    }
    let mut last = Rows::new();
    loop {
        let done = writers.is_empty();
        let rows = statement(&reader, Freshness::Latest).await?;
        for (shard, before) in &last {
            ensure!(
                rows.get(shard).is_some_and(|now| now.starts_with(before)),
                "{shard}: what one statement read is not how the next one begins"
            );
        }
        last = rows;
        if done {
            break;
        }
        while let Some(finished) = writers.try_join_next() {
            finished.map_err(Violation::of)??;
        }
    }
    let mut seen: Vec<&Vec<u8>> = last.values().flatten().collect();
    let total = seen.len();
    seen.sort_unstable();
    seen.dedup();
    ensure!(seen.len() == total, "{} rows doubled", total - seen.len());
    ensure!(total == each * WRITERS, "{total} rows read, {} put", each * WRITERS);
    readers.shutdown().await;
    stream.delete().await
}
