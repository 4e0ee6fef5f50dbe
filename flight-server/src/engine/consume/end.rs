//! BEGIN, COMMIT and ROLLBACK.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use shard_reader::checkpoints::{CheckpointErrorKind, Commit};

use super::super::error::EngineError;
use super::super::plan::Engine;
use super::super::session::Session;
use super::super::statement_options::StatementOptions;
use super::{Slot, Transaction};

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// What it consumed is consumed.
    Commit,
    /// It is as if nothing had been read.
    Rollback,
}

impl Engine {
    /// A driver begins a transaction for the session. Nothing is written. The id by which it is ended.
    pub fn begin_transaction(&self, session: &Session) -> Result<Arc<str>, EngineError> {
        session.check_kept()?;
        let mut slot = session.slot();
        match slot.as_ref() {
            Some(_) => Err(EngineError::FailedPrecondition(
                "the session is in a transaction already; end it first".into(),
            )),
            None => Ok(Arc::clone(&slot.insert(Slot::new(true)).id)),
        }
    }

    /// A driver ends the transaction that it began.
    ///
    /// # Errors
    /// FAILED_PRECONDITION for one that is not (any longer) the session's, and for a commit while something of it was not delivered; then it goes on.
    /// ABORTED if another owner has an iteration of it. UNAVAILABLE if the store cannot be reached; then the same call may be made again.
    pub async fn end_transaction(&self, session: &Session, id: &str, ending: Ending) -> Result<(), EngineError> {
        let slot = session.slot().clone().filter(|slot| *slot.id == *id).ok_or_else(closed)?;
        if ending == Ending::Commit {
            self.commit(session, &slot.transaction).await?;
        }
        session.leave(&slot);
        Ok(())
    }

    /// `BEGIN` in SQL.
    pub(in super::super) async fn sql_begin(&self, session: &Session) -> Result<(), EngineError> {
        session.check_kept()?;
        let begun = {
            let mut slot = session.slot();
            match slot.as_ref() {
                Some(begun) => begun.clone(),
                None => {
                    *slot = Some(Slot::new(false));
                    return Ok(());
                }
            }
        };
        if begun.by_driver {
            return begun.transaction.begin_again().await;
        }
        Err(EngineError::FailedPrecondition(
            "BEGIN: the session is in a transaction already; COMMIT or ROLLBACK it first".into(),
        ))
    }

    /// `COMMIT` and `ROLLBACK` in SQL. In a transaction that a driver began another one follows, under the same id.
    pub(in super::super) async fn sql_end(&self, session: &Session, ending: Ending) -> Result<(), EngineError> {
        let slot = session
            .slot()
            .clone()
            .ok_or_else(|| EngineError::FailedPrecondition("the session is in no transaction; BEGIN begins one".into()))?;
        let ended = match ending {
            Ending::Commit => self.commit(session, &slot.transaction).await,
            Ending::Rollback => Ok(()),
        };
        let over = match &ended {
            Ok(()) => true,
            Err(_) => slot.transaction.state.lock().await.over.is_some(),
        };
        if over && slot.by_driver {
            session.follow_on(&slot);
        } else if over {
            session.leave(&slot);
        }
        ended
    }

    async fn commit(&self, session: &Session, transaction: &Transaction) -> Result<(), EngineError> {
        let mut state = transaction.state.lock().await;
        state.check()?;
        let held: Vec<Commit> = state
            .consumed()
            .map(|(consumer, number)| Commit {
                consumer: consumer.clone(),
                number,
                owner: transaction.owner.clone(),
            })
            .collect();
        if held.is_empty() {
            state.over = Some(closed());
            return Ok(());
        }
        let consumers = self.consumers();
        let options = StatementOptions::resolve(&session.options())?;
        if !options.commit_partial {
            for commit in &held {
                let delivered = self.check_delivered(commit).await;
                delivered.inspect_err(|_| {
                    consumers.refused.fetch_add(1, Ordering::Relaxed);
                })?;
            }
        }
        match consumers.store.commit(&held).await {
            Ok(_) => {
                consumers.saw_committed(&held);
                state.over = Some(closed());
                Ok(())
            }
            Err(error) => {
                let counter = match error.kind {
                    CheckpointErrorKind::Conflict => &consumers.conflicts,
                    _ => &consumers.refused,
                };
                counter.fetch_add(1, Ordering::Relaxed);
                let kind = error.kind;
                let error = EngineError::from(error);
                if kind != CheckpointErrorKind::Unavailable {
                    state.over = Some(error.clone());
                }
                Err(error)
            }
        }
    }

    async fn check_delivered(&self, commit: &Commit) -> Result<(), EngineError> {
        let runs = self.consumers().store.runs(&commit.consumer, commit.number, &commit.owner).await?;
        let Some(run) = runs.values().find(|run| !run.is_delivered()) else {
            return Ok(());
        };
        Err(EngineError::FailedPrecondition(format!(
            "COMMIT refused, nothing moved: {} of {} endpoints of `{}` were read to their end. Read the others, or run the statement again; SET kinesis.commit_partial = true commits all the same",
            run.delivered.len(),
            run.parts,
            run.sql
        )))
    }
}

fn closed() -> EngineError {
    EngineError::FailedPrecondition("the transaction is closed, or not this session's; begin a new one".into())
}
