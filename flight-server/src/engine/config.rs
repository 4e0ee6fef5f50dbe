//! What the engine runs with.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::access::Access;
use super::admission::AdmissionLimits;
use super::audit::AuditLog;
use super::cost::Prices;
use super::definitions::DefinitionRules;
use super::files::FileAccess;
use super::nodes::{Alone, Nodes};
use super::runtime::SystemLimits;
use super::scratch::ScratchConfig;

/// What the engine may use.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Bytes that all running queries may hold together, beside the reader's own budget.
    pub query_memory: usize,
    /// Where sorts and joins spill.
    pub spill: PathBuf,
    /// Bytes of spill at most.
    pub spill_disk: u64,
    /// How long a statement may run.
    pub query_timeout: Duration,
    /// Partitions of a gathered plan.
    pub target_partitions: usize,
    /// What the system tables keep.
    pub system: SystemLimits,
    /// What AWS charges for reading.
    pub prices: Prices,
    /// What statements may do with table definitions.
    pub definitions: DefinitionRules,
    /// Who may do what.
    pub access: Arc<Access>,
    /// Which files statements may read and write.
    pub files: Arc<FileAccess>,
    /// How many statements run at once, and how many wait.
    pub admission: AdmissionLimits,
    /// Scratch tables.
    pub scratch: ScratchConfig,
    /// Where statements are taken down.
    pub audit: Arc<AuditLog>,
    /// The servers that share the work.
    pub nodes: Arc<dyn Nodes>,
}

impl EngineConfig {
    /// A server of its own, which lets everybody do everything within 256 MiB of memory and 1 GiB of spill.
    pub fn new(spill: PathBuf) -> Self {
        Self {
            query_memory: 256 << 20,
            spill,
            spill_disk: 1 << 30,
            query_timeout: Duration::from_secs(600),
            target_partitions: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            system: SystemLimits::default(),
            prices: Prices::default(),
            definitions: DefinitionRules::all(),
            access: Arc::new(Access::everything()),
            files: Arc::new(FileAccess::none()),
            admission: AdmissionLimits::default(),
            scratch: ScratchConfig::default(),
            audit: AuditLog::off(),
            nodes: Arc::new(Alone),
        }
    }
}
