//! Offload jobs, as the engine sees them: statements about them, and what is known of each.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use catalog::TableName;

use super::api::DoneResult;
use super::commands;
use super::error::EngineError;
use super::history::{History, PinnedHistory};
use super::plan::Engine;
use super::sql::OffloadStatement;
use super::statement_options::StatementOptions;

pub use super::sql::CreateOffload;

/// Who makes a job, and what its statement is planned with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobMaker {
    /// The principal.
    pub principal: String,
    /// Schema of the names that have none.
    pub schema: String,
    /// Time zone of SQL functions.
    pub time_zone: Option<String>,
}

/// A job as it stands now. Times are ms since the epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OffloadState {
    /// Its name.
    pub name: String,
    /// The table that it reads; `None` if its file cannot be used.
    pub table: Option<TableName>,
    /// Where it writes.
    pub location: Option<String>,
    /// `delta`, `parquet` or `orc`.
    pub format: Option<String>,
    /// It rests.
    pub paused: bool,
    /// The node that runs it; `None` where there is but one.
    pub owner: Option<String>,
    /// Number of the iteration that was committed last.
    pub iteration: Option<u64>,
    /// When.
    pub committed_ms: Option<i64>,
    /// Every record that arrived up to then is committed.
    pub watermark_ms: Option<i64>,
    /// How long ago that was (ms).
    pub lag_ms: Option<i64>,
    /// Iterations that this process has committed.
    pub iterations: u64,
    /// Rows that it has written, since it was started.
    pub rows: u64,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bad records of these iterations.
    pub bad_records: u64,
    /// The newest partition of time that this process has found complete.
    pub complete: Option<String>,
    /// Times that this process failed to go on.
    pub errors: u64,
    /// The last failure, if nothing went right since.
    pub last_error: Option<String>,
    /// When it was.
    pub failed_ms: Option<i64>,
}

/// The jobs of a server.
#[async_trait]
pub trait Offloads: fmt::Debug + Send + Sync {
    /// Makes a job, or replaces it.
    async fn create(&self, maker: &JobMaker, create: &CreateOffload) -> Result<(), EngineError>;
    /// Lets a job rest, or go on.
    async fn pause(&self, principal: &str, name: &str, paused: bool) -> Result<(), EngineError>;
    /// Removes a job with its checkpoint; what it has written stays.
    async fn remove(&self, principal: &str, name: &str, if_exists: bool) -> Result<(), EngineError>;
    /// What a job has published, to be read as the history of its table: at the version of a ticket, or now.
    async fn history(&self, name: &str, table: &TableName, pinned: Option<&PinnedHistory>) -> Result<History, EngineError>;
    /// Each of them, in name order.
    async fn states(&self) -> Result<Vec<OffloadState>, EngineError>;
}

impl Engine {
    /// From now on there are jobs.
    pub fn set_offloads(&self, offloads: Arc<dyn Offloads>) {
        // a second one is a defect, and changes nothing
        if self.offloads.set(offloads).is_err() {
            tracing::error!("the offload jobs of this process were set twice");
        }
    }

    /// Runs a statement about jobs.
    pub(super) async fn run_offload(
        &self,
        principal: &str,
        options: &StatementOptions,
        statement: &OffloadStatement,
    ) -> Result<DoneResult, EngineError> {
        let offloads = self
            .offloads
            .get()
            .ok_or_else(|| EngineError::NotSupported("this process keeps no offload jobs: a server does".into()))?;
        self.config().definitions.check_change()?;
        match statement {
            OffloadStatement::Create(create) => {
                let maker = JobMaker {
                    principal: principal.to_owned(),
                    schema: options.schema.clone(),
                    time_zone: options.time_zone.clone(),
                };
                offloads.create(&maker, create).await?;
            }
            OffloadStatement::Pause { name, paused } => offloads.pause(principal, name, *paused).await?,
            OffloadStatement::Drop { name, if_exists } => offloads.remove(principal, name, *if_exists).await?,
        }
        Ok(commands::nothing())
    }
}
