//! Checkpoints in tables of services that nobody here wrote: `shard_reader::conformance::checkpoints`.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use integration_tests::tables::TableService;
use shard_reader::WallClock;
use shard_reader::checkpoints::{CheckpointStore, DEFAULT_KEEP, DynamoDbCheckpoints};
use shard_reader::conformance::checkpoints::{CheckpointService, run_checkpoints};

/// A service that hangs fails the test.
const TIMEOUT: Duration = Duration::from_secs(240);

struct Table(Client);

impl CheckpointService for Table {
    fn store(&self, keep: Duration, clock: WallClock) -> Arc<dyn CheckpointStore> {
        Arc::new(DynamoDbCheckpoints::with_client(&self.0, "shardflight", true, keep, clock))
    }
}

async fn conforms(service: TableService) {
    let running = service.start().unwrap();
    let client = running.client();
    // all of several that start at once want the table
    let stores: Vec<_> = (0..4)
        .map(|_| Table(client.clone()).store(DEFAULT_KEEP, WallClock::default()))
        .collect();
    let listed = futures::future::try_join_all(stores.iter().map(|store| store.consumers()))
        .await
        .unwrap();
    assert!(listed.iter().all(Vec::is_empty));
    let checked = tokio::time::timeout(TIMEOUT, run_checkpoints(&Table(client))).await;
    checked.expect("in time").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ministack() {
    conforms(TableService::Ministack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn moto() {
    conforms(TableService::Moto).await;
}
