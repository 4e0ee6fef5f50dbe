//! SIGTERM and Ctrl-C, the two ways to ask for the end; SIGHUP, which asks to open files anew.

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

/// SIGHUP: files are to be opened anew. From its making on, the signal no longer kills the process.
#[derive(Debug)]
pub(super) struct Hangup(Signal);

impl Hangup {
    pub(super) fn listen() -> std::io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Returns when it came.
    pub(super) async fn received(&mut self) {
        self.0.recv().await;
        tracing::info!("opening files anew");
    }
}
