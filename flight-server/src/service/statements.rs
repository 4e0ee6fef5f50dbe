//! Statements: planning, preparing, running.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::sql::{ActionCreatePreparedStatementRequest, DoPutPreparedStatementResult, ProstMessageExt};
use arrow_flight::{FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc};
use bytes::Bytes;
use futures::Stream;
use prost::Message;
use prost_types::Timestamp;
use tonic::Status;

use super::caller::Caller;
use super::flight::Inner;
use super::parameters::{LARGEST_BOUND, LARGEST_UPDATE, pack, read_rows, unpack};
use super::stream::{RowStream, StreamTerms, done_facts};
use super::ticket::{Content, Parked, PreparedHandle, open_ticket, seal_ticket};
use super::wire::CreatePreparedStatementResult;
use super::{PREPARED_LIFETIME, status};
use crate::engine::{EngineError, Planned, Prepared, Session, StatementRequest};

/// A call ends so much before its deadline at most.
const LONGEST_MARGIN: Duration = Duration::from_millis(50);

/// What a result of GetFlightInfo is made of.
struct Endpoints {
    query_id: String,
    schema: SchemaRef,
    contents: Vec<Content>,
    facts: serde_json::Value,
}

/// What GetFlightInfo answers, and for which query.
#[derive(Debug)]
pub(crate) struct Planning {
    pub(crate) info: FlightInfo,
    pub(crate) query_id: Option<String>,
}

/// A statement as a client sends it: text, or the handle of a prepared one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sent<'a> {
    /// SQL text, with the transaction that the client says it is in.
    Text(&'a str, Option<&'a Bytes>),
    /// What CreatePreparedStatement gave. It outlives the transaction it was made in: it is run in the session's own.
    Handle(&'a [u8]),
}

/// A statement of a session.
struct Statement {
    session: Arc<Session>,
    sql: String,
    transaction: Option<String>,
    parameters: Option<RecordBatch>,
}

/// A transaction that the client says it is in. Ids are text that this server gave.
pub(crate) fn said_transaction(id: Option<&Bytes>) -> Result<Option<String>, Status> {
    let Some(id) = id.filter(|id| !id.is_empty()) else {
        return Ok(None);
    };
    std::str::from_utf8(id)
        .map(|id| Some(id.to_owned()))
        .map_err(|_| Status::failed_precondition("the transaction id is none of this server's"))
}

/// The rows of a ticket.
#[derive(Debug)]
pub(crate) enum Rows {
    /// With the id of their query.
    Here(String, Box<RowStream>),
    /// Another node keeps what they are read from.
    At(String),
}

impl Inner {
    /// GetFlightInfo: plans the statement, and runs it if it is none that reads.
    pub(crate) async fn flight_info(&self, caller: &Caller, sent: Sent<'_>, descriptor: FlightDescriptor) -> Result<Planning, Status> {
        let statement = self.statement(caller, sent)?;
        let session = Arc::clone(&statement.session);
        let endpoints = match self.plan(caller, statement).await? {
            Planned::Query(query) => Endpoints {
                query_id: query.query_id,
                schema: query.schema,
                contents: query.parts.into_iter().map(|part| Content::Part(Box::new(part))).collect(),
                facts: query.facts,
            },
            Planned::Done(done) => Endpoints {
                contents: vec![Content::Parked(Parked::new(&done)?)],
                facts: done_facts(&done),
                query_id: done.query_id,
                schema: done.schema,
            },
        };
        tracing::debug!(query_id = %endpoints.query_id, endpoints = endpoints.contents.len(), "planned");
        let query_id = endpoints.query_id.clone();
        let info = self.describe(&session, endpoints, descriptor)?;
        Ok(Planning {
            info,
            query_id: Some(query_id),
        })
    }

    fn describe(&self, session: &Session, planned: Endpoints, descriptor: FlightDescriptor) -> Result<FlightInfo, Status> {
        if planned.contents.is_empty() {
            return Err(Status::internal("the plan has no endpoint"));
        }
        let expires = SystemTime::now() + self.config.ticket_ttl;
        let single = planned.contents.len() == 1;
        let mut info = FlightInfo::new()
            .with_descriptor(descriptor)
            .with_ordered(single)
            .with_app_metadata(planned.facts.to_string())
            .try_with_schema(&planned.schema)
            .map_err(|error| status::internal("encoding the schema", &error))?;
        for content in planned.contents {
            let locations = match &content {
                Content::Part(part) => self.locations(part),
                Content::Parked(_) => Vec::new(),
            };
            let ticket = seal_ticket(&self.sealer, content, session.principal(), expires)?;
            let mut endpoint = FlightEndpoint::new()
                .with_ticket(ticket)
                .with_expiration_time(Timestamp::from(expires));
            endpoint.location = locations;
            info = info.with_endpoint(endpoint);
        }
        Ok(info)
    }

