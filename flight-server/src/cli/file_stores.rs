//! From the configuration to the buckets that statements may read and write.

use std::sync::Arc;

use async_trait::async_trait;
use object_store::ObjectStore;
use shard_reader::{RemoteOptions, connect_object_store};

use super::object_storage;
use crate::config::Config;
use crate::engine::{EngineError, FileAccess, FileStores};

#[derive(Debug)]
struct Buckets(RemoteOptions);

#[async_trait]
impl FileStores for Buckets {
    async fn bucket(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, EngineError> {
        let connected = connect_object_store(&format!("s3://{bucket}"), &self.0).await;
        connected
            .map(|(store, _)| store)
            .map_err(|error| EngineError::FailedPrecondition(error.to_string()))
    }
}

/// What `allow` and `lake` of the configuration say.
pub(super) fn access(config: &Config) -> anyhow::Result<Arc<FileAccess>> {
    let access = FileAccess::new(
        &config.allow.read,
        &config.allow.write,
        Arc::new(Buckets(object_storage::of_lake(config))),
    );
    access.map(Arc::new).map_err(|error| anyhow::anyhow!("allow: {error}"))
}
