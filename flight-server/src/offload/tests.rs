//! Jobs over a stream and a lake in memory, where every operation can be the last one of a process.

mod exactly_once;
mod faults;
mod histories;
mod memory_lake;
mod running;
mod statements;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use async_trait::async_trait;
use catalog::{DirectoryCatalog, KinesisOverrides};
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path;
use shard_reader::checkpoints::{CheckpointStore, LocalCheckpoints};
use shard_reader::{MemorySource, ReaderConfig, Readers, ShardId, ShardSource};

use self::faults::{Faults, FaultyStore};
pub(super) use self::memory_lake::MemoryLakes;
use super::*;
use crate::engine::{
    Access, Alone, Engine, EngineConfig, EngineError, Places, Planned, Principal, Session, SessionId, SourceProvider, StatementRequest,
};

const TABLE: &str = "
table: t
stream: s
columns:
  - { name: n, path: n, type: bigint }
  - { name: word, path: word, type: varchar }
";

const CREATE: &str = "create offload j stored as delta location 's3://lake/j' options (start 'trim_horizon') as select n, word from t";

#[derive(Debug)]
struct InSource(Arc<MemorySource>);

#[async_trait]
impl SourceProvider for InSource {
    async fn source(&self, _: Option<&KinesisOverrides>) -> Result<(String, Arc<dyn ShardSource>), EngineError> {
        let source: Arc<dyn ShardSource> = Arc::<MemorySource>::clone(&self.0);
        Ok(("memory".into(), source))
    }
}

/// What outlives processes.
struct World {
    directory: tempfile::TempDir,
    source: Arc<MemorySource>,
    store: Arc<dyn CheckpointStore>,
    lakes: Arc<MemoryLakes>,
    files: Arc<InMemory>,
}

/// A server.
struct Server {
    engine: Arc<Engine>,
    jobs: Arc<Jobs>,
}

impl World {
    fn new(shards: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("table.yaml"), TABLE).unwrap();
        Self {
            source: Arc::new(MemorySource::new(shards)),
            store: Arc::new(LocalCheckpoints::open(directory.path().join("checkpoints.redb"))),
            lakes: Arc::default(),
            files: Arc::default(),
            directory,
        }
    }

    /// A process that lives.
    fn server(&self) -> Server {
        self.faulty_server(&Arc::default(), Access::everything())
    }

    fn faulty_server(&self, faults: &Arc<Faults>, access: Access) -> Server {
        self.server_over(Arc::new(self.lakes.with(faults)), faults, access)
    }

    fn server_over(&self, lakes: Arc<dyn Lakes>, faults: &Arc<Faults>, access: Access) -> Server {
        let catalog = Arc::new(DirectoryCatalog::new(self.directory.path(), "default"));
        catalog.refresh();
        let readers = Readers::new(ReaderConfig {
            calls_per_second: None,
            bytes_per_second: None,
            background_poll: false,
            page_limit: 16,
            describe_age: Duration::ZERO,
            wall_clock: self.source.clock(),
            ..ReaderConfig::default()
        });
        let config = EngineConfig {
            spill_disk: 1 << 20,
            target_partitions: 2,
            access: Arc::new(access),
            ..EngineConfig::new(self.directory.path().to_path_buf())
        };
        let sources = Arc::new(InSource(Arc::clone(&self.source)));
        let store = Arc::new(FaultyStore::new(Arc::clone(&self.store), Arc::clone(faults)));
        let engine = Engine::new(config, catalog, readers, sources, store).unwrap();
        let files: Arc<dyn ObjectStore> = Arc::<InMemory>::clone(&self.files);
        let jobs = Jobs::new(
            &engine,
            JobsConfig {
                files: JobFiles::new(files, &Path::from("tables")),
                lakes,
                locations: Places::new(["s3://lake"]).unwrap(),
                nodes: Arc::new(Alone),
                refresh: Duration::from_millis(200),
            },
        );
        engine.set_offloads(Arc::<Jobs>::clone(&jobs));
        Server { engine, jobs }
    }

    /// Records over all open shards in turn.
    fn put(&self, numbers: std::ops::Range<i64>) {
        let shards = self.source.open_shards();
        for n in numbers {
            self.put_to(
                &shards[n as usize % shards.len()],
                &format!("{{\"n\":{n},\"word\":\"w{}\"}}", n % 5),
            );
        }
    }

    fn put_to(&self, shard: &ShardId, record: &str) {
        self.source.put(shard, "key", record.as_bytes()).unwrap();
    }

    /// The first column of the lake's rows, in the order in which they were published.
    fn published(&self) -> Vec<i64> {
        let batches = self.lakes.rows("s3://lake/j");
        let numbers = batches
            .iter()
            .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().iter().flatten().collect::<Vec<_>>());
        numbers.collect()
    }

    fn sorted(&self) -> Vec<i64> {
        let mut numbers = self.published();
        numbers.sort_unstable();
        numbers
    }
}

impl Server {
    async fn run(&self, sql: &str) -> Result<Vec<String>, EngineError> {
        self.run_as("anonymous", sql).await
    }

    /// The rows as text, columns apart by `|`.
    async fn run_as(&self, principal: &str, sql: &str) -> Result<Vec<String>, EngineError> {
        let session = Session::new(SessionId("test".into()), Principal(principal.into()));
        let mut rows = Vec::new();
        let batches = match self.engine.plan(&session, StatementRequest::new(sql)).await? {
            Planned::Done(done) => done.batches,
            Planned::Query(query) => {
                let mut batches = Vec::new();
                for part in query.parts {
                    batches.extend(self.engine.execute(part).await?.batches.try_collect::<Vec<_>>().await?);
                }
                batches
            }
        };
        for batch in batches {
            for row in 0..batch.num_rows() {
                let cells = batch
                    .columns()
                    .iter()
                    .map(|column| arrow::util::display::array_value_to_string(column, row).unwrap());
                rows.push(cells.collect::<Vec<_>>().join("|"));
            }
        }
        Ok(rows)
    }

    /// Works off what there is.
    async fn work(&self) -> Result<Vec<Stepped>, OffloadError> {
        let mut done = Vec::new();
        self.jobs.run_once("j", |stepped| done.push(stepped.clone())).await?;
        Ok(done)
    }
}
