//! Keeps the members true: asks every node, once a second, what it is. Who has not answered for a while gets no work and no clients; who answers again
//! is back. Nothing depends on nodes seeing the same: what they believe of each other costs a second read of a shard at most.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use parking_lot::RwLock;
use tokio::time::{Instant, MissedTickBehavior};

use super::connections::Connections;
use super::discovery::{self, Resolve};
use super::facts::{self, NodeFacts};
use super::members::{Members, Node};
use crate::config::ClusterConfig;

const ASKED_EVERY: Duration = Duration::from_secs(1);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// Who was silent for longer is no member.
const SILENT: Duration = Duration::from_secs(3);
/// Names are resolved again so often.
const RESOLVED_EVERY: Duration = Duration::from_secs(5);
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);
/// Nodes asked at once.
const AT_ONCE: usize = 64;

/// What is known of another node.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// What it last said; `None` = it never answered.
    pub(crate) facts: Option<NodeFacts>,
    /// When it last answered, or was first heard of.
    pub(crate) since: Instant,
    /// Why it does not answer, as it was last logged.
    silent: Option<String>,
}

impl Known {
    pub(crate) fn is_alive(&self) -> bool {
        self.facts.is_some() && self.since.elapsed() <= SILENT
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Watch {
    config: ClusterConfig,
    own: NodeFacts,
    members: Arc<Members>,
    connections: Arc<Connections>,
    resolver: Arc<dyn Resolve>,
    known: RwLock<BTreeMap<Node, Known>>,
}

impl Watch {
    pub(crate) fn new(
        config: ClusterConfig,
        own: NodeFacts,
        members: Arc<Members>,
        connections: Arc<Connections>,
        resolver: Arc<dyn Resolve>,
    ) -> Self {
        Self {
            config,
            own,
            members,
            connections,
            resolver,
            known: RwLock::default(),
        }
    }

    /// All other nodes that are listed.
    pub(crate) fn known(&self) -> BTreeMap<Node, Known> {
        self.known.read().clone()
    }

    /// What is known of one.
    pub(crate) fn find(&self, node: &Node) -> Option<Known> {
        self.known.read().get(node).cloned()
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(&self) {
        let mut ticks = tokio::time::interval(ASKED_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut resolved = Instant::now();
        loop {
            ticks.tick().await;
            if resolved.elapsed() >= RESOLVED_EVERY {
                self.list().await;
                resolved = Instant::now();
            }
            self.ask_all().await;
        }
    }

    /// The list of nodes as it is now. One that cannot be had leaves the last one.
    pub(crate) async fn list(&self) {
        let listed = tokio::time::timeout(RESOLVE_TIMEOUT, discovery::listed(&self.config, self.resolver.as_ref()));
        let listed = match listed.await {
            Ok(Ok(listed)) => listed,
            Ok(Err(error)) => return tracing::warn!(%error, "the cluster's nodes cannot be listed; those known so far stay"),
            Err(_) => return tracing::warn!("the cluster's nodes cannot be listed in time; those known so far stay"),
        };
        let mut known = self.known.write();
        known.retain(|node, _| listed.contains(node));
        for node in listed {
            if node != *self.members.own() {
                let since = Instant::now();
                known.entry(node).or_insert(Known {
                    facts: None,
                    since,
                    silent: None,
                });
            }
        }
        let kept: BTreeSet<Node> = known.keys().cloned().collect();
        drop(known);
        self.connections.retain(|node| kept.contains(node));
    }

    /// Asks all of them, and makes those members that answer.
    pub(crate) async fn ask_all(&self) {
        let nodes: Vec<Node> = self.known.read().keys().cloned().collect();
        let asked = stream::iter(nodes).map(|node| async move {
            let answer = facts::ask(&self.connections, &node, ANSWER_TIMEOUT).await;
            (node, answer)
        });
        let mut asked = asked.buffer_unordered(AT_ONCE);
        while let Some((node, answer)) = asked.next().await {
            let mut known = self.known.write();
            let Some(entry) = known.get_mut(&node) else { continue };
            match answer {
                Ok(facts) if facts.id == self.own.id => {
                    // Another name of this node.
                    known.remove(&node);
                }
                Ok(facts) => {
                    if !entry.is_alive() {
                        tracing::info!(%node, version = facts.version, "a node answers");
                    }
                    *entry = Known {
                        facts: Some(facts),
                        since: Instant::now(),
                        silent: None,
                    };
                }
                Err(error) => {
                    // said once, and not every second
                    let error = error.to_string();
                    if entry.silent.as_ref() != Some(&error) {
                        tracing::warn!(%error, "a node is silent");
                        entry.silent = Some(error);
                    }
                }
            }
        }
        let alive = self
            .known
            .read()
            .iter()
            .filter(|(_, known)| known.is_alive())
            .map(|(node, _)| node.clone())
            .collect();
        if self.members.set(alive) {
            tracing::info!(nodes = self.members.placement().nodes().len(), "the cluster's members changed");
        }
    }
}
