//! The checks of the shared reader, with fan-out at the tip.

use async_trait::async_trait;
use tokio::time::{Duration, Instant};

use super::reader::{compare, reader, statement};
use super::{TestService, TestStream, Violation, ensure, payloads};
use crate::{FanOutConfig, Freshness, ReaderConfig, Readers, ShardId, StreamReader};

/// Until then a subscription stands, and what is put is there.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(2);

/// A service whose reader is pushed to.
pub(super) struct WithFanOut<'s>(pub(super) &'s dyn TestService);

#[async_trait]
impl TestService for WithFanOut<'_> {
    async fn create(&self, shards: usize) -> Result<Box<dyn TestStream>, Violation> {
        self.0.create(shards).await
    }

    fn capabilities(&self) -> super::Capabilities {
        self.0.capabilities()
    }

    fn reader_config(&self) -> ReaderConfig {
        ReaderConfig {
            fan_out: Some(FanOutConfig {
                consumer: "conformance".into(),
            }),
            background_poll: true,
            ..self.0.reader_config()
        }
    }
}

async fn subscribed(reader: &StreamReader) -> Result<(), Violation> {
    let deadline = Instant::now() + PATIENCE;
    while !reader
        .shards()
        .iter()
        .all(|shard| shard.state == "closed" || shard.read_by == "fan_out")
    {
        ensure!(
            Instant::now() < deadline,
            "not all shards are read by fan-out within {PATIENCE:?}: {:?}",
            reader.shards()
        );
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// What is put is held without a reply of GetRecords, in order and once.
pub async fn a_reader_is_pushed_to(service: &dyn TestService) -> Result<(), Violation> {
    let stream = service.create(2).await?;
    let shards = stream.source().list_shards(stream.name()).await.map_err(Violation::of)?;
    let shards: Vec<ShardId> = shards.into_iter().map(|info| info.id).collect();
    let readers = Readers::new(service.reader_config());
    let reader = reader(&readers, &*stream).await?;
    let mut put = super::reader::Rows::new();
    for round in 0..6 {
        for (index, shard) in shards.iter().enumerate() {
            let known = put.entry(shard.clone()).or_default();
            let data = payloads(shard, known.len()..known.len() + [1, 60, 0, 7][(round + index) % 4]);
            if !data.is_empty() {
                stream.put(shard, &data).await?;
            }
            known.extend(data);
        }
        if round == 0 {
            compare(&statement(&reader, Freshness::Latest).await?, &put)?;
            subscribed(&reader).await?;
            continue;
        }
        let calls = readers.counters().get_records_calls;
        let deadline = Instant::now() + PATIENCE;
        while let Err(missing) = compare(&statement(&reader, Freshness::Cached).await?, &put) {
            ensure!(Instant::now() < deadline, "round {round}: {missing}");
            tokio::time::sleep(LOOK).await;
        }
        let counters = readers.counters();
        ensure!(
            counters.get_records_calls == calls && counters.fallbacks == 0,
            "round {round} took {} calls and {} fallbacks",
            counters.get_records_calls - calls,
            counters.fallbacks
        );
    }
    // and the tip is proved as ever
    compare(&statement(&reader, Freshness::Latest).await?, &put)?;
    let counters = readers.counters();
    let records: usize = put.values().map(Vec::len).sum();
    ensure!(
        counters.records_fetched == records as u64 && counters.records_refetched == 0 && counters.subscriptions == 2,
        "{records} records put, but {counters:?}"
    );
    readers.shutdown().await;
    stream.delete().await
}
