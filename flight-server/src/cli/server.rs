//! A server's parts, put together: what `serve` and `demo` share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use catalog::DirectoryCatalog;
use shard_reader::checkpoints::CheckpointStore;
use shard_reader::{ReaderConfig, Readers};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::backend::ServedEngine;
use super::cluster::Joined;
use super::file_stores;
use super::offloads;
use super::reader_facts::ReaderFacts;
use super::security::Security;
use crate::cluster::Cluster;
use crate::cluster::distributed::Part;
use crate::config::Config;
use crate::engine::{
    AdmissionLimits, AllowedStreams, Alone, DefinitionRules, Engine, EngineConfig, Nodes, Patterns, ScratchConfig, SourceProvider,
    parse_option,
};
use crate::http::{self, Metrics, Readiness};
use crate::offload::JobFiles;
use crate::service::{self, FlightService, Sealer, ServiceConfig};

/// Calls under way may take that long to finish once the end was asked for.
const DRAIN: Duration = Duration::from_secs(5);

/// Addresses that are listened on, before anything is served there.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) flight: TcpListener,
    pub(super) http: TcpListener,
    pub(super) cluster: Option<Joined>,
}

/// Listens on `address`; `option` is what a user changes if that fails.
pub(super) async fn bind(option: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; give another address with `{option}` (port 0 is a free one)"))
}

/// A running server. Dropping it stops it at once, [`stop`](Self::stop) gently.
#[derive(Debug)]
pub(super) struct Server {
    /// Where Flight SQL is.
    pub(super) flight: SocketAddr,
    /// Where health and metrics are.
    pub(super) http: SocketAddr,
    readers: Arc<Readers>,
    tasks: JoinSet<anyhow::Result<()>>,
    shutdown: CancellationToken,
    readiness: Readiness,
}

/// What a server keeps beside its tables.
pub(super) struct Kept {
    pub(super) checkpoints: Arc<dyn CheckpointStore>,
    /// Where offload jobs are; `None`: this server keeps none.
    pub(super) jobs: Option<JobFiles>,
}

impl Server {
    /// Starts to serve the tables of a catalog that was read. `reader` is the pace and memory of the readers; statements are answered when this returns.
    pub(super) fn start(
        config: &Config,
        security: Security,
        listeners: Listeners,
        catalog: Arc<DirectoryCatalog>,
        sources: Arc<dyn SourceProvider>,
        reader: ReaderConfig,
        kept: Kept,
    ) -> anyhow::Result<Self> {
        let Kept { checkpoints, jobs } = kept;
        let create = |directory: &std::path::Path| {
            std::fs::create_dir_all(directory).with_context(|| format!("cannot make directory {}", directory.display()))
        };
        create(&config.data_dir)?;
        create(&config.spill_dir())?;
        let cluster = listeners.cluster.as_ref().map(|joined| Arc::clone(&joined.cluster));
        let sealer = match &cluster {
            Some(cluster) => Sealer::with_key(cluster.sealing_key()),
            None => {
                let key = config.data_dir.join("ticket.key");
                Sealer::open_or_create(&key).with_context(|| format!("cannot use the ticket key {}", key.display()))?
            }
        };
        let nodes: Arc<dyn Nodes> = match &cluster {
            Some(cluster) => Arc::<Cluster>::clone(cluster),
            None => Arc::new(Alone),
        };
        let pace = reader.pace.clone();
        let readers = Readers::new(reader);
        let engine_config = EngineConfig {
            access: Arc::clone(&security.access),
            audit: Arc::clone(&security.audit),
            nodes: Arc::clone(&nodes),
            ..engine_config(config)?
        };
        let engine = Engine::new(engine_config, Arc::clone(&catalog), Arc::clone(&readers), sources, checkpoints)?;
        let part = cluster.as_ref().map(|cluster| cluster.part(&engine));
        let metrics = Arc::new(Metrics::default());
        let facts = ReaderFacts {
            engine: Arc::clone(&engine),
            cluster: cluster.clone(),
        };
        metrics.add_facts(facts, config.metrics.max_shards);
        let max_bytes = parse_option("max_bytes", &config.query.max_bytes.0.to_string())?;
        let backend = Arc::new(ServedEngine::new(Arc::clone(&engine), Arc::clone(&metrics), max_bytes));
        let service_config = ServiceConfig {
            ticket_ttl: config.tickets.ttl,
            authentication: security.authentication,
            tls: security.tls.clone(),
            access: security.access,
            audit: security.audit,
            cluster,
            ..ServiceConfig::default()
        };
        let service = FlightService::with_backend(backend, sealer, service_config);
        let readiness = Readiness::default();
        let shutdown = CancellationToken::new();
        let (flight, http) = (listeners.flight.local_addr()?, listeners.http.local_addr()?);
        let mut tasks = JoinSet::new();
        if let Some(files) = jobs {
            // before anybody can call
            let jobs = offloads::jobs(config, &engine, Arc::clone(&nodes), files)?;
            metrics.add_offloads(offloads::JobFacts(Arc::clone(&jobs)));
            let stop = shutdown.clone();
            tasks.spawn(async move {
                jobs.keep(&stop).await;
                Ok(())
            });
        }
        if let Some(Joined { cluster, listener }) = listeners.cluster {
            let (serving, stop) = (Arc::clone(&cluster), shutdown.clone());
            let plans = part.as_ref().map(Part::routes).unwrap_or_default();
            let routes = service.node_routes().merge(plans);
            tasks.spawn(async move { serving.serve(listener, routes, stop, DRAIN).await.map_err(Into::into) });
            let stop = shutdown.clone();
            tasks.spawn(async move {
                cluster.keep(pace, &stop).await;
                Ok(())
            });
        }
        if let Some(part) = part {
            let stop = shutdown.clone();
            tasks.spawn(async move {
                part.keep(&stop).await;
                Ok(())
            });
        }
        let stop = shutdown.clone();
        tasks.spawn(async move { service::serve(listeners.flight, service, stop, DRAIN).await.context("Flight SQL") });
        if let Some(tls) = security.tls {
            let stop = shutdown.clone();
            tasks.spawn(async move {
                tls.keep_fresh(&stop).await;
                Ok(())
            });
        }
        let stop = shutdown.clone();
        let router = http::router(readiness.clone(), Arc::clone(&metrics));
        tasks.spawn(async move { http::serve(listeners.http, router, stop, DRAIN).await.context("health and metrics") });
        let stop = shutdown.clone();
        let refresh = config.catalog.refresh;
        tasks.spawn(async move {
            keep_fresh(&catalog, refresh, &stop).await;
            Ok(())
        });
        Ok(Self {
            flight,
            http,
            readers,
            tasks,
            shutdown,
            readiness,
        })
    }

