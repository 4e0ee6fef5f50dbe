//! What is sealed into tickets and prepared handles.

use std::time::{Duration, SystemTime};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow_flight::Ticket;
use arrow_flight::sql::{ProstMessageExt, TicketStatementQuery};
use bytes::Bytes;
use prost::Message;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tonic::Status;

use super::sealing::{SealKind, Sealer};
use super::status;
use crate::engine::{DoneResult, Principal, QueryPart, SessionId};

/// Largest result of a statement that ran when it was planned, as an Arrow IPC stream: it travels inside its ticket.
pub(crate) const LARGEST_PARKED: usize = 64 << 10;

const TICKET: &str = "ticket";
const HANDLE: &str = "prepared statement handle";

/// What a ticket gives.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Content {
    /// Rows that the engine reads.
    Part(Box<QueryPart>),
    /// Rows of a statement that ran already.
    Parked(Parked),
}

/// The result of a statement that ran when it was planned.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parked {
    query_id: String,
    stream: ciborium::Value,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    principal: String,
    content: Content,
    /// Seconds since the epoch: however often it is renewed.
    #[serde(default)]
    issued: u64,
}

/// What a prepared handle holds: nothing of it lives in the server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreparedHandle {
    /// The statement.
    pub(crate) sql: String,
    principal: String,
    session: String,
    /// Rows that are bound, as an Arrow IPC stream.
    #[serde(default)]
    parameters: Option<ciborium::Value>,
}

impl Content {
    /// Its query.
    pub(crate) fn query_id(&self) -> &str {
        match self {
            Self::Part(part) => &part.query_id,
            Self::Parked(parked) => &parked.query_id,
        }
    }
}

impl Parked {
    /// Packs a result.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED if it is larger than a ticket carries.
    pub(crate) fn new(done: &DoneResult) -> Result<Self, Status> {
        let stream = write_stream(done).map_err(|error| status::internal("writing a result", &error))?;
        if stream.len() > LARGEST_PARKED {
            return Err(Status::resource_exhausted(format!(
                "the statement ran, and its result of {} bytes is larger than the {LARGEST_PARKED} bytes that such a result may have",
                stream.len()
            )));
        }
        Ok(Self {
            query_id: done.query_id.clone(),
            stream: ciborium::Value::Bytes(stream),
        })
    }

    /// Unpacks the result.
    pub(crate) fn open(self) -> Result<DoneResult, Status> {
        let stream = self
            .stream
            .into_bytes()
            .map_err(|_| Status::internal("a sealed result is not bytes"))?;
        let (schema, batches) = read_stream(&stream).map_err(|error| status::internal("reading a result", &error))?;
        Ok(DoneResult {
            affected: None,
            query_id: self.query_id,
            schema,
            batches,
        })
    }
}

impl PreparedHandle {
    /// For a statement prepared by `principal` in `session`.
    pub(crate) fn new(sql: String, principal: &Principal, session: &SessionId) -> Self {
        Self {
            sql,
            principal: principal.to_string(),
            session: session.to_string(),
            parameters: None,
        }
    }

    /// With rows bound, or none.
    pub(crate) fn bound(self, rows: Option<&Bytes>) -> Self {
        Self {
            parameters: rows.map(|rows| ciborium::Value::Bytes(rows.to_vec())),
            ..self
        }
    }

    /// The rows that are bound.
    pub(crate) fn parameters(&self) -> Option<&[u8]> {
        self.parameters.as_ref()?.as_bytes().map(Vec::as_slice)
    }

    /// The session it was prepared in: for a caller that names none.
    pub(crate) fn session(&self) -> SessionId {
        SessionId(self.session.as_str().into())
    }

    /// As a client gets it.
    pub(crate) fn seal(&self, sealer: &Sealer, expires: SystemTime) -> Result<Bytes, Status> {
        seal(sealer, SealKind::Prepared, HANDLE, self, expires)
    }

