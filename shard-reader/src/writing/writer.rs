//! Batches records into calls.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::lane::{Lane, Progress, cannot_be_written};
use super::sink::{MOST_BYTES_A_RECORD, MOST_KEY_CHARACTERS, MOST_RECORDS_A_CALL, OutgoingRecord, Receipts};
use crate::{ShardSource, SourceError, SourceErrorKind};

/// Bytes at which a batch is sent: half of what a call may hold, so that a writer holds little, and a call ends soon.
const BATCH_BYTES: usize = 5 << 20;

/// How a writer writes.
#[derive(Debug, Clone, Copy)]
pub struct WriterOptions {
    /// Calls at once.
    pub concurrency: usize,
    /// First delay after a refusal; doubles, with jitter, up to fifty times as long.
    pub first_delay: Duration,
    /// How long a batch may go without any of its records being taken, before the writer gives up.
    pub patience: Duration,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            concurrency: 4,
            first_delay: Duration::from_millis(50),
            patience: Duration::from_secs(60),
        }
    }
}

/// What a writer did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteTotals {
    /// User records that the service said it has.
    pub acknowledged: u64,
    /// Their bytes: data and partition keys.
    pub bytes: u64,
    /// Records that were sent again.
    pub retried: u64,
    /// User records that were sent and never answered for: they may be in the stream too.
    pub uncertain: u64,
}

impl fmt::Display for WriteTotals {
    /// The end of a sentence about why writing ended.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records were acknowledged before", self.acknowledged)?;
        match self.uncertain {
            0 => Ok(()),
            uncertain => write!(f, ", and {uncertain} more may have been written, as their reply was lost"),
        }
    }
}

/// Why writing ended early.
#[derive(Debug, Clone)]
pub struct WriteError {
    /// Category.
    pub kind: SourceErrorKind,
    /// The stream.
    pub stream: Arc<str>,
    /// What happened.
    pub message: String,
    /// What was done before.
    pub totals: WriteTotals,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "writing to stream {}: {}; {}", self.stream, self.message, self.totals)
    }
}

impl std::error::Error for WriteError {}

/// Puts records into one stream: several calls at once, those of one partition key one after the other. What it holds is bounded: two batches a lane, and
/// what is being collected. Dropped, it stops.
#[derive(Debug)]
pub struct Writer {
    stream: Arc<str>,
    open: Vec<OpenBatch>,
    senders: Vec<mpsc::Sender<Vec<OutgoingRecord>>>,
    lanes: JoinSet<Result<(), SourceError>>,
    progress: Arc<Progress>,
    stop: CancellationToken,
    hasher: RandomState,
    /// The lane of records whose order is of no account.
    filling: usize,
    pushed: u64,
}

#[derive(Debug, Default)]
struct OpenBatch {
    records: Vec<OutgoingRecord>,
    bytes: usize,
}

impl Writer {
    /// A writer to a stream of a source.
    ///
    /// # Errors
    /// `Invalid`, if the source takes no records.
    pub fn new(source: &Arc<dyn ShardSource>, stream: &str, options: WriterOptions) -> Result<Self, SourceError> {
        Self::with_receipts(source, stream, options, None)
    }

