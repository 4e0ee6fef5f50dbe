//! What was put into the stream: kept beside it, never read from it.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::{MemorySource, Position, SequenceNumber, ShardId};

/// A record as its writer knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) sequence: SequenceNumber,
    /// Number of the user record in its record.
    pub(super) sub: u32,
    pub(super) arrival_ms: i64,
    pub(super) text: String,
}

impl Row {
    pub(super) fn before(&self) -> Position {
        match self.sub {
            0 => Position::Before(self.sequence),
            sub => Position::After(self.sequence, sub - 1),
        }
    }

    pub(super) fn after(&self) -> Position {
        Position::After(self.sequence, self.sub)
    }

    pub(super) fn lies_in(&self, start: Position, end: Position) -> bool {
        self.before() >= start && self.after() <= end
    }
}

/// All rows of a stream, by shard, in order.
#[derive(Debug, Default)]
pub(super) struct Model {
    shards: Mutex<BTreeMap<ShardId, Vec<Row>>>,
}

impl Model {
    /// Puts so many records; each says its number in the shard.
    pub(super) fn put(&self, source: &MemorySource, shard: &ShardId, count: usize) {
        let mut shards = self.shards.lock();
        let rows = shards.entry(shard.clone()).or_default();
        for _ in 0..count {
            let text = format!("{shard}#{}", rows.len());
            let arrival_ms = source.clock().now_ms();
            // a shard that was closed meanwhile takes nothing
            let Some(sequence) = source.put(shard, "key", text.as_bytes()) else {
                return;
            };
            rows.push(Row {
                sequence,
                sub: 0,
                arrival_ms,
                text,
            });
        }
    }

    /// Rows of a shard.
    pub(super) fn rows(&self, shard: &ShardId) -> Vec<Row> {
        self.shards.lock().get(shard).cloned().unwrap_or_default()
    }

    /// Rows acknowledged so far, by shard.
    pub(super) fn acknowledged(&self) -> BTreeMap<ShardId, usize> {
        self.shards.lock().iter().map(|(shard, rows)| (shard.clone(), rows.len())).collect()
    }
}
