//! One call after another: batches in their order, each until all of it is acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::sink::{OutgoingRecord, Receipts};
use super::writer::{WriteTotals, WriterOptions};
use crate::{ShardSource, SourceError, SourceErrorKind};

/// What all lanes of a writer did so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    acknowledged: AtomicU64,
    bytes: AtomicU64,
    retried: AtomicU64,
    uncertain: AtomicU64,
    held: AtomicUsize,
}

impl Progress {
    pub(super) fn totals(&self) -> WriteTotals {
        WriteTotals {
            acknowledged: self.acknowledged.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            retried: self.retried.load(Ordering::Relaxed),
            uncertain: self.uncertain.load(Ordering::Relaxed),
        }
    }

    /// Bytes of records that are on their way.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    pub(super) fn hold(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    fn release(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[derive(Debug, Clone)]
pub(super) struct Lane {
    pub(super) source: Arc<dyn ShardSource>,
    pub(super) stream: Arc<str>,
    pub(super) options: WriterOptions,
    pub(super) progress: Arc<Progress>,
    pub(super) receipts: Option<Arc<dyn Receipts>>,
    /// Another lane failed: what is begun is ended, and nothing new begun.
    pub(super) stop: CancellationToken,
}

impl Lane {
    pub(super) async fn run(self, mut batches: mpsc::Receiver<Vec<OutgoingRecord>>) -> Result<(), SourceError> {
        while let Some(batch) = batches.recv().await {
            if self.stop.is_cancelled() {
                return Ok(());
            }
            if let Err(error) = self.put(batch).await {
                self.stop.cancel();
                return Err(error);
            }
        }
        Ok(())
    }

    fn delays(&self) -> impl Iterator<Item = Duration> + Send {
        ExponentialBuilder::default()
            .with_min_delay(self.options.first_delay)
            .with_max_delay(self.options.first_delay * 50)
            .without_max_times()
            .with_jitter()
            .build()
    }

    /// Sends the batch, then those of its records that were refused, and so on.
    async fn put(&self, mut pending: Vec<OutgoingRecord>) -> Result<(), SourceError> {
        let sink = self.source.writing().ok_or_else(|| cannot_be_written(&self.stream))?;
        let mut delays = self.delays();
        let mut last_progress = Instant::now();
        loop {
            let sent = pending.len();
            let (error, unanswered) = match sink.put(&self.stream, &pending).await {
                Ok(outcomes) => match self.settle(&mut pending, outcomes)? {
                    None => return Ok(()),
                    Some(error) => (error, 0),
                },
                Err(error) if error.is_retryable() => {
                    let unanswered = if error.kind == SourceErrorKind::Unavailable {
                        users(&pending)
                    } else {
                        0
                    };
                    (error, unanswered)
                }
                Err(error) => return Err(error),
            };
            if pending.len() < sent {
                delays = self.delays();
                last_progress = Instant::now();
            }
            let delay = delays.next().unwrap_or(self.options.first_delay);
            let give_up = || {
                self.progress.uncertain.fetch_add(unanswered, Ordering::Relaxed);
            };
            if last_progress.elapsed() + delay > self.options.patience {
                give_up();
                return Err(SourceError {
                    message: format!("for {} s no record was taken: {error}", last_progress.elapsed().as_secs()),
                    ..error
                });
            }
            tracing::debug!(stream = %self.stream, refused = pending.len(), reason = %error, ?delay, "putting refused records again");
            tokio::select! {
                () = self.stop.cancelled() => {
                    give_up();
                    return Ok(());
                }
                () = tokio::time::sleep(delay) => {}
            }
            self.progress.retried.fetch_add(pending.len() as u64, Ordering::Relaxed);
        }
    }

    /// Takes acknowledged records out of `pending`. What is left was refused for the reason that is returned, and may be taken later.
    fn settle(
        &self,
        pending: &mut Vec<OutgoingRecord>,
        outcomes: Vec<super::sink::EntryOutcome>,
    ) -> Result<Option<SourceError>, SourceError> {
        let (mut refused, mut reason, mut fatal) = (Vec::new(), None, None);
        let (mut acknowledged, mut bytes) = (0_u64, 0_usize);
        if outcomes.len() != pending.len() {
            return Err(SourceError::new(
                SourceErrorKind::Invalid,
                format!("{} records were sent and {} results came back", pending.len(), outcomes.len()),
            ));
        }
        for (record, outcome) in pending.drain(..).zip(outcomes) {
            match outcome {
                Ok(at) => {
                    acknowledged += u64::from(record.user_records);
                    bytes += record.wire_bytes();
                    if let Some(receipts) = &self.receipts {
                        receipts.acknowledged(&record, at);
                    }
                }
                Err(error) if error.is_retryable() => {
                    refused.push(record);
                    reason.get_or_insert(error);
                }
                Err(error) => {
                    fatal.get_or_insert(error);
                }
            }
        }
        self.progress.acknowledged.fetch_add(acknowledged, Ordering::Relaxed);
        self.progress.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.progress.release(bytes);
        *pending = refused;
        fatal.map_or(Ok(reason), Err)
    }
}

fn users(records: &[OutgoingRecord]) -> u64 {
    records.iter().map(|record| u64::from(record.user_records)).sum()
}

pub(super) fn cannot_be_written(stream: &str) -> SourceError {
    SourceError::new(SourceErrorKind::Invalid, format!("stream {stream}: its source takes no records"))
}
