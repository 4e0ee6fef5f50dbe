//! From the acknowledgement of PutRecords to the record being held by a reader, on the embedded service over loopback: percentiles in milliseconds, by
//! fan-out and by polling once a second.
//!
//! `cargo bench -p shard-reader --bench latency`
#![expect(clippy::print_stdout, reason = "what it is run for")]

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use embedded::{EmbeddedKinesis, Options};
use shard_reader::{
    FanOutConfig, Freshness, KinesisSource, PinRequest, Position, ReaderConfig, Readers, ScanStart, SequenceNumber, StreamReader,
};
use tokio::time::Instant;

/// How finely it is looked whether a record is there.
const LOOK: Duration = Duration::from_micros(200);
const STREAM: &str = "latency";

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

async fn put(client: &Client, number: usize) -> Outcome<(SequenceNumber, Instant)> {
    let entry = PutRecordsRequestEntry::builder()
        .data(Blob::new(format!("{{\"number\":{number},\"text\":\"{}\"}}", "x".repeat(100))))
        .partition_key("key")
        .build()?;
    let reply = client.put_records().stream_name(STREAM).records(entry).send().await?;
    let acknowledged = Instant::now();
    let sequence = reply.records()[0].sequence_number().ok_or("not acknowledged")?.parse()?;
    Ok((sequence, acknowledged))
}

async fn held(reader: &StreamReader, sequence: SequenceNumber) -> Instant {
    loop {
        let tip = reader.shards()[0].tip;
        if tip >= Some(Position::After(sequence, 0)) {
            return Instant::now();
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn measure(client: &Client, name: &str, config: ReaderConfig, puts: usize) -> Outcome {
    let readers = Readers::new(config);
    let source = Arc::new(KinesisSource::with_client(client.clone()));
    let reader = readers.stream("bench", source, STREAM).await?;
    let statement = async || {
        let request = PinRequest {
            start: ScanStart::TrimHorizon,
            freshness: Freshness::Latest,
            arrived: Instant::now(),
        };
        reader.pin(&request).await
    };
    statement().await?;
    let pushed = name == "fan-out";
    while pushed && reader.shards()[0].read_by != "fan_out" {
        tokio::time::sleep(LOOK).await;
    }
    let mut latencies = Vec::with_capacity(puts);
    for number in 0..puts {
        let (sequence, acknowledged) = put(client, number).await?;
        let there = held(&reader, sequence).await;
        latencies.push(there.saturating_duration_since(acknowledged));
        tokio::time::sleep(Duration::from_millis(7)).await;
    }
    latencies.sort_unstable();
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!(
        "{name}: {puts} puts, p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, most {:.2} ms",
        at(50),
        at(90),
        at(99),
        at(100)
    );
    readers.shutdown().await;
    Ok(())
}

async fn run() -> Outcome {
    let data = tempfile::tempdir()?;
    let service = EmbeddedKinesis::start(Options::new(data.path())).await?;
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(service.endpoint())
        .credentials_provider(Credentials::new("id", "secret", None, None, "bench"))
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    let client = Client::from_conf(config.build());
    client.create_stream().stream_name(STREAM).shard_count(1).send().await?;
    let polling = ReaderConfig {
        calls_per_second: None,
        bytes_per_second: None,
        ..ReaderConfig::default()
    };
    let pushed = ReaderConfig {
        fan_out: Some(FanOutConfig { consumer: "bench".into() }),
        ..polling.clone()
    };
    measure(&client, "fan-out", pushed, 2_000).await?;
    measure(&client, "polling", polling, 20).await?;
    service.shutdown().await?;
    Ok(())
}

fn main() -> Outcome {
    // `cargo test --benches` runs it too, with nothing to measure.
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run())
}
