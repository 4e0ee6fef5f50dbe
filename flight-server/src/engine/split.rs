//! Whether a plan falls apart by shard: by its structure, not by its number of partitions.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;

use shard_reader::ShardPin;

use super::scan::ShardScanExec;

/// Only filters and projections above one scan without a limit: then the answer is the union of what each shard gives alone.
pub(super) fn is_per_shard(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(scan) = plan.downcast_ref::<ShardScanExec>() {
        return scan.is_row_local();
    }
    let row_local = plan.is::<ProjectionExec>()
        || plan.downcast_ref::<FilterExec>().is_some_and(|filter| filter.fetch().is_none())
        || plan.is::<CooperativeExec>();
    match plan.children().as_slice() {
        [child] => row_local && is_per_shard(child),
        _ => false,
    }
}

/// Whether a plan for which [`is_per_shard`] holds decodes each record of its snapshot.
pub(super) fn decodes_all(plan: &Arc<dyn ExecutionPlan>) -> bool {
    match plan.downcast_ref::<ShardScanExec>() {
        Some(scan) => scan.decodes_all(),
        None => plan.children().into_iter().all(decodes_all),
    }
}

/// The shards that a plan for which [`is_per_shard`] holds reads, after pruning.
pub(super) fn pins(plan: &Arc<dyn ExecutionPlan>) -> Vec<ShardPin> {
    match plan.downcast_ref::<ShardScanExec>() {
        Some(scan) => scan.pins(),
        None => plan.children().into_iter().flat_map(pins).collect(),
    }
}