    /// As [`Self::new`]; tells of each record that is acknowledged.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_receipts(
        source: &Arc<dyn ShardSource>,
        stream: &str,
        options: WriterOptions,
        receipts: Option<&Arc<dyn Receipts>>,
    ) -> Result<Self, SourceError> {
        if source.writing().is_none() {
            return Err(cannot_be_written(stream));
        }
        let stream: Arc<str> = stream.into();
        let progress: Arc<Progress> = Arc::default();
        let stop = CancellationToken::new();
        let mut lanes = JoinSet::new();
        let senders = (0..options.concurrency.max(1)).map(|_| {
            let (sender, batches) = mpsc::channel(1);
            let lane = Lane {
                source: Arc::clone(source),
                stream: Arc::clone(&stream),
                options,
                progress: Arc::clone(&progress),
                receipts: receipts.cloned(),
                stop: stop.clone(),
            };
            lanes.spawn(lane.run(batches));
            sender
        });
        let senders: Vec<_> = senders.collect();
        Ok(Self {
            open: senders.iter().map(|_| OpenBatch::default()).collect(),
            stream,
            senders,
            lanes,
            progress,
            stop,
            hasher: RandomState::new(),
            filling: 0,
            pushed: 0,
        })
    }

    /// Adds a record; of one partition key, or of one explicit hash key, they are written in this order. Waits while too much is on its way.
    ///
    /// # Errors
    /// The record can never be written, or another could not: the writer is of no more use.
    pub async fn push(&mut self, record: OutgoingRecord) -> Result<(), WriteError> {
        let lane = usize::try_from(
            self.hasher
                .hash_one((record.explicit_hash_key, record.explicit_hash_key.is_none().then_some(&record.key)))
                % self.open.len() as u64,
        )
        .unwrap_or(0);
        self.push_to(lane, record).await
    }

    /// Adds a record whose order among others is of no account: calls are as full as can be.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub async fn push_unordered(&mut self, record: OutgoingRecord) -> Result<(), WriteError> {
        self.push_to(self.filling, record).await
    }

    async fn push_to(&mut self, lane: usize, record: OutgoingRecord) -> Result<(), WriteError> {
        self.pushed += 1;
        if let Err(reason) = check(&record) {
            let message = format!("record {}: {reason}", self.pushed);
            return Err(self.failed(SourceError::new(SourceErrorKind::Invalid, message)).await);
        }
        let bytes = record.wire_bytes();
        if self.open[lane].bytes + bytes > BATCH_BYTES {
            self.send(lane).await?;
        }
        self.progress.hold(bytes);
        let open = &mut self.open[lane];
        open.bytes += bytes;
        open.records.push(record);
        if open.records.len() == MOST_RECORDS_A_CALL {
            self.send(lane).await?;
        }
        Ok(())
    }

    async fn send(&mut self, lane: usize) -> Result<(), WriteError> {
        let batch = std::mem::take(&mut self.open[lane]).records;
        if batch.is_empty() {
            return Ok(());
        }
        if lane == self.filling {
            self.filling = (self.filling + 1) % self.open.len();
        }
        match self.senders[lane].send(batch).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self
                .failed(SourceError::new(SourceErrorKind::Unavailable, "the writer stopped"))
                .await),
        }
    }

    /// Sends what is collected, though calls are not full.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub async fn flush(&mut self) -> Result<(), WriteError> {
        for lane in 0..self.open.len() {
            self.send(lane).await?;
        }
        Ok(())
    }

    /// Sends what is left, and waits until all is acknowledged.
    ///
    /// # Errors
    /// Some records could not be written.
    pub async fn finish(mut self) -> Result<WriteTotals, WriteError> {
        self.flush().await?;
        self.senders.clear();
        match self.join().await {
            None => Ok(self.progress.totals()),
            Some(error) => Err(self.failed(error).await),
        }
    }

    /// Bytes of records that were pushed and are not acknowledged.
    pub fn held(&self) -> usize {
        self.progress.held()
    }

    /// What was done so far.
    pub fn totals(&self) -> WriteTotals {
        self.progress.totals()
    }

    /// Cancelled, it ends the writer as [`Self::abandon`] does, wherever it is.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Ends early, and says what was done: calls that are on their way are waited for.
    pub async fn abandon(mut self) -> WriteTotals {
        self.stop.cancel();
        self.senders.clear();
        self.join().await;
        self.progress.totals()
    }

    /// The end of all lanes, and the first error among them.
    async fn join(&mut self) -> Option<SourceError> {
        let mut first = None;
        while let Some(ended) = self.lanes.join_next().await {
            let error = match ended {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => {
                    self.stop.cancel();
                    error
                }
                Err(error) => SourceError::new(SourceErrorKind::Unavailable, format!("a task of the writer ended: {error}")),
            };
            first.get_or_insert(error);
        }
        first
    }

    /// Calls that are on their way are waited for, so that what is said of acknowledged records is true.
    async fn failed(&mut self, error: SourceError) -> WriteError {
        self.stop.cancel();
        self.senders.clear();
        let error = self.join().await.unwrap_or(error);
        WriteError {
            kind: error.kind,
            stream: Arc::clone(&self.stream),
            message: error.message,
            totals: self.progress.totals(),
        }
    }
}

fn check(record: &OutgoingRecord) -> Result<(), String> {
    let characters = record.key.chars().count();
    if !(1..=MOST_KEY_CHARACTERS).contains(&characters) {
        return Err(format!(
            "a partition key has 1 to {MOST_KEY_CHARACTERS} characters, and this one has {characters}"
        ));
    }
    let bytes = record.wire_bytes();
    if bytes > MOST_BYTES_A_RECORD {
        return Err(format!("it has {bytes} bytes, and no record has more than {MOST_BYTES_A_RECORD}"));
    }
    Ok(())
}
