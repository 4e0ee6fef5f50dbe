//! Flight SQL: commands <-> engine calls.
//!
//! ```text
//! GetFlightInfo(statement)      session -> Backend::plan -> one endpoint for each part, each with its sealed ticket
//! PollFlightInfo                as GetFlightInfo, and Backend::fetch_ahead -> how far what it reads is fetched
//! DoGet(ticket)                 opened -> Backend::execute -> schema, rows, last message with what was read
//! CreatePreparedStatement       Backend::prepare -> a handle that holds the statement, sealed; the server keeps nothing
//! GetCatalogs, GetTables, ...   Backend::tables -> rows; the command is its own ticket
//! SetSessionOptions, ...        the caller's session
//! DoPut(prepared statement)     rows of parameters -> a handle that holds them, too
//! ListFlights, paths            Backend::tables; a path is `SELECT *` of its table
//! CancelFlightInfo, ...         Backend::cancel
//! BeginTransaction, ...         Backend::begin_transaction, end_transaction: a transaction is the session's
//! ```
//!
//! # What a client can hold
//! Tickets, prepared handles and session tokens are sealed ([`Sealer`]): they cannot be read, changed or made by anybody without the key
//! file. A ticket holds everything that its rows depend on, so any connection may use it, it outlives a restart of the server, and until it
//! expires it gives the same rows. A ticket or handle that another principal shows is refused.
//!
//! # What is not here
//! Savepoints, Substrait, DoExchange: UNIMPLEMENTED with a sentence. A server that is not told to ask who callers are
//! ([`Authentication`]) takes every one for the anonymous principal, and accepts Basic credentials unread.

mod actions;
mod among_nodes;
mod authentication;
mod backend;
mod caller;
mod column_metadata;
mod connection;
mod flight;
mod flights;
mod health;
mod ingest;
mod metadata;
mod parameters;
mod paths;
mod poll;
mod reflection;
mod relay;
mod reply;
mod sealing;
mod server;
mod sessions;
mod sql_info;
mod statements;
mod status;
mod stream;
mod ticket;
mod tls;
mod wire;
mod xdbc;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

pub use authentication::{
    Authentication, AuthenticationError, AuthenticationSettings, OidcError, OidcSettings, PasswordError, hash_password, token_digest,
};
pub use backend::Backend;
pub use flight::FlightService;
pub use sealing::{SealError, SealKind, Sealer};
pub use server::{ServeError, serve};
pub use tls::{Tls, TlsError, TlsFiles};

use crate::cluster::Cluster;
use crate::engine::{Access, AuditLog};

/// A prepared handle holds nothing but its statement, and pools keep them for long: this only bounds what an old key can still open.
const PREPARED_LIFETIME: Duration = Duration::from_secs(365 * 86_400);

/// How the service behaves.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// How long a ticket is good for.
    pub ticket_ttl: Duration,
    /// A DoGet stream that was silent for so long carries an empty batch.
    pub keep_alive: Duration,
    /// A session without open connection ends so long after its last use.
    pub session_idle: Duration,
    /// Sessions at once; beyond, calls that need a new one are UNAVAILABLE.
    pub max_sessions: usize,
    /// Asks who callers are.
    pub authentication: Arc<Authentication>,
    /// Certificates; without them connections are bare.
    pub tls: Option<Arc<Tls>>,
    /// How many sessions a principal may have.
    pub access: Arc<Access>,
    /// Where sessions are taken down.
    pub audit: Arc<AuditLog>,
    /// The nodes that this server is one of.
    pub cluster: Option<Arc<Cluster>>,
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self {
            ticket_ttl: Duration::from_secs(3600),
            keep_alive: Duration::from_secs(10),
            session_idle: Duration::from_secs(1800),
            max_sessions: 10_000,
            authentication: Authentication::nobody(),
            tls: None,
            access: Arc::new(Access::everything()),
            audit: AuditLog::off(),
            cluster: None,
        }
    }
}
