//! Cancelling what may write.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

use super::super::error::EngineError;

/// How a statement is cancelled: until it writes it is dropped; from then on it ends itself, so that it can say what it wrote.
#[derive(Debug)]
pub(in crate::engine) struct Cancelling {
    token: CancellationToken,
    writing: AtomicBool,
}

impl Cancelling {
    pub(in crate::engine) fn new(token: CancellationToken) -> Self {
        Self {
            token,
            writing: AtomicBool::new(false),
        }
    }

    /// Runs the statement.
    pub(in crate::engine) async fn run<T>(&self, statement: impl Future<Output = Result<T, EngineError>>) -> Result<T, EngineError> {
        tokio::select! {
            biased;
            () = self.dropped() => Err(EngineError::Cancelled),
            ended = statement => ended,
        }
    }

    /// Ends when the statement is to be dropped.
    async fn dropped(&self) {
        self.token.cancelled().await;
        if self.writing.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// The statement writes: what ends it.
    pub(in crate::engine) fn begin_writing(&self) -> &CancellationToken {
        self.writing.store(true, Ordering::Relaxed);
        &self.token
    }
}
