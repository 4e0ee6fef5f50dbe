//! A statement on its way.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;

use super::api::PinnedTable;
use super::facts::ExecutionFacts;
use super::files::{FilesTable, PinnedFiles};
use super::scratch::Contents;
use super::statement_options::StatementOptions;
use super::table::StreamTable;

/// Which tables a statement can name.
pub(super) enum Tables {
    /// Those of the catalog now, and streams without a definition.
    Current { streams: Vec<PinnedTable>, scratch: Arc<Contents> },
    /// Those of the catalog now, each as its stream alone: a job makes the history of a table, and so does not read it.
    Streams,
    /// One that a sample is read of, whoever wants it: the stream was asked about.
    Sampled(PinnedTable),
    /// Those of a ticket, as they were.
    Pinned {
        tables: Vec<PinnedTable>,
        files: Vec<PinnedFiles>,
        scratch: Arc<Contents>,
        now_ns: i64,
    },
}

impl Tables {
    /// Those of the catalog now.
    pub(super) fn nothing_else() -> Self {
        Self::Current {
            streams: Vec::new(),
            scratch: Arc::default(),
        }
    }
}

/// For whom a statement is planned.
pub(super) struct Asker {
    pub(super) query_id: String,
    pub(super) principal: String,
}

impl Statement {
    /// The tables of the catalog that it names.
    pub(super) fn names(&self) -> Vec<String> {
        let streams = self.named.iter().map(|table| table.name().to_string());
        streams.chain(self.files.iter().map(|table| table.name().to_string())).collect()
    }
}

/// A query on its way from text to physical plan.
pub(super) struct Statement {
    pub(super) state: SessionState,
    pub(super) plan: LogicalPlan,
    /// For how many rows of parameters it is run; if for several, `plan` is a union of a plan for each.
    pub(super) runs: usize,
    pub(super) parameters: SchemaRef,
    pub(super) schema: SchemaRef,
    pub(super) facts: Arc<ExecutionFacts>,
    pub(super) options: StatementOptions,
    pub(super) now_ns: i64,
    /// It reads on forever.
    pub(super) follow: bool,
    /// Streams that the optimized plan scans.
    pub(super) tables: Vec<StreamTable>,
    /// Streams that the statement names.
    pub(super) named: Vec<StreamTable>,
    /// Tables over files that it names.
    pub(super) files: Vec<FilesTable>,
    /// Scratch tables and views that it depends on.
    pub(super) scratch: Contents,
}
