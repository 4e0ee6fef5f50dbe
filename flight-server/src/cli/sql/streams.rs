//! `shardflight sql --stream`: streams as tables, without a server elsewhere.
//!
//! A server of this process, on a free port of loopback, answers the same client: what a statement means does not depend on where it runs.

use std::sync::Arc;

use anyhow::{Context, bail};
use shard_reader::Readers;
use tempfile::TempDir;

use super::url::ServerUrl;
use crate::cli::args::SqlArgs;
use crate::cli::catalog_infer::table_name;
use crate::cli::security::Security;
use crate::cli::serve::settings;
use crate::cli::server::{Kept, Listeners, Server, bind};
use crate::cli::{catalog_files, checkpoint_store, local_engine};
use crate::config::{AllowSection, Config, SegmentsSection, TlsSection};
use crate::engine::{DEFAULT_SAMPLE, Engine, EngineError, ErrorCategory, KinesisSources, Principal};

/// A server of this process.
#[derive(Debug)]
pub(super) struct Local {
    server: Server,
    _directory: TempDir,
}

impl Local {
    /// Infers the tables, and serves them.
    pub(super) async fn start(args: &SqlArgs) -> anyhow::Result<Self> {
        let directory = local_engine::directory()?;
        let mut config = local_engine::configuration(&args.reach, directory.path())?;
        config.catalog = crate::config::CatalogSection {
            path: directory.path().join("tables"),
            ..Default::default()
        };
        // Whoever starts this may read what its credentials may.
        config.allow = AllowSection {
            streams: vec!["*".to_owned()],
            ..AllowSection::default()
        };
        // Nobody else is to come in: it is reached on loopback, and by this process.
        (config.auth, config.tls) = (None, TlsSection::default());
        config.segments = SegmentsSection {
            path: Some("none".into()),
            ..SegmentsSection::default()
        };
        infer(&config, &args.streams).await?;
        let loopback = ([127, 0, 0, 1], 0).into();
        let listeners = Listeners {
            flight: bind("--stream", loopback).await?,
            http: bind("--stream", loopback).await?,
            cluster: None,
        };
        let catalog = catalog_files::open(&config).await?;
        let sources = Arc::new(KinesisSources::new(settings(&config.kinesis)));
        let checkpoints = checkpoint_store::build(&config).await?;
        let server = Server::start(
            &config,
            Security::none(),
            listeners,
            catalog,
            sources,
            local_engine::reader(&config),
            Kept { checkpoints, jobs: None },
        )?;
        Ok(Self {
            server,
            _directory: directory,
        })
    }

    /// Where it is.
    pub(super) fn url(&self) -> ServerUrl {
        ServerUrl::at(self.server.flight)
    }

    /// Ends it.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.server.stop().await
    }
}

/// Writes a definition for each stream.
async fn infer(config: &Config, streams: &[String]) -> anyhow::Result<()> {
    let (engine, readers) = local_engine::engine(config)?;
    let written = write_definitions(&engine, config, streams).await;
    Readers::shutdown(&readers).await;
    written
}

async fn write_definitions(engine: &Engine, config: &Config, streams: &[String]) -> anyhow::Result<()> {
    let tables = &config.catalog.path;
    std::fs::create_dir_all(tables).with_context(|| format!("cannot make directory {}", tables.display()))?;
    for stream in streams {
        let table = table_name(stream);
        let file = tables.join(format!("{table}.yaml"));
        if file.exists() {
            bail!("two streams would be table `{table}`");
        }
        let definition = match engine
            .propose(&Principal::anonymous().to_string(), stream, &table, None, DEFAULT_SAMPLE)
            .await
        {
            Ok(proposal) => proposal.yaml,
            Err(error) => without_columns(stream, &table, error)?,
        };
        std::fs::write(&file, definition).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// Hidden columns are there whatever the records are.
fn without_columns(stream: &str, table: &str, error: EngineError) -> anyhow::Result<String> {
    if error.category() != ErrorCategory::FailedPrecondition {
        return Err(error.into());
    }
    tracing::warn!("{error}; table {table} has its hidden columns only, such as _message");
    let document = std::collections::BTreeMap::from([("table", table), ("stream", stream), ("format", "dummy")]);
    Ok(serde_yaml::to_string(&document)?)
}
