//! Page -> segment -> decoded columns, in bytes of payload per second.
//!
//! `cold` reads from a source in the process and decodes; `warm` scans what is held, decoded already. `written` is `cold` with everything on disk at its
//! end, `stored` what the next process does then.

use std::path::Path;
use std::sync::Arc;

use catalog::TableDefinition;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use shard_reader::{
    Freshness, MemorySource, PinRequest, ReaderConfig, Readers, ScanStart, SegmentSettings, SegmentStore, ShardSource, StatementMeter,
    StreamReader,
};
use tokio::runtime::Runtime;
use tokio::time::Instant;

const RECORDS: usize = 100_000;
const DEFINITION: &str = "
table: logs
stream: logs
format: json
columns:
  - { name: host, path: host, type: varchar }
  - { name: at, path: timestamp, type: varchar }
  - { name: request, path: request, type: varchar }
  - { name: code, path: code, type: bigint }
  - { name: bytes, path: bytes, type: bigint }
";

/// Lines of the demo's shape; returns the bytes of all payloads.
fn load(source: &MemorySource) -> u64 {
    let shard = &source.open_shards()[0];
    let mut bytes = 0;
    for number in 0..RECORDS {
        let line = format!(
            r#"{{"host":"host{}.example.com","timestamp":"01/Aug/1995:00:{:02}:{:02} -0400","request":"GET /images/logo-{}.gif HTTP/1.0","code":200,"bytes":{}}}"#,
            number % 977,
            number / 60 % 60,
            number % 60,
            number % 131,
            number * 7 % 65_521
        );
        bytes += line.len() as u64;
        source.put(shard, "key", line.as_bytes());
    }
    bytes
}

async fn statement(reader: &StreamReader, definition: &Arc<TableDefinition>, columns: &[usize]) -> usize {
    let request = PinRequest {
        start: ScanStart::TrimHorizon,
        freshness: Freshness::Latest,
        arrived: Instant::now(),
    };
    let snapshot = reader.pin(&request).await.expect("a memory stream is pinned");
    let mut rows = 0;
    for pin in snapshot.shards {
        let mut scan = reader.scan(pin.range, StatementMeter::new(u64::MAX, None));
        while let Some(slice) = scan.next().await.expect("a memory stream is read") {
            let decoded = slice.segment.decoded(definition, columns, false).expect("the definition decodes");
            rows += decoded
                .columns
                .first()
                .map_or(slice.rows.len(), |column| column.len().min(slice.rows.len()));
        }
    }
    assert_eq!(rows, RECORDS);
    rows
}

async fn open(readers: &Readers, source: &MemorySource) -> Arc<StreamReader> {
    let source: Arc<dyn ShardSource> = Arc::new(source.clone());
    readers.stream("bench", source, "logs").await.expect("a memory stream is described")
}

fn pages(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime starts");
    let definition = TableDefinition::from_yaml(DEFINITION).expect("the definition is right");
    let config = ReaderConfig {
        calls_per_second: None,
        bytes_per_second: None,
        background_poll: false,
        ..ReaderConfig::default()
    };
    let source = runtime.block_on(async { MemorySource::new(1) });
    let bytes = load(&source);
    let mut group = criterion.benchmark_group("pages");
    group.throughput(Throughput::Bytes(bytes)).sample_size(10);
    for (name, columns) in [("raw", vec![]), ("two columns", vec![0, 4]), ("all columns", vec![0, 1, 2, 3, 4])] {
        group.bench_function(BenchmarkId::new("cold", name), |bencher| {
            bencher.to_async(&runtime).iter(async || {
                let readers = Readers::new(config.clone());
                let reader = open(&readers, &source).await;
                let rows = statement(&reader, &definition, &columns).await;
                readers.shutdown().await;
                rows
            });
        });
        let readers = Readers::new(config.clone());
        let reader = runtime.block_on(open(&readers, &source));
        runtime.block_on(statement(&reader, &definition, &columns));
        group.bench_function(BenchmarkId::new("warm", name), |bencher| {
            bencher
                .to_async(&runtime)
                .iter(async || statement(&reader, &definition, &columns).await);
        });
        runtime.block_on(readers.shutdown());
    }
    group.finish();
}

fn files(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime starts");
    let definition = TableDefinition::from_yaml(DEFINITION).expect("the definition is right");
    let source = runtime.block_on(async { MemorySource::new(1) });
    let bytes = load(&source);
    let directory = tempfile::tempdir().expect("a directory is made");
    let process = |directory: &Path| {
        let settings = SegmentSettings {
            wall_clock: source.clock(),
            ..SegmentSettings::new(directory)
        };
        Readers::new(ReaderConfig {
            calls_per_second: None,
            bytes_per_second: None,
            background_poll: false,
            wall_clock: source.clock(),
            segments: Some(SegmentStore::open(settings).expect("the directory is nobody else's")),
            ..ReaderConfig::default()
        })
    };
    let whole = async |directory: &Path| {
        let readers = process(directory);
        let reader = open(&readers, &source).await;
        let rows = statement(&reader, &definition, &[]).await;
        readers.shutdown().await;
        rows
    };
    let mut group = criterion.benchmark_group("files");
    group.throughput(Throughput::Bytes(bytes)).sample_size(10);
    group.bench_function("written", |bencher| {
        bencher.to_async(&runtime).iter(async || {
            let directory = tempfile::tempdir().expect("a directory is made");
            whole(directory.path()).await
        });
    });
    runtime.block_on(whole(directory.path()));
    group.bench_function("stored", |bencher| {
        bencher.to_async(&runtime).iter(async || whole(directory.path()).await);
    });
    group.finish();
}

criterion_group!(benches, pages, files);
criterion_main!(benches);
