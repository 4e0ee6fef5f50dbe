//! What the protocol needs of an engine.
//!
//! The trait inverts a dependency: protocol tests run on a scripted backend, over real sockets.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;

use crate::engine::{
    CancelOutcome, Ending, Engine, EngineError, Execution, FetchProgress, IngestRequest, OptionValues, Planned, Prepared, Principal,
    QueryPart, Session, SqlWords, StatementRequest, TableEntry,
};

/// An engine, as the protocol sees it.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// Plans a statement; session statements run here, once.
    async fn plan(&self, session: &Session, request: StatementRequest) -> Result<Planned, EngineError>;

    /// Checks and types a statement without running anything of it.
    async fn prepare(
        &self,
        session: &Session,
        sql: &str,
        overrides: &OptionValues,
        values: Option<RecordBatch>,
    ) -> Result<Prepared, EngineError>;

    /// Runs what a ticket carried.
    async fn execute(&self, part: QueryPart) -> Result<Execution, EngineError>;

    /// Writes rows that a client sends: how many were acknowledged.
    async fn ingest(&self, session: &Session, request: IngestRequest) -> Result<u64, EngineError>;

    /// Begins a transaction for the session: its id.
    fn begin_transaction(&self, session: &Session) -> Result<Arc<str>, EngineError>;

    /// Ends the session's transaction of that id.
    async fn end_transaction(&self, session: &Session, id: &str, ending: Ending) -> Result<(), EngineError>;

    /// Fetches ahead what a statement reads, while its client polls.
    async fn fetch_ahead(&self, parts: &[QueryPart]) -> Result<FetchProgress, EngineError>;

    /// Cancels what runs of a statement, if it is the principal's to cancel.
    fn cancel(&self, principal: &Principal, query_id: &str) -> CancelOutcome;

    /// The tables that a principal may read, for metadata calls, sorted by schema and name.
    fn tables(&self, principal: &Principal, session: Option<&Session>) -> Vec<TableEntry>;

    /// Keywords and functions.
    fn words(&self) -> SqlWords;
}

#[async_trait]
impl Backend for Engine {
    async fn plan(&self, session: &Session, request: StatementRequest) -> Result<Planned, EngineError> {
        Self::plan(self, session, request).await
    }

    async fn prepare(
        &self,
        session: &Session,
        sql: &str,
        overrides: &OptionValues,
        values: Option<RecordBatch>,
    ) -> Result<Prepared, EngineError> {
        Self::prepare(self, session, sql, overrides, values).await
    }

    async fn execute(&self, part: QueryPart) -> Result<Execution, EngineError> {
        Self::execute(self, part).await
    }

    async fn ingest(&self, session: &Session, request: IngestRequest) -> Result<u64, EngineError> {
        Self::ingest(self, session, request).await
    }

    fn begin_transaction(&self, session: &Session) -> Result<Arc<str>, EngineError> {
        Self::begin_transaction(self, session)
    }

    async fn end_transaction(&self, session: &Session, id: &str, ending: Ending) -> Result<(), EngineError> {
        Self::end_transaction(self, session, id, ending).await
    }

    async fn fetch_ahead(&self, parts: &[QueryPart]) -> Result<FetchProgress, EngineError> {
        Self::fetch_ahead(self, parts).await
    }

    fn cancel(&self, principal: &Principal, query_id: &str) -> CancelOutcome {
        self.cancel_query(&principal.0, query_id)
    }

    fn tables(&self, principal: &Principal, session: Option<&Session>) -> Vec<TableEntry> {
        Self::tables(self, principal, session)
    }

    fn words(&self) -> SqlWords {
        Self::words(self)
    }
}
