//! What is held, segment by segment.

use super::stream::StreamReader;
use crate::{Position, SequenceNumber, ShardId};

/// A run of records that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFacts {
    /// Whose records.
    pub shard: ShardId,
    /// Where they are held: `memory`, `disk` or `store`. The same records may be held in several places.
    pub storage: &'static str,
    /// Sequence number of the first; of a file, the number that its beginning names.
    pub first: SequenceNumber,
    /// Sequence number of the last; of a file, the number that its end names.
    pub last: SequenceNumber,
    /// How many.
    pub records: u64,
    /// Bytes held, decoded columns too; of a file, its size.
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
            let Some(files) = state.storage.as_ref().map(|storage| storage.files.inventory()) else {
                continue;
            };
            for (storage, files) in ["disk", "store"].into_iter().zip(files) {
                facts.extend(files.into_iter().map(|(name, bytes)| SegmentFacts {
                    shard: shard.id.clone(),
                    storage,
                    first: named(name.from),
                    last: named(name.to),
                    records: name.rows.into(),
                    bytes,
                    decoded_bytes: 0,
                    arrivals: Some(name.arrivals),
                }));
            }
        }
        facts
    }
}

fn named(point: Position) -> SequenceNumber {
    point.sequence().unwrap_or(SequenceNumber::MIN)
}
