//! Bad records that statements met: for `kinesis.system.scan_errors`.
//!
//! They are taken down where verdicts are made, which is once per segment and definition; where there are none it costs nothing.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use catalog::{BadRecord, Fingerprint, TableDefinition, TableName};
use datafusion::arrow::array::UInt32Array;
use parking_lot::Mutex;
use shard_reader::{Segment, SequenceNumber, ShardId};

use super::queries::now_ms;

/// Bytes of a bad record that are kept.
const MESSAGE_KEPT: usize = 4096;
/// Records of one segment that are taken down; all are counted.
const OF_ONE_SEGMENT: usize = 1000;

/// The latest of them, within a number and a size.
#[derive(Debug)]
pub(super) struct ScanErrors {
    most: usize,
    most_bytes: usize,
    all: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: VecDeque<ScanError>,
    keys: HashSet<Key>,
    bytes: usize,
}

/// A record is bad once for each definition, however many statements see it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    table: TableName,
    definition: Fingerprint,
    shard: ShardId,
    sequence: SequenceNumber,
    sub: u32,
    /// Row within the record.
    row: u32,
}

/// A bad record.
#[derive(Debug, Clone)]
pub(super) struct ScanError {
    key: Key,
    /// When it was met, ms since the epoch.
    pub(super) at_ms: i64,
    pub(super) stream: Arc<str>,
    /// Path of the column that could not be converted; `None` where the whole record could not be decoded.
    pub(super) path: Option<String>,
    pub(super) error: String,
    /// Its first bytes.
    pub(super) message: Vec<u8>,
    pub(super) message_length: usize,
    /// The statement that met it first.
    pub(super) query_id: String,
}

impl ScanError {
    pub(super) fn table(&self) -> &TableName {
        &self.key.table
    }

    pub(super) fn shard(&self) -> &ShardId {
        &self.key.shard
    }

    pub(super) fn sequence(&self) -> SequenceNumber {
        self.key.sequence
    }

    pub(super) fn sub(&self) -> u32 {
        self.key.sub
    }

    /// Of a record that has several rows, the one that is bad.
    pub(super) fn row_index(&self) -> u32 {
        self.key.row
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() * 2 + self.message.len() + self.error.len() + self.query_id.len()
    }
}

/// Who met it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Met<'a> {
    pub(super) table: &'a TableName,
    pub(super) definition: &'a TableDefinition,
    pub(super) query_id: &'a str,
}

/// A verdict on a column begins with the column's path.
fn path_of(definition: &TableDefinition, error: &str) -> Option<String> {
    let (path, _) = error.split_once(": ")?;
    let known = definition.columns.iter().any(|column| {
        let text = column.path.join("/");
        path == text || (text.is_empty() && path == "/")
    });
    known.then(|| path.to_owned())
}

/// The record of a row, and the row's index within it.
fn place(origins: Option<&UInt32Array>, row: usize) -> (usize, u32) {
    let Some(origins) = origins else { return (row, 0) };
    let origins = origins.values();
    let first = origins[..row].partition_point(|record| *record < origins[row]);
    (origins[row] as usize, u32::try_from(row - first).unwrap_or(u32::MAX))
}

impl ScanErrors {
    /// Keeps so many entries, and bytes.
    pub(super) fn new(most: usize, most_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_bytes,
            all: AtomicU64::new(0),
            kept: Mutex::default(),
        })
    }

    /// Takes down the bad rows of a segment; `origins` are the records of its rows, where these are not the same.
    pub(super) fn record(&self, met: Met<'_>, segment: &Segment, origins: Option<&UInt32Array>, bad: &[BadRecord]) {
        if bad.is_empty() {
            return;
        }
        let at_ms = now_ms();
        let records = segment.records();
        let definition = met.definition.fingerprint();
        let stream: Arc<str> = Arc::from(met.definition.stream.as_str());
        let mut known = 0;
        let mut kept = self.kept.lock();
        for verdict in bad.iter().take(OF_ONE_SEGMENT) {
            let (record, row) = place(origins, verdict.row);
            let key = Key {
                table: met.table.clone(),
                definition,
                shard: segment.shard().clone(),
                sequence: records.sequence(record),
                sub: records.subs().value(record),
                row,
            };
            if !kept.keys.insert(key.clone()) {
                known += 1;
                continue;
            }
            let message = records.data().value(record);
            let entry = ScanError {
                key,
                at_ms,
                stream: Arc::clone(&stream),
                path: path_of(met.definition, &verdict.error),
                error: verdict.error.clone(),
                message: message[..message.len().min(MESSAGE_KEPT)].to_vec(),
                message_length: message.len(),
                query_id: met.query_id.to_owned(),
            };
            kept.bytes += entry.bytes();
            kept.entries.push_back(entry);
            while kept.entries.len() > self.most || kept.bytes > self.most_bytes {
                let Some(oldest) = kept.entries.pop_front() else { break };
                kept.bytes -= oldest.bytes();
                kept.keys.remove(&oldest.key);
            }
        }
        drop(kept);
        self.all.fetch_add((bad.len() - known) as u64, Ordering::Relaxed);
    }

    /// All that were ever met.
    pub(super) fn all(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }

    /// Those kept, oldest first.
    pub(super) fn entries(&self) -> Vec<ScanError> {
        self.kept.lock().entries.iter().cloned().collect()
    }
}
