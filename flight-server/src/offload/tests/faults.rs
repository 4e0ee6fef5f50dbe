//! The operation at which a process dies.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use shard_reader::StreamIdentity;
use shard_reader::checkpoints::{
    Base, CheckpointError, CheckpointErrorKind, CheckpointStore, Commit, Consumer, Head, Iteration, IterationNumber, OwnerToken, Run, Runs,
};

/// Counts operations on what outlives a process, and ends it at one of them.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    done: u64,
    /// At which operation, and whether that still happens.
    dies: Option<(u64, bool)>,
    dead: bool,
}

impl Faults {
    /// The process dies at its operation number `at`, from 0; `after`: that one happens, and nobody hears of it.
    pub(super) fn dying(at: u64, after: bool) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            dies: Some((at, after)),
            ..State::default()
        })))
    }

    pub(super) fn is_dead(&self) -> bool {
        self.0.lock().dead
    }

    /// An operation: it happens or not, and is answered or not.
    pub(super) async fn during<T, E>(&self, operation: impl Future<Output = Result<T, E>>, died: impl Fn() -> E) -> Result<T, E> {
        let happens = {
            let mut state = self.0.lock();
            if state.dead {
                return Err(died());
            }
            let now = state.done;
            state.done += 1;
            match state.dies {
                Some((at, after)) if at == now => {
                    state.dead = true;
                    after
                }
                _ => true,
            }
        };
        if !happens {
            return Err(died());
        }
        let outcome = operation.await;
        if self.is_dead() { Err(died()) } else { outcome }
    }
}

/// A checkpoint store that a process has no more when it is dead.
#[derive(Debug)]
pub(super) struct FaultyStore {
    inner: Arc<dyn CheckpointStore>,
    faults: Arc<Faults>,
}

fn died() -> CheckpointError {
    CheckpointError::new(CheckpointErrorKind::Corrupt, "the process is dead")
}

impl FaultyStore {
    pub(super) fn new(inner: Arc<dyn CheckpointStore>, faults: Arc<Faults>) -> Self {
        Self { inner, faults }
    }
}

#[async_trait]
impl CheckpointStore for FaultyStore {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn consumers(&self) -> Result<Vec<(Consumer, Head)>, CheckpointError> {
        self.faults.during(self.inner.consumers(), died).await
    }

    async fn head(&self, consumer: &Consumer) -> Result<Option<Head>, CheckpointError> {
        self.faults.during(self.inner.head(consumer), died).await
    }

    async fn iteration(&self, consumer: &Consumer, number: IterationNumber) -> Result<Option<Iteration>, CheckpointError> {
        self.faults.during(self.inner.iteration(consumer, number), died).await
    }

    async fn iterations(&self, consumer: &Consumer) -> Result<Vec<Iteration>, CheckpointError> {
        self.faults.during(self.inner.iterations(consumer), died).await
    }

    async fn base(&self, consumer: &Consumer, number: IterationNumber) -> Result<Option<Base>, CheckpointError> {
        self.faults.during(self.inner.base(consumer, number), died).await
    }

    async fn set_base(
        &self,
        consumer: &Consumer,
        stream: &StreamIdentity,
        seen: Option<u64>,
        base: &Base,
        by: &str,
    ) -> Result<Head, CheckpointError> {
        self.faults
            .during(self.inner.set_base(consumer, stream, seen, base, by), died)
            .await
    }

    async fn open(&self, consumer: &Consumer, seen: u64, iteration: &Iteration, owner: &OwnerToken) -> Result<Head, CheckpointError> {
        self.faults.during(self.inner.open(consumer, seen, iteration, owner), died).await
    }

    async fn take_over(&self, consumer: &Consumer, seen: u64, owner: &OwnerToken) -> Result<Head, CheckpointError> {
        self.faults.during(self.inner.take_over(consumer, seen, owner), died).await
    }

    async fn abandon(&self, consumer: &Consumer, seen: u64, by: &str) -> Result<Head, CheckpointError> {
        self.faults.during(self.inner.abandon(consumer, seen, by), died).await
    }

    async fn commit(&self, commits: &[Commit]) -> Result<Vec<Head>, CheckpointError> {
        self.faults.during(self.inner.commit(commits), died).await
    }

    async fn delete(&self, consumer: &Consumer) -> Result<bool, CheckpointError> {
        self.faults.during(self.inner.delete(consumer), died).await
    }

    async fn begin_run(
        &self,
        consumer: &Consumer,
        number: IterationNumber,
        owner: &OwnerToken,
        statement: &str,
        run: &Run,
    ) -> Result<(), CheckpointError> {
        self.inner.begin_run(consumer, number, owner, statement, run).await
    }

    async fn delivered(
        &self,
        consumer: &Consumer,
        number: IterationNumber,
        owner: &OwnerToken,
        statement: &str,
        query_id: &str,
        part: u32,
    ) -> Result<Option<Run>, CheckpointError> {
        self.inner.delivered(consumer, number, owner, statement, query_id, part).await
    }

    async fn runs(&self, consumer: &Consumer, number: IterationNumber, owner: &OwnerToken) -> Result<Runs, CheckpointError> {
        self.inner.runs(consumer, number, owner).await
    }
}
