//! The leaf of every plan over a stream: segments in, record batches out.

mod columns;
mod exec;
mod prune;
mod rows;

pub(super) use exec::{ScanRequest, ShardScanExec};
pub(super) use prune::{ArrivalBounds, can_evaluate};
