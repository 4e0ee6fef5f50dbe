//! A stream in the process, scripted: for tests of the reader, and of whatever stands on it.

mod fan_out;
mod faults;
mod puts;
mod shard;
mod source;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

pub use faults::{Chances, MillisBehind};
pub use puts::PutFate;

use crate::{SequenceNumber, ShardId, ShardInfo, SourceErrorKind, WallClock};
use fan_out::Pushes;
use faults::Faults;
use puts::Puts;
use shard::{MemoryRecord, MemoryShard};

/// Time of day when a memory stream begins: 2026-01-01T00:00:00Z.
const EPOCH_MS: i64 = 1_767_225_600_000;
/// Makes numbers of 56 digits.
const WIDE: u128 = 2_685_979_000_000_000_000_000_000_000_000_000_000;

/// An in-process stream with many shards, splits and merges, and faults on demand. Clones share the stream.
#[derive(Clone, Debug)]
pub struct MemorySource {
    stream: Arc<Mutex<Stream>>,
}

#[derive(Debug)]
struct Stream {
    shards: BTreeMap<ShardId, MemoryShard>,
    last_sequence: u64,
    /// The upper 16 bytes of all sequence numbers.
    sequence_base: u128,
    created: i64,
    started: Instant,
    retention_ms: u64,
    deleted: bool,
    orphans: bool,
    faults: Faults,
    calls: Calls,
    pushes: Pushes,
    puts: Puts,
}

/// Calls made so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// DescribeStreamSummary.
    pub describe: u64,
    /// ListShards.
    pub list: u64,
    /// GetShardIterator.
    pub open: u64,
    /// GetRecords.
    pub read: u64,
    /// Records handed out.
    pub records: u64,
    /// RegisterStreamConsumer.
    pub register: u64,
    /// SubscribeToShard.
    pub subscribe: u64,
    /// Events pushed.
    pub events: u64,
}

impl MemorySource {
    /// A stream with so many shards. Its sequence numbers begin with four digits, and become longer.
    pub fn new(shards: usize) -> Self {
        Self::with_sequences(shards, 0)
    }

    /// A stream with so many shards, whose sequence numbers have 56 digits, as on AWS.
    pub fn with_wide_numbers(shards: usize) -> Self {
        Self::with_sequences(shards, WIDE)
    }

    /// A stream with shards of these ids: an id is any text.
    pub fn with_ids(ids: &[&str]) -> Self {
        let source = Self::new(ids.len());
        {
            let mut stream = source.stream.lock();
            let shards = std::mem::take(&mut stream.shards);
            stream.shards = std::iter::zip(ids, shards.into_values())
                .map(|(id, mut shard)| {
                    shard.info.id = ShardId::from(*id);
                    (shard.info.id.clone(), shard)
                })
                .collect();
        }
        source
    }

    fn with_sequences(shards: usize, sequence_base: u128) -> Self {
        let mut stream = Stream {
            shards: BTreeMap::new(),
            last_sequence: 1000,
            sequence_base,
            created: EPOCH_MS,
            started: Instant::now(),
            retention_ms: 24 * 3_600_000,
            deleted: false,
            orphans: false,
            faults: Faults::default(),
            calls: Calls::default(),
            pushes: Pushes::default(),
            puts: Puts::default(),
        };
        let width = u128::MAX / shards.max(1) as u128;
        for shard in 0..shards {
            let start = width * shard as u128;
            let end = if shard + 1 == shards { u128::MAX } else { start + width - 1 };
            stream.add_shard((start, end), None, None);
        }
        Self {
            stream: Arc::new(Mutex::new(stream)),
        }
    }

    /// The stream's time of day: follows tokio's clock, so that paused tests are exact.
    pub fn clock(&self) -> WallClock {
        let started = self.stream.lock().started;
        WallClock::new(move || EPOCH_MS + started.elapsed().as_millis() as i64)
    }

