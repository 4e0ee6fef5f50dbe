//! `shardflight serve`

use std::sync::Arc;

use shard_reader::{KinesisSettings, ReaderConfig};

use super::args::ServeArgs;
use super::catalog_files;
use super::checkpoint_store;
use super::cluster;
use super::offloads;
use super::security::Security;
use super::segments;
use super::server::{Kept, Listeners, Server, bind};
use super::signals::{Hangup, StopSignal};
use crate::config::{Config, KinesisSection};
use crate::engine::KinesisSources;

/// Serves until SIGTERM or Ctrl-C.
pub(super) async fn run(args: &ServeArgs) -> anyhow::Result<()> {
    let mut stop = StopSignal::listen()?;
    let mut hangup = Hangup::listen()?;
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let config = Config::load(args.config.as_deref(), variables)?;
    let security = Security::build(&config).await?;
    let listeners = Listeners {
        flight: bind("listen", config.listen.0).await?,
        http: bind("http", config.http.0).await?,
        cluster: cluster::join(&config).await?,
    };
    let sources = Arc::new(KinesisSources::new(settings(&config.kinesis)));
    let reader = ReaderConfig {
        segments: segments::open(&config).await?,
        ..readers(&config)
    };
    let checkpoints = checkpoint_store::build(&config).await?;
    let catalog = catalog_files::open(&config).await?;
    let kept = checkpoints.describe();
    let node = listeners.cluster.as_ref().map(|joined| joined.cluster.members().own().to_string());
    let keeping = Kept {
        checkpoints,
        jobs: Some(offloads::files(&config).await?),
    };
    let mut server = Server::start(&config, security.clone(), listeners, catalog, sources, reader, keeping)?;
    server.ready();
    tracing::info!(
        flight = %format_args!("{}://{}", if security.tls.is_some() { "grpc+tls" } else { "grpc" }, server.flight),
        http = %format_args!("http://{}", server.http),
        checkpoints = kept,
        node,
        "serving"
    );
    loop {
        tokio::select! {
            () = stop.received() => return server.stop().await,
            error = server.failed() => return Err(error),
            () = hangup.received() => security.reread().await,
        }
    }
}

pub(super) fn settings(section: &KinesisSection) -> KinesisSettings {
    let section = section.clone();
    KinesisSettings {
        region: section.region,
        endpoint: section.endpoint,
        profile: section.profile,
        role_arn: section.role_arn,
        external_id: section.external_id,
        session_name: section.session_name,
    }
}

pub(super) fn readers(config: &Config) -> ReaderConfig {
    ReaderConfig {
        memory_bytes: config.reader.memory.resolve(),
        calls_per_second: Some(config.reader.calls_per_second),
        bytes_per_second: Some(config.reader.bytes_per_second.0),
        follow_lag_bytes: config.reader.follow_lag.0,
        idle_stop: config.reader.idle_stop,
        fan_out: config.reader.fan_out.reader_config(),
        ..ReaderConfig::default()
    }
}
