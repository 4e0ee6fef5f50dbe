//! Scratch tables over a socket: what becomes of them with their session.
#![expect(clippy::unwrap_used, reason = "a test ends at its first fault")]

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt as _};
use arrow_flight::{Action, FlightDescriptor, FlightInfo, Ticket};
use async_trait::async_trait;
use catalog::{DirectoryCatalog, KinesisOverrides};
use flight_server::engine::{Engine, EngineConfig, EngineError, ScratchConfig, SourceProvider};
use flight_server::service::{FlightService, Sealer, ServiceConfig, serve};
use futures::TryStreamExt as _;
use prost::Message as _;
use shard_reader::checkpoints::LocalCheckpoints;
use shard_reader::{MemorySource, ReaderConfig, Readers, ShardSource};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

/// Of all scratch tables together: one of [`BIG`] fits, two do not.
const MEMORY: usize = 1 << 20;
const BIG: &str = "create table big as select repeat('x', 700000) as note";
const IDLE: Duration = Duration::from_secs(1800);

#[derive(Debug)]
struct InMemory(MemorySource);

#[async_trait]
impl SourceProvider for InMemory {
    async fn source(&self, _: Option<&KinesisOverrides>) -> Result<(String, Arc<dyn ShardSource>), EngineError> {
        Ok(("memory".into(), Arc::new(self.0.clone())))
    }
}

/// A server, and what ends with it.
struct Served {
    endpoint: Endpoint,
    _serving: JoinSet<()>,
    _directory: tempfile::TempDir,
}

impl Served {
    async fn start() -> Self {
        let source = MemorySource::with_wide_numbers(1);
        let directory = tempfile::tempdir().unwrap();
        let catalog = Arc::new(DirectoryCatalog::new(directory.path(), "default"));
        catalog.refresh();
        let readers = Readers::new(ReaderConfig {
            background_poll: false,
            wall_clock: source.clock(),
            ..ReaderConfig::default()
        });
        let config = EngineConfig {
            spill_disk: 1 << 20,
            target_partitions: 2,
            scratch: ScratchConfig {
                memory: MEMORY,
                memory_each: MEMORY,
                ..ScratchConfig::default()
            },
            ..EngineConfig::new(directory.path().to_path_buf())
        };
        let checkpoints = Arc::new(LocalCheckpoints::open(directory.path().join("checkpoints.redb")));
        let engine = Engine::new(config, catalog, readers, Arc::new(InMemory(source)), checkpoints).unwrap();
        let config = ServiceConfig {
            session_idle: IDLE,
            ..ServiceConfig::default()
        };
        let service = FlightService::new(engine, Sealer::with_key([7; 32]), config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move { serve(listener, service, CancellationToken::new(), Duration::ZERO).await.unwrap() });
        Self {
            endpoint,
            _serving: serving,
            _directory: directory,
        }
    }

    /// A connection, and a session that it names by the token of its first reply.
    async fn session(&self) -> Caller {
        let mut client = FlightServiceClient::new(self.endpoint.connect().await.unwrap());
        let response = client.get_flight_info(query("select 1")).await.unwrap();
        let token = response.metadata().get("authorization").unwrap().to_str().unwrap().to_owned();
        Caller { client, token }
    }
}

fn query(sql: &str) -> FlightDescriptor {
    let command = CommandStatementQuery {
        query: sql.to_owned(),
        transaction_id: None,
    };
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

struct Caller {
    client: FlightServiceClient<Channel>,
    token: String,
}

impl Caller {
    fn say<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.token.parse().unwrap());
        request
    }

    async fn plan(&mut self, sql: &str) -> Result<FlightInfo, Status> {
        let request = self.say(query(sql));
        Ok(self.client.get_flight_info(request).await?.into_inner())
    }

    async fn refused(&mut self, sql: &str) -> Code {
        self.plan(sql).await.unwrap_err().code()
    }

    /// Bytes of the rows of a ticket.
    async fn fetch(&mut self, ticket: Ticket) -> Result<usize, Status> {
        let request = self.say(ticket);
        let messages: Vec<_> = self.client.do_get(request).await?.into_inner().try_collect().await?;
        Ok(messages.iter().map(|message| message.data_body.len()).sum())
    }

    async fn close(&mut self) -> Vec<u8> {
        let request = self.say(Action::new("CloseSession", vec![]));
        let results: Vec<_> = self
            .client
            .do_action(request)
            .await
            .unwrap()
            .into_inner()
            .try_collect()
            .await
            .unwrap();
        results[0].body.to_vec()
    }
}

