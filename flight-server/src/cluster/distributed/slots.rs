//! Slots for tasks: before a statement is spread, each other node that has a part in it says that it may run there. The answer to that call goes on for as
//! long as the statement runs: it tells how much its tasks have read there, and its end gives the slot back, also that of a node that died.
//!
//! Slots are asked for at all nodes at once. If one has none left, all are given back and waited for one after the other, in the order of the nodes'
//! addresses, which is the same on all: so statements never wait for each other in a circle.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::{Buf, Bytes, BytesMut};
use futures::future::try_join_all;
use futures::stream;
use http::StatusCode;
use http_body_util::{BodyExt, Full, Limited};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tonic::body::Body;

use super::peers::VERSION;
use crate::cluster::connections::Connections;
use crate::cluster::{ClusterError, Node};
use crate::engine::{EngineError, ErrorCategory, FactsElsewhere, TaskSlot, TaskSlots};

const PATH: &str = "/v1/slots";
/// So often it is told what was read.
const TOLD: Duration = Duration::from_millis(250);
const LONGEST_REFUSAL: usize = 4096;

#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    version: String,
    statement: String,
    /// For its turn, if there is no slot now.
    waits: bool,
}

/// A slot at another node: what it tells, for as long as it is held.
struct Taken {
    node: Node,
    told: Body,
}

/// Slots at `nodes`, which are sorted, and at this one, which `own` is of. They are given back when this is dropped; until then `facts` hears what is read.
pub(super) async fn take(
    connections: &Connections,
    nodes: &[Node],
    own: TaskSlot,
    statement: &str,
    facts: &Arc<FactsElsewhere>,
) -> Result<JoinSet<()>, EngineError> {
    let at_once = nodes.iter().map(|node| ask(connections, node, statement, false));
    let taken: Option<Vec<Taken>> = try_join_all(at_once).await?.into_iter().collect();
    let taken = match taken {
        Some(taken) => taken,
        None => {
            let mut taken = Vec::with_capacity(nodes.len());
            for node in nodes {
                let slot = ask(connections, node, statement, true).await?;
                taken.push(slot.ok_or_else(|| EngineError::Internal(format!("node {node} let nobody wait")))?);
            }
            taken
        }
    };
    let mut listening = JoinSet::new();
    for slot in taken {
        listening.spawn(listen(slot, Arc::clone(facts)));
    }
    let facts = Arc::clone(facts);
    listening.spawn(async move {
        loop {
            facts.read_at("", own.bytes_read());
            tokio::time::sleep(TOLD).await;
        }
    });
    Ok(listening)
}

/// `None`: there is none now.
async fn ask(connections: &Connections, node: &Node, statement: &str, waits: bool) -> Result<Option<Taken>, EngineError> {
    let lost = |error: ClusterError| EngineError::NodeLost {
        node: node.to_string(),
        message: error.to_string(),
    };
    let refused = |category: ErrorCategory, message: String| EngineError::Query {
        category,
        message: format!("node {node}: {message}"),
    };
    let internal = |error: &dyn std::fmt::Display| refused(ErrorCategory::Internal, error.to_string());
    let asked = Asked {
        version: VERSION.to_owned(),
        statement: statement.to_owned(),
        waits,
    };
    let body = serde_json::to_vec(&asked).map_err(|error| internal(&error))?;
    let request = http::Request::post(PATH).body(Body::new(Full::from(body)));
    let response = connections
        .send(node, request.map_err(|error| internal(&error))?)
        .await
        .map_err(lost)?;
    match response.status() {
        StatusCode::OK => Ok(Some(Taken {
            node: node.clone(),
            told: response.into_body(),
        })),
        StatusCode::NO_CONTENT => Ok(None),
        status => {
            let said = Limited::new(response.into_body(), LONGEST_REFUSAL).collect().await;
            let said = said.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let category = match status {
                StatusCode::TOO_MANY_REQUESTS => ErrorCategory::ResourceExhausted,
                _ => ErrorCategory::Unavailable,
            };
            Err(refused(category, String::from_utf8_lossy(&said).into_owned()))
        }
    }
}

/// Numbers of 8 bytes: what was read up to now. Its end is not the statement's: a node that is lost is noticed by what comes from its tasks.
async fn listen(mut slot: Taken, facts: Arc<FactsElsewhere>) {
    let mut said = BytesMut::new();
    while let Some(Ok(frame)) = slot.told.frame().await {
        if let Some(data) = frame.data_ref() {
            said.extend_from_slice(data);
        }
        while said.len() >= size_of::<u64>() {
            facts.read_at(slot.node.url.as_str(), said.get_u64());
        }
    }
}

/// Gives slots to other nodes.
pub(super) fn routes(slots: Arc<TaskSlots>) -> Router {
    let give = move |body: Bytes| {
        let slots = Arc::clone(&slots);
        async move { given(&slots, &body).await }
    };
    Router::new().route(PATH, post(give))
}

async fn given(slots: &TaskSlots, body: &[u8]) -> Response {
    let asked: Asked = match serde_json::from_slice(body) {
        Ok(asked) => asked,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    if asked.version != VERSION {
        let message = format!("its version is {VERSION}, and not {}", asked.version);
        return (StatusCode::CONFLICT, message).into_response();
    }
    let slot = if asked.waits {
        match slots.take(&asked.statement).await {
            Ok(slot) => slot,
            Err(error) => return (StatusCode::TOO_MANY_REQUESTS, error.to_string()).into_response(),
        }
    } else {
        match slots.take_at_once(&asked.statement).await {
            Some(slot) => slot,
            None => return StatusCode::NO_CONTENT.into_response(),
        }
    };
    axum::body::Body::from_stream(telling(slot)).into_response()
}

/// For as long as somebody listens.
fn telling(slot: TaskSlot) -> impl futures::Stream<Item = Result<Bytes, std::convert::Infallible>> + Send {
    stream::unfold((slot, None), |(slot, told)| async move {
        loop {
            let read = slot.bytes_read();
            if told != Some(read) {
                return Some((Ok(Bytes::copy_from_slice(&read.to_be_bytes())), (slot, Some(read))));
            }
            tokio::time::sleep(TOLD).await;
        }
    })
}
