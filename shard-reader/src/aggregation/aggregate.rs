//! One record -> its user records.

use bytes::Bytes;
use prost::Message;

use super::message::{AggregatedRecord, Tag, UserRecord};
use super::{DIGEST_BYTES, MAGIC, MOST_EXPANSION, ROW_BYTES, digest, hash_of_partition_key};

/// Bytes of the least user record with all that is required.
const LEAST_BYTES: usize = 6;

/// A record that is an aggregate.
#[derive(Debug, PartialEq)]
pub(super) struct Aggregate {
    /// Partition keys; those in use are UTF-8.
    partition_keys: Vec<Bytes>,
    rows: Vec<Row>,
    /// Bytes of the rows' partition keys and payloads.
    pub(super) key_bytes: usize,
    pub(super) data_bytes: usize,
}

#[derive(Debug, PartialEq)]
struct Row {
    partition_key: usize,
    hash_key: u128,
    data: Bytes,
}

/// One row of an aggregate.
#[derive(Debug, PartialEq)]
pub(super) struct UserRow<'a> {
    pub(super) partition_key: &'a str,
    pub(super) hash_key: u128,
    pub(super) data: &'a [u8],
}

/// Why a record that begins like an aggregate is none.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum LookAlike {
    #[error("its MD5 is another one")]
    Digest,
    #[error("its message does not parse: {0}")]
    Protobuf(#[from] prost::DecodeError),
    #[error("a required field is missing")]
    MissingField,
    #[error("it names entry {0} of a table that is shorter")]
    Index(u64),
    #[error("an explicit hash key is no decimal number of 128 bits")]
    HashKey,
    #[error("a partition key is not UTF-8")]
    PartitionKey,
    #[error("it has no user record")]
    Empty,
    #[error("its rows would take more than {MOST_EXPANSION} times its bytes")]
    Expansion,
}

impl Aggregate {
    /// Parses a record that begins with the magic. What is allocated is in proportion to its bytes, whatever lengths they claim.
    pub(super) fn parse(record: &Bytes) -> Result<Self, LookAlike> {
        let digest_at = record.len().checked_sub(DIGEST_BYTES).filter(|at| *at > MAGIC.len());
        let digest_at = digest_at.ok_or(LookAlike::Digest)?;
        if digest(&record[MAGIC.len()..digest_at]) != record[digest_at..] {
            return Err(LookAlike::Digest);
        }
        let message = AggregatedRecord::decode(record.slice(MAGIC.len()..digest_at))?;
        if message.records.is_empty() {
            return Err(LookAlike::Empty);
        }
        let most = record.len().saturating_mul(MOST_EXPANSION);
        let mut hash_keys: Vec<Option<u128>> = vec![None; message.partition_keys.len()];
        let explicit: Vec<Option<u128>> = message.explicit_hash_keys.iter().map(|text| hash_key(text)).collect();
        let mut rows = Vec::with_capacity(message.records.len().min(record.len() / LEAST_BYTES));
        let (mut key_bytes, mut data_bytes) = (0usize, 0usize);
        for user_record in message.records {
            let user_record = UserRecord::decode(user_record)?;
            for tag in user_record.tags {
                Tag::decode(tag)?.key.ok_or(LookAlike::MissingField)?;
            }
            let index = user_record.partition_key_index.ok_or(LookAlike::MissingField)?;
            let data = user_record.data.ok_or(LookAlike::MissingField)?;
            let (partition_key, text) = entry(&message.partition_keys, index)?;
            let of_partition_key = match hash_keys[partition_key] {
                Some(known) => known,
                None => {
                    let text = str::from_utf8(text).map_err(|_| LookAlike::PartitionKey)?;
                    *hash_keys[partition_key].insert(hash_of_partition_key(text))
                }
            };
            let hash_key = match user_record.explicit_hash_key_index {
                Some(index) => entry(&explicit, index)?.1.ok_or(LookAlike::HashKey)?,
                None => of_partition_key,
            };
            key_bytes += text.len();
            data_bytes += data.len();
            rows.push(Row {
                partition_key,
                hash_key,
                data,
            });
            if key_bytes + data_bytes + rows.len() * ROW_BYTES > most {
                return Err(LookAlike::Expansion);
            }
        }
        Ok(Self {
            partition_keys: message.partition_keys,
            rows,
            key_bytes,
            data_bytes,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The rows, in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = UserRow<'_>> {
        self.rows.iter().map(|row| UserRow {
            // `parse` has looked at every key in use
            partition_key: str::from_utf8(&self.partition_keys[row.partition_key]).unwrap_or_default(),
            hash_key: row.hash_key,
            data: &row.data,
        })
    }
}

fn entry<T>(table: &[T], index: u64) -> Result<(usize, &T), LookAlike> {
    let at = usize::try_from(index).map_err(|_| LookAlike::Index(index))?;
    table.get(at).map(|entry| (at, entry)).ok_or(LookAlike::Index(index))
}

fn hash_key(text: &[u8]) -> Option<u128> {
    let text = str::from_utf8(text).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
