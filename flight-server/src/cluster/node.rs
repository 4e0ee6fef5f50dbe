//! This process as a node.

use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use shard_reader::{Pace, ShardId};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use uuid::Uuid;

use super::budget;
use super::connections::Connections;
use super::counters::ClusterCounters;
use super::discovery::{self, SystemResolver};
use super::distributed::{Credential, Others, Part};
use super::error::ClusterError;
use super::facts::{self, NodeFacts};
use super::members::{Members, Node};
use super::serving::{self, ServerTls};
use super::trust::Trust;
use super::watch::Watch;
use crate::config::ClusterConfig;
use crate::engine::{Engine, NodeState, Nodes};

/// After so long without an answer a node is not waited for: what it held is gone.
const GIVEN_UP: Duration = Duration::from_secs(30);

/// What another node is, to who wants something that only it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It answers.
    Alive,
    /// It may come back.
    Silent,
    /// Nobody knows it, or it has been silent for long.
    Gone,
}

/// See the module.
#[derive(Debug)]
pub struct Cluster {
    config: ClusterConfig,
    own: NodeFacts,
    trust: Arc<Trust>,
    connections: Arc<Connections>,
    members: Arc<Members>,
    watch: Watch,
    counters: Arc<ClusterCounters>,
}

/// The cluster in numbers, as this node sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClusterFigures {
    /// Nodes that are listed, this one too.
    pub(crate) members: u64,
    /// Of these, those that answer.
    pub(crate) live: u64,
    /// Shards that others were asked to pin.
    pub(crate) pins_asked: u64,
    /// Of these, those that they did not answer.
    pub(crate) pins_failed: u64,
    /// Shards that were pinned for others.
    pub(crate) pins_served: u64,
    /// Tasks of other nodes' statements.
    pub(crate) tasks: u64,
    /// Calls relayed to other nodes.
    pub(crate) relayed: u64,
}

impl ClusterFigures {
    /// Of a node that has no others.
    pub(crate) const ALONE: Self = Self {
        members: 1,
        live: 1,
        pins_asked: 0,
        pins_failed: 0,
        pins_served: 0,
        tasks: 0,
        relayed: 0,
    };
}

impl Cluster {
    /// Joins: finds out what this node is called and who the others are, and asks each once. `listener` is where they will ask in turn.
    ///
    /// # Errors
    /// [`ClusterError`] if files cannot be read or this node has no address.
    pub async fn join(config: ClusterConfig, listener: &TcpListener) -> Result<Arc<Self>, ClusterError> {
        let bound = listener.local_addr().map_err(|error| ClusterError::Address(error.to_string()))?;
        let resolver = Arc::new(SystemResolver);
        let own = discovery::own(&config, bound, resolver.as_ref()).await?;
        let trust = Arc::new(Trust::new(&config).await?);
        let facts = NodeFacts {
            id: Uuid::new_v4().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            location: config.advertise.clone(),
        };
        let connections = Arc::new(Connections::new(trust.as_ref().clone()));
        let members = Arc::new(Members::new(own, Vec::new()));
        let watch = Watch::new(
            config.clone(),
            facts.clone(),
            Arc::clone(&members),
            Arc::clone(&connections),
            resolver,
        );
        watch.list().await;
        watch.ask_all().await;
        Ok(Arc::new(Self {
            config,
            own: facts,
            trust,
            connections,
            members,
            watch,
            counters: Arc::default(),
        }))
    }

    /// The nodes that work is given to.
    pub fn members(&self) -> &Arc<Members> {
        &self.members
    }

    /// The key of what servers seal: the same on all nodes.
    pub fn sealing_key(&self) -> [u8; 32] {
        self.trust.seals()
    }

    /// This node's part in the plans of an engine, which are spread over the nodes from now on.
    pub(crate) fn part(&self, engine: &Engine) -> Part {
        let credential = Credential::new(AUTHORIZATION, self.trust.credential());
        let others = Others {
            members: Arc::clone(&self.members),
            connections: Arc::clone(&self.connections),
            counters: Arc::clone(&self.counters),
            advertised: self.own.location.is_some(),
        };
        Part::new(engine, others, credential, self.trust.tls())
    }

