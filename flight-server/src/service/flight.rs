//! The gRPC service: every call of Flight, and for each command of Flight SQL what answers it.
//!
//! `arrow-flight`'s own server trait refuses GetSchema, advertises actions that are not there, and answers broken requests with INTERNAL;
//! so the calls are matched here, over its `Command`.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_server::FlightService as FlightProtocol;
use arrow_flight::sql::{Command, DoPutUpdateResult};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::actions::{self, command};
use super::authentication::AuthenticationLayer;
use super::backend::Backend;
use super::caller::Caller;
use super::parameters::BoundLately;
use super::relay::{RelayLayer, WasRelayed};
use super::sealing::Sealer;
use super::sessions::Sessions;
use super::statements::{Planning, Rows, Sent, schema_message};
use super::tls::Tls;
use super::{ServiceConfig, metadata, paths, poll, status};
use crate::engine::Engine;

/// Flight SQL over a [`Backend`].
#[derive(Debug, Clone)]
pub struct FlightService {
    inner: Arc<Inner>,
}

/// What all calls share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) sessions: Sessions,
    pub(crate) bound_lately: BoundLately,
    pub(crate) stopping: CancellationToken,
    pub(crate) config: ServiceConfig,
}

type Messages<T> = BoxStream<'static, Result<T, Status>>;

impl FlightService {
    /// Over the engine.
    pub fn new(engine: Arc<Engine>, sealer: Sealer, config: ServiceConfig) -> Self {
        Self::with_backend(engine, sealer, config)
    }

    /// Over any backend.
    pub fn with_backend(backend: Arc<dyn Backend>, sealer: Sealer, config: ServiceConfig) -> Self {
        let sealer = Arc::new(sealer);
        let inner = Inner {
            backend,
            sessions: Sessions::new(Arc::clone(&sealer), &config),
            sealer,
            bound_lately: BoundLately::default(),
            stopping: CancellationToken::new(),
            config,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Asks who sends a request.
    pub(crate) fn authentication_layer(&self) -> AuthenticationLayer {
        AuthenticationLayer::new(Arc::clone(&self.inner.config.authentication), Arc::clone(&self.inner.sealer))
    }

    /// Who is nobody is told nothing, not even what is wrong with his request. A handshake alone is for those who are not known yet.
    fn known(&self, caller: Caller) -> Result<Caller, Status> {
        self.inner.sessions.principal(&caller)?;
        Ok(caller)
    }

    /// Sends calls to the nodes that hold their sessions.
    pub(crate) fn relay_layer(&self) -> RelayLayer {
        RelayLayer::new(self.inner.config.cluster.clone(), Arc::clone(&self.inner.sealer))
    }

    /// What all calls share.
    pub(crate) fn inner(&self) -> Arc<Inner> {
        Arc::clone(&self.inner)
    }

    /// Certificates, where connections have TLS.
    pub(crate) fn tls(&self) -> Option<Arc<Tls>> {
        self.inner.config.tls.clone()
    }

    /// To be cancelled when the server begins to stop.
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.inner.stopping.clone()
    }
}

impl Inner {
    /// Plans what a descriptor asks for.
    async fn info(&self, caller: &Caller, descriptor: FlightDescriptor) -> Result<Planning, Status> {
        if is_path(&descriptor) {
            let sql = paths::statement_of(&descriptor.path)?;
            return self.flight_info(caller, Sent::Text(&sql, None), descriptor).await;
        }
        match of_command(&descriptor)? {
            Command::CommandStatementQuery(query) => {
                let sent = Sent::Text(&query.query, query.transaction_id.as_ref());
                self.flight_info(caller, sent, descriptor).await
            }
            Command::CommandPreparedStatementQuery(query) => {
                let handle = query.prepared_statement_handle;
                self.flight_info(caller, Sent::Handle(&handle), descriptor).await
            }
            command => Ok(Planning {
                info: self.metadata_info(caller, &command, descriptor)?,
                query_id: None,
            }),
        }
    }

    /// The rows that a metadata command asks for; `None` if it is no metadata command.
    pub(super) fn metadata(&self, caller: &Caller, command: &Command) -> Result<Option<RecordBatch>, Status> {
        let principal = self.sessions.principal(caller)?;
        metadata::batch(self.backend.as_ref(), &principal, self.sessions.seen(caller).as_deref(), command).transpose()
    }

