//! The histories of a statement's tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::TableName;

use super::super::error::EngineError;
use super::super::plan::Engine;
use super::super::statement_options::StatementOptions;
use super::model::{History, PinnedHistory};

/// A history that a statement needs.
#[derive(Debug, Clone)]
pub(in super::super) struct WantedHistory {
    /// Of this table.
    pub(in super::super) table: TableName,
    /// The job that its definition names.
    pub(in super::super) offload: String,
    /// What its ticket says; `None`: as it is now.
    pub(in super::super) pinned: Option<PinnedHistory>,
}

impl Engine {
    /// Finds what jobs have published.
    ///
    /// # Errors
    /// If a job is unknown, has published nothing, or is no history of its table; and if the statement reads what has no history.
    pub(in super::super) async fn histories(
        &self,
        wanted: Vec<WantedHistory>,
        options: &StatementOptions,
        follow: bool,
    ) -> Result<BTreeMap<TableName, Arc<History>>, EngineError> {
        let mut found = BTreeMap::new();
        for WantedHistory { table, offload, pinned } in wanted {
            if follow {
                return Err(EngineError::NotSupported(format!(
                    "table {table} has a history, offload `{offload}`, and FOLLOW is for streams: follow another table over the stream, without `history`"
                )));
            }
            if options.start.is_some() {
                return Err(EngineError::Invalid(format!(
                    "table {table} has a history, offload `{offload}`: it is read from where that begins, and option `start` is not for it; RESET kinesis.start, and filter by _message_timestamp"
                )));
            }
            let offloads = self.offloads.get().ok_or_else(|| {
                EngineError::NotSupported(format!(
                    "table {table} has a history, offload `{offload}`, and this process keeps no offload jobs: a server does"
                ))
            })?;
            let name = pinned.as_ref().map_or(offload.as_str(), |pinned| pinned.offload.as_str());
            let history = offloads.history(name, &table, pinned.as_ref()).await?;
            found.insert(table, Arc::new(history));
        }
        Ok(found)
    }
}
