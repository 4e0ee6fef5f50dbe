//! What the engine takes and gives. Plain data: a protocol carries it, a test builds it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use catalog::{KinesisOverrides, TableDefinition, TableName};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use shard_reader::{ShardSource, Snapshot};
use tokio::time::Instant;

use super::consume::Consumption;
use super::error::EngineError;
use super::facts::ExecutionFacts;
use super::files::PinnedFiles;
use super::history::PinnedHistory;
use super::options::OptionValues;
use super::scratch::PinnedScratch;

/// A statement as it arrives.
#[derive(Debug, Clone)]
pub struct StatementRequest {
    /// SQL text; a hint may stand at its head.
    pub sql: String,
    /// Options from the request's headers: over the session's, under the hint's.
    pub overrides: OptionValues,
    /// Whether this client reads several endpoints.
    pub per_shard: bool,
    /// The transaction that the client says it is in.
    pub transaction: Option<String>,
    /// Values of its placeholders: column i is `$i+1`, or the i-th `?`. Of several rows the results come one after the other.
    pub parameters: Option<RecordBatch>,
    /// When the request arrived: records acknowledged before are in the answer.
    pub arrived: Instant,
}

impl StatementRequest {
    /// A statement that arrives now, without options, values or a transaction, from a client that reads one endpoint.
    pub fn new(sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            overrides: OptionValues::default(),
            per_shard: false,
            transaction: None,
            parameters: None,
            arrived: Instant::now(),
        }
    }
}

/// What a statement became.
#[derive(Debug)]
pub enum Planned {
    /// Rows to fetch.
    Query(PlannedQuery),
    /// A statement that ran, with its small result.
    Done(DoneResult),
}

/// A query, planned against a snapshot.
#[derive(Debug)]
pub struct PlannedQuery {
    /// Its id.
    pub query_id: String,
    /// Schema of the rows, to the bit.
    pub schema: SchemaRef,
    /// One for each endpoint; never empty. The union of the parts' rows is the answer.
    pub parts: Vec<QueryPart>,
    /// The snapshot, for people: `{query_id, shards: [{shard, from, to, …}]}`.
    pub facts: serde_json::Value,
}

/// The result of a statement that ran when it was planned.
#[derive(Debug)]
pub struct DoneResult {
    /// Its id.
    pub query_id: String,
    /// Schema of the rows.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: Vec<RecordBatch>,
    /// Rows that it changed, if it is a statement that changes rows.
    pub affected: Option<u64>,
}

/// All that the rows of one endpoint depend on. Opaque to the protocol, which seals it into a ticket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryPart {
    /// Id of the query.
    pub query_id: String,
    /// The statement, with its hint.
    pub sql: String,
    /// Options of session and headers.
    pub options: OptionValues,
    /// What `now()` is, ns since the epoch.
    pub now_ns: i64,
    /// The tables it reads, with what they were when it was planned.
    pub tables: Vec<PinnedTable>,
    /// The tables over files that it reads, with what was there when it was planned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PinnedFiles>,
    /// Which endpoint of how many; counted from 0.
    pub part: u32,
    /// How many there are.
    pub parts: u32,
    /// Who asked.
    pub principal: String,
    /// What it consumes.
    #[serde(default)]
    pub consumption: Option<Consumption>,
    /// Values of its placeholders, as an Arrow IPC stream.
    #[serde(default)]
    pub parameters: Option<ByteBuf>,
    /// Scratch tables and views that it reads.
    #[serde(default)]
    pub scratch: PinnedScratch,
}

/// A table of a statement, as it was when the statement was planned.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedTable {
    /// Its name.
    pub name: TableName,
    /// Its definition.
    pub definition: Arc<TableDefinition>,
    /// What is read of its stream; `None` if the plan turned out not to read it.
    pub snapshot: Option<Snapshot>,
    /// What lies in a lake of it, if the stream is not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<PinnedHistory>,
}

/// A statement that was checked and typed, not run.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Schema of its rows; `None` if it gives none.
    pub schema: Option<SchemaRef>,
    /// Whether it changes something.
    pub is_update: bool,
    /// Its parameters: `$1` and so on, of type `Null` where nothing tells.
    pub parameters: SchemaRef,
}

/// Rows on their way.
pub struct Execution {
    /// Schema of every batch.
    pub schema: SchemaRef,
    /// The batches; after an error nothing follows.
    pub batches: BoxStream<'static, Result<RecordBatch, EngineError>>,
    /// What was read; complete once `batches` has ended.
    pub facts: Arc<ExecutionFacts>,
    /// It reads on until it is ended: by its LIMIT, its client, an error or the server's end.
    pub endless: bool,
}

impl fmt::Debug for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Execution").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// Kind of a table, for metadata calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// A stream or files with a definition.
    BaseTable,
    /// A table about the server.
    SystemTable,
    /// A table in memory.
    ScratchTable,
    /// A query with a name.
    View,
}

/// A table, for metadata calls.
#[derive(Debug, Clone)]
pub struct TableEntry {
    /// Schema name.
    pub schema: String,
    /// Table name.
    pub name: String,
    /// Kind.
    pub kind: TableKind,
    /// Visible columns.
    pub arrow_schema: SchemaRef,
    /// Comment on the table.
    pub comment: Option<String>,
}

/// Where sources come from: one for each distinct set of AWS settings.
#[async_trait]
pub trait SourceProvider: fmt::Debug + Send + Sync {
    /// The source for a table, with a key that is equal for equal settings.
    async fn source(&self, overrides: Option<&KinesisOverrides>) -> Result<(String, Arc<dyn ShardSource>), EngineError>;
}
