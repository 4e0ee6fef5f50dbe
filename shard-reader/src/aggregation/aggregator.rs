//! User records -> one record, for producers.

use std::collections::HashMap;

use bytes::Bytes;
use prost::Message;

use super::message::{AggregatedRecord, UserRecord};
use super::{DIGEST_BYTES, MAGIC, digest};

/// Collects user records into an aggregate.
///
/// Which shard they belong to is the caller's to know: a KCL consumer drops an aggregate of which a user record's hash key lies outside the shard.
#[derive(Debug, Default)]
pub struct Aggregator {
    message: AggregatedRecord,
    partition_keys: Table,
    explicit_hash_keys: Table,
    bytes: usize,
}

/// Texts that stand in the message once.
#[derive(Debug, Default)]
struct Table(HashMap<Bytes, u64>);

impl Table {
    /// The text's index, and by how many bytes the message grows.
    fn index(&mut self, text: Bytes, into: &mut Vec<Bytes>) -> (u64, usize) {
        let mut added = 0;
        let index = *self.0.entry(text).or_insert_with_key(|text| {
            added = delimited(text.len());
            into.push(text.clone());
            into.len() as u64 - 1
        });
        (index, added)
    }
}

impl Aggregator {
    /// An aggregator without user records.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a user record; its index becomes its sub-sequence number.
    pub fn push(&mut self, partition_key: &str, explicit_hash_key: Option<u128>, data: &[u8]) {
        let partition_key = Bytes::copy_from_slice(partition_key.as_bytes());
        let (partition_key_index, key_bytes) = self.partition_keys.index(partition_key, &mut self.message.partition_keys);
        let explicit = explicit_hash_key.map(|key| {
            let text = Bytes::from(key.to_string());
            self.explicit_hash_keys.index(text, &mut self.message.explicit_hash_keys)
        });
        let record = UserRecord {
            partition_key_index: Some(partition_key_index),
            explicit_hash_key_index: explicit.map(|(index, _)| index),
            data: Some(Bytes::copy_from_slice(data)),
            tags: Vec::new(),
        };
        let record = Bytes::from(record.encode_to_vec());
        self.bytes += delimited(record.len()) + key_bytes + explicit.map_or(0, |(_, bytes)| bytes);
        self.message.records.push(record);
    }

    /// Number of user records.
    pub fn len(&self) -> usize {
        self.message.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.message.records.is_empty()
    }

    /// Bytes of the aggregate.
    pub fn bytes(&self) -> usize {
        MAGIC.len() + self.bytes + DIGEST_BYTES
    }

    /// The aggregate. The aggregator is empty afterwards.
    pub fn finish(&mut self) -> Vec<u8> {
        let aggregator = std::mem::take(self);
        let mut record = Vec::with_capacity(aggregator.bytes());
        record.extend_from_slice(MAGIC);
        record.append(&mut aggregator.message.encode_to_vec());
        let digest = digest(&record[MAGIC.len()..]);
        record.extend_from_slice(&digest);
        record
    }
}

/// Bytes of a field of so many bytes.
fn delimited(bytes: usize) -> usize {
    1 + prost::length_delimiter_len(bytes) + bytes
}