    fn metadata_info(&self, caller: &Caller, command: &Command, descriptor: FlightDescriptor) -> Result<FlightInfo, Status> {
        let batch = self
            .metadata(caller, command)?
            .ok_or_else(|| no_command("GetFlightInfo", command))?;
        self.sessions.of(caller, None)?;
        let ticket = Ticket::new(descriptor.cmd.clone());
        FlightInfo::new()
            .try_with_schema(batch.schema_ref())
            .map(|info| {
                info.with_descriptor(descriptor)
                    .with_ordered(true)
                    .with_endpoint(FlightEndpoint::new().with_ticket(ticket))
            })
            .map_err(|error| status::internal("encoding the schema", &error))
    }

    fn metadata_rows(&self, caller: &Caller, command: &Command) -> Result<Messages<FlightData>, Status> {
        let batch = self.metadata(caller, command)?.ok_or_else(|| no_command("DoGet", command))?;
        let messages = FlightDataEncoderBuilder::new()
            .with_schema(batch.schema())
            .build(stream::iter([Ok(batch)]));
        Ok(messages.map_err(status::encoding).boxed())
    }
}

/// The sentence for a command that has no answer in this call.
pub(super) fn no_command(call: &str, command: &Command) -> Status {
    let name = command.type_url().rsplit('.').next().unwrap_or_default();
    Status::unimplemented(match command {
        Command::CommandStatementSubstraitPlan(_) => "this server takes SQL, no Substrait plans".to_owned(),
        Command::CommandStatementIngest(_) => "rows are ingested by DoPut".to_owned(),
        _ => format!("{call} has no answer to `{name}`"),
    })
}

/// Header of answers about a query: its id, as `kinesis.system.queries` has it.
const QUERY_ID: &str = "x-query-id";

fn about<T>(answer: T, query_id: Option<&str>) -> Response<T> {
    let mut response = Response::new(answer);
    if let Some(id) = query_id.and_then(|id| id.parse().ok()) {
        response.metadata_mut().insert(QUERY_ID, id);
    }
    response
}

fn is_path(descriptor: &FlightDescriptor) -> bool {
    descriptor.cmd.is_empty() && !descriptor.path.is_empty()
}

fn of_command(descriptor: &FlightDescriptor) -> Result<Command, Status> {
    if is_path(descriptor) {
        return Err(Status::invalid_argument("the descriptor is a path; send a Flight SQL command"));
    }
    command(&descriptor.cmd)
}

#[tonic::async_trait]
impl FlightProtocol for FlightService {
    type HandshakeStream = Messages<HandshakeResponse>;
    type ListFlightsStream = Messages<FlightInfo>;
    type DoGetStream = Messages<FlightData>;
    type DoPutStream = Messages<PutResult>;
    type DoActionStream = Messages<arrow_flight::Result>;
    type ListActionsStream = Messages<ActionType>;
    type DoExchangeStream = Messages<FlightData>;

