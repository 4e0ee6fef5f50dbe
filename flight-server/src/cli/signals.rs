//! SIGTERM and Ctrl-C, the two ways to ask for the end.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// From its making on, the signals no longer kill the process.
#[derive(Debug)]
pub(super) struct StopSignal {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignal {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Returns when one of them came.
    pub(super) async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => tracing::info!("interrupted; stopping"),
            _ = self.terminate.recv() => tracing::info!("asked to terminate; stopping"),
        }
    }
}
