//! The memory stream as a service to be checked.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Capabilities, TestService, TestStream, Violation};
use crate::{MemorySource, SequenceNumber, ShardId, ShardSource};

/// Memory streams.
#[derive(Debug, Clone, Copy, Default)]
pub struct MemoryService;

#[async_trait]
impl TestService for MemoryService {
    async fn create(&self, shards: usize) -> Result<Box<dyn TestStream>, Violation> {
        Ok(Box::new(MemorySource::new(shards)))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
}

#[async_trait]
impl TestStream for MemorySource {
    fn source(&self) -> Arc<dyn ShardSource> {
        Arc::new(self.clone())
    }

    fn name(&self) -> &str {
        "memory"
    }

    async fn put(&self, shard: &ShardId, records: &[Vec<u8>]) -> Result<Vec<SequenceNumber>, Violation> {
        let closed = || Violation(format!("{shard} is closed"));
        records
            .iter()
            .map(|data| Self::put(self, shard, "key", data).ok_or_else(closed))
            .collect()
    }

    async fn split(&self, shard: &ShardId) -> Result<(), Violation> {
        Self::split(self, shard)
            .map(drop)
            .ok_or_else(|| Violation(format!("{shard} is closed")))
    }

    async fn merge(&self, shard: &ShardId, neighbour: &ShardId) -> Result<(), Violation> {
        Self::merge(self, shard, neighbour)
            .map(drop)
            .ok_or_else(|| Violation(format!("{shard} or {neighbour} is closed")))
    }

    async fn delete(&self) -> Result<(), Violation> {
        Self::delete(self);
        Ok(())
    }
}
