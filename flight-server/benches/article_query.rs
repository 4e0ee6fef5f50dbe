//! The article's statement over a million records of the demo's log: warm, cold, and against plain DataFusion on the same rows in memory. And planning
//! over many shards, without the pin: from the text of a statement to its endpoints.
//!
//! `cargo bench -p flight-server`. `decode` is page -> segment -> decode -> batch for the two columns that the statement reads, in bytes of JSON.
#![expect(clippy::unwrap_used, reason = "a benchmark ends at its first fault")]

use std::hint::black_box;
use std::sync::Arc;

use async_trait::async_trait;
use catalog::{DirectoryCatalog, KinesisOverrides};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use datafusion::arrow::array::RecordBatch;
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use flight_server::engine::{
    DefinitionRules, Engine, EngineConfig, EngineError, Planned, PlannedQuery, Principal, Session, SessionId, SourceProvider,
    StatementRequest,
};
use futures::TryStreamExt;
use shard_reader::checkpoints::LocalCheckpoints;
use shard_reader::{MemorySource, ReaderConfig, Readers, ShardSource};
use tokio::runtime::Runtime;

const ARTICLE: &str =
    "select host, sum(bytes) as total_bytes from kinesis.default.nasahttp group by host order by total_bytes desc limit 2";
const LOG: &[u8] = include_bytes!("../demo/nasa_aug01_first20000.log");
const REPEAT: usize = 50;
const SHARDS: usize = 4;

#[derive(Debug)]
struct InMemory(Arc<MemorySource>);

#[async_trait]
impl SourceProvider for InMemory {
    async fn source(&self, _: Option<&KinesisOverrides>) -> Result<(String, Arc<dyn ShardSource>), EngineError> {
        let source: Arc<dyn ShardSource> = Arc::<MemorySource>::clone(&self.0);
        Ok(("memory".into(), source))
    }
}

/// The log's lines as the demo's JSON. Returns the bytes of all records.
fn load(source: &MemorySource) -> u64 {
    let shards = source.shard_ids();
    let mut bytes = 0;
    for _ in 0..REPEAT {
        for line in LOG.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: String = line.iter().map(|byte| char::from(*byte)).collect();
            let (host, rest) = line.split_once(" - - [").unwrap();
            let (timestamp, rest) = rest.split_once("] \"").unwrap();
            let (request, numbers) = rest.rsplit_once("\" ").unwrap();
            let (code, size) = numbers.split_once(' ').unwrap();
            let record = serde_json::json!({
                "host": host, "timestamp": timestamp, "request": request,
                "code": code.parse::<u16>().unwrap(), "bytes": size.parse::<u64>().unwrap_or(0),
            })
            .to_string();
            bytes += record.len() as u64;
            let shard = host
                .bytes()
                .fold(0_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()))
                % shards.len();
            source.put(&shards[shard], host, record.as_bytes()).unwrap();
        }
    }
    bytes
}

fn engine(source: &Arc<MemorySource>, tables: &std::path::Path) -> Arc<Engine> {
    let catalog = Arc::new(DirectoryCatalog::new(tables, "default"));
    catalog.refresh();
    let readers = Readers::new(ReaderConfig {
        memory_bytes: 4 << 30,
        calls_per_second: None,
        bytes_per_second: None,
        background_poll: false,
        wall_clock: source.clock(),
        ..ReaderConfig::default()
    });
    let config = EngineConfig {
        query_memory: 1 << 30,
        definitions: DefinitionRules::default(),
        ..EngineConfig::new(tables.to_path_buf())
    };
    let checkpoints = Arc::new(LocalCheckpoints::open(tables.join("checkpoints.redb")));
    Engine::new(config, catalog, readers, Arc::new(InMemory(Arc::clone(source))), checkpoints).unwrap()
}

async fn planned(engine: &Engine, sql: &str, per_shard: bool) -> PlannedQuery {
    let session = Session::new(SessionId("bench".into()), Principal::anonymous());
    let request = StatementRequest {
        per_shard,
        ..StatementRequest::new(sql)
    };
    let Planned::Query(query) = engine.plan(&session, request).await.unwrap() else {
        panic!("no query")
    };
    query
}

async fn answer(engine: &Engine, sql: &str) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    for part in planned(engine, sql, false).await.parts {
        batches.extend(engine.execute(part).await.unwrap().batches.try_collect::<Vec<_>>().await.unwrap());
    }
    batches
}

async fn plain_datafusion(engine: &Engine) -> SessionContext {
    let batches = answer(engine, "select host, at, request, code, bytes from kinesis.default.nasahttp").await;
    let context = SessionContext::new_with_config(SessionConfig::new());
    let schema = batches[0].schema();
    let mut partitions = vec![Vec::new(); SHARDS];
    for (index, batch) in batches.into_iter().enumerate() {
        partitions[index % SHARDS].push(batch);
    }
    context
        .register_table("nasahttp", Arc::new(MemTable::try_new(schema, partitions).unwrap()))
        .unwrap();
    context
}

fn article(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("nasahttp.yaml"), include_str!("../demo/nasahttp.yaml")).unwrap();
    let source = Arc::new(MemorySource::new(SHARDS));
    let bytes = load(&source);
    let warm = engine(&source, directory.path());
    let plain = runtime.block_on(plain_datafusion(&warm));
    runtime.block_on(answer(&warm, ARTICLE));

    let mut group = criterion.benchmark_group("article, 1M records");
    group.sample_size(20);
    group.bench_function("plain DataFusion on decoded rows", |bench| {
        let sql = ARTICLE.replace("kinesis.default.", "");
        bench
            .to_async(&runtime)
            .iter(|| async { black_box(plain.sql(&sql).await.unwrap().collect().await.unwrap()) });
    });
    group.bench_function("warm", |bench| {
        bench.to_async(&runtime).iter(|| async { black_box(answer(&warm, ARTICLE).await) })
    });
    group.sample_size(10);
    group.throughput(Throughput::Bytes(bytes));
    group.bench_function("cold: pages, segments, decode, batches", |bench| {
        bench.to_async(&runtime).iter(|| async {
            let cold = engine(&source, directory.path());
            black_box(answer(&cold, ARTICLE).await)
        });
    });
    group.finish();
}

fn planning(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("nasahttp.yaml"), include_str!("../demo/nasahttp.yaml")).unwrap();
    let mut group = criterion.benchmark_group("planning");
    group.sample_size(20);
    for shards in [4, 1_000, 10_000] {
        let source = Arc::new(MemorySource::new(shards));
        for shard in source.shard_ids() {
            source.put(&shard, "key", b"{\"host\":\"a\",\"bytes\":1}").unwrap();
        }
        let engine = engine(&source, directory.path());
        runtime.block_on(answer(&engine, "select count(*) from nasahttp"));
        for (name, sql, per_shard) in [
            ("gathered", ARTICLE, false),
            ("per shard", "select host from kinesis.default.nasahttp where code = 404", true),
        ] {
            let sql = format!("/*+ freshness='cached' */ {sql}");
            group.bench_function(format!("{name}, {shards} shards"), |bench| {
                bench
                    .to_async(&runtime)
                    .iter(|| async { black_box(planned(&engine, &sql, per_shard).await) });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, article, planning);
criterion_main!(benches);
