//! From the configuration to the catalog: a directory, or objects below a prefix.

use std::sync::Arc;

use anyhow::Context;
use catalog::DirectoryCatalog;
use shard_reader::connect_object_store;

use super::object_storage;
use super::registry::HttpRegistries;
use crate::config::Config;

/// The catalog, read once.
pub(super) async fn open(config: &Config) -> anyhow::Result<Arc<DirectoryCatalog>> {
    let section = &config.catalog;
    let url = section.path.to_str().filter(|path| path.starts_with("s3://"));
    let catalog = match url {
        None => DirectoryCatalog::new(&section.path, &section.default_schema),
        Some(url) => {
            let options = object_storage::options(config, section.endpoint.as_ref(), section.region.as_ref());
            let (store, prefix) = connect_object_store(url, &options).await.context("catalog.path")?;
            DirectoryCatalog::in_store(store, prefix, &section.default_schema)
        }
    };
    let catalog = catalog.with_registries(Arc::new(HttpRegistries::new()?));
    catalog.refreshed().await;
    Ok(Arc::new(catalog))
}
