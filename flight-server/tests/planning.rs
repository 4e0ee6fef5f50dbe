//! Plans over very many shards: every shard in one ticket, in messages that clients take.
#![expect(clippy::unwrap_used, reason = "a test ends at its first fault")]

use std::sync::Arc;

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService as _;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt as _};
use arrow_flight::{FlightDescriptor, FlightInfo};
use async_trait::async_trait;
use catalog::{DirectoryCatalog, KinesisOverrides};
use flight_server::engine::{Engine, EngineConfig, EngineError, SourceProvider};
use flight_server::service::{FlightService, Sealer, ServiceConfig};
use futures::TryStreamExt as _;
use prost::Message as _;
use shard_reader::checkpoints::LocalCheckpoints;
use shard_reader::{MemorySource, ReaderConfig, Readers, ShardSource};
use tonic::Request;

/// The least that a client in the field takes (tonic's and gRPC's own limit).
const SMALLEST_LIMIT: usize = 4 << 20;

const TABLE: &str = "
table: t
stream: s
columns:
  - { name: n, path: n, type: bigint }
";

#[derive(Debug)]
struct InMemory(MemorySource);

#[async_trait]
impl SourceProvider for InMemory {
    async fn source(&self, _: Option<&KinesisOverrides>) -> Result<(String, Arc<dyn ShardSource>), EngineError> {
        Ok(("memory".into(), Arc::new(self.0.clone())))
    }
}

fn service(source: &MemorySource, directory: &std::path::Path) -> FlightService {
    std::fs::write(directory.join("t.yaml"), TABLE).unwrap();
    let catalog = Arc::new(DirectoryCatalog::new(directory, "default"));
    catalog.refresh();
    let readers = Readers::new(ReaderConfig {
        background_poll: false,
        wall_clock: source.clock(),
        ..ReaderConfig::default()
    });
    let config = EngineConfig {
        spill_disk: 1 << 20,
        target_partitions: 2,
        ..EngineConfig::new(directory.to_path_buf())
    };
    let checkpoints = Arc::new(LocalCheckpoints::open(directory.join("checkpoints.redb")));
    let engine = Engine::new(config, catalog, readers, Arc::new(InMemory(source.clone())), checkpoints).unwrap();
    FlightService::new(engine, Sealer::with_key([7; 32]), ServiceConfig::default())
}

async fn flight_info(service: &FlightService, sql: &str, endpoints: &'static str) -> FlightInfo {
    let command = CommandStatementQuery {
        query: sql.to_owned(),
        transaction_id: None,
    };
    let mut request = Request::new(FlightDescriptor::new_cmd(command.as_any().encode_to_vec()));
    request.metadata_mut().insert("x-shardflight-endpoints", endpoints.parse().unwrap());
    service.get_flight_info(request).await.unwrap().into_inner()
}

/// A service over a stream of so many shards with a record each.
fn stage(shards: usize) -> (FlightService, tempfile::TempDir) {
    let source = MemorySource::with_wide_numbers(shards);
    for (number, shard) in source.shard_ids().iter().enumerate() {
        source.put(shard, "key", format!("{{\"n\":{number}}}").as_bytes()).unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    (service(&source, directory.path()), directory)
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_shards_plan_into_messages_that_every_client_takes() {
    let (service, _directory) = stage(10_000);
    for (mode, endpoints) in [("shard", 32), ("single", 1)] {
        let info = flight_info(&service, "select n from t", mode).await;
        assert_eq!(info.endpoint.len(), endpoints, "{mode}");
        let bytes = info.encoded_len();
        assert!(bytes < SMALLEST_LIMIT, "{mode}: {bytes} bytes");
        let facts: serde_json::Value = serde_json::from_slice(&info.app_metadata).unwrap();
        assert_eq!(facts["shards"].as_array().unwrap().len(), 1000);
        assert_eq!(facts["more_shards"], 9000);
    }
}

#[tokio::test(start_paused = true)]
async fn endpoints_of_many_shards_give_each_shard_once() {
    const SHARDS: usize = 1050;
    let (service, _directory) = stage(SHARDS);
    for mode in ["shard", "single"] {
        let mut numbers = Vec::new();
        for endpoint in flight_info(&service, "select n from t", mode).await.endpoint {
            let messages = service.do_get(Request::new(endpoint.ticket.unwrap())).await.unwrap().into_inner();
            let rows = FlightRecordBatchStream::new_from_flight_data(messages.map_err(FlightError::from));
            for batch in rows.try_collect::<Vec<_>>().await.unwrap() {
                numbers.extend(batch.column(0).as_primitive::<Int64Type>().values().iter().copied());
            }
        }
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..SHARDS as i64), "{mode}");
    }
}
