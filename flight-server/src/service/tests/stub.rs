//! A backend that does what the statement says.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::array::{ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use shard_reader::StatementMeter;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::engine::{
    CancelOutcome, DoneResult, Ending, EngineError, ErrorCategory, Execution, ExecutionFacts, FetchProgress, IngestRequest, OnLimit,
    OptionValue, OptionValues, Planned, PlannedQuery, Prepared, Principal, QueryPart, Session, SqlWords, StatementRequest, TableEntry,
    TableKind,
};
use crate::service::Backend;

/// The id of its transactions.
pub(super) const TRANSACTION: &str = "transaction 1";

/// How many shards its stream has.
pub(super) const SHARDS: u32 = 4;

/// A statement as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) session: String,
    pub(super) principal: String,
    pub(super) overrides: OptionValues,
    pub(super) per_shard: bool,
    pub(super) transaction: Option<String>,
    pub(super) parameters: Option<RecordBatch>,
}

#[derive(Debug, Default)]
pub(super) struct Stub {
    pub(super) seen: Mutex<Vec<Seen>>,
    /// Transactions that were ended, and how.
    pub(super) ended: Mutex<Vec<(String, Ending)>>,
    /// What was to be ingested.
    pub(super) ingests: Mutex<Vec<String>>,
    /// Times that progress was asked for.
    pub(super) polls: Mutex<u32>,
    /// Ends streams without an end.
    pub(super) running: Mutex<Vec<CancellationToken>>,
    /// Planning was dropped before its end.
    pub(super) unplanned: Arc<Notify>,
    /// A stream of rows was dropped before its end.
    pub(super) dropped: Arc<Notify>,
}

/// Signals when it is dropped unfinished.
struct Watched {
    rows: BoxStream<'static, Result<RecordBatch, EngineError>>,
    dropped: Option<Arc<Notify>>,
}

impl Stream for Watched {
    type Item = Result<RecordBatch, EngineError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.rows.poll_next_unpin(cx);
        if let Poll::Ready(None) = next {
            self.dropped = None;
        }
        next
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(dropped) = &self.dropped {
            dropped.notify_one();
        }
    }
}

pub(super) fn numbers_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]))
}

fn numbers(values: Vec<i64>) -> RecordBatch {
    RecordBatch::try_new(numbers_schema(), vec![Arc::new(Int64Array::from(values))]).unwrap()
}

/// The rows of a shard: three numbers.
fn shard(shard: u32) -> Vec<i64> {
    let first = i64::from(shard) * 10;
    vec![first, first + 1, first + 2]
}

fn words() -> RecordBatch {
    let words: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
    RecordBatch::try_from_iter_with_nullable([("w", Arc::new(words) as ArrayRef, true)]).unwrap()
}

fn text(value: &str) -> RecordBatch {
    let column = Arc::new(StringArray::from(vec![value])) as ArrayRef;
    RecordBatch::try_from_iter_with_nullable([("value", column, true)]).unwrap()
}

fn schema(sql: &str) -> SchemaRef {
    match sql {
        "words" => words().schema(),
        _ => numbers_schema(),
    }
}

fn refuse(sql: &str) -> Result<(), EngineError> {
    match sql {
        "bad" => Err(EngineError::Invalid("line 1, column 1: bad".into())),
        "missing" => Err(EngineError::NotFound("there is no table `missing`".into())),
        "insert" => Err(EngineError::NotSupported("this version does not write".into())),
        "down" => Err(EngineError::Query {
            category: ErrorCategory::Unavailable,
            message: "Kinesis cannot be reached".into(),
        }),
        _ => Ok(()),
    }
}

fn done(batch: &RecordBatch) -> Planned {
    Planned::Done(DoneResult {
        affected: None,
        query_id: "done".into(),
        schema: batch.schema(),
        batches: vec![batch.clone()],
    })
}

#[async_trait]
impl Backend for Stub {
    async fn plan(&self, session: &Session, request: StatementRequest) -> Result<Planned, EngineError> {
        self.seen.lock().push(Seen {
            session: session.id().to_string(),
            principal: session.principal().to_string(),
            overrides: request.overrides.clone(),
            transaction: request.transaction.clone(),
            per_shard: request.per_shard,
            parameters: request.parameters.clone(),
        });
        let sql = request.sql;
        refuse(&sql)?;
        if sql == "never planned" {
            let _dropped = Watched {
                rows: stream::empty().boxed(),
                dropped: Some(Arc::clone(&self.unplanned)),
            };
            std::future::pending::<()>().await;
        }
        let words: Vec<&str> = sql.split(' ').collect();
        match words.as_slice() {
            ["set", name, value] => {
                session.set_option(name, Some(&OptionValue::Text((*value).to_owned())))?;
                return Ok(Planned::Done(DoneResult {
                    affected: None,
                    query_id: "set".into(),
                    schema: Arc::new(Schema::empty()),
                    batches: vec![],
                }));
            }
            ["show", name] => {
                let value = session.options().get(name).map(OptionValue::to_text);
                return Ok(done(&text(&value.unwrap_or_default())));
            }
            ["panic", "when", "planned"] => panic!("as the statement says"),
            ["long", bytes] => return Ok(done(&text(&"x".repeat(bytes.parse().unwrap())))),
            _ => {}
        }
        let parts = if request.per_shard { SHARDS } else { 1 };
        let parts: Vec<QueryPart> = (0..parts)
            .map(|part| QueryPart {
                query_id: "query".into(),
                sql: sql.clone(),
                options: request.overrides.clone(),
                now_ns: 0,
                tables: vec![],
                files: vec![],
                part,
                parts,
                principal: String::new(),
                consumption: None,
                parameters: None,
                scratch: Default::default(),
            })
            .collect();
        Ok(Planned::Query(PlannedQuery {
            query_id: "query".into(),
            schema: schema(&sql),
            parts,
            facts: serde_json::json!({"query_id": "query", "shards": []}),
        }))
    }