#[tokio::test]
async fn a_closed_session_takes_its_tables_with_it_and_gives_their_memory_back() {
    let served = Served::start().await;
    let (mut first, mut second) = (served.session().await, served.session().await);
    first.plan(BIG).await.unwrap();
    let ticket = first.plan("select note from big").await.unwrap().endpoint[0]
        .ticket
        .clone()
        .unwrap();
    assert!(first.fetch(ticket.clone()).await.unwrap() >= 700_000);
    assert_eq!(second.refused("select note from big").await, Code::NotFound);
    assert_eq!(second.refused(BIG).await, Code::ResourceExhausted);

    // CloseSessionResult { status: CLOSED }
    assert_eq!(first.close().await, [0x08, 0x01]);
    assert_eq!(first.refused("select 1").await, Code::Unauthenticated);
    // a ticket needs no session
    assert!(first.client.do_get(ticket.clone()).await.is_ok());

    second.plan(BIG).await.unwrap();
    // the memory was wanted for that: nothing is kept for tickets any more
    let gone = first.client.do_get(ticket).await.unwrap_err();
    assert_eq!(gone.code(), Code::FailedPrecondition, "{gone}");
    let mut third = served.session().await;
    assert_eq!(third.refused("select note from big").await, Code::NotFound);
    assert_eq!(third.refused(BIG).await, Code::ResourceExhausted);
}

/// Time goes by at once.
async fn wait(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn an_idle_session_ends_with_its_tables_and_gives_their_memory_back() {
    let served = Served::start().await;
    let (mut first, mut second) = (served.session().await, served.session().await);
    first.plan(BIG).await.unwrap();
    assert_eq!(second.refused(BIG).await, Code::ResourceExhausted);
    // as long as its connection is there it is not idle
    wait(IDLE * 2).await;
    first.plan("select note from big").await.unwrap();
    assert_eq!(second.refused(BIG).await, Code::ResourceExhausted);

    let Caller { client, token } = first;
    drop(client);
    // nothing tells when the server has seen that the connection is gone; until then the session is in use
    let begun = std::time::Instant::now();
    loop {
        // with this answer the server has also heard of the pings that it sent when time went by: both sides do things in order
        second.plan("select 1").await.unwrap();
        wait(IDLE).await;
        // no call of the first session, and no new one, makes room
        match second.plan(BIG).await {
            Ok(_) => break,
            Err(status) => assert_eq!(status.code(), Code::ResourceExhausted, "{status}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "the session does not end");
    }
    let mut again = Caller {
        client: FlightServiceClient::new(served.endpoint.connect().await.unwrap()),
        token,
    };
    let ended = again.plan("select note from big").await.unwrap_err();
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended}");
    assert!(ended.message().contains("session expired"), "{ended}");
    // a new one does not see what was another's
    assert_eq!(served.session().await.refused("select note from big").await, Code::NotFound);
}

#[tokio::test]
async fn a_table_is_made_of_a_prepared_query_with_parameters() {
    use arrow::array::{ArrayRef, AsArray as _, Int64Array, RecordBatch};
    use arrow::datatypes::{DataType, Int64Type};
    use arrow_flight::sql::client::FlightSqlServiceClient;

    let served = Served::start().await;
    let mut client = FlightSqlServiceClient::new(served.endpoint.connect().await.unwrap());
    let create = "create table few as select value as n from generate_series(1, 10) where value > $1".to_owned();
    let mut prepared = client.prepare(create, None).await.unwrap();
    let parameters = prepared.parameter_schema().unwrap();
    assert_eq!(parameters.fields().len(), 1);
    assert_eq!(parameters.field(0).data_type(), &DataType::Int64);
    let values: ArrayRef = Arc::new(Int64Array::from(vec![7]));
    prepared
        .set_parameters(RecordBatch::try_from_iter([("$1", values)]).unwrap())
        .unwrap();
    assert_eq!(prepared.execute_update().await.unwrap(), 3);
    let mut info = client.execute("select sum(n) from few".to_owned(), None).await.unwrap();
    let rows = client.do_get(info.endpoint.remove(0).ticket.unwrap()).await.unwrap();
    let batches: Vec<RecordBatch> = rows.try_collect().await.unwrap();
    assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().value(0), 8 + 9 + 10);
}