    /// GetSchema of a statement: typed, and nothing of it is run.
    pub(crate) async fn statement_schema(&self, caller: &Caller, sent: Sent<'_>) -> Result<SchemaRef, Status> {
        let Statement {
            session, sql, parameters, ..
        } = self.statement(caller, sent)?;
        match self.prepare(caller, &session, &sql, parameters).await?.schema {
            Some(schema) => Ok(schema),
            None => Ok(SchemaRef::new(Schema::empty())),
        }
    }

    /// CreatePreparedStatement.
    pub(crate) async fn create_prepared(&self, caller: &Caller, request: ActionCreatePreparedStatementRequest) -> Result<Bytes, Status> {
        said_transaction(request.transaction_id.as_ref())?;
        let session = self.sessions.of(caller, None)?;
        let prepared = self.prepare(caller, &session, &request.query, None).await?;
        let handle = PreparedHandle::new(request.query, session.principal(), session.id());
        let result = CreatePreparedStatementResult {
            prepared_statement_handle: handle.seal(&self.sealer, SystemTime::now() + PREPARED_LIFETIME)?,
            dataset_schema: match prepared.schema {
                Some(schema) => schema_message(&schema)?,
                None => Bytes::new(),
            },
            parameter_schema: parameter_schema(caller, &prepared.parameters)?,
            is_update: Some(prepared.is_update),
        };
        let any = arrow_flight::sql::Any {
            type_url: arrow_flight::sql::ActionCreatePreparedStatementResult::type_url().to_owned(),
            value: result.encode_to_vec().into(),
        };
        Ok(any.encode_to_vec().into())
    }

    /// ClosePreparedStatement: a handle holds nothing of the server's.
    pub(crate) fn close_prepared(&self, caller: &Caller, handle: &[u8]) -> Result<(), Status> {
        let principal = self.sessions.principal(caller)?;
        PreparedHandle::open(&self.sealer, handle, &principal).map(|_| ())
    }

    /// DoPut of parameters: a handle that holds them. Clients that do not read it go on with the one they have.
    pub(crate) async fn bind<S>(&self, caller: &Caller, handle: Bytes, rows: S) -> Result<DoPutPreparedStatementResult, Status>
    where
        S: Stream<Item = Result<FlightData, Status>> + Send + 'static,
    {
        let principal = self.sessions.principal(caller)?;
        let opened = PreparedHandle::open(&self.sealer, &handle, &principal)?;
        let rows = read_rows(rows, LARGEST_BOUND).await?;
        let packed = rows.as_ref().map(pack).transpose()?;
        self.bound_lately.bind(&handle, &principal, packed.as_ref());
        let bound = match (&packed, opened.parameters()) {
            (None, None) => handle,
            _ => opened
                .bound(packed.as_ref())
                .seal(&self.sealer, SystemTime::now() + PREPARED_LIFETIME)?,
        };
        Ok(DoPutPreparedStatementResult {
            prepared_statement_handle: Some(bound),
        })
    }

