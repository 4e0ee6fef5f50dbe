//! Transactions over a checkpoint: which rows they see, and what moves it.

mod model;
mod old;
mod on_read;
mod steered;
mod store_faults;

use shard_reader::checkpoints::{CheckpointName, CheckpointStore, IterationNumber};

use super::*;

const CONSUME: &str = "set kinesis.checkpoint_mode = 'consume'";

/// A client.
struct Client<'a> {
    world: &'a World,
    session: Arc<Session>,
}

impl World {
    /// Another process on the same stream and store; or the same one, restarted.
    fn beside(&self) -> Self {
        Self::with_store(Arc::clone(&self.source), Arc::clone(self.engine.consumers().store()))
    }

    fn client(&self) -> Client<'_> {
        Client {
            world: self,
            session: Session::new(SessionId(uuid::Uuid::new_v4().to_string().into()), Principal::anonymous()),
        }
    }

    /// A client that consumes as `name`, from the trim horizon.
    async fn consumer(&self, name: &str) -> Client<'_> {
        let client = self.client();
        client.run(&format!("set kinesis.checkpoint_name = '{name}'")).await.unwrap();
        client.run(CONSUME).await.unwrap();
        client.run("set kinesis.start = 'trim_horizon'").await.unwrap();
        client
    }

    fn store(&self) -> &Arc<dyn CheckpointStore> {
        self.engine.consumers().store()
    }

    async fn head(&self, name: &str) -> Option<shard_reader::checkpoints::Head> {
        let consumers = self.store().consumers().await.unwrap();
        let name: CheckpointName = name.parse().unwrap();
        consumers
            .into_iter()
            .find(|(consumer, _)| consumer.name == name)
            .map(|(_, head)| head)
    }
}

impl Client<'_> {
    fn request(&self, sql: &str, transaction: Option<&str>) -> StatementRequest {
        StatementRequest {
            per_shard: true,
            transaction: transaction.map(str::to_owned),
            ..StatementRequest::new(sql)
        }
    }

    /// Runs a statement to its end; rows sorted.
    async fn run(&self, sql: &str) -> Result<Vec<String>, EngineError> {
        self.run_in(sql, None).await
    }

    async fn run_in(&self, sql: &str, transaction: Option<&str>) -> Result<Vec<String>, EngineError> {
        let mut rows = Vec::new();
        for part in self.parts(sql, transaction).await? {
            rows.extend(texts(&self.world.run(part).await?));
        }
        rows.sort_by_key(|row| row.parse::<i64>().unwrap_or(i64::MAX));
        Ok(rows)
    }

    async fn parts(&self, sql: &str, transaction: Option<&str>) -> Result<Vec<QueryPart>, EngineError> {
        match self.world.engine.plan(&self.session, self.request(sql, transaction)).await? {
            Planned::Query(query) => Ok(query.parts),
            Planned::Done(_) => Ok(Vec::new()),
        }
    }

    async fn refused(&self, sql: &str) -> ErrorCategory {
        self.run(sql).await.expect_err(sql).category()
    }
}

