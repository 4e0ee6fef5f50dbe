//! Which nodes plans are spread over: those that answered a moment ago, in our version. A plan's bytes are understood by the version that wrote them, so
//! while versions change each version works with its like.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use datafusion_distributed::GetWorkerInfoRequest;
use futures::future::join_all;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::channels::Channels;
use crate::cluster::{Members, Node, Placement};

/// Ours.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How often nodes are asked, and how long they may take.
const ASKED: Duration = Duration::from_secs(1);
const ANSWERED: Duration = Duration::from_secs(2);

/// The nodes that can run a task.
#[derive(Debug)]
pub(crate) struct Peers {
    members: Arc<Members>,
    channels: Arc<Channels>,
    ready: Mutex<BTreeSet<Node>>,
}

impl Peers {
    /// None yet, but for this one.
    pub(crate) fn new(members: Arc<Members>, channels: Arc<Channels>) -> Arc<Self> {
        Arc::new(Self {
            members,
            channels,
            ready: Mutex::default(),
        })
    }

    pub(super) fn channels(&self) -> &Arc<Channels> {
        &self.channels
    }

    pub(super) fn own(&self) -> &Node {
        self.members.own()
    }

    /// Where shards are now.
    pub(super) fn placement(&self) -> Placement {
        Placement::new(self.own().clone(), self.ready.lock().iter().cloned())
    }

    /// The node gets no task until it answers again.
    pub(super) fn lost(&self, node: &str) {
        let mut ready = self.ready.lock();
        ready.retain(|known| known.url.as_str() != node);
    }

    /// Asks nodes, until the end.
    pub(crate) async fn keep_fresh(&self, stop: &CancellationToken) {
        let mut ticks = tokio::time::interval(ASKED);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => { stop.run_until_cancelled(self.ask()).await; }
            }
        }
    }

    /// Asks all nodes once.
    pub(super) async fn ask(&self) {
        let members = self.members.nodes();
        self.ready.lock().retain(|known| members.contains(known));
        let others = members.iter().filter(|node| *node != self.own());
        // each one's answer counts at once: none waits for one that is silent
        join_all(others.map(|node| self.ask_one(node))).await;
    }

    async fn ask_one(&self, node: &Node) {
        let version = tokio::time::timeout(ANSWERED, async {
            let mut channel = self.channels.to(&node.url)?;
            channel.get_worker_info(GetWorkerInfoRequest {}).await
        });
        let reason = match version.await {
            Ok(Ok(info)) if info.version == VERSION => None,
            Ok(Ok(info)) => Some(format!("its version is {}, and ours {VERSION}", info.version)),
            Ok(Err(error)) => Some(error.strip_backtrace()),
            Err(_) => Some(format!("no answer within {ANSWERED:?}")),
        };
        let mut ready = self.ready.lock();
        match reason {
            None if ready.insert(node.clone()) => tracing::info!(%node, "plans are spread over the node"),
            Some(reason) if ready.remove(node) => tracing::warn!(%node, %reason, "plans are no longer spread over the node"),
            _ => {}
        }
    }
}
