//! The source, and a reader over it by polling and by fan-out, against services that nobody here wrote: `shard_reader::conformance`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::DisplayErrorContext;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, StreamStatus};
use integration_tests::backends::{Backend, Deviation};
use integration_tests::kinesis;
use shard_reader::conformance::{Capabilities, TestService, TestStream, Violation, run_all, run_fan_out};
use shard_reader::{KinesisSource, SequenceNumber, ShardId, ShardInfo, ShardSource};

/// A service that hangs fails the test.
const TIMEOUT: Duration = Duration::from_secs(240);

struct Service {
    backend: Backend,
    client: Client,
}

struct Stream {
    client: Client,
    source: Arc<KinesisSource>,
    name: String,
}

impl Stream {
    async fn active(&self) -> Result<(), Violation> {
        loop {
            let reply = self
                .client
                .describe_stream_summary()
                .stream_name(&self.name)
                .send()
                .await
                .map_err(violation)?;
            if reply
                .stream_description_summary()
                .is_some_and(|summary| *summary.stream_status() == StreamStatus::Active)
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn info(&self, shard: &ShardId) -> Result<ShardInfo, Violation> {
        let shards = self.source().list_shards(&self.name).await.map_err(violation)?;
        shards
            .into_iter()
            .find(|info| info.id == *shard)
            .ok_or_else(|| Violation(format!("no {shard}")))
    }
}

#[async_trait]
impl TestService for Service {
    async fn create(&self, shards: usize) -> Result<Box<dyn TestStream>, Violation> {
        static STREAMS: AtomicU64 = AtomicU64::new(0);
        let name = format!("conformance-{}", STREAMS.fetch_add(1, Ordering::Relaxed));
        let shards = i32::try_from(shards).map_err(violation)?;
        self.client
            .create_stream()
            .stream_name(&name)
            .shard_count(shards)
            .send()
            .await
            .map_err(violation)?;
        let source = Arc::new(KinesisSource::with_client(self.client.clone()));
        let stream = Stream {
            client: self.client.clone(),
            source,
            name,
        };
        stream.active().await?;
        Ok(Box::new(stream))
    }

    fn capabilities(&self) -> Capabilities {
        let deviates = |deviation: Deviation| self.backend.deviations().contains(&deviation);
        let all = Capabilities::default();
        Capabilities {
            most_records: self.backend.capacity().records.min(all.most_records),
            // The third-party services take seconds for each hundred shards, and one has no second page of a list.
            most_shards: if deviates(Deviation::NextTokenBroken) { 100 } else { 120 },
            exact_times: !deviates(Deviation::ArrivalInWholeSeconds)
                && !deviates(Deviation::ArrivalBelowMilliseconds)
                && !deviates(Deviation::TimestampAfterLastReadsAll),
            true_distance: !deviates(Deviation::NeverBehind) && !deviates(Deviation::DistanceRoundedToZero),
            reshards: !deviates(Deviation::ClosedShardsDeleted),
            names_children: !deviates(Deviation::NoChildShards),
            ..all
        }
    }
}

#[async_trait]
impl TestStream for Stream {
    fn source(&self) -> Arc<dyn ShardSource> {
        Arc::<KinesisSource>::clone(&self.source)
    }

    fn name(&self) -> &str {
        &self.name
    }

    async fn put(&self, shard: &ShardId, records: &[Vec<u8>]) -> Result<Vec<SequenceNumber>, Violation> {
        let hash = self.info(shard).await?.hash_start.to_string();
        let mut sequences = Vec::with_capacity(records.len());
        for chunk in records.chunks(500) {
            let entries = chunk
                .iter()
                .map(|data| {
                    PutRecordsRequestEntry::builder()
                        .data(Blob::new(data.clone()))
                        .partition_key("key")
                        .explicit_hash_key(&hash)
                        .build()
                        .map_err(violation)
                })
                .collect::<Result<Vec<_>, _>>()?;
            let request = self.client.put_records().stream_name(&self.name).set_records(Some(entries));
            for result in request.send().await.map_err(violation)?.records() {
                let sequence = result.sequence_number().ok_or_else(|| Violation(format!("{result:?}")))?;
                sequences.push(sequence.parse().map_err(violation)?);
            }
        }
        Ok(sequences)
    }

    async fn split(&self, shard: &ShardId) -> Result<(), Violation> {
        let info = self.info(shard).await?;
        let middle = info.hash_start + (info.hash_end - info.hash_start) / 2;
        let request = self.client.split_shard().stream_name(&self.name).shard_to_split(shard.as_str());
        request.new_starting_hash_key(middle.to_string()).send().await.map_err(violation)?;
        self.active().await
    }

    async fn merge(&self, shard: &ShardId, neighbour: &ShardId) -> Result<(), Violation> {
        let request = self.client.merge_shards().stream_name(&self.name);
        let request = request.shard_to_merge(shard.as_str()).adjacent_shard_to_merge(neighbour.as_str());
        request.send().await.map_err(violation)?;
        self.active().await
    }

    async fn delete(&self) -> Result<(), Violation> {
        self.client
            .delete_stream()
            .enforce_consumer_deletion(true)
            .stream_name(&self.name)
            .send()
            .await
            .map_err(violation)?;
        while self.client.describe_stream_summary().stream_name(&self.name).send().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

/// An error with its causes: the SDK's own text names none.
fn violation(error: impl std::error::Error) -> Violation {
    Violation(DisplayErrorContext(error).to_string())
}

/// What is run of the checks.
#[derive(Clone, Copy, Debug)]
enum Run {
    All,
    FanOut,
}

async fn conforms(backend: Backend, run: Run) {
    let running = backend.start().unwrap();
    let service = Service {
        backend,
        client: kinesis::client(&running.endpoint),
    };
    let checks = async {
        match run {
            Run::All => run_all(&service).await,
            Run::FanOut => run_fan_out(&service).await,
        }
    };
    match tokio::time::timeout(TIMEOUT, checks).await {
        Ok(Ok(())) => {}
        Ok(Err(violations)) => {
            let violations: Vec<String> = violations.iter().map(ToString::to_string).collect();
            panic!("{backend:?}:\n{}\n{}", violations.join("\n"), running.output().unwrap_or_default());
        }
        Err(_) => panic!("{backend:?}: no end within {TIMEOUT:?}\n{}", running.output().unwrap_or_default()),
    }
}

macro_rules! services {
    ($($name:ident: $backend:ident, $run:ident;)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                conforms(Backend::$backend, Run::$run).await;
            }
        )+
    };
}

services! {
    ferrokinesis: Ferrokinesis, All;
    roto: Roto, All;
    ministack: Ministack, All;
    ministack_by_fan_out: Ministack, FanOut;
    kinesis_local: KinesisLocal, All;
    kinesis_local_by_fan_out: KinesisLocal, FanOut;
}
