//! From the configuration to the jobs of a server.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use shard_reader::{RemoteOptions, connect_object_store};

use super::object_storage;
use crate::config::Config;
use crate::engine::{Engine, Nodes, Places};
use crate::http::{OffloadFacts, OffloadSample};
use crate::offload::{JobFiles, Jobs, JobsConfig, StoreLakes};

/// A file goes up in one call: 128 MB in that time are 0.5 MB a second.
const LAKE_CALL: Duration = Duration::from_secs(300);

/// Where jobs are kept: beside the table definitions. Nothing is read yet.
pub(super) async fn files(config: &Config) -> anyhow::Result<JobFiles> {
    let section = &config.catalog;
    let (store, prefix): (Arc<dyn ObjectStore>, Path) = match section.path.to_str().filter(|path| path.starts_with("s3://")) {
        Some(url) => {
            let options = object_storage::options(config, section.endpoint.as_ref(), section.region.as_ref());
            connect_object_store(url, &options).await.context("catalog.path")?
        }
        None => {
            // object stores know no `..`; a directory that is not there yet has its path for a name
            let path = std::fs::canonicalize(&section.path).or_else(|_| std::path::absolute(&section.path));
            let path = path.context("catalog.path")?;
            let prefix = Path::from_absolute_path(&path).with_context(|| format!("catalog.path: {}", path.display()))?;
            (Arc::new(LocalFileSystem::new()), prefix)
        }
    };
    Ok(JobFiles::new(store, &prefix))
}

/// The jobs of a server, which nothing runs yet.
pub(super) fn jobs(config: &Config, engine: &Arc<Engine>, nodes: Arc<dyn Nodes>, files: JobFiles) -> anyhow::Result<Arc<Jobs>> {
    let options = RemoteOptions {
        call_timeout: Some(LAKE_CALL),
        ..object_storage::of_lake(config)
    };
    let jobs = Jobs::new(
        engine,
        JobsConfig {
            files,
            lakes: Arc::new(StoreLakes::new(options)),
            locations: Places::new(&config.allow.write).map_err(|error| anyhow::anyhow!("allow.write: {error}"))?,
            nodes,
            refresh: config.catalog.refresh,
        },
    );
    engine.set_offloads(Arc::<Jobs>::clone(&jobs));
    Ok(jobs)
}

/// Figures of jobs, for `/metrics`.
#[derive(Debug)]
pub(super) struct JobFacts(pub(super) Arc<Jobs>);

impl OffloadFacts for JobFacts {
    fn offloads(&self) -> Vec<OffloadSample> {
        let seconds = |ms: i64| ms as f64 / 1000.0;
        let jobs = self.0.counted().into_iter();
        jobs.map(|job| OffloadSample {
            iterations: job.iterations,
            rows: job.rows,
            files: job.files,
            bytes: job.bytes,
            bad_records: job.bad_records,
            errors: job.errors,
            watermark_seconds: job.watermark_ms.map(seconds),
            lag_seconds: job.lag_ms.map(seconds),
            offload: job.name,
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_are_beside_definitions_wherever_these_are() {
        let directory = tempfile::tempdir().unwrap();
        for folder in ["elsewhere", "tables", "50%"] {
            std::fs::create_dir(directory.path().join(folder)).unwrap();
        }
        for path in ["tables", "elsewhere/../tables", "50%", "not there yet"] {
            let mut config = Config::default();
            config.catalog.path = directory.path().join(path);
            files(&config).await.unwrap_or_else(|error| panic!("{path}: {error:#}"));
        }
    }
}
