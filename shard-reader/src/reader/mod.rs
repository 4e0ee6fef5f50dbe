//! The shared reader: one per stream incarnation and process, one task per shard.
//!
//! # How a statement reads
//!
//! It *pins* a snapshot (the range of every shard, complete to the tip when the statement arrived), then *scans* ranges. A pin needs the tip alone;
//! records flow when scans ask. All statements share what was fetched: a record comes from Kinesis once while it stays within the memory budget.
//!
//! # Rules
//!
//! - A tip is a reply to a request made after the statement arrived that is not full and whose distance to the tip reaches back no further than the
//!   statement's arrival (so also: distance 0), or that ends the shard. A *full* reply is never a tip, whatever distance it reports: some services
//!   measure it between records, and say nearly nothing while more records wait. If the distance does not shrink over five empty replies and two
//!   seconds, the tip is assumed, and the pin says so. (A service that both reports distance 0 and gives empty replies in the middle of a shard cannot
//!   be read completely by anyone.)
//! - What a service lists as closed takes no more records: the bound of its sequence numbers is its end, so its last record need not be looked for.
//! - The list of shards is asked for beside each pin that must be complete. A shard that ends names its children, but it may do so one reply after its
//!   last record, and the children could hold acknowledged records by then.
//! - Only the service decides what has expired. A first record that is past retention by our clock is asked for again (one record), never dropped by
//!   the clock alone: a skewed clock must not hide rows.
//! - A cursor that is opened again must begin with the record that its position names; what is missing is an error, never a shorter answer.
//!
//! # Limits
//!
//! Ranges whose start is given by hand must name records that exist: an unknown sequence number cannot be told from an expired one.

mod actor;
mod anchor;
mod answer;
mod arrivals;
mod backfill;
mod config;
mod consumer;
mod context;
mod counters;
mod coverage;
mod elsewhere;
mod error;
mod estimate;
mod fetch;
mod follow;
mod following;
mod gaps;
mod incarnation;
mod inventory;
mod loading;
mod meter;
mod newest;
mod pin;
mod push;
mod pushed;
mod rate;
mod readers;
mod scan;
mod seen;
mod shard;
mod snapshot;
mod stored;
mod storing;
mod stream;
mod tail;

pub use config::{FanOutConfig, ReaderConfig, WallClock};
pub use counters::{CacheCounters, ShardCounters};
pub use elsewhere::{PinElsewhere, PinnedShard, PinsForAnother, ShardToPin};
pub use error::{ReadError, ReadErrorKind};
pub use estimate::{EstimateSource, ReadEstimate};
pub use follow::{FollowScan, Followed};
pub use gaps::{Gap, OnGap};
pub use incarnation::recreated;
pub use inventory::SegmentFacts;
pub use meter::{ScanTotals, StatementMeter};
pub use newest::NewestScan;
pub use pin::ShardScope;
pub use rate::Pace;
pub use readers::Readers;
pub use scan::{SegmentSlice, ShardScan};
pub use snapshot::{Freshness, PinRequest, ScanStart, ShardBounds, ShardPin, ShardRange, Snapshot, TipKind};
pub use stream::{ShardFacts, StreamReader};

#[cfg(test)]
mod tests;