    async fn prepare(&self, _: &Session, sql: &str, _: &OptionValues, _: Option<RecordBatch>) -> Result<Prepared, EngineError> {
        refuse(sql)?;
        let is_update = sql.starts_with("set ");
        Ok(Prepared {
            schema: (!is_update).then(|| if sql.starts_with("show ") { text("").schema() } else { schema(sql) }),
            is_update,
            parameters: match sql {
                "wants" => Arc::new(Schema::new(vec![
                    Field::new("$1", DataType::Int64, true),
                    Field::new("$2", DataType::Null, true),
                ])),
                _ => Arc::new(Schema::empty()),
            },
        })
    }

    async fn execute(&self, part: QueryPart) -> Result<Execution, EngineError> {
        let failed = EngineError::Query {
            category: ErrorCategory::DataLoss,
            message: "records are gone".into(),
        };
        let one = Ok(numbers(vec![1]));
        let rows: BoxStream<'static, Result<RecordBatch, EngineError>> = match part.sql.as_str() {
            "none" => stream::empty().boxed(),
            "panic" => stream::iter([one])
                .chain(stream::once(async { panic!("as the statement says") }))
                .boxed(),
            "words" => stream::iter([Ok(words())]).boxed(),
            "endless" | "follow" => {
                let token = CancellationToken::new();
                self.running.lock().push(token.clone());
                let cancelled = async move {
                    token.cancelled().await;
                    Err(EngineError::Cancelled)
                };
                stream::iter([one]).chain(stream::once(cancelled)).boxed()
            }
            "fails" => stream::iter([one, Err(failed)]).boxed(),
            "fails at once" => return Err(failed),
            _ if part.parts == 1 => stream::iter((0..SHARDS).map(|index| Ok(numbers(shard(index))))).boxed(),
            _ => stream::iter([Ok(numbers(shard(part.part)))]).boxed(),
        };
        Ok(Execution {
            schema: schema(&part.sql),
            batches: Watched {
                rows,
                dropped: Some(Arc::clone(&self.dropped)),
            }
            .boxed(),
            facts: ExecutionFacts::new(
                format!("{} part {}", part.query_id, part.part),
                StatementMeter::new(u64::MAX, None),
                OnLimit::Fail,
            ),
            endless: part.sql == "follow",
        })
    }

    async fn ingest(&self, _: &Session, request: IngestRequest) -> Result<u64, EngineError> {
        let (missing, exists) = (request.if_missing, request.if_exists);
        let key = request.overrides.get("partition_key").map(OptionValue::to_text);
        let names: Vec<&str> = request.columns.fields().iter().map(|field| field.name().as_str()).collect();
        let said = format!(
            "{:?}.{:?}.{} {missing:?} {exists:?} {} {key:?} {names:?}",
            request.catalog, request.schema, request.table, request.temporary
        );
        self.ingests.lock().push(said);
        let batches: Vec<RecordBatch> = request.batches.try_collect().await?;
        Ok(batches.iter().map(|batch| batch.num_rows() as u64).sum())
    }

    fn begin_transaction(&self, _: &Session) -> Result<Arc<str>, EngineError> {
        Ok(TRANSACTION.into())
    }

    async fn end_transaction(&self, session: &Session, id: &str, ending: Ending) -> Result<(), EngineError> {
        if id != TRANSACTION {
            return Err(EngineError::FailedPrecondition("the transaction is closed".into()));
        }
        self.ended.lock().push((session.id().to_string(), ending));
        Ok(())
    }

    async fn fetch_ahead(&self, parts: &[QueryPart]) -> Result<FetchProgress, EngineError> {
        let done = {
            let mut polls = self.polls.lock();
            *polls += 1;
            !parts[0].sql.starts_with("slow") || *polls > 2
        };
        Ok(FetchProgress {
            done,
            progress: Some(if done { 1.0 } else { 0.5 }),
            lease: Duration::from_secs(30),
        })
    }

    fn cancel(&self, _: &Principal, _: &str) -> CancelOutcome {
        let running = std::mem::take(&mut *self.running.lock());
        for token in &running {
            token.cancel();
        }
        if running.is_empty() && *self.polls.lock() == 0 {
            CancelOutcome::NotRunning
        } else {
            CancelOutcome::Cancelled
        }
    }

    fn words(&self) -> SqlWords {
        SqlWords::default()
    }

    fn tables(&self, _: &Principal, _: Option<&Session>) -> Vec<TableEntry> {
        let table = |schema: &str, name: &str, kind, arrow_schema| TableEntry {
            schema: schema.into(),
            name: name.into(),
            kind,
            arrow_schema,
            comment: None,
        };
        vec![
            table("default", "numbers", TableKind::BaseTable, numbers_schema()),
            table("default", "words", TableKind::BaseTable, words().schema()),
            table("system", "streams", TableKind::SystemTable, numbers_schema()),
        ]
    }
}
