//! An engine of this process, for commands that need no server.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use catalog::DirectoryCatalog;
use shard_reader::checkpoints::LocalCheckpoints;
use shard_reader::{ReaderConfig, Readers};

use super::args::ReachArgs;
use super::serve::{readers, settings};
use super::server::engine_config;
use crate::config::Config;
use crate::engine::{Engine, KinesisSources};

/// The configuration with what the command line says over it, and its files in a directory.
pub(super) fn configuration(reach: &ReachArgs, directory: &Path) -> anyhow::Result<Config> {
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut config = Config::load(reach.config.as_deref(), variables)?;
    config.data_dir = directory.to_owned();
    config.query.spill = None;
    let set = |target: &mut Option<String>, given: &Option<String>| {
        if given.is_some() {
            target.clone_from(given);
        }
    };
    set(&mut config.kinesis.endpoint, &reach.kinesis.endpoint);
    set(&mut config.kinesis.region, &reach.kinesis.region);
    set(&mut config.kinesis.profile, &reach.kinesis.profile);
    Ok(config)
}

/// A directory of the command's own, removed with the value.
pub(super) fn directory() -> anyhow::Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix("shardflight-")
        .tempdir()
        .context("cannot make a temporary directory")
}

/// How its readers read, nothing stored.
pub(super) fn reader(config: &Config) -> ReaderConfig {
    readers(config)
}

/// An engine without tables.
pub(super) fn engine(config: &Config) -> anyhow::Result<(Arc<Engine>, Arc<Readers>)> {
    std::fs::create_dir_all(config.spill_dir()).with_context(|| format!("cannot make directory {}", config.spill_dir().display()))?;
    let catalog = Arc::new(DirectoryCatalog::new(config.data_dir.join("tables"), "default"));
    let readers = Readers::new(reader(config));
    let sources = Arc::new(KinesisSources::new(settings(&config.kinesis)));
    let checkpoints = Arc::new(LocalCheckpoints::open(config.data_dir.join("checkpoints.redb")));
    let engine = Engine::new(engine_config(config)?, catalog, Arc::clone(&readers), sources, checkpoints)?;
    Ok((engine, readers))
}
