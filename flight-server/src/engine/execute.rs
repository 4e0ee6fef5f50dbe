//! Runs what a ticket carried.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use datafusion::arrow::array::RecordBatch;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use tokio::time::Instant;

use super::api::{Execution, QueryPart};
use super::consume::DeliveredPart;
use super::error::EngineError;
use super::explain::{self, Explained};
use super::facts::ExecutionFacts;
use super::parameters::decoded;
use super::plan::{Asker, Engine, Statement, Tables};
use super::queries::{Arrival, PartGuard};
use super::result::fit;
use super::sql::parse;

pub(super) type Batches = BoxStream<'static, Result<RecordBatch, EngineError>>;

impl Engine {
    /// Runs what a ticket carried. Needs no session: the part holds all that its rows depend on.
    pub async fn execute(&self, part: QueryPart) -> Result<Execution, EngineError> {
        self.execute_judging(part, None).await
    }

    /// As [`Self::execute`]; with `bad`, each record that is read is judged, on this node, and the bad ones are counted there.
    pub(super) async fn execute_judging(&self, part: QueryPart, bad: Option<Arc<AtomicU64>>) -> Result<Execution, EngineError> {
        let id = part.query_id.clone();
        let principal = part.principal.clone();
        let ran = self.run(part, bad).await;
        ran.inspect_err(|error| self.queries().failed(&id, &principal, error))
    }

    async fn run(&self, part: QueryPart, bad: Option<Arc<AtomicU64>>) -> Result<Execution, EngineError> {
        if let Some(consumption) = &part.consumption {
            self.check_consumption(&part.principal, consumption)?;
        }
        let running = self.admit(&part.principal, &part.query_id).await?;
        let delivered = DeliveredPart::of(&part);
        let whole = part.parts == 1 && part.consumption.is_none() && bad.is_none();
        let asker = Asker {
            query_id: part.query_id.clone(),
            principal: part.principal.clone(),
        };
        let scratch = self.pinned_scratch(&part.scratch)?;
        let pinned = Tables::Pinned {
            tables: part.tables,
            files: part.files,
            scratch: Arc::clone(&scratch),
            now_ns: part.now_ns,
        };
        let mut parsed = parse(&part.sql)?.bound(decoded(part.parameters.as_ref())?)?;
        scratch.mentioned(&mut parsed);
        let statement = self.statement(parsed, &part.options, pinned, asker).await?;
        if let Some(bad) = bad {
            statement.facts.judge(bad);
        }
        let physical = self.physical(&statement).await?;
        statement.facts.set_planned();
        let schema = Arc::clone(&statement.schema);
        let facts = Arc::clone(&statement.facts);
        let arrival = || Arrival {
            id: part.query_id.clone(),
            principal: part.principal,
            sql: part.sql,
            kind: facts.kind(),
            parts: part.parts,
            bytes_expected: None,
            tables: statement.names(),
        };
        let follow = statement.follow;
        let guard = self.queries().begin(arrival, &part.query_id, part.part, &facts);
        let rows = self.rows(physical, &statement, whole)?;
        let rows = self.explained(rows, statement, whole);
        let (counted, sent) = (Arc::clone(&facts), Arc::clone(&schema));
        let batches = rows.map(move |batch| {
            let _until_the_stream_is_dropped = &running;
            let batch = fit(&batch?, &sent)?;
            counted.count_rows(batch.num_rows());
            Ok(batch)
        });
        let batches = batches.chain(incomplete(Arc::clone(&facts)));
        let batches = match delivered {
            Some(delivered) => batches.chain(self.delivering(delivered, Arc::clone(&facts))).boxed(),
            None => batches.boxed(),
        };
        let deadline = Instant::now() + self.config().query_timeout;
        let seconds = self.config().query_timeout.as_secs();
        let deadline = (!follow).then_some(deadline);
        let batches = until(batches, guard, deadline, seconds).boxed();
        Ok(Execution {
            schema,
            batches,
            facts,
            endless: follow,
        })
    }

    /// Says, once all rows were taken, that they were. Rows of which the last ones were never asked for are not delivered.
    fn delivering(&self, part: DeliveredPart, facts: Arc<ExecutionFacts>) -> Batches {
        let engine = self.this();
        let said = async move {
            let engine = engine
                .upgrade()
                .ok_or_else(|| EngineError::Unavailable("the server stops".into()))?;
            engine.delivered(&part, &facts).await
        };
        stream::once(said).filter_map(|said| async { said.err().map(Err) }).boxed()
    }

    /// The rows, and if they are a plan, what it reads.
    fn explained(&self, rows: Batches, statement: Statement, whole: bool) -> Batches {
        let facts = Arc::clone(&statement.facts);
        match explain::explained(&statement.plan) {
            None => rows,
            Some(Explained::Plan { plan, json }) => {
                let prices = self.config().prices;
                let distribution = self.distribution_of(&statement, whole).map(Arc::clone);
                let more = async move { explain::snapshot_rows(&statement, &plan, json, &prices, distribution.as_deref()).await };
                rows.chain(stream::once(more)).boxed()
            }
            Some(Explained::Run { json }) => rows.chain(stream::once(async move { explain::read_rows(&facts, json) })).boxed(),
        }
    }
}

/// What was cut short at a limit must never look like success.
fn incomplete(facts: Arc<ExecutionFacts>) -> impl Stream<Item = Result<RecordBatch, EngineError>> + Send {
    stream::once(async move { facts.incomplete() }).filter_map(|error| async { error.map(Err) })
}

/// The stream, ended by an error once its time is up; after an error nothing follows.
fn until(
    batches: Batches,
    guard: PartGuard,
    deadline: Option<Instant>,
    seconds: u64,
) -> impl Stream<Item = Result<RecordBatch, EngineError>> + Send {
    let token = guard.token();
    stream::try_unfold((batches, guard, token), move |(mut batches, mut guard, token)| async move {
        let timely = async {
            match deadline {
                Some(deadline) => tokio::time::timeout_at(deadline, batches.next()).await,
                None => Ok(batches.next().await),
            }
        };
        let next = token.run_until_cancelled(timely).await;
        let error = match next {
            None => EngineError::Cancelled,
            Some(Err(_)) => EngineError::Deadline { seconds },
            Some(Ok(Some(Err(error)))) => error,
            Some(Ok(Some(Ok(batch)))) => return Ok(Some((batch, (batches, guard, token)))),
            Some(Ok(None)) => {
                guard.end(Ok(()));
                return Ok(None);
            }
        };
        guard.end(Err(error.clone()));
        Err(error)
    })
}
