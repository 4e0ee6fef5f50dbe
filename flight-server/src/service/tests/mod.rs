//! Protocol tests: real sockets, arrow-flight's client, a scripted backend.

mod any_bytes;
mod authentication;
mod flights;
pub(super) mod formats;
mod ingest;
mod matrix;
mod metadata;
mod oidc;
mod parameters;
mod polling;
mod provider;
mod queries;
mod serving;
mod sessions;
mod stub;
mod tickets;
mod tls;
mod transactions;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, Schema, SchemaRef};
use arrow_flight::decode::{DecodedPayload, FlightDataDecoder};
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use arrow_flight::{Action, FlightDescriptor, FlightInfo, Ticket};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use stub::Stub;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{IntoRequest, Request, Response, Status};

use super::{FlightService, Sealer, ServeError, ServiceConfig, serve};

/// Nothing here takes long: a test that waits longer has hung.
const PATIENCE: Duration = Duration::from_secs(60);
const KEY: [u8; 32] = [42; 32];

type Client = FlightServiceClient<Channel>;

struct TestServer {
    address: SocketAddr,
    backend: Arc<Stub>,
    shutdown: CancellationToken,
    serving: JoinSet<Result<(), ServeError>>,
}

impl TestServer {
    async fn start() -> Self {
        Self::with(KEY, ServiceConfig::default(), PATIENCE).await
    }

    async fn with(key: [u8; 32], config: ServiceConfig, drain: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let backend = Arc::new(Stub::default());
        let shutdown = CancellationToken::new();
        let service = FlightService::with_backend(Arc::<Stub>::clone(&backend), Sealer::with_key(key), config);
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, service, shutdown.clone(), drain));
        Self {
            address,
            backend,
            shutdown,
            serving,
        }
    }

    async fn client(&self) -> Client {
        self.client_as("test").await
    }

    async fn client_as(&self, user_agent: &str) -> Client {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        FlightServiceClient::new(endpoint.user_agent(user_agent).unwrap().connect().await.unwrap())
    }
}

/// A request with headers.
fn with_headers<T>(message: T, headers: &[(&'static str, &str)]) -> Request<T> {
    let mut request = Request::new(message);
    for (name, value) in headers {
        request.metadata_mut().append(*name, value.parse().unwrap());
    }
    request
}

fn descriptor(command: &impl ProstMessageExt) -> FlightDescriptor {
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

fn query(sql: &str) -> FlightDescriptor {
    descriptor(&CommandStatementQuery {
        query: sql.into(),
        transaction_id: None,
    })
}

async fn plan(client: &mut Client, sql: &str) -> Result<FlightInfo, Status> {
    client.get_flight_info(query(sql)).await.map(Response::into_inner)
}

fn tickets(info: &FlightInfo) -> Vec<Ticket> {
    info.endpoint.iter().map(|endpoint| endpoint.ticket.clone().unwrap()).collect()
}

fn schema_of(info: &FlightInfo) -> Schema {
    info.clone().try_decode_schema().unwrap()
}

/// A result as it came.
struct Fetched {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    /// `app_metadata` of the last message.
    facts: Bytes,
}

impl Fetched {
    fn numbers(&self) -> Vec<i64> {
        self.batches
            .iter()
            .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
            .collect()
    }
}

fn status(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        other => panic!("{other}"),
    }
}

async fn fetch(client: &mut Client, ticket: impl IntoRequest<Ticket> + Send) -> Result<Fetched, Status> {
    let messages = client.do_get(ticket).await?.into_inner();
    let mut decoder = FlightDataDecoder::new(messages.map_err(|status| FlightError::Tonic(Box::new(status))));
    let mut fetched: Option<Fetched> = None;
    while let Some(message) = decoder.next().await {
        let message = message.map_err(status)?;
        match message.payload {
            // a dictionary
            DecodedPayload::None => assert!(!message.inner.data_header.is_empty(), "a message without header"),
            DecodedPayload::Schema(schema) => {
                fetched = Some(Fetched {
                    schema,
                    batches: vec![],
                    facts: Bytes::new(),
                });
            }
            DecodedPayload::RecordBatch(batch) => {
                let fetched = fetched.as_mut().expect("the schema comes first");
                fetched.batches.push(batch);
                fetched.facts = message.inner.app_metadata;
            }
        }
    }
    Ok(fetched.expect("a schema"))
}

/// The rows of all endpoints, in endpoint order.
async fn fetch_all(client: &mut Client, info: &FlightInfo) -> Result<Vec<i64>, Status> {
    let mut numbers = vec![];
    for ticket in tickets(info) {
        numbers.extend(fetch(client, ticket).await?.numbers());
    }
    Ok(numbers)
}

async fn act(client: &mut Client, kind: &str, body: Vec<u8>) -> Result<Response<Vec<Bytes>>, Status> {
    act_with(client, kind, body, &[]).await
}

async fn act_with(
    client: &mut Client,
    kind: &str,
    body: Vec<u8>,
    headers: &[(&'static str, &str)],
) -> Result<Response<Vec<Bytes>>, Status> {
    let response = client.do_action(with_headers(Action::new(kind, body), headers)).await?;
    let (metadata, results, extensions) = response.into_parts();
    let bodies: Vec<Bytes> = results.map_ok(|result| result.body).try_collect().await?;
    Ok(Response::from_parts(metadata, bodies, extensions))
}
