//! Lines in, acknowledged records out: what `datagen` and `demo` share.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use tokio::io::AsyncBufRead;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::args::RecordFormat;
use super::batch::{Batcher, Record};
use super::clf::{self, Entry};
use super::lines::{Line, Lines};
use super::packing::{Packer, PayloadCompression};
use super::put::{Outcome, PutError, Putter};
use super::verify::Acknowledged;

/// What happens to the lines.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// Counted.
    Read,
    /// Parsed and counted.
    Parse,
    /// Put.
    Put(Putter),
}

/// How a load goes about it.
#[derive(Debug, Clone)]
pub(crate) struct LoadOptions {
    /// Batches under way at a time.
    pub(crate) workers: NonZeroUsize,
    /// Records a second, in all.
    pub(crate) rate: Option<f64>,
    /// Added to every timestamp.
    pub(crate) shift: Option<TimeDelta>,
    /// What a record holds.
    pub(crate) format: RecordFormat,
}

/// Hears of what goes on.
pub(crate) trait Observer: Send {
    /// So many bytes of the input are done with, in all its repetitions.
    fn consumed(&mut self, bytes: u64);
    /// A line that is no record, with its number.
    fn unparsable(&mut self, number: u64, line: &str);
}

/// What a load came to.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// Lines read, blank and unparsable ones too.
    pub(crate) lines: u64,
    /// Lines with nothing in them.
    pub(crate) blank: u64,
    /// Lines that are no record.
    pub(crate) unparsable: u64,
    /// Records made.
    pub(crate) produced: u64,
    /// Records acknowledged.
    pub(crate) acknowledged: u64,
    /// Entries sent again.
    pub(crate) retried: u64,
    /// Records given up, by reason.
    pub(crate) failed: BTreeMap<String, u64>,
    /// Where acknowledged records are, if that was to be kept.
    pub(crate) positions: Vec<Acknowledged>,
    /// Bytes read.
    pub(crate) bytes: u64,
}

