//! `--compress` and `--aggregate`: what becomes of a record before it is put.

use std::io::Write;

use clap::ValueEnum;
use flate2::write::GzEncoder;
use shard_reader::{HashRange, OutgoingRecord, Packed};

use super::record::Record;
use super::verify::{Content, Digest};

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
pub(crate) struct Packer(shard_reader::Packer<Digest>);

impl Packer {
    /// For a stream whose open shards have these ranges.
    pub(crate) fn new(ranges: impl IntoIterator<Item = HashRange>) -> Self {
        Self(shard_reader::Packer::new(ranges))
    }

    /// Takes a record in; gives what is to be put now, in order.
    pub(crate) fn push(&mut self, record: Record) -> Vec<Record> {
        let digest = Digest::of(&record.key, &record.data);
        let packed = self.0.push(OutgoingRecord::new(record.key, record.data), digest);
        packed.into_iter().map(unpacked).collect()
    }

    /// What is left.
    pub(crate) fn take(&mut self) -> Vec<Record> {
        self.0.take().into_iter().map(unpacked).collect()
    }
}

fn unpacked(packed: Packed<Digest>) -> Record {
    Record {
        key: packed.record.key,
        explicit_hash_key: packed.record.explicit_hash_key,
        data: packed.record.data.into(),
        content: packed.is_aggregate.then_some(Content::Aggregate(packed.notes)),
    }
}

#[cfg(test)]
mod tests {
    use shard_reader::hash_of_partition_key;

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