    /// DoPut of a statement that changes something, once for each row of parameters.
    pub(crate) async fn update<S>(&self, caller: &Caller, sent: Sent<'_>, rows: S) -> Result<i64, Status>
    where
        S: Stream<Item = Result<FlightData, Status>> + Send + 'static,
    {
        let rows = read_rows(rows, LARGEST_UPDATE).await?;
        let mut statement = self.statement(caller, sent)?;
        if rows.is_some() {
            statement.parameters = rows;
        }
        // Asked first: planning a query would read streams for rows that nobody fetches.
        let prepared = self.prepare(caller, &statement.session, &statement.sql, None).await?;
        let reads = || Status::invalid_argument("the statement gives rows; send it as a query");
        if prepared.schema.is_some() && !prepared.is_update {
            return Err(reads());
        }
        match self.plan(caller, statement).await? {
            Planned::Done(done) => Ok(done.affected.and_then(|affected| i64::try_from(affected).ok()).unwrap_or(0)),
            Planned::Query(_) => Err(reads()),
        }
    }

    /// DoGet of a ticket that GetFlightInfo gave. Needs no session: whoever shows the ticket as its principal gets its rows.
    /// What must be read elsewhere is not read here, unless another node says that it is `relayed`.
    pub(crate) async fn rows(&self, caller: &Caller, handle: &[u8], relayed: bool) -> Result<Rows, Status> {
        let principal = self.sessions.principal(caller)?;
        let content = open_ticket(&self.sealer, handle, &principal)?;
        let query_id = content.query_id().to_owned();
        let terms = StreamTerms {
            keep_alive: self.config.keep_alive,
            deadline: caller.deadline()?,
            stopping: self.stopping.clone(),
        };
        let rows = match content {
            Content::Part(part) => {
                if let Some(node) = self.keeper(&part).filter(|_| !relayed) {
                    return Ok(Rows::At(node));
                }
                let execution = timely(caller, self.backend.execute(*part)).await?;
                RowStream::execution(execution, &terms)?
            }
            Content::Parked(parked) => RowStream::done(parked.open()?, &terms)?,
        };
        Ok(Rows::Here(query_id, Box::new(rows)))
    }

    fn statement(&self, caller: &Caller, sent: Sent<'_>) -> Result<Statement, Status> {
        match sent {
            Sent::Text(sql, transaction) => Ok(Statement {
                session: self.sessions.of(caller, None)?,
                sql: sql.to_owned(),
                transaction: said_transaction(transaction)?,
                parameters: None,
            }),
            Sent::Handle(handle) => {
                let principal = self.sessions.principal(caller)?;
                let opened = PreparedHandle::open(&self.sealer, handle, &principal)?;
                let lately = match opened.parameters() {
                    None => self.bound_lately.rows(handle, &principal),
                    Some(_) => None,
                };
                let parameters = opened.parameters().or(lately.as_deref());
                Ok(Statement {
                    session: self.sessions.of(caller, Some(&opened.session()))?,
                    parameters: parameters.map(unpack).transpose()?.flatten(),
                    sql: opened.sql,
                    transaction: None,
                })
            }
        }
    }

    async fn plan(&self, caller: &Caller, statement: Statement) -> Result<Planned, Status> {
        if self.stopping.is_cancelled() {
            return Err(status::unavailable("the server stops"));
        }
        let overrides = caller.options()?;
        let session = statement.session;
        let request = StatementRequest {
            sql: statement.sql,
            per_shard: caller.per_shard(&overrides, &session),
            overrides,
            transaction: statement.transaction,
            parameters: statement.parameters,
            arrived: caller.arrived,
        };
        timely(caller, self.backend.plan(&session, request)).await
    }

    async fn prepare(&self, caller: &Caller, session: &Session, sql: &str, values: Option<RecordBatch>) -> Result<Prepared, Status> {
        let options = caller.options()?;
        timely(caller, self.backend.prepare(session, sql, &options, values)).await
    }
}

/// What the engine answers before the client gives up. Then it is dropped, a little before the transport does that: its word is CANCELLED.
async fn timely<T>(caller: &Caller, answer: impl Future<Output = Result<T, EngineError>>) -> Result<T, Status> {
    let answered = match caller.deadline()? {
        None => answer.await,
        Some(deadline) => {
            let margin = (deadline - caller.arrived) / 20;
            match tokio::time::timeout_at(deadline - margin.min(LONGEST_MARGIN), answer).await {
                Ok(answered) => answered,
                Err(_) => {
                    return Err(Status::deadline_exceeded("the call's own timeout (grpc-timeout) is over"));
                }
            }
        }
    };
    answered.map_err(|error| status::engine(&error))
}

/// A schema as an encapsulated IPC message.
pub(crate) fn schema_message(schema: &SchemaRef) -> Result<Bytes, Status> {
    let options = IpcWriteOptions::default();
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &options)
        .try_into()
        .map_err(|error: arrow::error::ArrowError| status::internal("encoding a schema", &error))?;
    Ok(bytes)
}

/// Types of a statement's parameters; nothing, if it has none. Java's driver binds only what fits the type that it is told: where nothing tells
/// one, text fits most.
fn parameter_schema(caller: &Caller, parameters: &SchemaRef) -> Result<Bytes, Status> {
    if parameters.fields().is_empty() {
        return Ok(Bytes::new());
    }
    let told = |field: &Arc<Field>| match field.data_type() {
        DataType::Null if caller.is_java() => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8)),
        _ => Arc::clone(field),
    };
    let fields: Vec<Arc<Field>> = parameters.fields().iter().map(told).collect();
    schema_message(&SchemaRef::new(Schema::new(fields)))
}
