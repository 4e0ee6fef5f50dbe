//! `--compress` and `--aggregate`: what becomes of a record before it is put.

use std::collections::BTreeMap;
use std::io::Write;

use clap::ValueEnum;
use flate2::write::GzEncoder;
use shard_reader::{Aggregator, HashRange, hash_of_partition_key};

use super::record::Record;
use super::verify::{Content, Digest};

/// As the Kinesis Producer Library's default (`AggregationMaxSize` 51,200).
const MOST_BYTES: usize = 50 << 10;
/// User records of an aggregate.
const MOST_RECORDS: usize = 500;
/// Bytes that a user record takes in an aggregate beside its key and payload, at most.
const FRAME_BYTES: usize = 32;
/// The partition key of an aggregate, as the KPL's; its explicit hash key decides.
const AGGREGATE_KEY: &str = "a";

/// How payloads are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PayloadCompression {
    /// RFC 1952
    Gzip,
    /// RFC 8878
    Zstd,
}

impl PayloadCompression {
    /// The payload, compressed.
    pub(crate) fn compress(self, data: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(data)?;
                encoder.finish()
            }
            Self::Zstd => zstd::encode_all(data, zstd::DEFAULT_COMPRESSION_LEVEL),
        }
    }
}

/// Gathers records into aggregates, for each shard those that it takes.
#[derive(Debug)]
pub(crate) struct Packer {
    /// By first hash key.
    shards: BTreeMap<u128, Shard>,
}

#[derive(Debug)]
struct Shard {
    range: HashRange,
    aggregator: Aggregator,
    users: Vec<Digest>,
}

impl Shard {
    fn take(&mut self) -> Option<Record> {
        if self.aggregator.is_empty() {
            return None;
        }
        Some(Record {
            key: AGGREGATE_KEY.to_owned(),
            explicit_hash_key: Some(self.range.start),
            data: self.aggregator.finish(),
            content: Some(Content::Aggregate(std::mem::take(&mut self.users))),
        })
    }
}

impl Packer {
    /// For a stream whose open shards have these ranges.
    pub(crate) fn new(ranges: impl IntoIterator<Item = HashRange>) -> Self {
        let shard = |range: HashRange| Shard {
            range,
            aggregator: Aggregator::new(),
            users: Vec::new(),
        };
        Self {
            shards: ranges.into_iter().map(|range| (range.start, shard(range))).collect(),
        }
    }

    /// Takes a record in; gives what is to be put now, in order. A record that is too large for an aggregate, or that no shard takes, goes alone.
    pub(crate) fn push(&mut self, record: Record) -> Vec<Record> {
        let hash = hash_of_partition_key(&record.key);
        let shard = self.shards.range_mut(..=hash).next_back().map(|(_, shard)| shard);
        let size = record.size() + FRAME_BYTES;
        let Some(shard) = shard.filter(|shard| shard.range.contains(hash) && size <= MOST_BYTES / 2) else {
            return vec![record];
        };
        let mut full = Vec::new();
        if shard.aggregator.bytes() + size > MOST_BYTES {
            full.extend(shard.take());
        }
        shard.users.push(Digest::of(&record.key, &record.data));
        shard.aggregator.push(&record.key, None, &record.data);
        if shard.aggregator.len() >= MOST_RECORDS {
            full.extend(shard.take());
        }
        full
    }

    /// What is left.
    pub(crate) fn take(&mut self) -> Vec<Record> {
        self.shards.values_mut().filter_map(Shard::take).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aggregates_keep_to_their_bounds_and_their_shard() {
        let middle = 1u128 << 127;
        let ranges = [
            HashRange { start: 0, end: middle - 1 },
            HashRange {
                start: middle,
                end: u128::MAX,
            },
        ];
        let mut packer = Packer::new(ranges);
        let records: Vec<Record> = (0..3000usize)
            .map(|n| Record::plain(format!("host-{n}"), vec![b'x'; if n % 100 == 7 { 40_000 } else { n % 400 }]))
            .collect();
        let mut put: Vec<Record> = records.iter().cloned().flat_map(|record| packer.push(record)).collect();
        put.extend(packer.take());
        assert!(packer.take().is_empty());
        let mut seen = Vec::new();
        for record in &put {
            let Some(users) = shard_reader::user_records(&record.data) else {
                assert_eq!(record.data.len(), 40_000, "only what is too large goes alone");
                seen.push((record.key.clone(), record.data.clone()));
                continue;
            };
            assert!(
                record.data.len() <= 51_200 && users.len() <= 500,
                "{} bytes, {} records",
                record.data.len(),
                users.len()
            );
            let start = record.explicit_hash_key.expect("an aggregate says where it belongs");
            assert!(
                users
                    .iter()
                    .all(|(key, _)| (hash_of_partition_key(key) >= middle) == (start == middle))
            );
            assert_eq!(record.users() as usize, users.len());
            seen.extend(users);
        }
        assert!(put.len() < 100, "{} records", put.len());
        let mut expected: Vec<_> = records.into_iter().map(|record| (record.key, record.data)).collect();
        seen.sort();
        expected.sort();
        assert!(seen == expected, "every record is there, once");
    }
}
