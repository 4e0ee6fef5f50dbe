//! The engine as the protocol sees it: with the server's defaults, and counted.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::stream::{BoxStream, Stream};

use crate::engine::{
    CancelOutcome, Ending, Engine, EngineError, ErrorCategory, Execution, FetchProgress, IngestRequest, OptionValue, OptionValues, Planned,
    Prepared, Principal, QueryPart, Session, SqlWords, StatementRequest, TableEntry,
};
use crate::http::{Metrics, Outcome};
use crate::service::Backend;

/// Statements that could not be begun.
const QUERY: &str = "query";
/// SET, SHOW and their like.
const SESSION: &str = "session";
/// INSERT.
const INSERT: &str = "insert";
/// Rows that clients send.
const INGEST: &str = "ingest";
/// Statements that were refused or could not be planned, whatever they would have been.
const UNPLANNED: &str = "unplanned";

/// An engine that is served.
#[derive(Debug)]
pub(super) struct ServedEngine {
    engine: Arc<Engine>,
    metrics: Arc<Metrics>,
    max_bytes: (&'static str, OptionValue),
}

impl ServedEngine {
    /// `max_bytes` is for statements that say nothing of it.
    pub(super) const fn new(engine: Arc<Engine>, metrics: Arc<Metrics>, max_bytes: (&'static str, OptionValue)) -> Self {
        Self {
            engine,
            metrics,
            max_bytes,
        }
    }
}

#[async_trait]
impl Backend for ServedEngine {
    async fn plan(&self, session: &Session, mut request: StatementRequest) -> Result<Planned, EngineError> {
        let started = Instant::now();
        let (name, value) = &self.max_bytes;
        if request.overrides.get(name).is_none() && session.options().get(name).is_none() {
            request.overrides.insert(name, value.clone());
        }
        let planned = self.engine.plan(session, request).await;
        let seconds = || started.elapsed().as_secs_f64();
        match &planned {
            Ok(Planned::Done(done)) => {
                let rows = done.batches.iter().map(|batch| batch.num_rows() as u64).sum();
                let (kind, rows) = done.affected.map_or((SESSION, rows), |affected| (INSERT, affected));
                self.metrics.statement(kind, seconds(), rows, Outcome::Ok);
            }
            // Counted when it has run.
            Ok(Planned::Query(_)) => {}
            Err(error) => self.metrics.statement(UNPLANNED, seconds(), 0, outcome(error)),
        }
        planned
    }

    async fn prepare(
        &self,
        session: &Session,
        sql: &str,
        overrides: &OptionValues,
        values: Option<RecordBatch>,
    ) -> Result<Prepared, EngineError> {
        self.engine.prepare(session, sql, overrides, values).await
    }

    async fn execute(&self, part: QueryPart) -> Result<Execution, EngineError> {
        // A statement of several endpoints is one statement: its first endpoint stands for it, the others add their rows.
        let first = part.part == 0;
        let started = Instant::now();
        let execution = self.engine.execute(part).await.inspect_err(|error| {
            if first {
                self.metrics.statement(QUERY, started.elapsed().as_secs_f64(), 0, outcome(error));
            }
        })?;
        let counted = Counted {
            kind: execution.facts.kind(),
            batches: execution.batches,
            metrics: Arc::clone(&self.metrics),
            first,
            started,
            rows: 0,
            ended: None,
        };
        Ok(Execution {
            batches: Box::pin(counted),
            ..execution
        })
    }

    async fn ingest(&self, session: &Session, request: IngestRequest) -> Result<u64, EngineError> {
        let started = Instant::now();
        let ingested = self.engine.ingest(session, request).await;
        let (rows, ended) = match &ingested {
            Ok(rows) => (*rows, Outcome::Ok),
            Err(error) => (0, outcome(error)),
        };
        self.metrics.statement(INGEST, started.elapsed().as_secs_f64(), rows, ended);
        ingested
    }

    fn begin_transaction(&self, session: &Session) -> Result<Arc<str>, EngineError> {
        self.engine.begin_transaction(session)
    }

    async fn end_transaction(&self, session: &Session, id: &str, ending: Ending) -> Result<(), EngineError> {
        self.engine.end_transaction(session, id, ending).await
    }

    async fn fetch_ahead(&self, parts: &[QueryPart]) -> Result<FetchProgress, EngineError> {
        self.engine.fetch_ahead(parts).await
    }

    fn cancel(&self, principal: &Principal, query_id: &str) -> CancelOutcome {
        self.engine.cancel_query(&principal.0, query_id)
    }

    fn tables(&self, principal: &Principal, session: Option<&Session>) -> Vec<TableEntry> {
        self.engine.tables(principal, session)
    }

    fn words(&self) -> SqlWords {
        self.engine.words()
    }
}

fn outcome(error: &EngineError) -> Outcome {
    if error.category() == ErrorCategory::Cancelled {
        Outcome::Cancelled
    } else {
        Outcome::Error
    }
}

/// Counts rows as they pass, and the statement when its stream is dropped.
struct Counted {
    batches: BoxStream<'static, Result<RecordBatch, EngineError>>,
    metrics: Arc<Metrics>,
    kind: &'static str,
    first: bool,
    started: Instant,
    rows: u64,
    ended: Option<Outcome>,
}

impl Stream for Counted {
    type Item = Result<RecordBatch, EngineError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.batches.as_mut().poll_next(context));
        match &next {
            Some(Ok(batch)) => self.rows += batch.num_rows() as u64,
            Some(Err(error)) => self.ended = Some(outcome(error)),
            None => {
                self.ended.get_or_insert(Outcome::Ok);
            }
        }
        Poll::Ready(next)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.first {
            self.metrics.statement(
                self.kind,
                self.started.elapsed().as_secs_f64(),
                self.rows,
                self.ended.unwrap_or(Outcome::Cancelled),
            );
        } else {
            self.metrics.rows(self.kind, self.rows);
        }
    }
}
