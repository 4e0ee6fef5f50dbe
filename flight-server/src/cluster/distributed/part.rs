//! A node's part in plans over several nodes.

use std::sync::Arc;

use axum::Router;
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService;
use tonic::transport::ClientTlsConfig;

use super::channels::{Channels, Credential};
use super::peers::Peers;
use super::pins;
use super::slots;
use super::spreading::Spreading;
use super::worker::worker;
use crate::cluster::Members;
use crate::cluster::connections::Connections;
use crate::cluster::counters::ClusterCounters;
use crate::engine::Engine;

/// Spreads the plans of an engine over nodes, and runs tasks for them.
#[derive(Debug)]
pub(crate) struct Part {
    peers: Arc<Peers>,
    routes: Router,
}

/// What a node has of others.
#[derive(Debug, Clone)]
pub(crate) struct Others {
    pub(crate) members: Arc<Members>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) counters: Arc<ClusterCounters>,
    /// Clients are told where nodes are.
    pub(crate) advertised: bool,
}

impl Part {
    /// From now on the engine's plans are spread over those of the members that answer.
    pub(crate) fn new(engine: &Engine, others: Others, credential: Credential, tls: Option<ClientTlsConfig>) -> Self {
        let channels = Channels::new(credential, tls);
        let peers = Peers::new(Arc::clone(&others.members), Arc::clone(&channels));
        let worker = worker(engine, channels, &others);
        let pins = pins::routes(engine.workplace(), Arc::clone(&others.counters));
        let slots = Arc::clone(&engine.workplace().slots);
        engine.set_distribution(Spreading::new(Arc::clone(&peers), others, Arc::clone(&slots)));
        Self {
            peers,
            routes: routes(worker).merge(pins).merge(slots::routes(slots)),
        }
    }

    /// What other nodes call. For the cluster's own listener, which lets in nobody else.
    pub(crate) fn routes(&self) -> Router {
        self.routes.clone()
    }

    #[cfg(test)]
    pub(super) fn peers(&self) -> &Arc<Peers> {
        &self.peers
    }

    /// Keeps asking which nodes can run tasks, until `stop`.
    pub(crate) async fn keep(&self, stop: &CancellationToken) {
        self.peers.keep_fresh(stop).await;
    }
}

/// The calls of a worker.
pub(super) fn routes(worker: datafusion_distributed::Worker) -> Router {
    fn named<S: NamedService>(_: &S) -> &'static str {
        S::NAME
    }
    let server = worker.into_worker_server();
    let path = format!("/{}/{{*call}}", named(&server));
    Router::new().route_service(&path, server)
}
