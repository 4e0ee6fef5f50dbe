//! A store that cannot be reached fails the commit, and never the data.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use shard_reader::StreamIdentity;
use shard_reader::checkpoints::{Base, CheckpointError, CheckpointErrorKind, Commit, Consumer, Head, Iteration, OwnerToken, Run, Runs};

use super::*;

/// A store of which some calls fail.
#[derive(Debug)]
struct Faulty {
    inner: Arc<dyn CheckpointStore>,
    failing: Mutex<BTreeSet<&'static str>>,
}

impl Faulty {
    fn over(world: &World) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(world.store()),
            failing: Mutex::default(),
        })
    }

    fn set(&self, failing: &[&'static str]) {
        *self.failing.lock() = failing.iter().copied().collect();
    }

    fn call(&self, name: &str) -> Result<&Arc<dyn CheckpointStore>, CheckpointError> {
        match self.failing.lock().contains(name) {
            true => Err(CheckpointError::new(
                CheckpointErrorKind::Unavailable,
                format!("{name}: out of reach"),
            )),
            false => Ok(&self.inner),
        }
    }
}

#[async_trait]
impl CheckpointStore for Faulty {
    fn describe(&self) -> String {
        "faulty".into()
    }

    async fn consumers(&self) -> Result<Vec<(Consumer, Head)>, CheckpointError> {
        self.call("consumers")?.consumers().await
    }

    async fn head(&self, consumer: &Consumer) -> Result<Option<Head>, CheckpointError> {
        self.call("head")?.head(consumer).await
    }

    async fn iteration(&self, consumer: &Consumer, number: IterationNumber) -> Result<Option<Iteration>, CheckpointError> {
        self.call("iteration")?.iteration(consumer, number).await
    }

    async fn iterations(&self, consumer: &Consumer) -> Result<Vec<Iteration>, CheckpointError> {
        self.call("iterations")?.iterations(consumer).await
    }

    async fn base(&self, consumer: &Consumer, number: IterationNumber) -> Result<Option<Base>, CheckpointError> {
        self.call("base")?.base(consumer, number).await
    }

    async fn set_base(
        &self,
        consumer: &Consumer,
        stream: &StreamIdentity,
        seen: Option<u64>,
        base: &Base,
        by: &str,
    ) -> Result<Head, CheckpointError> {
        self.call("set_base")?.set_base(consumer, stream, seen, base, by).await
    }

    async fn open(&self, consumer: &Consumer, seen: u64, iteration: &Iteration, owner: &OwnerToken) -> Result<Head, CheckpointError> {
        self.call("open")?.open(consumer, seen, iteration, owner).await
    }

    async fn take_over(&self, consumer: &Consumer, seen: u64, owner: &OwnerToken) -> Result<Head, CheckpointError> {
        self.call("take_over")?.take_over(consumer, seen, owner).await
    }

    async fn abandon(&self, consumer: &Consumer, seen: u64, by: &str) -> Result<Head, CheckpointError> {
        self.call("abandon")?.abandon(consumer, seen, by).await
    }

    async fn commit(&self, commits: &[Commit]) -> Result<Vec<Head>, CheckpointError> {
        self.call("commit")?.commit(commits).await
    }

    async fn delete(&self, consumer: &Consumer) -> Result<bool, CheckpointError> {
        self.call("delete")?.delete(consumer).await
    }

    async fn begin_run(
        &self,
        consumer: &Consumer,
        number: IterationNumber,
        owner: &OwnerToken,
        statement: &str,
        run: &Run,
    ) -> Result<(), CheckpointError> {
        self.call("begin_run")?.begin_run(consumer, number, owner, statement, run).await
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
        self.call("delivered")?
            .delivered(consumer, number, owner, statement, query_id, part)
            .await
    }

    async fn runs(&self, consumer: &Consumer, number: IterationNumber, owner: &OwnerToken) -> Result<Runs, CheckpointError> {
        self.call("runs")?.runs(consumer, number, owner).await
    }
}

#[tokio::test]
async fn in_a_transaction_rows_are_given_and_the_commit_is_refused() {
    let first = World::with_rows(2, 8);
    let faulty = Faulty::over(&first);
    let store: Arc<dyn CheckpointStore> = Arc::<Faulty>::clone(&faulty);
    let world = World::with_store(Arc::clone(&first.source), store);
    let client = world.consumer("c").await;
    client.run("begin").await.unwrap();
    faulty.set(&["delivered"]);
    assert_eq!(
        client.run("select n from t").await.unwrap(),
        numbers(0..8),
        "the rows come all the same"
    );
    faulty.set(&[]);
    assert_eq!(
        client.refused("commit").await,
        ErrorCategory::FailedPrecondition,
        "nobody knows that they came"
    );
    assert_eq!(client.run("select n from t").await.unwrap(), numbers(0..8));
    for unreachable in ["runs", "commit"] {
        faulty.set(&[unreachable]);
        assert_eq!(client.refused("commit").await, ErrorCategory::Unavailable, "{unreachable}");
    }
    assert_eq!(first.head("c").await.unwrap().committed, None);
    faulty.set(&[]);
    client.run("commit").await.unwrap();
    assert_eq!(first.head("c").await.unwrap().next, IterationNumber(1));
    assert_eq!(world.engine.consumers().counts().refused, 3);
    assert_eq!(world.engine.consumers().lags().len(), 1);
    // whoever consumes needs the store; whoever does not never asks it
    first.put_rows(8..10);
    for unreachable in ["head", "iteration", "open", "begin_run"] {
        faulty.set(&[unreachable]);
        client.run("begin").await.unwrap();
        assert_eq!(client.refused("select n from t").await, ErrorCategory::Unavailable, "{unreachable}");
        assert_eq!(world.client().run("select count(*) from t").await.unwrap(), ["10"]);
        client.run("rollback").await.unwrap();
    }
    faulty.set(&[]);
    client.run("begin").await.unwrap();
    assert_eq!(client.run("select n from t").await.unwrap(), numbers(8..10));
    client.run("commit").await.unwrap();
}

#[tokio::test]
async fn a_statement_that_commits_by_itself_says_that_it_could_not() {
    let first = World::with_rows(2, 8);
    let faulty = Faulty::over(&first);
    let store: Arc<dyn CheckpointStore> = Arc::<Faulty>::clone(&faulty);
    let world = World::with_store(Arc::clone(&first.source), store);
    let client = world.client();
    for sql in [
        "set kinesis.checkpoint_name = 'c'",
        "set kinesis.commit_on_read = true",
        "set kinesis.start = 'trim_horizon'",
    ] {
        client.run(sql).await.unwrap();
    }
    for unreachable in ["delivered", "commit"] {
        faulty.set(&[unreachable]);
        assert_eq!(client.refused("select n from t").await, ErrorCategory::Unavailable, "{unreachable}");
        assert_eq!(first.head("c").await.unwrap().committed, None);
    }
    faulty.set(&[]);
    assert_eq!(client.run("select n from t").await.unwrap(), numbers(0..8), "the same rows");
    assert_eq!(client.run("select n from t").await.unwrap(), numbers(0..0));
}
