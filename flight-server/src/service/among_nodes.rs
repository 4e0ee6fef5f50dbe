//! What a server does as a node: the calls that other nodes make of it, and what it asks of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::Location;
use arrow_flight::flight_service_server::FlightServiceServer;
use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::StatusCode;
use http_body_util::{BodyExt, Full, Limited};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tonic::body::Body;
use tower::ServiceBuilder;

use super::flight::{FlightService, Inner};
use super::relay::RelayedLayer;
use super::reply::ReplyLayer;
use super::server::LARGEST_REQUEST;
use crate::cluster::{Cluster, Node};
use crate::engine::{CancelOutcome, Principal, QueryPart};

const CANCEL: &str = "/v1/cancel";
/// A node that takes longer to cancel is not waited for.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);
const LARGEST_ANSWER: usize = 4096;

/// For clients that cannot reach the location before: the connection that they have.
const REUSE_CONNECTION: &str = "arrow-flight-reuse-connection://?";

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Cancel {
    principal: String,
    query: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Cancelled {
    cancelled: bool,
}

impl FlightService {
    /// For the cluster's listener: calls that other nodes relay, and what they ask.
    pub fn node_routes(&self) -> Router {
        let inner = self.inner();
        let (authentication, sealer) = (self.authentication_layer(), Arc::clone(&inner.sealer));
        let relayed = ServiceBuilder::new()
            .layer(ReplyLayer)
            .layer(RelayedLayer(sealer))
            .layer(authentication)
            .service(
                FlightServiceServer::new(self.clone())
                    .max_decoding_message_size(LARGEST_REQUEST)
                    .max_encoding_message_size(usize::MAX),
            );
        let cancel = move |body: Bytes| {
            let inner = Arc::clone(&inner);
            async move {
                let cancel: Cancel = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
                let principal = Principal(cancel.principal.into());
                let cancelled = inner.backend.cancel(&principal, &cancel.query) == CancelOutcome::Cancelled;
                Ok::<_, StatusCode>(json!(Cancelled { cancelled }).to_string())
            }
        };
        Router::new()
            .route_service("/arrow.flight.protocol.FlightService/{call}", relayed)
            .route(CANCEL, post(cancel))
    }
}

impl Inner {
    /// Cancels what runs of a query, on whichever node.
    pub(crate) async fn cancel_everywhere(&self, principal: &Principal, query: &str) -> bool {
        let here = self.backend.cancel(principal, query) == CancelOutcome::Cancelled;
        let Some(cluster) = &self.config.cluster else { return here };
        let cancel = Cancel {
            principal: principal.to_string(),
            query: query.to_owned(),
        };
        let others = cluster.others();
        let mut asked: FuturesUnordered<_> = others.iter().map(|node| cancel_at(cluster, node, &cancel)).collect();
        let mut cancelled = here;
        while let Some(there) = asked.next().await {
            cancelled |= there;
        }
        cancelled
    }

    /// Where the rows of an endpoint are best fetched: at the node that reads most of its shards, if clients can reach it.
    pub(crate) fn locations(&self, part: &QueryPart) -> Vec<Location> {
        let Some(cluster) = self.config.cluster.as_ref().filter(|_| part.parts > 1) else {
            return Vec::new();
        };
        let placement = cluster.members().placement();
        let mut owned: BTreeMap<&Node, usize> = BTreeMap::new();
        for snapshot in part.tables.iter().filter_map(|table| table.snapshot.as_ref()) {
            for pin in &snapshot.shards {
                *owned.entry(placement.owner(&snapshot.stream.arn, &pin.range.shard)).or_default() += 1;
            }
        }
        let owner = owned.into_iter().max_by_key(|(_, shards)| *shards).map(|(node, _)| node);
        let Some(location) = owner.and_then(|node| cluster.location(node)) else {
            return Vec::new();
        };
        [location, REUSE_CONNECTION.to_owned()].map(|uri| Location { uri }).into()
    }
}

/// A node that does not answer runs nothing that a client could still get.
async fn cancel_at(cluster: &Cluster, node: &Node, cancel: &Cancel) -> bool {
    let asked = async {
        let body = serde_json::to_vec(cancel)?;
        let request = http::Request::post(CANCEL).body(Body::new(Full::from(body)))?;
        let response = cluster.send(node, request).await?;
        let body = Limited::new(response.into_body(), LARGEST_ANSWER)
            .collect()
            .await
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        let answer: Cancelled = serde_json::from_slice(&body.to_bytes())?;
        anyhow::Ok(answer.cancelled)
    };
    match tokio::time::timeout(CANCEL_TIMEOUT, asked).await {
        Ok(Ok(cancelled)) => cancelled,
        Ok(Err(error)) => {
            tracing::warn!(%node, %error, "a node was not told to cancel");
            false
        }
        Err(_) => {
            tracing::warn!(%node, "a node was not told to cancel in time");
            false
        }
    }
}
