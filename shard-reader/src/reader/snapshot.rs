//! What a statement reads: a fixed range of every shard.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{HashRange, Position, SequenceNumber, ShardId, StreamIdentity};

/// Where a statement begins to read; resolved to a position when pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScanStart {
    /// The oldest record kept.
    TrimHorizon,
    /// The tip at the time of the statement: nothing of what is there.
    Latest,
    /// The first record that arrived at or after this time (ms since the epoch). Arrival times need not ascend: a filter on them stays with the caller.
    Timestamp(i64),
}

/// How new the end of a snapshot must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Freshness {
    /// Complete to when the statement arrived.
    Latest,
    /// The last known tip, without a call; a shard that was never read acts as `Latest`.
    Cached,
    /// Complete to so long before the statement arrived.
    Within(Duration),
}

/// A request to fix what a statement reads.
#[derive(Clone, Copy, Debug)]
pub struct PinRequest {
    /// Where to begin.
    pub start: ScanStart,
    /// How new the end must be.
    pub freshness: Freshness,
    /// When the statement arrived: everything acknowledged before is in the snapshot (with `Freshness::Latest`).
    pub arrived: Instant,
}

/// What a statement can need of one shard: it saves reading, and decides nothing about a record. What lies outside may be in the range all the same.
///
/// Points are moved only by what the service says: to a record that is there, or to the first record that arrived at or after a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardBounds {
    /// Records with a lower sequence number are not needed.
    pub from: Option<SequenceNumber>,
    /// Records with a higher sequence number are not needed.
    pub to: Option<SequenceNumber>,
    /// Records before the first that arrived at or after this time (ms since the epoch) are not needed.
    pub from_ms: Option<i64>,
    /// The first record that arrived at or after this time (ms since the epoch), and records after it, are not needed.
    pub before_ms: Option<i64>,
}

/// A shard and the records strictly between two points. The points name records of the shard (or its horizon): an arbitrary number cannot be told from
/// a record that expired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardRange {
    /// Shard.
    pub shard: ShardId,
    /// Records after this point.
    pub start: Position,
    /// Records before this point.
    pub end: Position,
}

/// How the end of a pinned range is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TipKind {
    /// A page requested after the statement arrived reported the tip.
    Reached,
    /// The service kept reporting a distance to the tip that did not shrink over several empty replies.
    Assumed,
    /// The shard is closed: this is its end.
    Closed,
    /// What the statement can need ends before the tip.
    Bounded,
    /// An earlier tip, as the requested freshness allows.
    Cached,
}

/// The pinned range of one shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardPin {
    /// What to read.
    pub range: ShardRange,
    /// Lower bound of the shard's sequence numbers, where the service tells.
    pub shard_start: Option<SequenceNumber>,
    /// Upper bound of the shard's sequence numbers, once it is closed.
    pub shard_end: Option<SequenceNumber>,
    /// Hash keys of the shard; `None` where the service has not told them.
    pub hash_range: Option<HashRange>,
    /// How the end is known.
    pub tip: TipKind,
    /// Bytes of the range that were in memory, or stored, when it was pinned.
    pub bytes_cached: u64,
}

/// The ranges of all shards of a stream, fixed for one statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Which incarnation of which stream.
    pub stream: StreamIdentity,
    /// The stream's name.
    #[serde(with = "crate::source::shared_text")]
    pub name: Arc<str>,
    /// Sorted by shard id.
    pub shards: Vec<ShardPin>,
}
