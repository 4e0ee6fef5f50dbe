//! One shard of a memory stream.

use crate::{OpenAt, Records, RecordsBuilder, SequenceNumber, ShardId, ShardInfo};

#[derive(Debug)]
pub(super) struct MemoryRecord {
    pub(super) sequence: SequenceNumber,
    pub(super) key: Option<String>,
    pub(super) arrival_ms: Option<i64>,
    pub(super) data: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct MemoryShard {
    pub(super) info: ShardInfo,
    /// All records ever put.
    pub(super) records: Vec<MemoryRecord>,
    /// Those before have expired.
    pub(super) first: usize,
    pub(super) children: Vec<ShardId>,
}

impl MemoryShard {
    pub(super) fn new(info: ShardInfo) -> Self {
        Self {
            info,
            records: Vec::new(),
            first: 0,
            children: Vec::new(),
        }
    }

    /// The index that a cursor opened so stands at. As on AWS, an expired place silently becomes the horizon.
    pub(super) fn index_of(&self, at: OpenAt) -> usize {
        let index = match at {
            OpenAt::TrimHorizon => self.first,
            OpenAt::At(sequence) => self.records.partition_point(|record| record.sequence < sequence),
            OpenAt::After(sequence) => self.records.partition_point(|record| record.sequence <= sequence),
            OpenAt::Timestamp(time) => {
                let newer = self.records[self.first..]
                    .iter()
                    .position(|record| record.arrival_ms.is_none_or(|arrival| arrival >= time));
                newer.map_or(self.records.len(), |index| self.first + index)
            }
        };
        index.max(self.first)
    }

    /// The records from an index on, at most `limit` and about `bytes`; and the index after them.
    pub(super) fn page(&self, index: usize, limit: usize, bytes: usize) -> (Records, usize) {
        let mut builder = RecordsBuilder::with_capacity(limit.min(self.records.len()), 0, 0);
        let (mut next, mut held) = (index.max(self.first), 0);
        for record in self.records[next..].iter().take(limit) {
            if held > 0 && held + record.data.len() > bytes {
                break;
            }
            held += record.data.len();
            builder.push(record.sequence, record.key.as_deref(), record.arrival_ms, &record.data);
            next += 1;
        }
        (builder.finish(), next)
    }
}
