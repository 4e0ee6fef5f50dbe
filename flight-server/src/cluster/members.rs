//! Which nodes there are.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use shard_reader::ShardId;
use tokio::sync::watch;
use url::Url;

use super::placement::Placement;

/// A node's address on the cluster's own listener.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    /// `http://HOST:PORT/`, or `https` with TLS.
    pub url: Url,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str())
    }
}

/// The nodes that work is given to: this one, and those that answer.
#[derive(Debug)]
pub struct Members {
    own: Node,
    placement: watch::Sender<Arc<Placement>>,
}

impl Members {
    /// `own` and `peers`, until others are [`set`](Self::set).
    pub fn new(own: Node, peers: Vec<Node>) -> Self {
        let placement = Arc::new(Placement::new(own.clone(), peers));
        Self {
            own,
            placement: watch::Sender::new(placement),
        }
    }

    /// This node.
    pub fn own(&self) -> &Node {
        &self.own
    }

    /// All nodes, sorted, this one among them.
    pub fn nodes(&self) -> Arc<Vec<Node>> {
        Arc::new(self.placement().nodes().to_vec())
    }

    /// Where shards are now. Who places many shards takes it once.
    pub fn placement(&self) -> Arc<Placement> {
        Arc::clone(&self.placement.borrow())
    }

    /// The owner of a shard of the stream with this ARN.
    pub fn owner(&self, stream: &str, shard: &ShardId) -> Node {
        self.placement().owner(stream, shard).clone()
    }

    /// Whether a shard of the stream with this ARN is this node's.
    pub fn owns(&self, stream: &str, shard: &ShardId) -> bool {
        *self.placement().owner(stream, shard) == self.own
    }

    /// From now on these are the others. True if that is a change.
    pub fn set(&self, peers: BTreeSet<Node>) -> bool {
        let placement = Arc::new(Placement::new(self.own.clone(), peers));
        self.placement.send_if_modified(|current| {
            let changed = **current != *placement;
            *current = placement;
            changed
        })
    }

    /// Sees every change from now on.
    pub fn changes(&self) -> watch::Receiver<Arc<Placement>> {
        self.placement.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(port: u16) -> Node {
        Node {
            url: Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap(),
        }
    }

    #[test]
    fn this_node_is_always_among_them() {
        let members = Members::new(node(2), vec![node(3), node(1), node(3)]);
        assert_eq!(*members.nodes(), [node(1), node(2), node(3)]);
        let changes = members.changes();
        assert!(members.set(BTreeSet::new()));
        assert_eq!(*members.nodes(), [node(2)]);
        assert!(members.owns("arn", &"shardId-000000000000".into()));
        assert!(changes.has_changed().unwrap());
        assert!(!members.set(BTreeSet::from([node(2)])), "nothing new");
    }
}
