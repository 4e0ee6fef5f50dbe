//! A node's part in plans over several nodes.

use std::sync::Arc;

use axum::Router;
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService;
use tonic::transport::ClientTlsConfig;

use super::channels::{Channels, Credential};
use super::peers::Peers;
use super::spreading::Spreading;
use super::worker::worker;
use crate::cluster::Members;
use crate::engine::Engine;

/// Spreads the plans of an engine over nodes, and runs tasks for them.
#[derive(Debug)]
pub(crate) struct Part {
    peers: Arc<Peers>,
    routes: Router,
}

impl Part {
    /// From now on the engine's plans are spread over those of `members` that answer.
    pub(crate) fn new(engine: &Engine, members: Arc<Members>, credential: Credential, tls: Option<ClientTlsConfig>) -> Self {
        let channels = Channels::new(credential, tls);
        let peers = Peers::new(members, Arc::clone(&channels));
        engine.set_distribution(Spreading::new(Arc::clone(&peers)));
        Self {
            peers,
            routes: routes(worker(engine, channels)),
        }
    }

    /// What other nodes call. For the cluster's own listener, which lets in nobody else.
    pub(crate) fn routes(&self) -> Router {
        self.routes.clone()
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
