//! Plans over streams that do not end: how they run, and which cannot.

use std::sync::Arc;

use datafusion::common::Result as DfResult;
use datafusion::common::config::ConfigOptions;
use datafusion::execution::SessionState;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::prelude::SessionConfig;

use super::error::EngineError;

type Rules = Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>;

/// The engine's own check, which refuses the same plans with the operator's internals for a message.
const SANITY: &str = "SanityCheckPlan";

/// Operators that gather rows into batches of a size hand out each row at once, and nothing waits for other partitions.
pub(super) fn configured(config: SessionConfig) -> SessionConfig {
    config.with_batch_size(1).with_target_partitions(1)
}

/// The rules of a template, and before its last checks, ours.
pub(super) fn rules(template: &SessionState) -> Rules {
    let mut rules: Rules = template.physical_optimizers().to_vec();
    let place = rules.iter().position(|rule| rule.name() == SANITY).unwrap_or(rules.len());
    rules.insert(place, Arc::new(RunsEndlessly));
    rules
}

#[derive(Debug)]
struct RunsEndlessly;

impl PhysicalOptimizerRule for RunsEndlessly {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> DfResult<Arc<dyn ExecutionPlan>> {
        check(&plan).map_err(EngineError::into_datafusion)?;
        Ok(plan)
    }

    fn name(&self) -> &'static str {
        "runs_endlessly"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The innermost operator that would wait for the end of a stream is the one to name.
fn check(plan: &Arc<dyn ExecutionPlan>) -> Result<(), EngineError> {
    for child in plan.children() {
        check(child)?;
    }
    let waits = match plan.boundedness() {
        Boundedness::Bounded => false,
        Boundedness::Unbounded { requires_infinite_memory } => {
            requires_infinite_memory || plan.pipeline_behavior() == EmissionType::Final || plan.name() == "SymmetricHashJoinExec"
        }
    };
    if waits { Err(refusal(plan.name())) } else { Ok(()) }
}

fn refusal(operator: &str) -> EngineError {
    let why = if operator.contains("Sort") {
        "ORDER BY gives its first row when the last one has come"
    } else if operator.contains("Aggregate") {
        "GROUP BY, DISTINCT and aggregate functions give a row when the last of its group has come"
    } else if operator.contains("Join") {
        "a join keeps all rows of one side; one stream can be joined with a table that ends, not with another stream"
    } else if operator.contains("Window") {
        "this window function gives its rows when the last one of their partition has come"
    } else {
        "it gives its rows when the last one has come"
    };
    EngineError::Invalid(format!(
        "the statement cannot be followed: {operator} cannot run on a stream that does not end, since {why}; leave that out, put a LIMIT below it, \
         or run the statement without FOLLOW"
    ))
}
