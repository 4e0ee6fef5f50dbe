//! Checkpoints in tables of services that nobody here wrote: `shard_reader::conformance::checkpoints`.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use integration_tests::stand_in::StandIn;
use integration_tests::tables::RunningTables;
use shard_reader::WallClock;
use shard_reader::checkpoints::{CheckpointStore, DEFAULT_KEEP, DynamoDbCheckpoints};
use shard_reader::conformance::checkpoints::{CheckpointService, run_checkpoint_rules, run_checkpoints};

/// A service that hangs fails the test.
const TIMEOUT: Duration = Duration::from_secs(240);

struct Table(Client);

impl CheckpointService for Table {
    fn store(&self, keep: Duration, clock: WallClock) -> Arc<dyn CheckpointStore> {
        Arc::new(DynamoDbCheckpoints::with_client(&self.0, "shardflight", true, keep, clock))
    }
}

/// A service of one's own, after several made its table at once.
async fn start(service: StandIn) -> (RunningTables, Table) {
    let running = service.start_tables().unwrap();
    let table = Table(running.client());
    let stores: Vec<_> = (0..4).map(|_| table.store(DEFAULT_KEEP, WallClock::default())).collect();
    let listed = futures::future::try_join_all(stores.iter().map(|store| store.consumers()))
        .await
        .unwrap();
    assert!(listed.iter().all(Vec::is_empty));
    (running, table)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ministack() {
    let (_running, table) = start(StandIn::Ministack).await;
    let checked = tokio::time::timeout(TIMEOUT, run_checkpoints(&table)).await;
    checked.expect("in time").unwrap();
}

/// Without the races: moto takes a transaction back by putting in place a copy of the table that it made before, and what others wrote in between is gone.
/// (The store notices: it finds that what was acknowledged is not there.)
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn moto() {
    let (_running, table) = start(StandIn::Moto).await;
    let checked = tokio::time::timeout(TIMEOUT, run_checkpoint_rules(&table)).await;
    checked.expect("in time").unwrap();
}
