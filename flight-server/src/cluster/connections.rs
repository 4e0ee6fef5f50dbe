//! Connections to other nodes: one each, opened when it is first needed and again when it broke.

use std::collections::HashMap;
use std::time::Duration;

use http::header::AUTHORIZATION;
use parking_lot::Mutex;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::{Service, ServiceExt};

use super::error::ClusterError;
use super::members::Node;
use super::pings;
use super::trust::Trust;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct Connections {
    trust: Trust,
    channels: Mutex<HashMap<Node, Channel>>,
}

impl Connections {
    pub(crate) fn new(trust: Trust) -> Self {
        Self {
            trust,
            channels: Mutex::default(),
        }
    }

    /// Sends a request, of which only the path counts, with what this node shows to others.
    pub(crate) async fn send(&self, node: &Node, mut request: http::Request<Body>) -> Result<http::Response<Body>, ClusterError> {
        let mut channel = self.channel(node)?;
        let silent = |error: tonic::transport::Error| ClusterError::Silent {
            node: node.clone(),
            reason: innermost(&error),
        };
        request.headers_mut().insert(AUTHORIZATION, self.trust.credential());
        channel.ready().await.map_err(silent)?.call(request).await.map_err(silent)
    }

    /// Nodes that are gone keep no connection.
    pub(crate) fn retain(&self, keep: impl Fn(&Node) -> bool) {
        self.channels.lock().retain(|node, _| keep(node));
    }

    fn channel(&self, node: &Node) -> Result<Channel, ClusterError> {
        let mut channels = self.channels.lock();
        if let Some(channel) = channels.get(node) {
            return Ok(channel.clone());
        }
        let channel = self.connect(node)?;
        channels.insert(node.clone(), channel.clone());
        Ok(channel)
    }

    fn connect(&self, node: &Node) -> Result<Channel, ClusterError> {
        let failed = |source| ClusterError::Transport {
            what: "connecting to a node",
            source,
        };
        let endpoint = Endpoint::from_shared(node.url.as_str().trim_end_matches('/').to_owned()).map_err(failed)?;
        let endpoint = match self.trust.tls() {
            Some(tls) => endpoint.tls_config(tls).map_err(failed)?,
            None => endpoint,
        };
        Ok(endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(pings::INTERVAL)
            .keep_alive_timeout(pings::TIMEOUT)
            .keep_alive_while_idle(true)
            .connect_lazy())
    }
}

/// tonic's own words are `transport error`; what happened is below them.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
