//! What a job has published, to be read as the history of a table.

use std::collections::BTreeSet;
use std::sync::Arc;

use catalog::BadRecords;
use datafusion::catalog::TableProvider;
use lake::Mark;
use serde::{Deserialize, Serialize};
use shard_reader::Snapshot;
use tokio::time::Instant;

use super::super::consume::rows_behind;
use super::super::error::EngineError;
use super::super::statement_options::{KplDedup, StatementOptions};
use super::super::table::StreamTable;

/// Which history a statement reads: all that a ticket carries of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedHistory {
    /// Name of the job.
    pub offload: String,
    /// Tells the job from another one that had the name before.
    pub id: String,
    /// Version of its table.
    pub version: u64,
}

/// What decides which rows a job takes from its table, and what is in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryTerms {
    /// Columns of its rows that are the table's own, by name.
    pub columns: BTreeSet<String>,
    /// What a bad record does.
    pub bad_records: BadRecords,
    /// Whether aggregates of the KPL are taken apart.
    pub kpl_aggregation: bool,
    /// What happens to aggregates of other shards.
    pub kpl_dedup: KplDedup,
}

/// What a job has published up to a version.
#[derive(Debug, Clone)]
pub struct History {
    /// Which.
    pub pinned: PinnedHistory,
    /// Up to where of each shard.
    pub mark: Mark,
    /// What its rows are.
    pub terms: HistoryTerms,
    /// The rows.
    pub rows: Arc<dyn TableProvider>,
}

impl History {
    /// What the stream has behind it now.
    ///
    /// # Errors
    /// FAILED_PRECONDITION if the stream is another one, or records behind it have expired.
    pub(in super::super) async fn behind(
        &self,
        table: &StreamTable,
        options: &StatementOptions,
        arrived: Instant,
    ) -> Result<Snapshot, EngineError> {
        let (name, offload) = (table.name(), &self.pinned.offload);
        let reader = table.reader().await?;
        let other = self.mark.created_ms.is_some_and(|created| created != reader.identity().created_ms);
        if other || self.mark.stream != reader.arn() {
            return Err(EngineError::FailedPrecondition(format!(
                "table {name}: its history, offload `{offload}`, is of stream {}{}, and the table is over {}",
                self.mark.stream,
                if other { " as it was before it was created anew" } else { "" },
                reader.arn()
            )));
        }
        rows_behind(
            reader,
            format!("table {name}, behind offload `{offload}`"),
            &self.mark.ends,
            options,
            arrived,
        )
        .await
    }

    /// Refuses a statement that would make other rows of the same records than the job did.
    pub(super) fn check_terms(&self, table: &StreamTable, options: &StatementOptions) -> Result<(), EngineError> {
        let terms = &self.terms;
        let differs = if terms.bad_records != table.bad_records() {
            "bad_records"
        } else if terms.kpl_aggregation != options.kpl_aggregation {
            "kpl_aggregation"
        } else if terms.kpl_dedup != options.kpl_dedup {
            "kpl_dedup"
        } else {
            return Ok(());
        };
        Err(EngineError::FailedPrecondition(format!(
            "table {}: option `{differs}` of the statement is not what offload `{}` wrote the table's history with: both must be the same",
            table.name(),
            self.pinned.offload
        )))
    }
}
