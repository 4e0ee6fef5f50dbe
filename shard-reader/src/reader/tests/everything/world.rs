//! A stream, its model, and the process that reads it, which may end and begin again at any time.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::RngExt;
use rand::rngs::SmallRng;

use super::super::*;
use super::model::Model;

/// What a schedule came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) statements: usize,
    pub(super) scans: usize,
    pub(super) rows: usize,
    pub(super) restarts: usize,
    pub(super) followers: usize,
    /// Times that a follower went on with the next process.
    pub(super) resumed: usize,
    /// Ranges of which records were gone.
    pub(super) gone: usize,
}

impl Outcome {
    pub(super) fn add(&mut self, other: &Self) {
        self.statements += other.statements;
        self.scans += other.scans;
        self.rows += other.rows;
        self.restarts += other.restarts;
        self.followers += other.followers;
        self.resumed += other.resumed;
        self.gone += other.gone;
    }
}

/// The readers of a process, from its start to its end.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) readers: Arc<Readers>,
    pub(super) reader: Arc<StreamReader>,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) source: MemorySource,
    pub(super) model: Model,
    /// Records expire.
    pub(super) trims: bool,
    config: ReaderConfig,
    process: Mutex<Arc<Process>>,
}

impl World {
    pub(super) async fn new(source: MemorySource, config: ReaderConfig, trims: bool) -> Arc<Self> {
        let process = Process::start(&source, &config).await;
        Arc::new(Self {
            source,
            model: Model::default(),
            trims,
            config,
            process: Mutex::new(process),
        })
    }

    /// The process of the moment.
    pub(super) fn process(&self) -> Arc<Process> {
        Arc::clone(&self.process.lock())
    }

    /// Ends the process and starts another; statements under way fail.
    pub(super) async fn restart(&self) {
        let next = Process::start(&self.source, &self.config).await;
        let ended = std::mem::replace(&mut *self.process.lock(), next);
        ended.readers.shutdown().await;
    }

    pub(super) async fn end(&self) {
        self.process().readers.shutdown().await;
    }

    /// Whether the process ended under who got this error.
    pub(super) fn is_of_restart(&self, process: &Arc<Process>, error: &ReadError) -> bool {
        error.kind == ReadErrorKind::Unavailable && !Arc::ptr_eq(process, &self.process())
    }
}

impl Process {
    async fn start(source: &MemorySource, config: &ReaderConfig) -> Arc<Self> {
        let readers = Readers::new(config.clone());
        let source: Arc<dyn ShardSource> = Arc::new(source.clone());
        let reader = readers.stream("memory", source, "stream").await.unwrap();
        Arc::new(Self { readers, reader })
    }
}

/// Some time up to so many ms.
pub(super) async fn nap(random: &mut SmallRng, most_ms: u64) {
    tokio::time::sleep(Duration::from_micros(random.random_range(0..most_ms * 1000))).await;
}
