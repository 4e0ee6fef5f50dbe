//! Cancelling statements: those that are planned, fetched ahead or streamed, by whoever they are of.

use super::error::EngineError;
use super::plan::Engine;
use super::queries::CancelOutcome;

impl Engine {
    /// Cancels what runs of a statement: its own principal's, or any, for who looks after the server.
    pub fn cancel_query(&self, principal: &str, id: &str) -> CancelOutcome {
        let outcome = self
            .queries()
            .cancel(id, |owner| owner == principal || self.access().admin(principal).is_ok());
        match outcome {
            CancelOutcome::Unknown => outcome,
            _ if self.stop_fetching(id) => CancelOutcome::Cancelled,
            _ => outcome,
        }
    }

    /// `CALL kinesis.system.cancel_query(id)`: its id, and what came of it.
    pub(super) fn call_cancel(&self, principal: &str, id: &str) -> Result<Vec<String>, EngineError> {
        let said = match self.cancel_query(principal, id) {
            CancelOutcome::Cancelled => "cancelled",
            CancelOutcome::NotRunning => "not running",
            CancelOutcome::Unknown => {
                return Err(EngineError::NotFound(format!(
                    "there is no statement `{id}` of yours; kinesis.system.queries has those that are known"
                )));
            }
        };
        Ok(vec![id.to_owned(), said.to_owned()])
    }
}
