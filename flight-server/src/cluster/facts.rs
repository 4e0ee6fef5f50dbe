//! What nodes tell each other of themselves.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Limited};
use serde::{Deserialize, Serialize};
use tonic::body::Body;

use super::connections::Connections;
use super::error::ClusterError;
use super::members::Node;

const PATH: &str = "/v1/node";
/// An answer is a few hundred bytes.
const LARGEST: usize = 64 << 10;

/// What a node tells of itself. Later versions may tell more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// Drawn at random when the process started.
    pub id: String,
    /// Version of the program.
    pub version: String,
    /// Where clients reach its Flight SQL.
    #[serde(default)]
    pub location: Option<String>,
}

/// Answers who asks.
pub(crate) fn routes(own: &NodeFacts) -> Router {
    let said = serde_json::json!(own).to_string();
    Router::new().route(
        PATH,
        get(move || std::future::ready(([(CONTENT_TYPE, "application/json")], said.clone()))),
    )
}

/// Asks a node.
pub(crate) async fn ask(connections: &Connections, node: &Node, timeout: Duration) -> Result<NodeFacts, ClusterError> {
    let silent = |reason: String| ClusterError::Silent {
        node: node.clone(),
        reason,
    };
    let asked = async {
        let request = http::Request::get(PATH)
            .body(Body::empty())
            .map_err(|error| silent(error.to_string()))?;
        let response = connections.send(node, request).await?;
        if response.status() != http::StatusCode::OK {
            return Err(silent(format!("it answers {}; is its cluster.token the same?", response.status())));
        }
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| silent(error.to_string()))?.to_bytes();
        serde_json::from_slice(&body).map_err(|error| silent(format!("it says what is no node's: {error}")))
    };
    match tokio::time::timeout(timeout, asked).await {
        Ok(answered) => answered,
        Err(_) => Err(silent(format!("not within {timeout:?}"))),
    }
}
