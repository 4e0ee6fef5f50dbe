//! Checks of aggregated records on a service.

use std::sync::Arc;

use tokio::time::Instant;

use super::reader::reader;
use super::{TestService, Violation, ensure};
use crate::{Aggregator, Freshness, PinRequest, Position, Readers, ScanStart, ShardId, ShardRange, StatementMeter, StreamReader};

/// A row as it is put and read.
type Row = (Position, Option<String>, Vec<u8>);

async fn scan(reader: &StreamReader, range: ShardRange) -> Result<Vec<Row>, Violation> {
    let mut rows = Vec::new();
    let mut scan = reader.scan(range, StatementMeter::new(u64::MAX, None));
    while let Some(slice) = scan.next().await.map_err(Violation::of)? {
        let records = slice.segment.records();
        rows.extend(slice.rows.map(|row| {
            let key = records.hash_key(row).map(|_| records.partition_keys().value(row).to_owned());
            (records.end_of(row), key, records.data().value(row).to_vec())
        }));
    }
    Ok(rows)
}

/// User records of aggregates are rows, in any mixture with plain records; what only looks like an aggregate is a row as it is; and a range may begin
/// and end inside an aggregate, for a warm reader and for a cold one.
pub async fn a_reader_takes_aggregates_apart(service: &dyn TestService) -> Result<(), Violation> {
    let stream = service.create(1).await?;
    let shards = stream.source().list_shards(stream.name()).await.map_err(Violation::of)?;
    let shard: ShardId = shards
        .into_iter()
        .map(|info| info.id)
        .next()
        .ok_or_else(|| Violation("no shard".into()))?;
    let sizes = [0usize, 3, 1, 0, 500, 2, 0, 40];
    let mut records = Vec::new();
    let mut users: Vec<Vec<(Option<String>, Vec<u8>)>> = Vec::new();
    for (number, size) in sizes.into_iter().enumerate() {
        let mut aggregator = Aggregator::new();
        let mut inside = Vec::new();
        for sub in 0..size {
            let (key, data) = (format!("key-{}", sub % 7), format!("{number}/{sub}").into_bytes());
            aggregator.push(&key, (sub % 2 == 0).then_some(sub as u128), &data);
            inside.push((Some(key), data));
        }
        if size == 0 {
            let data = format!("plain {number}").into_bytes();
            records.push(data.clone());
            inside.push((None, data));
        } else {
            records.push(aggregator.finish());
        }
        users.push(inside);
    }
    let mut damaged = records[1].clone();
    damaged[10] ^= 1;
    records.push(damaged.clone());
    users.push(vec![(None, damaged)]);
    let sequences = stream.put(&shard, &records).await?;
    let rows: Vec<Row> = sequences
        .iter()
        .zip(users)
        .flat_map(|(sequence, users)| {
            (0u32..)
                .zip(users)
                .map(|(sub, (key, data))| (Position::After(*sequence, sub), key, data))
        })
        .collect();

    let readers = Readers::new(service.reader_config());
    let warm = reader(&readers, &*stream).await?;
    let request = PinRequest {
        start: ScanStart::TrimHorizon,
        freshness: Freshness::Latest,
        arrived: Instant::now(),
    };
    let snapshot = warm.pin(&request).await.map_err(Violation::of)?;
    let mut read = Vec::new();
    for pin in snapshot.shards {
        read.extend(scan(&warm, pin.range).await?);
    }
    ensure!(read.len() == rows.len(), "{} rows read, {} put", read.len(), rows.len());
    let differs = read.iter().zip(&rows).position(|(read, put)| read != put);
    ensure!(differs.is_none(), "row {differs:?} is another one");
    let counters = readers.counters();
    ensure!(
        counters.records_fetched - counters.records_refetched == records.len() as u64 && counters.aggregate_look_alikes == 1,
        "{} records put, one of them damaged, but {counters:?}",
        records.len()
    );
    // points inside the aggregate of 3, between records, and inside that of 500
    for (from, to) in [(1, 2), (1, 5), (6, 300), (300, 301), (300, rows.len() - 1)] {
        let cold = Readers::new(service.reader_config());
        for reader in [&warm, &reader(&cold, &*stream).await?] {
            let range = ShardRange {
                shard: shard.clone(),
                start: rows[from].0,
                end: rows[to].0,
            };
            let read = scan(reader, range).await?;
            ensure!(
                read == rows[from + 1..=to],
                "after row {from} to row {to}: {} rows read",
                read.len()
            );
        }
        cold.shutdown().await;
    }
    drop::<Arc<StreamReader>>(warm);
    readers.shutdown().await;
    stream.delete().await
}