    /// Ids of all shards that are open.
    pub fn open_shards(&self) -> Vec<ShardId> {
        self.stream
            .lock()
            .shards
            .iter()
            .filter(|(_, shard)| shard.info.ending_sequence.is_none())
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Ids of all shards.
    pub fn shard_ids(&self) -> Vec<ShardId> {
        self.stream.lock().shards.keys().cloned().collect()
    }

    /// The shards that a shard came from.
    pub fn parents(&self, shard: &ShardId) -> Vec<ShardId> {
        let stream = self.stream.lock();
        let parents = stream
            .shards
            .get(shard)
            .map(|shard| [&shard.info.parent, &shard.info.adjacent_parent]);
        parents.into_iter().flatten().flatten().cloned().collect()
    }

    /// Puts a record; `None` if the shard is closed or unknown.
    pub fn put(&self, shard: &ShardId, key: &str, data: &[u8]) -> Option<SequenceNumber> {
        let mut stream = self.stream.lock();
        let now = stream.now_ms();
        stream.put(shard, Some(key), Some(now), data)
    }

    /// Puts a record with an arrival time and a partition key of one's own, or without.
    pub fn put_as(&self, shard: &ShardId, key: Option<&str>, arrival_ms: Option<i64>, data: &[u8]) -> Option<SequenceNumber> {
        self.stream.lock().put(shard, key, arrival_ms, data)
    }

    /// Splits a shard in the middle of its hash keys.
    pub fn split(&self, shard: &ShardId) -> Option<[ShardId; 2]> {
        let mut stream = self.stream.lock();
        let (start, end) = stream.close(shard)?;
        let middle = start + (end - start) / 2;
        let left = stream.add_shard((start, middle), Some(shard), None);
        let right = stream.add_shard((middle + 1, end), Some(shard), None);
        stream.set_children(shard, &[left.clone(), right.clone()]);
        Some([left, right])
    }

    /// Merges two shards.
    pub fn merge(&self, shard: &ShardId, other: &ShardId) -> Option<ShardId> {
        let mut stream = self.stream.lock();
        let is_open = |id: &ShardId| stream.shards.get(id).is_some_and(|shard| shard.info.ending_sequence.is_none());
        if shard == other || !is_open(shard) || !is_open(other) {
            return None;
        }
        let (a, b) = (stream.close(shard)?, stream.close(other)?);
        let child = stream.add_shard((a.0.min(b.0), a.1.max(b.1)), Some(shard), Some(other));
        for parent in [shard, other] {
            stream.set_children(parent, std::slice::from_ref(&child));
        }
        Some(child)
    }

    /// Lets the oldest records of a shard expire, so that so many are left.
    pub fn trim(&self, shard: &ShardId, left: usize) {
        if let Some(shard) = self.stream.lock().shards.get_mut(shard) {
            shard.first = shard.first.max(shard.records.len().saturating_sub(left));
        }
    }

    /// The oldest record of a shard that is left.
    pub fn oldest(&self, shard: &ShardId) -> Option<SequenceNumber> {
        let stream = self.stream.lock();
        let shard = stream.shards.get(shard)?;
        shard.records.get(shard.first).map(|record| record.sequence)
    }

    /// Removes a shard whose records have all expired, as a service does in the end.
    pub fn remove_shard(&self, shard: &ShardId) {
        self.stream.lock().shards.remove(shard);
    }

    /// Retention as the stream is described; nothing expires by itself.
    pub fn set_retention(&self, retention: std::time::Duration) {
        self.stream.lock().retention_ms = retention.as_millis() as u64;
    }

    /// Deletes the stream.
    pub fn delete(&self) {
        let mut stream = self.stream.lock();
        stream.deleted = true;
        stream.pushes.signal();
    }

    /// Deletes the stream and creates it again, empty, with the same shard ids.
    pub fn recreate(&self) {
        let mut stream = self.stream.lock();
        stream.deleted = false;
        stream.created += 60_000;
        let mut last = stream.last_sequence;
        for shard in stream.shards.values_mut() {
            last += 1;
            *shard = MemoryShard::new(ShardInfo {
                starting_sequence: Some(last.into()),
                ending_sequence: None,
                ..shard.info.clone()
            });
        }
        stream.last_sequence = last;
    }

    /// Everything that was ever put into a shard, in order, expired or not.
    pub fn log(&self, shard: &ShardId) -> Vec<(SequenceNumber, Vec<u8>)> {
        let stream = self.stream.lock();
        let records = stream.shards.get(shard).map(|shard| shard.records.as_slice()).unwrap_or_default();
        records.iter().map(|record| (record.sequence, record.data.clone())).collect()
    }

    /// Calls made so far.
    pub fn calls(&self) -> Calls {
        self.stream.lock().calls
    }

    /// The next reads of a shard fail so.
    pub fn fail_reads(&self, shard: &ShardId, kind: SourceErrorKind, times: usize) {
        self.stream.lock().faults.fail(shard, kind, times);
    }

    /// The next reads of a shard give nothing, though there may be more.
    pub fn empty_reads(&self, shard: &ShardId, times: usize) {
        self.stream.lock().faults.empty(shard, times);
    }

    /// Scripted faults end.
    pub fn clear_scripts(&self) {
        self.stream.lock().faults.clear();
    }

    /// Faults that come by chance, in an order that the seed decides.
    pub fn set_chances(&self, chances: Chances, seed: u64) {
        self.stream.lock().faults.set_chances(chances, seed);
    }

    /// What the stream says of the distance to its tip.
    pub fn set_millis_behind(&self, millis_behind: MillisBehind) {
        self.stream.lock().faults.millis_behind = millis_behind;
    }

    /// A cursor at a time that is yet to come is refused.
    pub fn set_refuses_future(&self, refuses: bool) {
        self.stream.lock().faults.refuses_future = refuses;
    }

    /// The list of shards names no parents, as with some services.
    pub fn set_orphans(&self, orphans: bool) {
        self.stream.lock().orphans = orphans;
    }

    /// A closed shard says so one reply after its last record.
    pub fn set_late_end(&self, late: bool) {
        self.stream.lock().faults.late_end = late;
    }
}

impl Stream {
    fn now_ms(&self) -> i64 {
        EPOCH_MS + self.started.elapsed().as_millis() as i64
    }

