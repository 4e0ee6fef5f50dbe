//! What statements beside plain reading need.

use super::super::consume::{Consumption, JOB_CHECKPOINTS};
use super::super::error::EngineError;
use super::super::plan::Engine;
use super::super::sql::Call;
use super::super::statement_options::{CheckpointMode, StatementOptions};
use super::rules::Right;

impl Engine {
    /// The options of a statement within the limits of its principal. A lower limit of the statement's own stays.
    pub(in super::super) fn limited(&self, principal: &str, mut options: StatementOptions) -> StatementOptions {
        let limits = self.access().limits(principal);
        if let Some(bytes) = limits.max_bytes {
            options.max_bytes = options.max_bytes.min(bytes);
        }
        if let Some(time) = limits.max_time {
            let seconds = time.as_secs().max(1);
            options.max_seconds = Some(options.max_seconds.map_or(seconds, |own| own.min(seconds)));
        }
        options
    }

    /// Whether the statement may read by the checkpoint that its options name.
    pub(in super::super) fn check_checkpoint(&self, principal: &str, options: &StatementOptions) -> Result<(), EngineError> {
        let Some(name) = &options.checkpoint else { return Ok(()) };
        if name.as_str().starts_with(JOB_CHECKPOINTS) && options.checkpoint_mode == CheckpointMode::Consume {
            return Err(EngineError::Denied(format!(
                "checkpoint `{name}` is an offload job's, which alone consumes by it"
            )));
        }
        let right = match options.checkpoint_mode {
            CheckpointMode::Consume => Right::Consume,
            CheckpointMode::Observe => Right::Read,
        };
        self.access().checkpoint(principal, right, name.as_str())
    }

    /// Whether what a ticket consumes may still be consumed.
    pub(in super::super) fn check_consumption(&self, principal: &str, consumption: &Consumption) -> Result<(), EngineError> {
        let mut checkpoints = consumption.checkpoints();
        checkpoints.try_for_each(|name| self.access().checkpoint(principal, Right::Consume, name.as_str()))
    }

    /// Whether the principal may have a procedure run. Who may call one that is not named here decides for itself.
    pub(in super::super) fn check_call(&self, principal: &str, call: &Call, arguments: &[Option<String>]) -> Result<(), EngineError> {
        match (call.procedure.as_str(), arguments) {
            ("refresh_catalog", _) => self.access().admin(principal),
            ("reset_checkpoint" | "abandon_iteration" | "delete_checkpoint", [Some(name), ..]) => {
                self.access().checkpoint(principal, Right::Consume, name)
            }
            _ => Ok(()),
        }
    }

    /// Whether the principal may map a table to the stream: who may not look after the server names streams that it may read.
    pub(in super::super) fn check_mapped_stream(&self, principal: &str, stream: &str) -> Result<(), EngineError> {
        let known = self.catalog().current();
        let mut over = known.tables.iter().filter(|(_, definition)| definition.stream == stream);
        if self.access().is_admin(principal) || over.any(|(table, _)| self.access().has_table(principal, Right::Read, table)) {
            return Ok(());
        }
        self.access().stream(principal, Right::Read, stream)
    }
}
