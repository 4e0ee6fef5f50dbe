//! The one seam to Kinesis: list shards, open a cursor, read a page.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{FanOut, RecordSink, Records, SequenceNumber};

/// Id of a shard. Opaque; unique only within one incarnation of a stream.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(Arc<str>);

impl ShardId {
    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ShardId {
    fn from(text: &str) -> Self {
        Self(Arc::from(text))
    }
}

impl From<String> for ShardId {
    fn from(text: String) -> Self {
        Self(Arc::from(text))
    }
}

impl AsRef<str> for ShardId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ShardId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ShardId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(String::deserialize(deserializer)?))
    }
}

/// One incarnation of a stream. A stream that was deleted and created again has the same name and shard ids, and other data.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamIdentity {
    /// ARN (or the name, where a service gives none).
    #[serde(with = "shared_text")]
    pub arn: Arc<str>,
    /// Creation time, ms since the epoch.
    pub created_ms: i64,
}

/// Shared text in serialized form.
pub(crate) mod shared_text {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
        Ok(String::deserialize(deserializer)?.into())
    }
}

/// What a service says of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamDescription {
    /// Which incarnation.
    pub identity: StreamIdentity,
    /// Name.
    pub name: Arc<str>,
    /// Status, as the service words it (`ACTIVE`).
    pub status: String,
    /// How long records are kept.
    pub retention: Duration,
    /// On-demand capacity: what is read is charged by the byte.
    pub on_demand: bool,
}

/// Hash keys, both ends inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashRange {
    /// First.
    #[serde(with = "decimal_text")]
    pub start: u128,
    /// Last.
    #[serde(with = "decimal_text")]
    pub end: u128,
}

impl HashRange {
    /// Whether a hash key lies in it.
    pub fn contains(&self, key: u128) -> bool {
        (self.start..=self.end).contains(&key)
    }
}

/// 128 bits as decimal text, as Kinesis writes hash keys: not every serialized form has numbers of that size.
mod decimal_text {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// What a service says of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardInfo {
    /// Id.
    pub id: ShardId,
    /// The shard this one came from by a split or a merge.
    pub parent: Option<ShardId>,
    /// The other shard of a merge.
    pub adjacent_parent: Option<ShardId>,
    /// First hash key, inclusive.
    pub hash_start: u128,
    /// Last hash key, inclusive.
    pub hash_end: u128,
    /// Lower bound of its sequence numbers.
    pub starting_sequence: Option<SequenceNumber>,
    /// Upper bound of its sequence numbers; known exactly when the shard is closed. Usually not the number of its last record.
    pub ending_sequence: Option<SequenceNumber>,
}

impl ShardInfo {
    /// The hash keys whose records it takes; `None` for a shard that was named, and not listed yet.
    pub fn hash_range(&self) -> Option<HashRange> {
        let listed = self.starting_sequence.is_some();
        listed.then_some(HashRange {
            start: self.hash_start,
            end: self.hash_end,
        })
    }
}

/// Where to open a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenAt {
    /// At the oldest record kept.
    TrimHorizon,
    /// At this record.
    At(SequenceNumber),
    /// After this record.
    After(SequenceNumber),
    /// At the first record that arrived at or after this time (ms since the epoch).
    Timestamp(i64),
}

/// A shard iterator and its age. It stands at a fixed place: reading it twice gives the same records.
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The service's token.
    pub token: String,
    /// When it was issued; AWS lets it live for 5 minutes.
    pub issued_at: Instant,
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").field("issued_at", &self.issued_at).finish_non_exhaustive()
    }
}

/// One reply of GetRecords.
#[derive(Clone, Debug)]
pub struct Page {
    /// The records, ascending. May be empty with more to come.
    pub records: Records,
    /// Where to read on; `None` = the shard has ended.
    pub next: Option<Cursor>,
    /// How far behind the shard's tip the reply is (ms), as the service says.
    pub millis_behind: Option<u64>,
    /// Children, where the service names them at a shard's end.
    pub children: Vec<ShardId>,
    /// Just before the request was sent.
    pub requested_at: Instant,
    /// As many records (`limit`) or bytes (8 MiB) as a reply holds: more may follow whatever `millis_behind` says.
    pub full: bool,
    /// Bytes of the records: data and partition keys.
    pub wire_bytes: u64,
}

/// Bytes from which a page counts as full: a reply holds at most 10 MiB (GetRecords), and the record that did not fit may be 2 MiB.
pub const FULL_PAGE_BYTES: u64 = 8 << 20;

/// What went wrong at a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceErrorKind {
    /// Too many calls or bytes (of anybody in the account); try again later.
    Throttled,
    /// The cursor is too old; open a new one.
    ExpiredIterator,
    /// No such stream, shard or (some services) record.
    NotFound,
    /// Not allowed, or the stream's key is not usable.
    Denied,
    /// The request was refused, or the reply made no sense.
    Invalid,
    /// Not reachable, timed out, or the service failed; try again.
    Unavailable,
}

/// An error of a source.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// Category.
    pub kind: SourceErrorKind,
    /// What was asked and what the service said.
    pub message: String,
    /// Cause.
    #[source]
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl SourceError {
    /// An error without a cause.
    pub fn new(kind: SourceErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.kind,
            SourceErrorKind::Throttled | SourceErrorKind::ExpiredIterator | SourceErrorKind::Unavailable
        )
    }
}

/// Where a stream's records come from. Implementations do not retry `open` and `read`: the reader does, within the shard's call budget.
#[async_trait]
pub trait ShardSource: fmt::Debug + Send + Sync + 'static {
    /// Describes a stream by name or ARN.
    async fn describe(&self, stream: &str) -> Result<StreamDescription, SourceError>;

    /// All shards, closed ones too, each once.
    async fn list_shards(&self, stream: &str) -> Result<Vec<ShardInfo>, SourceError>;

    /// A cursor at a place in a shard.
    async fn open(&self, stream: &str, shard: &ShardId, at: OpenAt) -> Result<Cursor, SourceError>;

    /// How it pushes records, if it can.
    fn fan_out(&self) -> Option<&dyn FanOut> {
        None
    }

    /// How records are put into its streams, if they can be.
    fn writing(&self) -> Option<&dyn RecordSink> {
        None
    }

    /// The page at a cursor, at most `limit` records (10,000 is the most that Kinesis gives).
    async fn read(&self, stream: &str, shard: &ShardId, cursor: &Cursor, limit: u32) -> Result<Page, SourceError>;
}
