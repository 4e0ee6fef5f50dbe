//! The stream that a load goes into, and where in it each record went.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use aws_sdk_kinesis::Client;
use parking_lot::Mutex;
use shard_reader::{
    Acknowledgement, KinesisSource, OutgoingRecord, Receipts, ShardSource, SourceError, WriteError, WriteTotals, Writer, WriterOptions,
};

use super::record::Record;
use super::verify::{Acknowledged, Content, Digest};

/// The stream.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    /// The service.
    pub(crate) client: Client,
    /// Its name.
    pub(crate) stream: String,
    /// Keep what `--verify` compares.
    pub(crate) keep_positions: bool,
    /// How it is written; calls at once are the load's to say.
    pub(crate) options: WriterOptions,
}

impl Destination {
    /// With the delays that a real service wants.
    pub(crate) fn new(client: Client, stream: String, keep_positions: bool) -> Self {
        Self {
            client,
            stream,
            keep_positions,
            options: WriterOptions::default(),
        }
    }

    /// Begins to write.
    pub(super) fn open(&self, workers: NonZeroUsize) -> Result<Deliveries, SourceError> {
        let source: Arc<dyn ShardSource> = Arc::new(KinesisSource::with_client(self.client.clone()));
        let ledger = self.keep_positions.then(Arc::<Ledger>::default);
        let receipts = ledger.as_ref().map(|ledger| {
            let receipts: Arc<dyn Receipts> = Arc::<Ledger>::clone(ledger);
            receipts
        });
        let options = WriterOptions {
            concurrency: workers.get(),
            ..self.options
        };
        Ok(Deliveries {
            writer: Writer::with_receipts(&source, &self.stream, options, receipts.as_ref())?,
            ledger,
            pushed: 0,
        })
    }
}

/// Records under way.
#[derive(Debug)]
pub(super) struct Deliveries {
    writer: Writer,
    ledger: Option<Arc<Ledger>>,
    pushed: u64,
}

impl Deliveries {
    pub(super) async fn push(&mut self, record: Record) -> Result<(), WriteError> {
        let tag = self.pushed;
        self.pushed += 1;
        let user_records = record.users();
        if let Some(ledger) = &self.ledger {
            let content = record
                .content
                .unwrap_or_else(|| Content::Plain(Digest::of(&record.key, &record.data)));
            ledger.0.lock().waiting.insert(tag, content);
        }
        let record = OutgoingRecord {
            explicit_hash_key: record.explicit_hash_key,
            user_records,
            tag,
            ..OutgoingRecord::new(record.key, record.data)
        };
        self.writer.push_unordered(record).await
    }

    pub(super) async fn flush(&mut self) -> Result<(), WriteError> {
        self.writer.flush().await
    }

    /// Waits until every record is acknowledged.
    pub(super) async fn finish(self) -> Result<(WriteTotals, Vec<Acknowledged>), (WriteError, Vec<Acknowledged>)> {
        match self.writer.finish().await {
            Ok(totals) => Ok((totals, places(self.ledger.as_deref()))),
            Err(error) => Err((error, places(self.ledger.as_deref()))),
        }
    }

    /// Begins nothing more: what was done.
    pub(super) async fn abandon(self) -> (WriteTotals, Vec<Acknowledged>) {
        (self.writer.abandon().await, places(self.ledger.as_deref()))
    }
}

fn places(ledger: Option<&Ledger>) -> Vec<Acknowledged> {
    ledger.map(|ledger| std::mem::take(&mut ledger.0.lock().places)).unwrap_or_default()
}

/// What must be found, and where.
#[derive(Debug, Default)]
struct Ledger(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    /// Of records under way, by their tags.
    waiting: HashMap<u64, Content>,
    places: Vec<Acknowledged>,
}

impl Receipts for Ledger {
    fn acknowledged(&self, record: &OutgoingRecord, at: Acknowledgement) {
        let mut entries = self.0.lock();
        if let Some(content) = entries.waiting.remove(&record.tag) {
            entries.places.push(Acknowledged {
                shard: at.shard.to_string(),
                sequence: at.sequence,
                content,
            });
        }
    }
}
