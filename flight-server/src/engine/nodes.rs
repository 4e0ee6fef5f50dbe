//! The servers that share the work, as the engine sees them.

use std::fmt;

use shard_reader::ShardId;

/// A node, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeState {
    /// What the others call it; `None` = it is alone.
    pub node: Option<String>,
    /// Of its process.
    pub id: Option<String>,
    /// Where clients reach it.
    pub location: Option<String>,
    /// Of the program.
    pub version: Option<String>,
    /// It answers.
    pub alive: bool,
    /// It is this process.
    pub own: bool,
}

/// All nodes.
pub trait Nodes: fmt::Debug + Send + Sync {
    /// Each of them, as it is now.
    fn nodes(&self) -> Vec<NodeState>;
    /// Whose a shard of the stream with this ARN is, by its name in [`NodeState::node`].
    fn owner(&self, stream: &str, shard: &ShardId) -> Option<String>;
}

/// A process without others.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Nodes for Alone {
    fn nodes(&self) -> Vec<NodeState> {
        vec![NodeState {
            node: None,
            id: None,
            location: None,
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            alive: true,
            own: true,
        }]
    }

    fn owner(&self, _: &str, _: &ShardId) -> Option<String> {
        None
    }
}
