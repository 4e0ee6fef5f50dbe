//! From a location to the table there.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use lake::{LakeSpec, LakeTable};
use object_store::ObjectStore;
use object_store::path::Path;
use shard_reader::{RemoteOptions, connect_object_store};

use super::error::OffloadError;

/// A table, and the store in which it lies.
#[derive(Debug, Clone)]
pub struct OpenLake {
    /// The table.
    pub table: Arc<dyn LakeTable>,
    /// Its store.
    pub store: Arc<dyn ObjectStore>,
    /// Its folder in the store.
    pub folder: Path,
}

/// Opens tables.
#[async_trait]
pub trait Lakes: fmt::Debug + Send + Sync {
    /// The table of a specification; it need not exist.
    async fn open(&self, spec: LakeSpec) -> Result<OpenLake, OffloadError>;
}

/// Tables in object storage, or in a directory.
#[derive(Debug)]
pub struct StoreLakes {
    options: RemoteOptions,
}

impl StoreLakes {
    /// Object storage is reached so.
    pub fn new(options: RemoteOptions) -> Self {
        Self { options }
    }
}

#[async_trait]
impl Lakes for StoreLakes {
    async fn open(&self, spec: LakeSpec) -> Result<OpenLake, OffloadError> {
        let (store, folder) = connect_object_store(&spec.location, &self.options)
            .await
            .map_err(|error| OffloadError::Unavailable(error.to_string()))?;
        let table = lake::open(&spec, Arc::clone(&store), folder.clone())?;
        Ok(OpenLake { table, store, folder })
    }
}
