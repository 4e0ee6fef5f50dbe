//! What goes wrong between nodes.

use std::path::PathBuf;

use super::members::Node;

/// Why a process is no node, or another node gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No key can be made of it.
    #[error("cluster.token: cannot be used")]
    Token,
    /// A file of `cluster.tls`.
    #[error("cluster.tls: cannot read {}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What other nodes call this one cannot be found out.
    #[error("cluster.address: must say HOST:PORT of this node as the others reach it, since {0}")]
    Address(String),
    /// The listener or a connection cannot be set up.
    #[error("cluster: {what}")]
    Transport {
        /// For what.
        what: &'static str,
        /// Why.
        source: tonic::transport::Error,
    },
    /// Another node gives no answer.
    #[error("node {node} does not answer: {reason}")]
    Silent {
        /// Which.
        node: Node,
        /// Why.
        reason: String,
    },
    /// Another node answers, but not with what was asked for.
    #[error("node {node} refuses: {reason}")]
    Refused {
        /// Which.
        node: Node,
        /// Why.
        reason: String,
    },
}