    async fn handshake(&self, request: Request<Streaming<HandshakeRequest>>) -> Result<Response<Self::HandshakeStream>, Status> {
        let mut caller = Caller::of(&request);
        let mut messages = request.into_inner();
        if self.inner.sessions.wants_credentials(&caller) {
            // Older clients send them as a message.
            caller.authenticated = self.inner.password_message(&mut messages).await?;
        }
        let token = self.inner.sessions.handshake(&caller)?;
        let response = HandshakeResponse {
            protocol_version: 0,
            payload: token.into(),
        };
        // Clients send no message, or one, before or after the answer: it comes first, and what they send is read to its end.
        let rest = messages.filter_map(|message| async { message.err().map(Err) });
        Ok(Response::new(stream::iter([Ok(response)]).chain(rest).boxed()))
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        let flights = self.inner.flights(&self.known(Caller::of(&request))?, request.get_ref())?;
        Ok(Response::new(stream::iter(flights.into_iter().map(Ok)).boxed()))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let caller = self.known(Caller::of(&request))?;
        let Planning { info, query_id } = self.inner.info(&caller, request.into_inner()).await?;
        Ok(about(info, query_id.as_deref()))
    }

    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        let caller = self.known(Caller::polling(&request))?;
        let descriptor = request.into_inner();
        match poll::handle_of(&descriptor) {
            Some(handle) => Ok(Response::new(self.inner.poll_next(&caller, &handle).await?)),
            None => {
                let Planning { info, query_id } = self.inner.info(&caller, descriptor).await?;
                Ok(about(self.inner.poll_first(&caller, info).await?, query_id.as_deref()))
            }
        }
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let caller = self.known(Caller::of(&request))?;
        let inner = &self.inner;
        let descriptor = request.into_inner();
        if is_path(&descriptor) {
            let sql = paths::statement_of(&descriptor.path)?;
            let schema = inner.statement_schema(&caller, Sent::Text(&sql, None)).await?;
            return Ok(Response::new(SchemaResult {
                schema: schema_message(&schema)?,
            }));
        }
        let schema = match of_command(&descriptor)? {
            Command::CommandStatementQuery(query) => {
                let sent = Sent::Text(&query.query, query.transaction_id.as_ref());
                inner.statement_schema(&caller, sent).await?
            }
            Command::CommandPreparedStatementQuery(query) => {
                inner
                    .statement_schema(&caller, Sent::Handle(&query.prepared_statement_handle))
                    .await?
            }
            command => inner
                .metadata(&caller, &command)?
                .ok_or_else(|| no_command("GetSchema", &command))?
                .schema(),
        };
        Ok(Response::new(SchemaResult {
            schema: schema_message(&schema)?,
        }))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let caller = self.known(Caller::of(&request))?;
        let relayed = request.extensions().get::<WasRelayed>().is_some();
        let messages = match command(&request.get_ref().ticket)? {
            Command::TicketStatementQuery(ticket) => {
                return match self.inner.rows(&caller, &ticket.statement_handle, relayed).await? {
                    Rows::Here(query_id, rows) => Ok(about(rows.boxed(), Some(&query_id))),
                    Rows::At(node) => self.inner.rows_at(&node, request).await,
                };
            }
            Command::CommandStatementQuery(_) | Command::CommandPreparedStatementQuery(_) => {
                return Err(Status::invalid_argument(
                    "a statement is no ticket; GetFlightInfo gives its tickets",
                ));
            }
            command => self.inner.metadata_rows(&caller, &command)?,
        };
        Ok(Response::new(messages))
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        let caller = self.known(Caller::of(&request))?;
        let inner = &self.inner;
        let mut messages = request.into_inner();
        let mut first = messages
            .message()
            .await?
            .ok_or_else(|| Status::invalid_argument("DoPut: no message came"))?;
        let descriptor = first
            .flight_descriptor
            .take()
            .ok_or_else(|| Status::invalid_argument("DoPut: the first message has no descriptor"))?;
        let rows = stream::iter([Ok(first)]).chain(messages);
        let count = |record_count| DoPutUpdateResult { record_count }.encode_to_vec();
        let result = match of_command(&descriptor)? {
            Command::CommandStatementUpdate(update) => {
                let sent = Sent::Text(&update.query, update.transaction_id.as_ref());
                count(inner.update(&caller, sent, rows).await?)
            }
            Command::CommandPreparedStatementUpdate(update) => {
                let handle = update.prepared_statement_handle;
                count(inner.update(&caller, Sent::Handle(&handle), rows).await?)
            }
            Command::CommandStatementIngest(ingest) => count(inner.ingest(&caller, ingest, rows).await?),
            Command::CommandPreparedStatementQuery(query) => {
                let bound = inner.bind(&caller, query.prepared_statement_handle, rows).await?;
                bound.encode_to_vec()
            }
            command => return Err(no_command("DoPut", &command)),
        };
        let result = PutResult {
            app_metadata: Bytes::from(result),
        };
        Ok(Response::new(stream::iter([Ok(result)]).boxed()))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let caller = self.known(Caller::of(&request))?;
        let bodies = self.inner.act(&caller, request.get_ref()).await?;
        let results = bodies.into_iter().map(|body| Ok(arrow_flight::Result { body }));
        Ok(Response::new(stream::iter(results).boxed()))
    }

    async fn list_actions(&self, request: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        self.known(Caller::of(&request))?;
        Ok(Response::new(stream::iter(actions::list().into_iter().map(Ok)).boxed()))
    }

    async fn do_exchange(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        self.known(Caller::of(&request))?;
        Err(Status::unimplemented(
            "DoExchange: rows are read with DoGet and written with DoPut; nothing here does both at once",
        ))
    }
}