    /// For metrics.
    pub(crate) fn figures(&self) -> ClusterFigures {
        let counters = &self.counters;
        ClusterFigures {
            members: self.watch.known().len() as u64 + 1,
            live: self.members.placement().nodes().len() as u64,
            pins_asked: counters.pins_asked.now(),
            pins_failed: counters.pins_failed.now(),
            pins_served: counters.pins_served.now(),
            tasks: counters.tasks.now(),
            relayed: counters.relayed.now(),
        }
    }

    /// What this node counts.
    pub(crate) fn counters(&self) -> &ClusterCounters {
        &self.counters
    }

    /// Serves other nodes: what they ask about this one, and `routes`.
    ///
    /// # Errors
    /// [`ClusterError`] if the transport fails or files of `cluster.tls` cannot be read.
    pub async fn serve(
        &self,
        listener: TcpListener,
        routes: axum::Router,
        shutdown: CancellationToken,
        drain: Duration,
    ) -> Result<(), ClusterError> {
        let tls = match &self.config.tls {
            Some(files) => Some(ServerTls {
                cert: read(&files.cert).await?,
                key: read(&files.key).await?,
                ca: read(&files.ca).await?,
            }),
            None => None,
        };
        let routes = routes.merge(facts::routes(&self.own));
        serving::serve(listener, routes, Arc::clone(&self.trust), tls, shutdown, drain).await
    }

    /// Watches the other nodes, and keeps the readers' pace, until `shutdown`.
    pub async fn keep(&self, pace: Pace, shutdown: &CancellationToken) {
        let careful = budget::keep(Arc::clone(&self.members), pace);
        shutdown
            .run_until_cancelled(async { tokio::join!(self.watch.run(), careful) })
            .await;
    }

    /// Sends a request to another node's listener.
    pub(crate) async fn send(&self, node: &Node, request: http::Request<Body>) -> Result<http::Response<Body>, ClusterError> {
        self.connections.send(node, request).await
    }

    /// What another node is now.
    pub(crate) fn presence(&self, node: &Node) -> Presence {
        match self.watch.find(node) {
            Some(known) if known.is_alive() => Presence::Alive,
            Some(known) if known.since.elapsed() < GIVEN_UP => Presence::Silent,
            Some(_) | None => Presence::Gone,
        }
    }

    /// All other nodes that answer.
    pub(crate) fn others(&self) -> Vec<Node> {
        let placement = self.members.placement();
        placement
            .nodes()
            .iter()
            .filter(|node| *node != self.members.own())
            .cloned()
            .collect()
    }

    /// Where clients reach a node that answers; `None` if it says nothing of that.
    pub(crate) fn location(&self, node: &Node) -> Option<String> {
        if node == self.members.own() {
            return self.own.location.clone();
        }
        self.watch.find(node).filter(|known| known.is_alive())?.facts?.location
    }

    fn state(&self, node: &Node, facts: Option<&NodeFacts>, alive: bool) -> NodeState {
        NodeState {
            node: Some(node.to_string()),
            id: facts.map(|facts| facts.id.clone()),
            location: facts.and_then(|facts| facts.location.clone()),
            version: facts.map(|facts| facts.version.clone()),
            alive,
            own: node == self.members.own(),
        }
    }
}

impl Nodes for Cluster {
    fn nodes(&self) -> Vec<NodeState> {
        let own = self.state(self.members.own(), Some(&self.own), true);
        let known = self.watch.known();
        let others = known
            .iter()
            .map(|(node, known)| self.state(node, known.facts.as_ref(), known.is_alive()));
        std::iter::once(own).chain(others).collect()
    }

    fn owner(&self, stream: &str, shard: &ShardId) -> Option<String> {
        Some(self.members.owner(stream, shard).to_string())
    }
}

async fn read(path: &std::path::Path) -> Result<Vec<u8>, ClusterError> {
    tokio::fs::read(path).await.map_err(|source| ClusterError::File {
        path: path.to_owned(),
        source,
    })
}
