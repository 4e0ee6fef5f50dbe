//! Lines in, acknowledged records out: what `datagen` and `demo` share.

use std::num::NonZeroUsize;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use shard_reader::{SourceError, WriteError, WriteTotals};
use tokio::io::AsyncBufRead;
use tokio::time::Instant;

use super::super::args::RecordFormat;
use super::clf::{self, Entry};
use super::destination::{Deliveries, Destination};
use super::lines::{Line, Lines};
use super::packing::{Packer, PayloadCompression};
use super::record::Record;
use super::verify::Acknowledged;

/// What happens to the lines.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// Counted.
    Read,
    /// Parsed and counted.
    Parse,
    /// Put.
    Put(Destination),
}

/// How a load goes about it.
#[derive(Debug, Clone)]
pub(crate) struct LoadOptions {
    /// Calls under way at a time.
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
    Open(#[from] SourceError),
    /// Not all was acknowledged.
    #[error(transparent)]
    Put(#[from] WriteError),
}

/// A load under way; fed one input after the other, then finished.
#[derive(Debug)]
pub(crate) struct Load {
    target: Target,
    options: LoadOptions,
    compression: Option<PayloadCompression>,
    packer: Option<Packer>,
    deliveries: Option<Deliveries>,
    started: Instant,
    sent: u64,
    /// User records since the last pause.
    burst: u64,
    totals: Totals,
}

impl Load {
    /// Nothing is read yet.
    pub(crate) fn new(target: Target, options: LoadOptions) -> Self {
        Self {
            target,
            options,
            compression: None,
            packer: None,
            deliveries: None,
            started: Instant::now(),
            sent: 0,
            burst: 0,
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
    pub(crate) async fn into_totals(mut self) -> Totals {
        if let Some(deliveries) = self.deliveries.take() {
            let (written, positions) = deliveries.abandon().await;
            self.totals.written(&written, positions);
        }
        self.totals
    }

    /// Reads `input` to its end. Records still under way are waited for by [`finish`](Self::finish).
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
        self.deliver(ready).await
    }

    async fn deliver(&mut self, records: Vec<Record>) -> Result<(), LoadError> {
        for record in records {
            self.pace().await?;
            let users = u64::from(record.users());
            self.sent += users;
            self.burst += users;
            if let Some(deliveries) = self.deliveries()? {
                deliveries.push(record).await?;
            }
        }
        Ok(())
    }

    fn deliveries(&mut self) -> Result<Option<&mut Deliveries>, LoadError> {
        let Target::Put(destination) = &self.target else { return Ok(None) };
        if self.deliveries.is_none() {
            self.deliveries = Some(destination.open(self.options.workers)?);
        }
        Ok(self.deliveries.as_mut())
    }

    /// Ten bursts a second, so that a slow rate is a steady one.
    async fn pace(&mut self) -> Result<(), LoadError> {
        let Some(rate) = self.options.rate else { return Ok(()) };
        #[expect(clippy::cast_precision_loss, reason = "a pace need not be exact to the record")]
        let (burst, sent) = (self.burst as f64, self.sent as f64);
        if burst < (rate / 10.0).max(1.0) {
            return Ok(());
        }
        self.burst = 0;
        if let Some(deliveries) = &mut self.deliveries {
            deliveries.flush().await?;
        }
        tokio::time::sleep_until(self.started + Duration::from_secs_f64(sent / rate)).await;
        Ok(())
    }

    /// Waits until every record is acknowledged.
    pub(crate) async fn finish(&mut self) -> Result<(), LoadError> {
        let left = self.packer.as_mut().map(Packer::take).unwrap_or_default();
        self.deliver(left).await?;
        let Some(deliveries) = self.deliveries.take() else { return Ok(()) };
        match deliveries.finish().await {
            Ok((written, positions)) => {
                self.totals.written(&written, positions);
                Ok(())
            }
            Err((error, positions)) => {
                self.totals.written(&error.totals, positions);
                Err(error.into())
            }
        }
    }
}

impl Totals {
    fn written(&mut self, written: &WriteTotals, positions: Vec<Acknowledged>) {
        self.acknowledged = written.acknowledged;
        self.retried = written.retried;
        self.positions = positions;
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
