//! Streams: their shards, lineage, metadata and positions.

mod directory;
mod hash;
mod iterator;
mod limiter;
mod metadata;
mod reshard;
mod scaling;
mod sequence;
mod shard;
mod state;
mod subscriptions;

pub(crate) use directory::StreamDirectory;
pub(crate) use hash::{HASH_MAX, hash_of_key};
pub(crate) use iterator::ShardIterator;
pub(crate) use limiter::Bucket;
pub(crate) use metadata::{ConsumerMetadata, ShardMetadata, StreamMode};
pub(crate) use reshard::ReshardError;
pub(crate) use scaling::{Piece, Step, plan};
pub(crate) use sequence::{ForeignSequence, SequenceText};
pub(crate) use shard::{Shard, parse_shard_id, shard_id};
pub(crate) use state::{Stream, StreamState};
pub use subscriptions::SubscriptionEnd;
pub(crate) use subscriptions::{Occupied, Seat};