    fn number(&self) -> SequenceNumber {
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&self.sequence_base.to_be_bytes());
        bytes[16..].copy_from_slice(&self.last_sequence.to_be_bytes());
        SequenceNumber::from_bytes(bytes)
    }

    fn add_shard(&mut self, (start, end): (u128, u128), parent: Option<&ShardId>, adjacent: Option<&ShardId>) -> ShardId {
        let id = ShardId::from(format!("shardId-{:012}", self.shards.len()));
        self.last_sequence += 1;
        let starting = self.number();
        let info = ShardInfo {
            id: id.clone(),
            parent: parent.cloned(),
            adjacent_parent: adjacent.cloned(),
            hash_start: start,
            hash_end: end,
            starting_sequence: Some(starting),
            ending_sequence: None,
        };
        self.shards.insert(id.clone(), MemoryShard::new(info));
        id
    }

    fn put(&mut self, shard: &ShardId, key: Option<&str>, arrival_ms: Option<i64>, data: &[u8]) -> Option<SequenceNumber> {
        self.shards.get(shard).filter(|shard| shard.info.ending_sequence.is_none())?;
        // numbers have gaps
        self.last_sequence += 1 + self.last_sequence % 7;
        let sequence = self.number();
        let shard = self.shards.get_mut(shard)?;
        shard.records.push(MemoryRecord {
            sequence,
            key: key.map(str::to_owned),
            arrival_ms,
            data: data.to_vec(),
        });
        self.pushes.signal();
        Some(sequence)
    }

    fn close(&mut self, shard: &ShardId) -> Option<(u128, u128)> {
        self.last_sequence += 1;
        let ending = self.number();
        let shard = self.shards.get_mut(shard).filter(|shard| shard.info.ending_sequence.is_none())?;
        shard.info.ending_sequence = Some(ending);
        self.pushes.signal();
        Some((shard.info.hash_start, shard.info.hash_end))
    }

    fn set_children(&mut self, parent: &ShardId, children: &[ShardId]) {
        if let Some(parent) = self.shards.get_mut(parent) {
            parent.children = children.to_vec();
        }
    }
}
