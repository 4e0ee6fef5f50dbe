//! What is held, segment by segment.

use super::stream::StreamReader;
use crate::{SequenceNumber, ShardId};

/// A run of records that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFacts {
    /// Whose records.
    pub shard: ShardId,
    /// Where they are held: `memory`.
    pub storage: &'static str,
    /// Sequence number of the first.
    pub first: SequenceNumber,
    /// Sequence number of the last.
    pub last: SequenceNumber,
    /// How many.
    pub records: u64,
    /// Bytes held, decoded columns too.
    pub bytes: u64,
    /// Of these, decoded columns.
    pub decoded_bytes: u64,
    /// Least and greatest arrival time, ms since the epoch, where every record has one.
    pub arrivals: Option<(i64, i64)>,
}

impl StreamReader {
    /// All segments held, by shard and position.
    pub fn segments(&self) -> Vec<SegmentFacts> {
        let mut facts = Vec::new();
        for shard in self.context().shards() {
            let state = shard.state.lock();
            for (_, stretch) in state.coverage.stretches() {
                let segment = &stretch.segment;
                let (first, last) = segment.sequence_range();
                let arrivals = segment.arrival_range();
                facts.push(SegmentFacts {
                    shard: shard.id.clone(),
                    storage: "memory",
                    first,
                    last,
                    records: segment.records().len() as u64,
                    bytes: segment.bytes() as u64,
                    decoded_bytes: (segment.bytes() - segment.raw_bytes()) as u64,
                    arrivals: (arrivals != (i64::MIN, i64::MAX)).then_some(arrivals),
                });
            }
        }
        facts
    }
}
