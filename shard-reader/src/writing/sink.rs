//! The one seam to PutRecords.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{SequenceNumber, ShardId, SourceError};

/// Records of one call at most (PutRecords, API reference).
pub const MOST_RECORDS_A_CALL: usize = 500;
/// Bytes of data and partition keys of one call at most.
pub const MOST_BYTES_A_CALL: usize = 10 << 20;
/// Bytes of data and partition key of one record at most. A stream takes 1 MiB unless it was told otherwise, and says so itself.
pub const MOST_BYTES_A_RECORD: usize = 10 << 20;
/// Characters of a partition key at most.
pub(super) const MOST_KEY_CHARACTERS: usize = 256;

/// A record on its way into a stream.
#[derive(Clone, PartialEq, Eq)]
pub struct OutgoingRecord {
    /// Decides the shard; 1 to 256 characters.
    pub key: String,
    /// Decides the shard instead of the key's hash.
    pub explicit_hash_key: Option<u128>,
    /// Its bytes.
    pub data: Bytes,
    /// User records in it: one, unless it is an aggregate.
    pub user_records: u32,
    /// The caller's own number for it, which [`Receipts`] are told.
    pub tag: u64,
}

impl OutgoingRecord {
    /// With the shard that its key decides.
    pub fn new(key: impl Into<String>, data: impl Into<Bytes>) -> Self {
        Self {
            key: key.into(),
            explicit_hash_key: None,
            data: data.into(),
            user_records: 1,
            tag: 0,
        }
    }

    /// Bytes that count against Kinesis's limits.
    pub fn wire_bytes(&self) -> usize {
        self.key.len() + self.data.len()
    }
}

impl fmt::Debug for OutgoingRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingRecord")
            .field("key", &self.key)
            .field("bytes", &self.data.len())
            .finish_non_exhaustive()
    }
}

/// Where a record went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Its shard.
    pub shard: ShardId,
    /// Its number there.
    pub sequence: SequenceNumber,
}

/// Hears of each record that was acknowledged. It is asked between calls, and so must not wait.
pub trait Receipts: fmt::Debug + Send + Sync {
    /// A record is in the stream.
    fn acknowledged(&self, record: &OutgoingRecord, at: Acknowledgement);
}

/// What became of one record of a call.
pub type EntryOutcome = Result<Acknowledgement, SourceError>;

/// Where records are put. Implementations do not retry: the writer does.
#[async_trait]
pub trait RecordSink: fmt::Debug + Send + Sync {
    /// One call: what became of each record, in their order; or why the call as a whole failed, in which case any of them may have been taken.
    async fn put(&self, stream: &str, records: &[OutgoingRecord]) -> Result<Vec<EntryOutcome>, SourceError>;

    /// Creates a stream, unless it is there, and waits until it takes records. `shards` = `None`: on demand.
    async fn create(&self, stream: &str, shards: Option<u32>) -> Result<(), SourceError>;
}
