//! From a logical plan to the physical one, and the state that both are made with.

use std::sync::Arc;

use chrono::DateTime;
use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::{LogicalPlan, Union};
use datafusion::physical_plan::ExecutionPlan;

use super::endless;
use super::error::EngineError;
use super::in_order::InOrderExec;
use super::plan::{Engine, Statement};
use super::statement_options::StatementOptions;

/// One plan of several: a statement with several rows of parameters. Whoever walks it sees what each of them reads.
pub(super) fn gathered(mut plans: Vec<LogicalPlan>) -> Result<LogicalPlan, EngineError> {
    match (plans.len(), plans.first()) {
        (0, _) | (_, None) => Err(EngineError::Internal("a statement without a plan".into())),
        (1, _) => Ok(plans.swap_remove(0)),
        (_, Some(first)) => Ok(LogicalPlan::Union(Union {
            schema: Arc::clone(first.schema()),
            inputs: plans.into_iter().map(Arc::new).collect(),
        })),
    }
}

impl Engine {
    pub(super) async fn physical(&self, statement: &Statement) -> Result<Arc<dyn ExecutionPlan>, EngineError> {
        let (planner, state) = (statement.state.query_planner(), &statement.state);
        let union = match &statement.plan {
            LogicalPlan::Union(union) if statement.runs > 1 => union,
            plan => return Ok(planner.create_physical_plan(plan, state).await?),
        };
        let mut plans = Vec::with_capacity(union.inputs.len());
        for plan in &union.inputs {
            plans.push(planner.create_physical_plan(plan, state).await?);
        }
        Ok(Arc::new(InOrderExec::try_new(plans)?))
    }

    pub(super) fn state(
        &self,
        options: &StatementOptions,
        catalogs: Arc<dyn datafusion::catalog::CatalogProviderList>,
        now_ns: i64,
        follow: bool,
        runtime: Arc<RuntimeEnv>,
    ) -> SessionState {
        let mut config = self.template().config().clone();
        config.options_mut().catalog.default_schema.clone_from(&options.schema);
        if let Some(zone) = &options.time_zone {
            config.options_mut().execution.time_zone = Some(zone.clone());
        }
        let template = SessionStateBuilder::new_from_existing(self.template().clone());
        let template = if follow {
            config = endless::configured(config);
            template.with_physical_optimizer_rules(endless::rules(self.template()))
        } else {
            template
        };
        let mut state = template
            .with_config(config)
            .with_catalog_list(catalogs)
            .with_runtime_env(runtime)
            .build();
        let options = Arc::clone(state.config().options());
        let props = state.execution_props_mut();
        props.query_execution_start_time = Some(DateTime::from_timestamp_nanos(now_ns));
        props.config_options = Some(options);
        state
    }
}
