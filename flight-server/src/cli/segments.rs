//! From the configuration to stored segments.

use std::sync::Arc;

use anyhow::Context;
use shard_reader::{RemoteSegments, SegmentSettings, SegmentStore, SegmentStoreError};

use super::object_storage;
use crate::config::Config;

/// The stored segments, unless they are switched off.
pub(super) async fn open(config: &Config) -> anyhow::Result<Option<Arc<SegmentStore>>> {
    let Some(path) = config.segments_dir() else { return Ok(None) };
    let section = &config.segments;
    let remote = match &section.store {
        Some(url) => {
            let options = object_storage::options(config, section.store_endpoint.as_ref(), section.store_region.as_ref());
            Some(RemoteSegments::connect(url, &options).await.context("segments.store")?)
        }
        None => None,
    };
    let settings = SegmentSettings {
        disk_bytes: section.disk.0,
        remote,
        ..SegmentSettings::new(path)
    };
    // Waits for the file system; nothing else runs yet.
    match tokio::task::block_in_place(|| SegmentStore::open(settings)) {
        Ok(store) => Ok(Some(store)),
        Err(error @ SegmentStoreError::InUse(_)) => {
            tracing::warn!("segments.path: {error}; this one stores none");
            Ok(None)
        }
        Err(error) => Err(error).context("segments.path"),
    }
}
