//! What runs the tasks of other nodes' statements, and of this one's own.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::execution::SessionState;
use datafusion_distributed::{
    DistributedExt, Worker, WorkerPlanRewriteEvent, WorkerPlanRewriteEventResponse, WorkerQueryContext, WorkerSessionBuilder,
};

use super::allowed::refused;
use super::channels::{Channels, Resolver};
use super::codec::ScanCodec;
use super::part::Others;
use super::peers::VERSION;
use super::settings::StatementSettings;
use crate::cluster::counters::ClusterCounters;
use crate::engine::{CarriedError, Engine, EngineError, Workplace, register_functions};

/// Tasks share memory and spill with the node's own statements, and its readers and segments.
pub(crate) fn worker(engine: &Engine, channels: Arc<Channels>, others: &Others) -> Worker {
    let sessions = Sessions {
        workplace: engine.workplace(),
        channels,
        own: others.members.own().to_string(),
        counters: Arc::clone(&others.counters),
    };
    Worker::from_session_builder(sessions)
        .with_runtime_env(engine.shared_runtime())
        .with_version(VERSION)
}

struct Sessions {
    workplace: Arc<Workplace>,
    channels: Arc<Channels>,
    own: String,
    counters: Arc<ClusterCounters>,
}

#[async_trait]
impl WorkerSessionBuilder for Sessions {
    async fn build_session_state(&self, context: WorkerQueryContext) -> Result<SessionState, DataFusionError> {
        let mut builder = context.builder;
        let config = builder
            .config()
            .take()
            .unwrap_or_default()
            .with_distributed_option_extension_from_headers::<StatementSettings>(&context.headers)?;
        let (config, asked_by) = StatementSettings::applied(config)?;
        if asked_by != self.own {
            self.counters.tasks.add(1);
        }
        let config = config
            .with_distributed_user_codec(ScanCodec::running(Arc::clone(&self.workplace)))
            .with_distributed_channel_resolver(Resolver(Arc::clone(&self.channels)))
            .with_distributed_worker_plan_rewrite_handler(check);
        let mut state = builder.with_config(config).build();
        register_functions(&mut state)?;
        Ok(state)
    }
}

fn check(event: WorkerPlanRewriteEvent<'_>) -> DfResult<WorkerPlanRewriteEventResponse> {
    match refused(&event.plan) {
        None => Ok(WorkerPlanRewriteEventResponse::new(event.plan)),
        Some(operator) => {
            tracing::warn!(%operator, "refused a task of another node");
            let error = EngineError::Denied(format!("{operator} is not run for another node"));
            Err(CarriedError::of(error.into_datafusion()))
        }
    }
}
