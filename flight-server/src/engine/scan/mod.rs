//! The leaf of every plan over a stream: segments in, record batches out.

mod aggregates;
mod columns;
mod conditions;
mod event_time;
mod exec;
mod follow;
mod order;
mod partitions;
mod prune;
mod reach;
mod rows;
mod shipped;

pub(super) use conditions::{Clues, KnownShard};
pub(super) use exec::ScanRequest;
pub(crate) use exec::ShardScanExec;
pub(super) use order::ArrivalSlack;
pub(super) use prune::can_evaluate;
pub(super) use reach::Reach;
pub(crate) use shipped::{SCAN_FACTS, ScanOrder, ShippedScanExec, Workplace};
