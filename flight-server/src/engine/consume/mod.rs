//! Consumption as a transaction: what a named checkpoint lets statements read, and when it moves.
//!
//! ```text
//! BEGIN              nothing is written
//! first read         the next iteration is opened, or the open one taken over: its range of every shard is fixed in the store
//! further reads      the same range
//! endpoint delivered written beside the iteration, by whichever process served it
//! COMMIT             all endpoints delivered? then one conditional write moves the checkpoint, or several streams' in one transaction
//! ROLLBACK, crash    the iteration stays open, and whoever reads next gets the same rows
//! ```
//!
//! Outside of a transaction a checkpoint only says where to start, unless `commit_on_read` makes a transaction of each statement.
//!
//! A transaction that observes reads each statement's newest rows: drivers open one for every connection, and a dashboard's would otherwise never see
//! a new record. One that was begun in SQL sees one snapshot of each stream.

mod bound;
mod deliver;
mod end;
mod import;
mod job;
mod job_rows;
mod lag;
mod open;
mod positions;
mod read;
mod steer;
mod transaction;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shard_reader::checkpoints::CheckpointStore;

use lag::Lags;

pub use deliver::Consumption;
pub(super) use deliver::DeliveredPart;
pub use end::Ending;
pub use import::OldPositions;
pub use job::{JOB_CHECKPOINTS, JobIteration, JobOpening, JobPlan, JobStatement};
pub use job_rows::{BadRecordCount, JobRows};
pub(super) use positions::rows_behind;
pub(super) use read::Fixed;
pub use steer::Steered;
pub(super) use transaction::{Slot, Transaction};

/// The checkpoints of a server.
#[derive(Debug)]
pub struct Consumers {
    store: Arc<dyn CheckpointStore>,
    opened: AtomicU64,
    committed: AtomicU64,
    conflicts: AtomicU64,
    refused: AtomicU64,
    lags: Lags,
}

/// What became of iterations in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerCounts {
    /// Iterations opened.
    pub opened: u64,
    /// Iterations committed.
    pub committed: u64,
    /// Commits lost to another owner.
    pub conflicts: u64,
    /// Commits refused because something was not delivered, or the store could not be reached.
    pub refused: u64,
}

impl Consumers {
    pub(super) fn new(store: Arc<dyn CheckpointStore>) -> Self {
        Self {
            store,
            opened: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            lags: Lags::default(),
        }
    }

    /// Where they are kept.
    pub fn store(&self) -> &Arc<dyn CheckpointStore> {
        &self.store
    }

    /// See [`ConsumerCounts`].
    pub fn counts(&self) -> ConsumerCounts {
        ConsumerCounts {
            opened: self.opened.load(Ordering::Relaxed),
            committed: self.committed.load(Ordering::Relaxed),
            conflicts: self.conflicts.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }
}
