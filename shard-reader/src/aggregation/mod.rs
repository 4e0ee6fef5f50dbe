//! Aggregation of the Kinesis Producer Library (KPL): many user records in one Kinesis record.
//!
//! An aggregate is told by its bytes alone: the magic `f3 89 9a c2`, a protobuf message, and the message's MD5 (`aggregation-format.md` of
//! awslabs/amazon-kinesis-producer). Its user records become rows of their own, before anything else looks at a page: partition key and explicit hash
//! key from the message's tables, and their index as sub-sequence number.
//!
//! A record that begins like an aggregate and is none passes as it is, as one row, and is counted as a look-alike; so no byte is ever lost. That is
//! so if the MD5 differs; the message does not parse, lacks a required field, has no user record, or names an entry that a table does not have; an
//! explicit hash key in use is no decimal number of 128 bits, or a partition key in use is not UTF-8; or the rows would take more than
//! [`MOST_EXPANSION`] times the record's bytes.
//!
//! Whether a record is an aggregate depends on nothing but its bytes. So positions inside it, `After(sequence, sub)`, mean the same everywhere and for
//! ever.

mod aggregate;
mod aggregator;
mod message;
mod page;

pub use aggregator::Aggregator;
pub use page::user_records;
pub(crate) use page::{Deaggregated, deaggregate};

/// Begins every aggregate.
const MAGIC: &[u8] = &[0xF3, 0x89, 0x9A, 0xC2];
/// Bytes of the MD5 that ends it.
const DIGEST_BYTES: usize = 16;
/// Rows of an aggregate take at most so many times its bytes: a partition key stands once in the aggregate and once in every row. What KPL takes
/// (keys of up to 256 characters) stays below even if every payload is empty.
pub const MOST_EXPANSION: usize = 64;
/// Bytes that a row takes beside its partition key and payload.
const ROW_BYTES: usize = 61;

/// The 128-bit hash key that Kinesis derives from a partition key: its MD5 as a big-endian number.
pub fn hash_of_partition_key(partition_key: &str) -> u128 {
    u128::from_be_bytes(digest(partition_key.as_bytes()))
}

fn digest(bytes: &[u8]) -> [u8; DIGEST_BYTES] {
    use md5::Digest;
    md5::Md5::digest(bytes).into()
}

#[cfg(test)]
mod tests;
