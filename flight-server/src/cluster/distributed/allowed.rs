//! The operators that may leave their node. A plan that another node sent is run as it is, so what is not named here is refused: a scan of files above all.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::analyze::AnalyzeExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::partial_sort::PartialSortExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::{InterleaveExec, UnionExec};
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion_distributed::{BroadcastExec, NetworkBroadcastExec, NetworkCoalesceExec, NetworkShuffleExec};

use crate::engine::{ShardScanExec, ShippedScanExec};

macro_rules! any_of {
    ($plan:expr; $($operator:ty),+ $(,)?) => { $($plan.is::<$operator>())||+ };
}

/// Operators that compute rows from rows.
fn computes(plan: &dyn ExecutionPlan) -> bool {
    any_of!(plan;
        AggregateExec, BoundedWindowAggExec, CoalescePartitionsExec, CooperativeExec, CrossJoinExec, EmptyExec, FilterExec, GlobalLimitExec,
        HashJoinExec, InterleaveExec, LocalLimitExec, NestedLoopJoinExec, PartialSortExec, PlaceholderRowExec, ProjectionExec, RepartitionExec,
        SortExec, SortMergeJoinExec, SortPreservingMergeExec, UnionExec, UnnestExec, WindowAggExec,
    )
}

fn first(plan: &Arc<dyn ExecutionPlan>, allowed: &dyn Fn(&dyn ExecutionPlan) -> bool) -> Option<String> {
    if !allowed(plan.as_ref()) {
        return Some(plan.name().to_owned());
    }
    plan.children().into_iter().find_map(|child| first(child, allowed))
}

/// An operator of a plan of this node's that keeps it here.
pub(super) fn keeps_here(plan: &Arc<dyn ExecutionPlan>) -> Option<String> {
    first(plan, &|plan| computes(plan) || any_of!(plan; ShardScanExec, AnalyzeExec))
}

/// An operator of a task of another node's that is not run.
pub(super) fn refused(task: &Arc<dyn ExecutionPlan>) -> Option<String> {
    first(task, &|plan| {
        computes(plan) || any_of!(plan; ShippedScanExec, BroadcastExec, NetworkBroadcastExec, NetworkCoalesceExec, NetworkShuffleExec)
    })
}
