//! One shard: its place in the hash key space and its log.

use std::sync::Arc;

use parking_lot::Mutex;

use super::limiter::ShardLimiter;
use super::metadata::ShardMetadata;
use super::sequence::{SequencePrefix, SequenceText};
use crate::log::ShardLog;

/// A shard that exists, open or closed. Whether it is closed stands in the stream's metadata.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) id: Arc<str>,
    pub(crate) number: u32,
    pub(crate) hash_start: u128,
    pub(crate) hash_end: u128,
    pub(crate) sequence: SequencePrefix,
    pub(crate) log: ShardLog,
    /// Used where the service has limits.
    pub(crate) limiter: Mutex<ShardLimiter>,
}

impl Shard {
    pub(super) fn new(metadata: &ShardMetadata, sequence: SequencePrefix, log: ShardLog) -> Arc<Self> {
        Arc::new(Self {
            id: shard_id(metadata.number).into(),
            number: metadata.number,
            hash_start: metadata.hash_start,
            hash_end: metadata.hash_end,
            sequence,
            log,
            limiter: Mutex::new(ShardLimiter::new()),
        })
    }

    pub(crate) fn sequence_number(&self, counter: u64) -> SequenceText {
        self.sequence.number(counter)
    }
}

/// The id of the shard with that number.
pub(crate) fn shard_id(number: u32) -> String {
    format!("shardId-{number:012}")
}

/// The number in a shard id as [`shard_id`] writes it.
pub(crate) fn parse_shard_id(id: &str) -> Option<u32> {
    let digits = id.strip_prefix("shardId-")?;
    let number = digits.parse().ok()?;
    (digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
}