fn numbers(range: std::ops::Range<i64>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[tokio::test]
async fn an_iteration_is_read_until_it_is_committed_and_then_comes_the_next() {
    let world = World::with_rows(3, 10);
    let client = world.consumer("c").await;
    client.run("begin").await.unwrap();
    assert_eq!(client.run("select n from t").await.unwrap(), numbers(0..10));
    world.put_rows(10..15);
    assert_eq!(client.run("select n from t").await.unwrap(), numbers(0..10), "the range is fixed");
    assert_eq!(client.run("select count(*) from t").await.unwrap(), ["10"]);
    client.run("rollback").await.unwrap();
    // another process, after a crash of this one
    let restarted = world.beside();
    let again = restarted.consumer("c").await;
    again.run("begin").await.unwrap();
    assert_eq!(again.run("select n from t").await.unwrap(), numbers(0..10), "the same rows");
    again.run("commit").await.unwrap();
    again.run("begin").await.unwrap();
    assert_eq!(again.run("select n from t").await.unwrap(), numbers(10..15));
    again.run("commit").await.unwrap();
    // nothing new: an empty iteration, and nothing is forgotten
    again.run("begin").await.unwrap();
    assert_eq!(again.run("select n from t").await.unwrap(), numbers(0..0));
    again.run("commit").await.unwrap();
    world.put_rows(15..16);
    again.run("begin").await.unwrap();
    assert_eq!(again.run("select n from t").await.unwrap(), numbers(15..16));
    let head = world.head("c").await.unwrap();
    assert_eq!((head.next, head.committed.unwrap().0), (IterationNumber(3), IterationNumber(2)));
}

#[tokio::test]
async fn the_later_owner_fences_the_earlier() {
    let world = World::with_rows(2, 6);
    let (early, late) = (world.consumer("c").await, world.consumer("c").await);
    let other = world.consumer("d").await;
    for client in [&early, &late, &other] {
        client.run("begin").await.unwrap();
    }
    assert_eq!(early.run("select n from t").await.unwrap(), numbers(0..6));
    world.put_rows(6..8);
    assert_eq!(late.run("select n from t").await.unwrap(), numbers(0..6));
    assert_eq!(other.run("select n from t").await.unwrap(), numbers(0..8), "names are independent");
    assert_eq!(early.refused("commit").await, ErrorCategory::Aborted);
    assert_eq!(world.head("c").await.unwrap().committed, None);
    late.run("commit").await.unwrap();
    other.run("commit").await.unwrap();
    assert_eq!(world.head("c").await.unwrap().committed.unwrap().0, IterationNumber(0));
    // the transaction is over, and a new one reads on
    early.run("begin").await.unwrap();
    assert_eq!(early.run("select n from t").await.unwrap(), numbers(6..8));
    early.run("commit").await.unwrap();
}

#[tokio::test]
async fn commit_waits_for_every_endpoint_of_the_last_run() {
    let world = World::with_rows(3, 9);
    let client = world.consumer("c").await;
    client.run("begin").await.unwrap();
    let parts = client.parts("select n from t", None).await.unwrap();
    assert_eq!(parts.len(), 3);
    world.run(parts[0].clone()).await.unwrap();
    let error = client.run("commit").await.expect_err("two endpoints are missing");
    assert_eq!(error.category(), ErrorCategory::FailedPrecondition);
    assert!(error.to_string().contains("1 of 3 endpoints of `select n from t`"), "{error}");
    // another process serves the others
    let beside = world.beside();
    for part in &parts[1..] {
        beside.run(part.clone()).await.unwrap();
    }
    // a later run of the same text counts in its place
    let again = client.parts("select n from t", None).await.unwrap();
    assert_eq!(client.refused("commit").await, ErrorCategory::FailedPrecondition);
    for part in again {
        world.run(part).await.unwrap();
    }
    client.run("commit").await.unwrap();
    world.put_rows(9..12);
    client.run("begin").await.unwrap();
    client.parts("select n from t", None).await.unwrap();
    client.run("set kinesis.commit_partial = true").await.unwrap();
    client.run("commit").await.unwrap();
    assert_eq!(world.head("c").await.unwrap().next, IterationNumber(2));
}

#[tokio::test]
async fn a_delivered_limit_counts_in_a_transaction() {
    let world = World::with_rows(1, 9);
    let client = world.consumer("c").await;
    client.run("begin").await.unwrap();
    assert_eq!(client.run("select n from t limit 2").await.unwrap().len(), 2);
    client.run("commit").await.unwrap();
    client.run("begin").await.unwrap();
    assert_eq!(client.run("select n from t").await.unwrap(), numbers(0..0));
}

#[tokio::test]
async fn who_observes_starts_at_the_checkpoint_and_writes_nothing() {
    let world = World::with_rows(2, 6);
    let consumer = world.consumer("c").await;
    consumer.run("begin").await.unwrap();
    consumer.run("select n from t").await.unwrap();
    consumer.run("commit").await.unwrap();
    world.put_rows(6..9);
    let client = world.client();
    client.run("set kinesis.checkpoint_name = 'c'").await.unwrap();
    let head = world.head("c").await;
    for _ in 0..2 {
        client.run("begin").await.unwrap();
        assert_eq!(client.run("select n from t").await.unwrap(), numbers(6..9));
        client.run("commit").await.unwrap();
        assert_eq!(client.run("select n from t").await.unwrap(), numbers(6..9));
    }
    client.run("begin").await.unwrap();
    assert_eq!(client.run("select n from t").await.unwrap(), numbers(6..9));
    world.put_rows(9..10);
    assert_eq!(client.run("select n from t").await.unwrap(), numbers(6..9), "one snapshot");
    client.run("commit").await.unwrap();
    assert_eq!(client.run("select n from t").await.unwrap(), numbers(6..10));
    assert_eq!(world.head("c").await, head);
    // without a past a start must be stated
    client.run("set kinesis.checkpoint_name = 'new'").await.unwrap();
    let error = client.run("select n from t").await.expect_err("no past");
    assert_eq!(error.category(), ErrorCategory::FailedPrecondition);
    assert!(error.to_string().contains("SET kinesis.start"), "{error}");
    client.run("set kinesis.start = 'trim_horizon'").await.unwrap();
    assert_eq!(client.run("select n from t").await.unwrap(), numbers(0..10));
    assert_eq!(world.head("new").await, None);
    // nor does consuming without a transaction
    let outside = world.consumer("c").await;
    assert_eq!(outside.run("select n from t").await.unwrap(), numbers(6..10));
    // nor an explanation inside of one
    outside.run("begin").await.unwrap();
    outside.run("explain select n from t").await.unwrap();
    assert_eq!(world.head("c").await, head);
}

#[tokio::test]
async fn a_transaction_is_begun_and_ended_by_driver_or_by_sql() {
    let world = World::with_rows(1, 2);
    let client = world.client();
    assert_eq!(client.refused("commit").await, ErrorCategory::FailedPrecondition);
    assert_eq!(client.refused("rollback").await, ErrorCategory::FailedPrecondition);
    client.run("start transaction").await.unwrap();
    assert_eq!(client.refused("begin").await, ErrorCategory::FailedPrecondition);
    // one that was begun in SQL sees one snapshot
    assert_eq!(client.run("select n from t").await.unwrap(), numbers(0..2));
    world.put_rows(2..4);
    assert_eq!(client.run("select n from t").await.unwrap(), numbers(0..2));
    client.run("rollback").await.unwrap();
    assert_eq!(client.run("select n from t").await.unwrap(), numbers(0..4));
    // a driver's sees what is there
    let id = world.engine.begin_transaction(&client.session).unwrap();
    assert!(world.engine.begin_transaction(&client.session).is_err());
    assert_eq!(client.run_in("select n from t", Some(&id)).await.unwrap(), numbers(0..4));
    world.put_rows(4..5);
    assert_eq!(client.run_in("select n from t", Some(&id)).await.unwrap(), numbers(0..5));
    let error = client
        .run_in("select n from t", Some("other"))
        .await
        .expect_err("another transaction");
    assert_eq!(error.category(), ErrorCategory::FailedPrecondition);
    world.engine.end_transaction(&client.session, &id, Ending::Commit).await.unwrap();
    assert!(world.engine.end_transaction(&client.session, &id, Ending::Rollback).await.is_err());
    assert!(client.run_in("select n from t", Some(&id)).await.is_err());
    // SQL ends what a driver began, and the driver's id stays good
    let consumer = world.consumer("c").await;
    let id = world.engine.begin_transaction(&consumer.session).unwrap();
    consumer.run_in("begin", Some(&id)).await.unwrap();
    assert_eq!(consumer.run_in("select n from t", Some(&id)).await.unwrap(), numbers(0..5));
    assert_eq!(consumer.refused("begin").await, ErrorCategory::FailedPrecondition);
    consumer.run_in("commit", Some(&id)).await.unwrap();
    assert_eq!(world.head("c").await.unwrap().next, IterationNumber(1));
    world.put_rows(5..6);
    assert_eq!(consumer.run_in("select n from t", Some(&id)).await.unwrap(), numbers(5..6));
    world.engine.end_transaction(&consumer.session, &id, Ending::Commit).await.unwrap();
    assert_eq!(world.head("c").await.unwrap().next, IterationNumber(2));
}

#[tokio::test]
async fn a_fenced_driver_rolls_back_and_goes_on() {
    let world = World::with_rows(1, 2);
    let (early, late) = (world.consumer("c").await, world.consumer("c").await);
    let id = world.engine.begin_transaction(&early.session).unwrap();
    early.run_in("select n from t", Some(&id)).await.unwrap();
    late.run("begin").await.unwrap();
    late.run("select n from t").await.unwrap();
    for _ in 0..2 {
        let error = world
            .engine
            .end_transaction(&early.session, &id, Ending::Commit)
            .await
            .expect_err("fenced");
        assert_eq!(error.category(), ErrorCategory::Aborted, "{error}");
    }
    assert_eq!(
        early.run_in("select n from t", Some(&id)).await.expect_err("it is over").category(),
        ErrorCategory::Aborted
    );
    world.engine.end_transaction(&early.session, &id, Ending::Rollback).await.unwrap();
    let id = world.engine.begin_transaction(&early.session).unwrap();
    early.run_in("select n from t", Some(&id)).await.unwrap();
    world.engine.end_transaction(&early.session, &id, Ending::Commit).await.unwrap();
    assert_eq!(late.refused("commit").await, ErrorCategory::Aborted);
}

#[tokio::test]
async fn statements_at_once_open_one_iteration() {
    let world = World::with_rows(4, 40);
    let client = world.consumer("c").await;
    client.run("begin").await.unwrap();
    let texts: Vec<String> = (0..8).map(|n| format!("select count(*) + {n} - {n} from t")).collect();
    let counts = futures::future::try_join_all(texts.iter().map(|sql| client.run(sql)))
        .await
        .unwrap();
    assert!(counts.iter().all(|count| *count == ["40"]), "{counts:?}");
    assert_eq!(world.engine.consumers().counts().opened, 1);
    client.run("commit").await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_consumed_is_refused() {
    let world = World::with_rows(1, 2);
    let client = world.client();
    client.run(CONSUME).await.unwrap();
    client.run("begin").await.unwrap();
    assert_eq!(client.run("select 1").await.unwrap(), ["1"]);
    assert_eq!(client.refused("select n from t").await, ErrorCategory::InvalidArgument, "no name");
    client.run("set kinesis.checkpoint_name = 'c'").await.unwrap();
    assert_eq!(
        client.refused("select n from t").await,
        ErrorCategory::FailedPrecondition,
        "no start"
    );
    client.run("set kinesis.start = 'trim_horizon'").await.unwrap();
    assert_eq!(client.refused("follow select n from t").await, ErrorCategory::InvalidArgument);
    client.run("select n from t").await.unwrap();
    client.run("set kinesis.checkpoint_name = 'd'").await.unwrap();
    assert_eq!(
        client.refused("select n from t").await,
        ErrorCategory::FailedPrecondition,
        "another name"
    );
    client.run("set kinesis.checkpoint_name = 'c'").await.unwrap();
    client.run("commit").await.unwrap();
    world.source.recreate();
    client.run("begin").await.unwrap();
    let error = client.run("select n from t").await.expect_err("another incarnation");
    assert_eq!(error.category(), ErrorCategory::FailedPrecondition);
    assert!(error.to_string().contains("created anew"), "{error}");
}

#[tokio::test]
async fn thousands_of_shards_are_one_iteration() {
    const SHARDS: usize = 3_000;
    let source = Arc::new(MemorySource::with_wide_numbers(SHARDS));
    let world = World::over(source);
    for (n, shard) in world.source.shard_ids().iter().enumerate() {
        world.put(shard, &format!("{{\"n\":{n}}}"));
    }
    let client = world.consumer("c").await;
    client.run("begin").await.unwrap();
    assert_eq!(client.run("select count(*), sum(n) from t").await.unwrap(), ["3000|4498500"]);
    client.run("commit").await.unwrap();
    world.put(&world.source.shard_ids()[2_999].clone(), "{\"n\":7}");
    client.run("begin").await.unwrap();
    assert_eq!(client.run("select n from t").await.unwrap(), ["7"]);
    client.run("commit").await.unwrap();
}
