//! `scratch:`, tables in memory.

use serde::Deserialize;

use super::units::ByteCount;
use crate::engine::{ScratchConfig, ScratchKeep};

/// `scratch:`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScratchSection {
    /// Whose they are: a session's, or a principal's.
    pub keep: ScratchKeep,
    /// Memory of all.
    pub memory: ByteCount,
    /// Memory of one session's, or principal's.
    pub memory_each: ByteCount,
}

impl Default for ScratchSection {
    fn default() -> Self {
        let limits = ScratchConfig::default();
        Self {
            keep: limits.keep,
            memory: ByteCount(limits.memory as u64),
            memory_each: ByteCount(limits.memory_each as u64),
        }
    }
}

impl ScratchSection {
    /// As the engine takes it.
    pub fn limits(&self) -> ScratchConfig {
        let bytes = |count: &ByteCount| usize::try_from(count.0).unwrap_or(usize::MAX);
        ScratchConfig {
            keep: self.keep,
            memory: bytes(&self.memory),
            memory_each: bytes(&self.memory_each),
            ..ScratchConfig::default()
        }
    }
}