/// Why a load ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The input cannot be read.
    #[error("cannot read the log")]
    Read(#[from] std::io::Error),
    /// A payload cannot be compressed.
    #[error("cannot compress a record")]
    Compress(#[source] std::io::Error),
    /// The stream cannot be written to.
    #[error(transparent)]
    Put(#[from] PutError),
    /// A worker broke down.
    #[error("a worker failed")]
    Worker(#[from] tokio::task::JoinError),
}

/// A load under way; fed one input after the other, then finished.
#[derive(Debug)]
pub(crate) struct Load {
    target: Target,
    options: LoadOptions,
    compression: Option<PayloadCompression>,
    packer: Option<Packer>,
    batcher: Batcher,
    under_way: JoinSet<Result<Outcome, PutError>>,
    started: Instant,
    sent: u64,
    totals: Totals,
}

impl Load {
    /// Nothing is read yet.
    pub(crate) fn new(target: Target, options: LoadOptions) -> Self {
        // Ten batches a second, so that a slow rate is a steady one.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float saturates, and the batcher keeps to its limits"
        )]
        let max_records = options.rate.map_or(usize::MAX, |rate| (rate / 10.0) as usize);
        Self {
            target,
            options,
            compression: None,
            packer: None,
            batcher: Batcher::new(max_records),
            under_way: JoinSet::new(),
            started: Instant::now(),
            sent: 0,
            totals: Totals::default(),
        }
    }

    /// Compresses payloads, and puts user records into aggregates.
    #[must_use]
    pub(crate) fn packed(mut self, compression: Option<PayloadCompression>, packer: Option<Packer>) -> Self {
        (self.compression, self.packer) = (compression, packer);
        self
    }

    /// What has been done so far, whether the load ended well or not.
    pub(crate) fn into_totals(self) -> Totals {
        self.totals
    }

    /// Reads `input` to its end. Batches still under way are waited for by [`finish`](Self::finish).
    pub(crate) async fn feed(&mut self, input: impl AsyncBufRead + Unpin + Send, observer: &mut dyn Observer) -> Result<(), LoadError> {
        let before = self.totals.bytes;
        let mut lines = Lines::new(input);
        loop {
            let number = lines.number() + 1;
            let Some(line) = lines.next().await? else { break };
            self.totals.lines += 1;
            let record = match (&self.target, line) {
                (Target::Read, _) => None,
                (_, Line::Bytes(line)) => Self::record(&mut self.totals, &self.options, number, line, observer),
                (_, Line::TooLong(start)) => {
                    self.totals.unparsable += 1;
                    observer.unparsable(number, &format!("{}... (longer than 1 MiB)", clf::text(start)));
                    None
                }
            };
            self.totals.bytes = before + lines.consumed();
            if self.totals.lines.is_multiple_of(256) {
                observer.consumed(self.totals.bytes);
            }
            if let Some(record) = record {
                self.totals.produced += 1;
                if matches!(self.target, Target::Put(_)) {
                    self.send(record).await?;
                }
            }
        }
        observer.consumed(self.totals.bytes);
        Ok(())
    }

    fn record(totals: &mut Totals, options: &LoadOptions, number: u64, bytes: &[u8], observer: &mut dyn Observer) -> Option<Record> {
        let line = clf::text(bytes);
        if line.trim().is_empty() {
            totals.blank += 1;
            return None;
        }
        let Some(mut entry) = Entry::parse(&line) else {
            totals.unparsable += 1;
            observer.unparsable(number, &line);
            return None;
        };
        let written = entry.timestamp.clone();
        if let Some(shift) = options.shift {
            entry.shift(shift);
        }
        let payload = match options.format {
            RecordFormat::Json => serde_json::to_vec(&entry).map_err(anyhow::Error::from),
            RecordFormat::Csv => entry.csv(),
            RecordFormat::Raw if entry.timestamp == written => Ok(bytes.to_vec()),
            RecordFormat::Raw => Ok(line
                .replacen(&format!("[{written}]"), &format!("[{}]", entry.timestamp), 1)
                .into_bytes()),
        };
        match payload {
            Ok(data) => Some(Record::plain(entry.partition_key().to_owned(), data)),
            Err(error) => {
                totals.unparsable += 1;
                observer.unparsable(number, &format!("{line} ({error})"));
                None
            }
        }
    }

    async fn send(&mut self, mut record: Record) -> Result<(), LoadError> {
        if let Some(compression) = self.compression {
            record.data = compression.compress(&record.data).map_err(LoadError::Compress)?;
        }
        let ready = match &mut self.packer {
            Some(packer) => packer.push(record),
            None => vec![record],
        };
        self.batch(ready).await
    }

    async fn batch(&mut self, records: Vec<Record>) -> Result<(), LoadError> {
        for record in records {
            if let Some(batch) = self.batcher.push(record) {
                self.dispatch(batch).await?;
            }
        }
        Ok(())
    }

    async fn dispatch(&mut self, batch: Vec<Record>) -> Result<(), LoadError> {
        let Target::Put(putter) = &self.target else { return Ok(()) };
        if let Some(rate) = self.options.rate {
            #[expect(clippy::cast_precision_loss, reason = "a pace need not be exact to the record")]
            tokio::time::sleep_until(self.started + Duration::from_secs_f64(self.sent as f64 / rate)).await;
        }
        self.sent += batch.iter().map(Record::users).sum::<u64>();
        let putter = putter.clone();
        while self.under_way.len() >= self.options.workers.get() {
            Self::collect(&mut self.totals, self.under_way.join_next().await)?;
        }
        self.under_way.spawn(async move { putter.put(batch).await });
        Ok(())
    }

    /// Waits until every record is acknowledged or given up.
    pub(crate) async fn finish(&mut self) -> Result<(), LoadError> {
        let left = self.packer.as_mut().map(Packer::take).unwrap_or_default();
        self.batch(left).await?;
        if let Some(batch) = self.batcher.take() {
            self.dispatch(batch).await?;
        }
        while let Some(done) = self.under_way.join_next().await {
            Self::collect(&mut self.totals, Some(done))?;
        }
        Ok(())
    }

    fn collect(totals: &mut Totals, done: Option<Result<Result<Outcome, PutError>, tokio::task::JoinError>>) -> Result<(), LoadError> {
        let Some(done) = done else { return Ok(()) };
        let outcome = done??;
        totals.acknowledged += outcome.acknowledged;
        totals.retried += outcome.retried;
        totals.positions.extend(outcome.positions);
        for (reason, records) in outcome.failed {
            *totals.failed.entry(reason).or_default() += records;
        }
        Ok(())
    }
}

/// What must be added to all timestamps so that the last one is now; None if no line has one.
pub(crate) async fn shift_to_now(input: impl AsyncBufRead + Unpin + Send) -> std::io::Result<Option<TimeDelta>> {
    let mut lines = Lines::new(input);
    let mut last = None;
    while let Some(line) = lines.next().await? {
        if let Line::Bytes(line) = line {
            last = Entry::parse(&clf::text(line)).and_then(|entry| entry.time()).or(last);
        }
    }
    Ok(last.map(|last| Utc::now().signed_duration_since(last)))
}
