//! From the configuration to the catalog: a directory, or objects below a prefix.

use std::sync::Arc;

use anyhow::Context;
use catalog::DirectoryCatalog;
use shard_reader::{KinesisSettings, RemoteOptions, connect_object_store};

use super::registry::HttpRegistries;
use crate::config::Config;

/// The catalog, read once.
pub(super) async fn open(config: &Config) -> anyhow::Result<Arc<DirectoryCatalog>> {
    let section = &config.catalog;
    let url = section.path.to_str().filter(|path| path.starts_with("s3://"));
    let catalog = match url {
        None => DirectoryCatalog::new(&section.path, &section.default_schema),
        Some(url) => {
            // the bucket is the operator's own: a role for the streams is not for it
            let aws = KinesisSettings {
                profile: config.kinesis.profile.clone(),
                region: config.kinesis.region.clone(),
                ..KinesisSettings::default()
            };
            let options = RemoteOptions {
                endpoint: section.endpoint.clone(),
                region: section.region.clone(),
                aws,
            };
            let (store, prefix) = connect_object_store(url, &options).await.context("catalog.path")?;
            DirectoryCatalog::in_store(store, prefix, &section.default_schema)
        }
    };
    let catalog = catalog.with_registries(Arc::new(HttpRegistries::new()?));
    catalog.refreshed().await;
    Ok(Arc::new(catalog))
}
