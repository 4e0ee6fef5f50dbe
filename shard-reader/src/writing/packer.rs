//! User records -> aggregates of the Kinesis Producer Library, for each shard those that it takes.

use std::collections::BTreeMap;

use super::sink::OutgoingRecord;
use crate::HashRange;
use crate::aggregation::{Aggregator, hash_of_partition_key};

/// As the Kinesis Producer Library's default (`AggregationMaxSize` 51,200).
const MOST_BYTES: usize = 50 << 10;
/// User records of an aggregate.
const MOST_RECORDS: usize = 500;
/// Bytes that a user record takes in an aggregate beside its key and payload, at most.
const FRAME_BYTES: usize = 32;
/// The partition key of an aggregate, as the KPL's; its explicit hash key decides.
const AGGREGATE_KEY: &str = "a";

/// Gathers user records; of each the caller keeps a note.
#[derive(Debug)]
pub struct Packer<N> {
    /// By first hash key.
    shards: BTreeMap<u128, Shard<N>>,
}

/// A record to put, and the notes of its user records in their order.
#[derive(Debug)]
pub struct Packed<N> {
    /// Whether the record is an aggregate.
    pub is_aggregate: bool,
    /// An aggregate, or a record that fits into none.
    pub record: OutgoingRecord,
    /// One of each user record.
    pub notes: Vec<N>,
}

#[derive(Debug)]
struct Shard<N> {
    range: HashRange,
    aggregator: Aggregator,
    notes: Vec<N>,
}

impl<N> Shard<N> {
    fn take(&mut self) -> Option<Packed<N>> {
        if self.aggregator.is_empty() {
            return None;
        }
        let record = OutgoingRecord {
            explicit_hash_key: Some(self.range.start),
            user_records: u32::try_from(self.notes.len()).unwrap_or(u32::MAX),
            ..OutgoingRecord::new(AGGREGATE_KEY, self.aggregator.finish())
        };
        Some(Packed {
            is_aggregate: true,
            record,
            notes: std::mem::take(&mut self.notes),
        })
    }
}

impl<N> Packer<N> {
    /// For a stream whose open shards have these ranges.
    pub fn new(ranges: impl IntoIterator<Item = HashRange>) -> Self {
        let shard = |range: HashRange| Shard {
            range,
            aggregator: Aggregator::new(),
            notes: Vec::new(),
        };
        Self {
            shards: ranges.into_iter().map(|range| (range.start, shard(range))).collect(),
        }
    }

    /// Takes a user record in; gives what is to be put now, in order. One that is too large for an aggregate goes alone, behind what was gathered for its
    /// shard; so does one that no shard takes, or that names its shard itself.
    pub fn push(&mut self, mut record: OutgoingRecord, note: N) -> Vec<Packed<N>> {
        let hash = hash_of_partition_key(&record.key);
        let shard = self.shards.range_mut(..=hash).next_back().map(|(_, shard)| shard);
        let alone = |record, note| Packed {
            is_aggregate: false,
            record,
            notes: vec![note],
        };
        let Some(shard) = shard.filter(|shard| shard.range.contains(hash) && record.explicit_hash_key.is_none()) else {
            return vec![alone(record, note)];
        };
        let size = record.wire_bytes() + FRAME_BYTES;
        if size > MOST_BYTES / 2 {
            // The way that aggregates of its shard go, so that it does not overtake its key's.
            record.explicit_hash_key = Some(shard.range.start);
            return shard.take().into_iter().chain([alone(record, note)]).collect();
        }
        let mut full = Vec::new();
        if shard.aggregator.bytes() + size > MOST_BYTES {
            full.extend(shard.take());
        }
        shard.notes.push(note);
        shard.aggregator.push(&record.key, None, &record.data);
        if shard.aggregator.len() >= MOST_RECORDS {
            full.extend(shard.take());
        }
        full
    }

    /// What is left.
    pub fn take(&mut self) -> Vec<Packed<N>> {
        self.shards.values_mut().filter_map(Shard::take).collect()
    }
}
