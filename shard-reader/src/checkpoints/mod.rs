//! Checkpoints: what named consumers have consumed of a stream, in numbered iterations.
//!
//! ```text
//! head       last committed iteration, the open one and its owner                 one for each (name, stream)
//! iteration  end position of every shard; its start is the end of the one before  one for each number
//! base       positions that a consumer was told to start at                       for each number that was next at the time
//! runs       which endpoints of which statements were delivered                   one for each (iteration, owner)
//! ```
//!
//! Every change is one conditional write of the head ([`CheckpointStore`]), together with what it names first. Whoever finds an open iteration may
//! take it over: its range stays, its owner changes, and the one before can no longer commit it.
//!
//! [`following_ends`] and [`ranges_between`] are the arithmetic between two iterations: no record between them is left out, and none is in both.

mod dynamodb;
mod encoding;
#[cfg(test)]
mod formats;
mod local;
mod model;
mod old;
mod ranges;
mod store;
mod transitions;

pub use dynamodb::{DynamoDbCheckpoints, DynamoDbSettings};
pub use local::{DEFAULT_KEEP, LocalCheckpoints};
pub use model::{
    Base, CheckpointName, CheckpointNameError, Consumer, Ends, Head, Iteration, IterationNumber, IterationStart, IterationState,
    OpenIteration, OwnerToken, Run, Runs, ShardEnd,
};
pub use old::{OldPosition, OldRow, OldRowError, PrestoRows, add_finished_parents, lease_rows, presto_rows};
pub use ranges::{IterationRange, LostShard, RangeStart, ShardTip, first_of, following_ends, ranges_between};
pub use store::{CheckpointError, CheckpointErrorKind, CheckpointStore, Commit};