    /// From a client; only its own principal may use it.
    pub(crate) fn open(sealer: &Sealer, handle: &[u8], principal: &Principal) -> Result<Self, Status> {
        open_owned(sealer, SealKind::Prepared, HANDLE, handle, principal, |opened: &Self| {
            &opened.principal
        })
    }
}

/// The ticket of an endpoint.
pub(crate) fn seal_ticket(sealer: &Sealer, content: Content, principal: &Principal, expires: SystemTime) -> Result<Ticket, Status> {
    let issued = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    sealed_ticket(sealer, content, principal, issued, expires)
}

/// The same ticket, good for `ttl` from now, and never longer than `most` after it was issued; when it expires.
pub(crate) fn renew_ticket(
    sealer: &Sealer,
    handle: &[u8],
    principal: &Principal,
    ttl: Duration,
    most: Duration,
) -> Result<(Ticket, SystemTime), Status> {
    let opened = open_sealed(sealer, handle, principal)?;
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(opened.issued) + most;
    let expires = (SystemTime::now() + ttl).min(last);
    let ticket = sealed_ticket(sealer, opened.content, principal, opened.issued, expires)?;
    Ok((ticket, expires))
}

fn sealed_ticket(sealer: &Sealer, content: Content, principal: &Principal, issued: u64, expires: SystemTime) -> Result<Ticket, Status> {
    let sealed = Sealed {
        principal: principal.to_string(),
        content,
        issued,
    };
    let ticket = TicketStatementQuery {
        statement_handle: seal(sealer, SealKind::Ticket, TICKET, &sealed, expires)?,
    };
    Ok(Ticket::new(ticket.as_any().encode_to_vec()))
}

/// What a ticket's handle holds; only its own principal may use it.
pub(crate) fn open_ticket(sealer: &Sealer, handle: &[u8], principal: &Principal) -> Result<Content, Status> {
    Ok(open_sealed(sealer, handle, principal)?.content)
}

fn open_sealed(sealer: &Sealer, handle: &[u8], principal: &Principal) -> Result<Sealed, Status> {
    open_owned(sealer, SealKind::Ticket, TICKET, handle, principal, |opened: &Sealed| {
        &opened.principal
    })
}

/// What was sealed for one principal; no other may use it.
pub(crate) fn open_owned<T: DeserializeOwned>(
    sealer: &Sealer,
    kind: SealKind,
    what: &str,
    sealed: &[u8],
    principal: &Principal,
    owner: impl Fn(&T) -> &str,
) -> Result<T, Status> {
    let opened: T = open(sealer, kind, what, sealed)?;
    owned(what, owner(&opened), principal)?;
    Ok(opened)
}

fn owned(what: &str, owner: &str, principal: &Principal) -> Result<(), Status> {
    if owner == &*principal.0 {
        return Ok(());
    }
    Err(Status::permission_denied(format!("the {what} is another principal's")))
}

/// Seals what a client is to bring back.
pub(crate) fn seal<T: Serialize>(sealer: &Sealer, kind: SealKind, what: &str, value: &T, expires: SystemTime) -> Result<Bytes, Status> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|error| status::internal(what, &error))?;
    sealer.seal(kind, &bytes, expires).map_err(|error| status::seal(what, error))
}

fn open<T: DeserializeOwned>(sealer: &Sealer, kind: SealKind, what: &str, sealed: &[u8]) -> Result<T, Status> {
    let bytes = sealer.open(kind, sealed).map_err(|error| status::seal(what, error))?;
    // It was sealed here, so only another build of the server can have written something else.
    ciborium::from_reader(bytes.as_slice()).map_err(|error| {
        tracing::warn!(what, %error, "sealed by another build");
        status::seal(what, super::sealing::SealError::Version)
    })
}

fn write_stream(done: &DoneResult) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &done.schema)?;
    for batch in &done.batches {
        writer.write(batch)?;
    }
    writer.into_inner()
}

fn read_stream(stream: &[u8]) -> Result<(SchemaRef, Vec<RecordBatch>), ArrowError> {
    let reader = StreamReader::try_new(stream, None)?;
    let schema = reader.schema();
    Ok((schema, reader.collect::<Result<_, _>>()?))
}
