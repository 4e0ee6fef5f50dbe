//! Runs what a ticket carried.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::physical_plan::execute_stream;
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use serde_json::json;
use shard_reader::{Position, ReadError, ShardPin, StatementMeter};

use super::api::{Execution, QueryPart};
use super::error::EngineError;
use super::plan::{Engine, Tables};
use super::result::fit;
use super::sql::parse;

/// What an endpoint's rows were read from: for the last message of its stream.
#[derive(Debug)]
pub struct ExecutionFacts {
    query_id: String,
    meter: Arc<StatementMeter>,
    rows: AtomicU64,
    shards: Mutex<BTreeMap<String, ShardFact>>,
}

#[derive(Debug)]
struct ShardFact {
    from: Position,
    to: Position,
    complete: bool,
    reason: String,
}

impl Default for ExecutionFacts {
    /// Facts of a statement that read nothing.
    fn default() -> Self {
        Self {
            query_id: String::new(),
            meter: StatementMeter::new(u64::MAX, None),
            rows: AtomicU64::new(0),
            shards: Mutex::default(),
        }
    }
}

impl ExecutionFacts {
    pub(crate) fn new(query_id: String, meter: Arc<StatementMeter>) -> Arc<Self> {
        Arc::new(Self {
            query_id,
            meter,
            rows: AtomicU64::new(0),
            shards: Mutex::new(BTreeMap::new()),
        })
    }

    pub(super) fn shard_done(&self, pin: &ShardPin, position: Position) {
        self.shard(pin, position, true, "end of range".into());
    }

    pub(super) fn shard_failed(&self, pin: &ShardPin, position: Position, error: &ReadError) {
        self.shard(pin, position, false, error.to_string());
    }

    fn shard(&self, pin: &ShardPin, to: Position, complete: bool, reason: String) {
        let fact = ShardFact {
            from: pin.range.start,
            to,
            complete,
            reason,
        };
        self.shards.lock().insert(pin.range.shard.to_string(), fact);
    }

    /// Rows handed out so far.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// `{query_id, rows, bytes_cached, bytes_read, shards: [{shard, from, to, complete, reason}]}`; complete once the rows have ended. A shard
    /// that a LIMIT left unread is not in the list.
    pub fn to_json(&self) -> serde_json::Value {
        let shards: Vec<_> = self
            .shards
            .lock()
            .iter()
            .map(
                |(shard, fact)| json!({"shard": shard, "from": fact.from, "to": fact.to, "complete": fact.complete, "reason": fact.reason}),
            )
            .collect();
        json!({
            "query_id": self.query_id,
            "rows": self.rows(),
            "bytes_cached": self.meter.bytes_cached(),
            "bytes_read": self.meter.bytes_read(),
            "shards": shards,
        })
    }
}

impl Engine {
    /// Runs what a ticket carried. Needs no session: the part holds all that its rows depend on.
    pub async fn execute(&self, part: QueryPart) -> Result<Execution, EngineError> {
        let query_id = part.query_id.clone();
        let pinned = Tables::Pinned {
            tables: part.tables,
            now_ns: part.now_ns,
        };
        let statement = self.statement(parse(&part.sql)?, &part.options, pinned, query_id).await?;
        let physical = self.physical(&statement).await?;
        let schema = Arc::clone(&statement.schema);
        let task = statement.state.task_ctx();
        let rows = execute_stream(physical, task)?;
        let facts = Arc::clone(&statement.facts);
        let counted = Arc::clone(&facts);
        let sent = Arc::clone(&schema);
        let batches = rows.map_err(EngineError::from).map(move |batch| {
            let batch = fit(&batch?, &sent)?;
            counted.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
            Ok(batch)
        });
        let deadline = tokio::time::Instant::now() + self.config().query_timeout;
        let seconds = self.config().query_timeout.as_secs();
        Ok(Execution {
            schema,
            batches: until(batches.boxed(), deadline, seconds).boxed(),
            facts,
        })
    }
}

/// The stream, ended by an error once its time is up; after an error nothing follows.
fn until(
    batches: futures::stream::BoxStream<'static, Result<datafusion::arrow::array::RecordBatch, EngineError>>,
    deadline: tokio::time::Instant,
    seconds: u64,
) -> impl futures::Stream<Item = Result<datafusion::arrow::array::RecordBatch, EngineError>> + Send {
    futures::stream::try_unfold(batches, move |mut batches| async move {
        match tokio::time::timeout_at(deadline, batches.next()).await {
            Err(_) => Err(EngineError::Deadline { seconds }),
            Ok(None) => Ok(None),
            Ok(Some(batch)) => Ok(Some((batch?, batches))),
        }
    })
}
