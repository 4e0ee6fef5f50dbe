//! What filters say about shards, sequence numbers and arrival times, before a record is looked at.
//!
//! Pruning never decides about a row: the scan evaluates every filter on every row that pruning leaves.

use std::sync::Arc;

use catalog::TableDefinition;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result as DfResult};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::{Expr, Volatility};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use datafusion::physical_expr_common::physical_expr::snapshot_physical_expr;
use shard_reader::{Position, Segment, ShardPin};

use super::conditions::{Clues, KnownShard};
use super::reach::Reach;

/// Whether the scan can evaluate a filter exactly: everything but subqueries and volatile functions.
pub(crate) fn can_evaluate(filter: &Expr, schema: &DFSchema) -> bool {
    let mut plain = true;
    let walked = filter.apply(|expr| {
        plain &= match expr {
            Expr::ScalarSubquery(_)
            | Expr::InSubquery(_)
            | Expr::Exists(_)
            | Expr::SetComparison(_)
            | Expr::OuterReferenceColumn(..)
            | Expr::Placeholder(_) => false,
            Expr::ScalarFunction(call) => call.func.signature().volatility != Volatility::Volatile,
            _ => true,
        };
        Ok(if plain {
            TreeNodeRecursion::Continue
        } else {
            TreeNodeRecursion::Stop
        })
    });
    if walked.is_err() || !plain {
        return false;
    }
    let unqualified = datafusion::logical_expr::expr_rewriter::unnormalize_col(filter.clone());
    create_physical_expr(&unqualified, schema, &ExecutionProps::new(), &Default::default()).is_ok()
}

/// What the filters of a scan say without looking at records.
#[derive(Debug, Clone)]
pub(super) struct Pruning {
    clues: Clues,
    filters: Vec<Arc<dyn PhysicalExpr>>,
    reach: Reach,
}

impl Pruning {
    /// Of filters that all must hold.
    pub(super) fn new(filters: &[Arc<dyn PhysicalExpr>], definition: &TableDefinition) -> Self {
        let clues = Clues::of(definition);
        Self {
            reach: clues.reach(filters, None),
            filters: filters.to_vec(),
            clues,
        }
    }

    /// Records that the filters can leave.
    pub(super) fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Records that the filters and those of operators above, as they are now, can leave.
    pub(super) fn reach_with(&self, late: &[Arc<dyn PhysicalExpr>]) -> DfResult<Reach> {
        if late.is_empty() {
            return Ok(self.reach);
        }
        let late = late
            .iter()
            .map(|filter| snapshot_physical_expr(Arc::clone(filter)))
            .collect::<DfResult<Vec<_>>>()?;
        Ok(self.clues.reach(self.filters.iter().chain(&late), None))
    }

    /// The shards that can hold a row, with their ranges cut at the highest sequence number asked for.
    pub(super) fn shards(&self, pins: &[ShardPin]) -> Vec<ShardPin> {
        let by_shard = Clues::depend_on_shard(&self.filters);
        let mut kept = Vec::with_capacity(pins.len());
        for pin in pins {
            let reach = if by_shard {
                let shard = KnownShard {
                    id: &pin.range.shard,
                    // what keys say of shards was used when they were pinned
                    hashes: (0, u128::MAX),
                };
                self.clues.reach(&self.filters, Some(shard))
            } else {
                self.reach
            };
            if reach.is_none() {
                continue;
            }
            let mut pin = pin.clone();
            if let Some(highest) = reach.highest() {
                pin.range.end = pin.range.end.min(Position::after_record(highest)).max(pin.range.start);
            }
            if reach == Reach::ALL || pin.range.start < pin.range.end {
                kept.push(pin);
            }
        }
        kept
    }
}

/// Whether a segment can hold a record of a reach.
pub(super) fn can_hold(segment: &Segment, reach: &Reach) -> bool {
    reach.meets(segment.arrival_range(), segment.sequence_range())
}
