//! Memory, spill and functions that all statements share.

use std::sync::Arc;

use datafusion::execution::SessionState;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::optimizer::Optimizer;
use datafusion::prelude::SessionConfig;

use super::config::EngineConfig;
use super::error::EngineError;
use super::exact_times::ExactTimes;
use super::functions;
use super::sql::{CATALOG, DIALECT};

/// What the tables about statements and bad records keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemLimits {
    /// Statements.
    pub queries: usize,
    /// Bad records.
    pub scan_errors: usize,
    /// Bytes of bad records.
    pub scan_error_bytes: usize,
}

impl Default for SystemLimits {
    fn default() -> Self {
        Self {
            queries: 1000,
            scan_errors: 10_000,
            scan_error_bytes: 16 << 20,
        }
    }
}

/// One memory pool and one spill directory for the process. No local file can be read: `file://` is not registered.
pub(super) fn runtime_env(config: &EngineConfig) -> Result<Arc<RuntimeEnv>, EngineError> {
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![config.spill.clone()]))
        .with_max_temp_directory_size(config.spill_disk);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(config.query_memory)))
        .with_disk_manager_builder(disk)
        .build_arc()?;
    runtime.deregister_object_store(ObjectStoreUrl::local_filesystem().as_ref())?;
    Ok(runtime)
}

/// The state that every statement starts from.
pub(super) fn template_state(config: &EngineConfig, runtime: Arc<RuntimeEnv>) -> Result<SessionState, EngineError> {
    let mut session = SessionConfig::new()
        .with_target_partitions(config.target_partitions)
        .with_information_schema(true)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, "default");
    let options = session.options_mut();
    options.sql_parser.dialect = DIALECT;
    // Drivers in the field fail on view types.
    options.sql_parser.map_string_types_to_utf8view = false;
    options.execution.time_zone = Some("+00:00".into());
    let mut rules = Optimizer::new().rules;
    rules.insert(0, Arc::new(ExactTimes));
    let mut state = SessionStateBuilder::new_with_default_features()
        .with_config(session)
        .with_optimizer_rules(rules)
        .with_runtime_env(runtime)
        .build();
    functions::register(&mut state)?;
    Ok(state)
}
