//! The memory stream, and the embedded service through the AWS SDK.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use embedded::{EmbeddedKinesis, Fault, FaultRule, Operation, Options};

use super::*;
use crate::{KinesisSource, ReaderConfig, Readers};

#[tokio::test(start_paused = true)]
async fn memory_streams_conform() {
    run_all(&MemoryService).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn memory_streams_that_push_conform() {
    run_fan_out(&MemoryService).await.unwrap();
}

struct Embedded {
    service: EmbeddedKinesis,
    client: Client,
    streams: AtomicU64,
    limits: bool,
    _data: DataDir,
}

struct DataDir(std::path::PathBuf);

impl Drop for DataDir {
    fn drop(&mut self) {
        // best effort: what is left lies in the system's directory for temporary files
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[derive(Clone)]
struct EmbeddedStream {
    client: Client,
    name: String,
}

impl Embedded {
    async fn start() -> Self {
        Self::start_with(false).await
    }

    async fn start_with(limits: bool) -> Self {
        static STARTED: AtomicU64 = AtomicU64::new(0);
        let unique = format!("shard-reader-{}-{}", std::process::id(), STARTED.fetch_add(1, Ordering::Relaxed));
        let data = DataDir(std::env::temp_dir().join(unique));
        let mut options = Options::new(data.0.clone());
        options.limits = limits;
        let service = EmbeddedKinesis::start(options).await.unwrap();
        let config = aws_sdk_kinesis::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(service.endpoint())
            .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
            .http_client(crate::kinesis::http_client())
            .build();
        Self {
            service,
            client: Client::from_conf(config),
            streams: AtomicU64::new(0),
            limits,
            _data: data,
        }
    }

    async fn stream(&self, shards: usize) -> EmbeddedStream {
        let name = format!("stream-{}", self.streams.fetch_add(1, Ordering::Relaxed));
        self.client
            .create_stream()
            .stream_name(&name)
            .shard_count(shards as i32)
            .send()
            .await
            .unwrap();
        let stream = EmbeddedStream {
            client: self.client.clone(),
            name,
        };
        stream.active().await.unwrap();
        stream
    }
}

impl EmbeddedStream {
    async fn active(&self) -> Result<(), Violation> {
        loop {
            let reply = self
                .client
                .describe_stream_summary()
                .stream_name(&self.name)
                .send()
                .await
                .map_err(Violation::of)?;
            if reply
                .stream_description_summary()
                .is_some_and(|summary| summary.stream_status().as_str() == "ACTIVE")
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn info(&self, shard: &ShardId) -> Result<crate::ShardInfo, Violation> {
        let shards = self.source().list_shards(&self.name).await.map_err(Violation::of)?;
        shards
            .into_iter()
            .find(|info| info.id == *shard)
            .ok_or_else(|| Violation(format!("no {shard}")))
    }
}

#[async_trait]
impl TestService for Embedded {
    async fn create(&self, shards: usize) -> Result<Box<dyn TestStream>, Violation> {
        Ok(Box::new(self.stream(shards).await))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            // a shard takes 1,000 a second
            most_records: if self.limits { 3_000 } else { 25_000 },
            ..Capabilities::default()
        }
    }

    fn reader_config(&self) -> ReaderConfig {
        let budget = self.limits.then_some(4.0);
        ReaderConfig {
            calls_per_second: budget,
            bytes_per_second: budget.map(|_| 1_500_000),
            background_poll: false,
            ..ReaderConfig::default()
        }
    }
}

#[async_trait]
impl TestStream for EmbeddedStream {
    fn source(&self) -> Arc<dyn ShardSource> {
        Arc::new(KinesisSource::with_client(self.client.clone()))
    }

    fn name(&self) -> &str {
        &self.name
    }

    async fn put(&self, shard: &ShardId, records: &[Vec<u8>]) -> Result<Vec<SequenceNumber>, Violation> {
        let hash = self.info(shard).await?.hash_start.to_string();
        let mut sequences = Vec::new();
        while sequences.len() < records.len() {
            let rest = &records[sequences.len()..];
            let chunk = &rest[..rest.len().min(500)];
            let entry = |data: &Vec<u8>| {
                PutRecordsRequestEntry::builder()
                    .data(Blob::new(data.clone()))
                    .partition_key("key")
                    .explicit_hash_key(&hash)
                    .build()
                    .unwrap()
            };
            let request = self
                .client
                .put_records()
                .stream_name(&self.name)
                .set_records(Some(chunk.iter().map(entry).collect()));
            let reply = request.send().await.map_err(Violation::of)?;
            let (done, failed): (Vec<_>, Vec<_>) = reply.records().iter().partition(|result| result.sequence_number().is_some());
            // a shard that is full refuses the rest of a batch
            if let Some(throttled) = failed.first() {
                let in_order = reply.records()[..done.len()]
                    .iter()
                    .all(|result| result.sequence_number().is_some());
                if throttled.error_code() != Some("ProvisionedThroughputExceededException") || !in_order {
                    return Err(Violation(format!("{throttled:?}")));
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            for result in done {
                let sequence = result.sequence_number().ok_or_else(|| Violation(format!("{result:?}")))?;
                sequences.push(sequence.parse().map_err(Violation::of)?);
            }
        }
        Ok(sequences)
    }

    async fn split(&self, shard: &ShardId) -> Result<(), Violation> {
        let info = self.info(shard).await?;
        let middle = info.hash_start + (info.hash_end - info.hash_start) / 2;
        let request = self
            .client
            .split_shard()
            .stream_name(&self.name)
            .shard_to_split(shard.as_str())
            .new_starting_hash_key(middle.to_string());
        request.send().await.map_err(Violation::of)?;
        self.active().await
    }

    async fn merge(&self, shard: &ShardId, neighbour: &ShardId) -> Result<(), Violation> {
        let request = self.client.merge_shards().stream_name(&self.name);
        let request = request.shard_to_merge(shard.as_str()).adjacent_shard_to_merge(neighbour.as_str());
        request.send().await.map_err(Violation::of)?;
        self.active().await
    }

    async fn delete(&self) -> Result<(), Violation> {
        self.client
            .delete_stream()
            .enforce_consumer_deletion(true)
            .stream_name(&self.name)
            .send()
            .await
            .map_err(Violation::of)?;
        while self.client.describe_stream_summary().stream_name(&self.name).send().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_service_conforms() {
    let embedded = Embedded::start().await;
    run_all(&embedded).await.unwrap();
    embedded.service.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_service_conforms_by_fan_out() {
    let embedded = Embedded::start().await;
    run_fan_out(&embedded).await.unwrap();
    embedded.service.shutdown().await.unwrap();
}

/// As on AWS: 1,000 records/s in, 5 calls/s out for each shard, and subscriptions beside them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_service_conforms_with_the_real_limits() {
    let embedded = Embedded::start_with(true).await;
    run_reader(&embedded).await.unwrap();
    run_fan_out(&embedded).await.unwrap();
    embedded.service.shutdown().await.unwrap();
}

/// Every fault of the service in turn, all the way through the SDK: each record once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_on_the_wire_lose_and_double_nothing() {
    use embedded::Cut;
    let faults = [
        Fault::Throttle,
        Fault::ExpireIterator,
        Fault::InternalFailure,
        Fault::EmptyReply,
        Fault::Reset(Cut::BeforeWork),
        Fault::Reset(Cut::BeforeResponse),
        Fault::Reset(Cut::MidResponse),
    ];
    let embedded = Embedded::start().await;
    for fault in faults {
        let stream = embedded.stream(1).await;
        let shard = stream.source().list_shards(stream.name()).await.unwrap().remove(0).id;
        let rule = embedded
            .service
            .faults()
            .add(FaultRule::new(Operation::GetRecords, fault.clone()).cycle(2, 1));
        let config = ReaderConfig {
            calls_per_second: None,
            bytes_per_second: None,
            page_limit: 100,
            ..ReaderConfig::default()
        };
        let readers = Readers::new(config);
        let reader = readers.stream("embedded", stream.source(), stream.name()).await.unwrap();
        let mut put = Vec::new();
        for round in 0..2 {
            let data = payloads(&shard, put.len()..put.len() + 250);
            stream.put(&shard, &data).await.unwrap();
            put.extend(data);
            let request = crate::PinRequest {
                start: crate::ScanStart::TrimHorizon,
                freshness: crate::Freshness::Latest,
                arrived: tokio::time::Instant::now(),
            };
            let pin = reader
                .pin(&request)
                .await
                .unwrap_or_else(|error| panic!("{fault:?}, round {round}: {error}"))
                .shards
                .remove(0);
            let mut scan = reader.scan(pin.range, crate::StatementMeter::new(u64::MAX, None));
            let mut read = Vec::new();
            while let Some(slice) = scan.next().await.unwrap() {
                read.extend(slice.rows.map(|row| slice.segment.records().data().value(row).to_vec()));
            }
            assert_eq!(read.len(), put.len(), "{fault:?}, round {round}");
            assert_eq!(read, put, "{fault:?}, round {round}");
        }
        assert!(embedded.service.faults().remove(rule).unwrap() > 0, "{fault:?} never happened");
        readers.shutdown().await;
    }
    embedded.service.shutdown().await.unwrap();
}

/// Each try counts against the shard's budget of calls, so a call is made once: the reader decides when to ask again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_fails_is_one_call() {
    let embedded = Embedded::start().await;
    let stream = embedded.stream(1).await;
    let source = stream.source();
    let shard = source.list_shards(stream.name()).await.unwrap().remove(0).id;
    let cursor = source.open(stream.name(), &shard, crate::OpenAt::TrimHorizon).await.unwrap();
    let faults = [
        (Fault::Throttle, crate::SourceErrorKind::Throttled),
        (Fault::InternalFailure, crate::SourceErrorKind::Unavailable),
        (Fault::Reset(embedded::Cut::BeforeResponse), crate::SourceErrorKind::Unavailable),
    ];
    for (fault, kind) in faults {
        let rule = embedded
            .service
            .faults()
            .add(FaultRule::new(Operation::GetRecords, fault).times(10));
        let error = source.read(stream.name(), &shard, &cursor, 10).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert_eq!(embedded.service.faults().remove(rule), Some(1), "{kind:?}: calls");
    }
    embedded.service.shutdown().await.unwrap();
}