    /// From now on `/readyz` answers 200.
    pub(super) fn ready(&self) {
        self.readiness.set(true);
    }

    /// Returns when a part ends of itself, which none should.
    pub(super) async fn failed(&mut self) -> anyhow::Error {
        match self.tasks.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Err(error)) => anyhow::Error::new(error).context("a part of the server broke down"),
            Some(Ok(Ok(()))) | None => anyhow::anyhow!("a part of the server ended by itself"),
        }
    }

    /// Takes no more calls, lets those under way finish for a few seconds, then stops the readers.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.readiness.set(false);
        self.shutdown.cancel();
        let mut outcome = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            let ended = ended.context("a part of the server broke down").and_then(std::convert::identity);
            outcome = outcome.and(ended);
        }
        self.readers.shutdown().await;
        outcome
    }
}

/// Sees changed definitions, until the end.
async fn keep_fresh(catalog: &DirectoryCatalog, refresh: Duration, stop: &CancellationToken) {
    let mut ticks = tokio::time::interval(refresh);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {
                // May wait for the file system; the runtime's other threads go on. A registry may be slow: the end does not wait for it.
                tokio::task::block_in_place(|| {
                    tokio::runtime::Handle::current().block_on(stop.run_until_cancelled(catalog.refreshed()))
                });
            }
        }
    }
}

pub(super) fn engine_config(config: &Config) -> anyhow::Result<EngineConfig> {
    let streams = AllowedStreams::new(&config.allow.streams).map_err(|error| anyhow::anyhow!("allow.streams: {error}"))?;
    Ok(EngineConfig {
        query_memory: usize::try_from(config.query.memory.resolve()).unwrap_or(usize::MAX),
        spill_disk: config.query.spill_disk.0,
        query_timeout: config.query.timeout,
        files: file_stores::access(config)?,
        system: config.system.limits(),
        prices: config.prices.prices(),
        definitions: DefinitionRules {
            changes: config.ddl(),
            streams,
            roles: Patterns::new(&config.allow.roles).map_err(|error| anyhow::anyhow!("allow.roles: {error}"))?,
        },
        admission: AdmissionLimits {
            max_concurrent: config.query.max_concurrent,
            queue: config.query.queue,
            queue_timeout: config.query.queue_timeout,
        },
        scratch: ScratchConfig {
            ticket_ttl: config.tickets.ttl,
            ..config.scratch.limits()
        },
        ..EngineConfig::new(config.spill_dir())
    })
}

#[cfg(test)]
mod tests {
    use catalog::FetchSchemas;
    use futures::future::{BoxFuture, pending};
    use tokio::sync::Semaphore;

    use super::*;

    /// Says that it was asked, and never answers.
    #[derive(Debug)]
    struct Silent(Arc<Semaphore>);

    impl FetchSchemas for Silent {
        fn fetch<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<u8>, String>> {
            self.0.add_permits(1);
            Box::pin(pending())
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_end_does_not_wait_for_a_registry() {
        let directory = tempfile::tempdir().unwrap();
        let definition = "table: t\nstream: s\nformat: { avro: { framing: confluent, registry: 'http://silent' } }\ncolumns: [{ name: a, type: varchar }]\n";
        std::fs::write(directory.path().join("t.yaml"), definition).unwrap();
        let asked = Arc::new(Semaphore::new(0));
        let catalog = DirectoryCatalog::new(directory.path(), "default").with_registries(Arc::new(Silent(Arc::clone(&asked))));
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let ended = stop.clone();
        tasks.spawn(async move { keep_fresh(&catalog, Duration::from_secs(600), &ended).await });
        asked.acquire().await.unwrap().forget();
        stop.cancel();
        let joined = tokio::time::timeout(Duration::from_secs(30), tasks.join_next()).await;
        joined.expect("it ends").unwrap().unwrap();
    }
}
