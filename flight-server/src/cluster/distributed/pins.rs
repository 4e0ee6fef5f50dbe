//! Pins by owners: a node that plans asks each other node once for all shards of a stream that the other one scans, and so reads anyway.
//!
//! An answer that does not come, or is about another stream or from another version, costs a read here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, Full, Limited};
use serde::{Deserialize, Serialize};
use shard_reader::{PinElsewhere, PinRequest, PinnedShard, ShardId, ShardToPin, StreamIdentity};
use tonic::body::Body;
use url::Url;

use super::peers::{Peers, VERSION};
use crate::cluster::connections::Connections;
use crate::cluster::counters::ClusterCounters;
use crate::cluster::{ClusterError, Node, Placement};
use crate::engine::{PinOrder, SharedStream, Workplace};

const PATH: &str = "/v1/pins";
/// After so long a node is not waited for. What it has it says before.
const WAITED: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(3);
/// So often a node is asked for a shard of which it says that it is reading it: to read it here too would make neither faster.
const ASKED_AT_MOST: usize = 4;
/// A shard takes some 300 bytes, and a stream has 20,000 at most.
const LARGEST: usize = 64 << 20;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    version: String,
    pub(super) order: PinOrder,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answered {
    stream: StreamIdentity,
    shards: Vec<PinnedShard>,
    /// It reads these, and has not found their ends yet.
    #[serde(default)]
    pending: Vec<ShardId>,
}

/// The nodes that scan shards of a stream now.
pub(super) struct Owners {
    pub(super) stream: SharedStream,
    pub(super) placement: Placement,
    pub(super) peers: Arc<Peers>,
    pub(super) connections: Arc<Connections>,
    pub(super) counters: Arc<ClusterCounters>,
}

#[async_trait]
impl PinElsewhere for Owners {
    fn owner(&self, shard: &ShardId) -> Option<Arc<str>> {
        let owner = self.placement.owner(&self.stream.identity().arn, shard);
        (owner != self.peers.own()).then(|| Arc::from(owner.url.as_str()))
    }

    async fn pin(&self, owner: &str, request: &PinRequest, shards: &[ShardToPin]) -> Vec<PinnedShard> {
        self.counters.pins_asked.add(shards.len());
        let mut answered = Vec::with_capacity(shards.len());
        let mut left = shards.to_vec();
        for _ in 0..ASKED_AT_MOST {
            let Some(answer) = self.answer(owner, request, &left).await else {
                break;
            };
            answered.extend(answer.shards);
            let pending: HashSet<ShardId> = answer.pending.into_iter().collect();
            left.retain(|to_pin| pending.contains(&to_pin.shard));
            if left.is_empty() {
                break;
            }
        }
        let asked: HashMap<&ShardId, &ShardToPin> = shards.iter().map(|to_pin| (&to_pin.shard, to_pin)).collect();
        answered.retain(|pinned| {
            let asked = asked.get(&pinned.pin.range.shard);
            asked.is_some_and(|asked| pinned.answers(request, asked))
        });
        self.counters.pins_failed.add(shards.len().saturating_sub(answered.len()));
        answered
    }
}

impl Owners {
    async fn answer(&self, owner: &str, request: &PinRequest, shards: &[ShardToPin]) -> Option<Answered> {
        match tokio::time::timeout(WAITED, self.ask(owner, request, shards)).await {
            Ok(Ok(answered)) => return Some(answered),
            Ok(Err(error @ ClusterError::Silent { .. })) => {
                tracing::warn!(%error, shards = shards.len(), "pinning here what another node did not");
                self.peers.lost(owner);
            }
            Ok(Err(error)) => tracing::warn!(%error, shards = shards.len(), "pinning here what another node did not"),
            Err(_) => {
                tracing::warn!(
                    node = owner,
                    shards = shards.len(),
                    "pinning here what another node did not in time"
                );
                self.peers.lost(owner);
            }
        }
        None
    }

    async fn ask(&self, owner: &str, request: &PinRequest, shards: &[ShardToPin]) -> Result<Answered, ClusterError> {
        let node = Node {
            url: Url::parse(owner).map_err(|error| ClusterError::Address(error.to_string()))?,
        };
        let refused = |reason: String| ClusterError::Refused {
            node: node.clone(),
            reason,
        };
        let mut body = Vec::new();
        let asked = Asked {
            version: VERSION.to_owned(),
            order: PinOrder::new(self.stream.clone(), request, shards),
        };
        ciborium::into_writer(&asked, &mut body).map_err(|error| refused(error.to_string()))?;
        let post = http::Request::post(PATH)
            .body(Body::new(Full::from(body)))
            .map_err(|error| refused(error.to_string()))?;
        let response = self.connections.send(&node, post).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| refused(error.to_string()))?.to_bytes();
        if status != StatusCode::OK {
            return Err(refused(format!("{status}: {}", String::from_utf8_lossy(&body))));
        }
        let answered: Answered =
            ciborium::from_reader(body.as_ref()).map_err(|error| refused(format!("an answer that cannot be read: {error}")))?;
        if answered.stream != *self.stream.identity() {
            return Err(refused("an answer about another stream".to_owned()));
        }
        Ok(answered)
    }
}

/// Answers what other nodes ask.
pub(super) fn routes(workplace: Arc<Workplace>, counters: Arc<ClusterCounters>) -> Router {
    let pins = move |body: Bytes| {
        let (workplace, counters) = (Arc::clone(&workplace), Arc::clone(&counters));
        async move {
            match pinned(&workplace, &body).await {
                Ok(answered) => {
                    counters.pins_served.add(answered.shards.len());
                    encoded(&answered)
                }
                Err(refused) => refused.into_response(),
            }
        }
    };
    Router::new().route(PATH, post(pins)).layer(DefaultBodyLimit::max(LARGEST))
}

async fn pinned(workplace: &Workplace, body: &[u8]) -> Result<Answered, (StatusCode, String)> {
    let asked: Asked = ciborium::from_reader(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    if asked.version != VERSION {
        let message = format!("this node's version is {VERSION}, and not {}", asked.version);
        return Err((StatusCode::CONFLICT, message));
    }
    let stream = asked.order.stream().identity().clone();
    let pinned = workplace.pins(asked.order, PATIENCE).await;
    let pins = pinned.map_err(|error| (StatusCode::CONFLICT, error.to_string()))?;
    Ok(Answered {
        stream,
        shards: pins.pinned,
        pending: pins.pending,
    })
}

fn encoded(answered: &Answered) -> Response {
    let mut body = Vec::new();
    match ciborium::into_writer(answered, &mut body) {
        Ok(()) => body.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
