//! A Flight SQL client: a statement's endpoints, a session over statements.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow_flight::decode::FlightDataDecoder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{CommandGetTables, CommandStatementQuery, ProstMessageExt};
use arrow_flight::{FlightDescriptor, FlightInfo, Ticket};
use futures::TryStreamExt;
use parking_lot::Mutex;
use prost::Message;
use tonic::metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

use super::login::Login;
use super::url::ServerUrl;

/// Batches larger than gRPC's default of 4 MiB are usual.
const MAX_MESSAGE: usize = 1 << 30;

/// Why a statement gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// No connection.
    #[error("cannot connect to {url}; is the server running there, and is the --url right?")]
    Connect {
        /// Where to.
        url: ServerUrl,
        /// Why not.
        source: tonic::transport::Error,
    },
    /// Certificates for a server without TLS.
    #[error("certificates are given, and {0} is without TLS; write grpc+tls://")]
    Plain(ServerUrl),
    /// An option that cannot be sent.
    #[error("option `{0}` cannot be sent: names are letters, digits and `_`, values are plain text")]
    Option(String),
    /// The server's own words.
    #[error("{}", in_words(.0))]
    Status(Box<Status>),
    /// The server's answer cannot be read.
    #[error("the server's answer cannot be read: {0}")]
    Answer(String),
}

impl ClientError {
    /// The rows so far are the answer as far as it goes (option `on_limit`).
    pub(super) fn is_incomplete(&self) -> bool {
        matches!(self, Self::Status(status) if status.code() == Code::OutOfRange)
    }
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

impl From<FlightError> for ClientError {
    fn from(error: FlightError) -> Self {
        match error {
            FlightError::Tonic(status) => Self::Status(status),
            other => Self::Answer(other.to_string()),
        }
    }
}

fn in_words(status: &Status) -> String {
    match status.code() {
        Code::Unknown | Code::Internal if status.message().is_empty() => format!("{:?}", status.code()),
        _ if status.message().is_empty() => status.code().to_string(),
        _ => status.message().to_owned(),
    }
}

/// Bytes that may lie unread in a stream, and in a connection: endpoints are fetched side by side, and what lies in those that are ahead must leave room for
/// the one that is printed, or none goes on.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 32 << 20;

/// A connection. Clones share it and its session.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    flight: FlightServiceClient<Channel>,
    headers: Arc<MetadataMap>,
    /// The login, and after the first call the session's token.
    session: Arc<Mutex<Option<MetadataValue<Ascii>>>>,
}

/// What GetFlightInfo said of a statement.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Of its rows.
    pub(crate) schema: SchemaRef,
    /// One for each endpoint, in the server's order.
    pub(crate) tickets: Vec<Ticket>,
    /// It reads on forever: rows are to be shown as they come.
    pub(crate) follows: bool,
}

/// What the server says of a planned statement, as far as it matters here; other servers say nothing.
#[derive(Debug, Default, serde::Deserialize)]
struct Facts {
    #[serde(default)]
    follow: bool,
}

impl Client {
    /// Connects; `options` go with every call. The login goes with the first, whose reply brings a session's token.
    pub(crate) async fn connect(url: &ServerUrl, options: &[(String, String)], login: Login) -> Result<Self, ClientError> {
        let mut headers = MetadataMap::new();
        for (name, value) in options {
            let refused = || ClientError::Option(name.clone());
            let header = format!("x-shardflight-{}", name.to_ascii_lowercase().replace('_', "-"));
            let key: MetadataKey<Ascii> = header.parse().map_err(|_| refused())?;
            headers.insert(key, value.parse().map_err(|_| refused())?);
        }
        let connect = |source| ClientError::Connect { url: url.clone(), source };
        let endpoint = Endpoint::from_shared(url.http())
            .and_then(|endpoint| endpoint.user_agent(concat!("shardflight/", env!("CARGO_PKG_VERSION"))))
            .map_err(connect)?;
        let endpoint = match login.tls {
            Some(tls) if url.is_tls() => endpoint.tls_config(tls).map_err(connect)?,
            Some(_) => return Err(ClientError::Plain(url.clone())),
            None if url.is_tls() => endpoint.tls_config(ClientTlsConfig::new().with_native_roots()).map_err(connect)?,
            None => endpoint,
        };
        let channel = endpoint
            .tcp_nodelay(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .connect()
            .await
            .map_err(connect)?;
        Ok(Self {
            flight: FlightServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE),
            headers: Arc::new(headers),
            session: Arc::new(Mutex::new(login.authorization)),
        })
    }

    /// Has a statement planned. Statements with an effect have had it when this returns.
    pub(crate) async fn plan(&self, sql: &str) -> Result<Answer, ClientError> {
        self.info(
            &CommandStatementQuery {
                query: sql.to_owned(),
                transaction_id: None,
            }
            .as_any(),
        )
        .await
    }

    /// Lists tables with their schemas.
    pub(crate) async fn tables(&self) -> Result<Answer, ClientError> {
        self.info(
            &CommandGetTables {
                include_schema: true,
                ..CommandGetTables::default()
            }
            .as_any(),
        )
        .await
    }

    async fn info(&self, command: &arrow_flight::sql::Any) -> Result<Answer, ClientError> {
        let request = self.request(FlightDescriptor::new_cmd(command.encode_to_vec()));
        let response = self.flight.clone().get_flight_info(request).await?;
        self.keep_session(response.metadata());
        let info: FlightInfo = response.into_inner();
        let tickets: Option<Vec<_>> = info.endpoint.iter().map(|endpoint| endpoint.ticket.clone()).collect();
        let tickets = tickets.ok_or_else(|| ClientError::Answer("an endpoint has no ticket".to_owned()))?;
        let facts: Facts = serde_json::from_slice(&info.app_metadata).unwrap_or_default();
        let schema = info.try_decode_schema().map_err(|error| ClientError::Answer(error.to_string()))?;
        Ok(Answer {
            schema: Arc::new(schema),
            tickets,
            follows: facts.follow,
        })
    }

    /// Redeems a ticket.
    pub(super) async fn get(&self, ticket: Ticket) -> Result<FlightDataDecoder, ClientError> {
        let response = self.flight.clone().do_get(self.request(ticket)).await?;
        self.keep_session(response.metadata());
        Ok(FlightDataDecoder::new(response.into_inner().map_err(FlightError::from)))
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        *request.metadata_mut() = (*self.headers).clone();
        if let Some(token) = self.session.lock().clone() {
            request.metadata_mut().insert("authorization", token);
        }
        request
    }

    fn keep_session(&self, reply: &MetadataMap) {
        if let Some(token) = reply.get("authorization") {
            *self.session.lock() = Some(token.clone());
        }
    }
}
