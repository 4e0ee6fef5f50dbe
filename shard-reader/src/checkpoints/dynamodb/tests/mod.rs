//! Against a stand-in that nobody here wrote, in this process.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

mod faults;
mod formats;
mod stored;
mod tables;
mod transport;

use super::*;
use crate::conformance::checkpoints::{CheckpointService, run_checkpoints};

/// DynamoDB on a port of this machine.
struct StandIn {
    endpoint: String,
    _server: AbortOnDropHandle<()>,
}

impl StandIn {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let database = dynoxide::Database::memory().unwrap();
        #[expect(clippy::disallowed_methods, reason = "the handle right here owns it")]
        let server = tokio::spawn(dynoxide::server::serve_on(listener, database));
        Self {
            endpoint,
            _server: AbortOnDropHandle::new(server),
        }
    }
}

fn client(endpoint: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(crate::kinesis::http_client())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(endpoint);
    Client::from_conf(config.build())
}

fn store(endpoint: &str) -> DynamoDbCheckpoints {
    DynamoDbCheckpoints::with_client(
        &client(endpoint),
        "shardflight",
        true,
        Duration::from_secs(30 * 86_400),
        WallClock::default(),
    )
}

struct Table(StandIn);

impl CheckpointService for Table {
    fn store(&self, keep: Duration, clock: WallClock) -> Arc<dyn CheckpointStore> {
        Arc::new(DynamoDbCheckpoints::with_client(
            &client(&self.0.endpoint),
            "shardflight",
            true,
            keep,
            clock,
        ))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dynamodb_conforms() {
    let table = Table(StandIn::start().await);
    run_checkpoints(&table).await.unwrap();
}
