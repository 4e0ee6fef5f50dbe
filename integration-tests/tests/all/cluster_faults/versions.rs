//! A node of another version, beside nodes of this one.

use std::future::IntoFuture as _;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use axum::response::IntoResponse as _;
use http_body_util::{BodyExt as _, Full};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;

/// What no release of this program ever was.
const VERSION: &str = "0.0.1-other";

/// Answers as a node of another version does, and remembers what it was asked for.
struct StandInNode {
    asked: Arc<Mutex<Vec<String>>>,
    _task: JoinSet<std::io::Result<()>>,
}

/// `GetWorkerInfoResponse { version }`, as gRPC sends a message: not compressed, its length, and field 1 with a text.
fn worker_info() -> Vec<u8> {
    let text = VERSION.as_bytes();
    let length = u8::try_from(text.len()).unwrap();
    [&[0, 0, 0, 0, length + 2, 0x0a, length], text].concat()
}

impl StandInNode {
    async fn start(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&asked);
        let router = Router::new().fallback(move |request: Request| {
            let path = request.uri().path().to_owned();
            heard.lock().unwrap().push(path.clone());
            async move {
                match path.as_str() {
                    "/v1/node" => axum::Json(serde_json::json!({ "id": "a stand-in", "version": VERSION, "later": [1] })).into_response(),
                    "/worker.WorkerService/GetWorkerInfo" => grpc(worker_info()),
                    _ => StatusCode::NOT_FOUND.into_response(),
                }
            }
        });
        let mut task = JoinSet::new();
        task.spawn(axum::serve(listener, router).into_future());
        Self { asked, _task: task }
    }

    fn was_asked(&self, path: &str) -> bool {
        self.asked.lock().unwrap().iter().any(|asked| asked == path)
    }
}

fn grpc(message: Vec<u8>) -> Response<Body> {
    let good = HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))]);
    let body = Full::new(Bytes::from(message)).with_trailers(std::future::ready(Some(Ok(good))));
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_version_is_a_member_and_gets_no_tasks() {
    let mut nodes = Nodes::planned(Place::here(3).unwrap()).await;
    let other = StandInNode::start(&nodes.cluster.addresses[2]).await;
    for number in [0, 1] {
        let server = nodes.cluster.start_node(number, &nodes.stream.directory).unwrap();
        nodes.cluster.nodes.push(server);
    }
    let plan = nodes.cluster.wait_until_spread(0, GROUPED, 2).await.unwrap();
    assert!(!plan.contains(&nodes.cluster.addresses[2]), "{plan}");
    // it is known, with its version: its shards are named its own, and clients may go there
    let shown = nodes
        .texts(0, "select node from kinesis.system.nodes where alive and version = '0.0.1-other'")
        .await;
    assert_eq!(shown.len(), 1, "{shown:?}");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !other.was_asked("/worker.WorkerService/GetWorkerInfo") {
        assert!(Instant::now() < deadline, "nobody asked for its version");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for asked in [0, 1] {
        nodes.answers_at(asked).await;
    }
    let mut rows = nodes.client().await.stream(COUNTED).await.unwrap();
    assert_counted(&mut rows).await;
    let asked = other.asked.lock().unwrap().clone();
    let tasks: Vec<_> = asked
        .iter()
        .filter(|path| !matches!(path.as_str(), "/v1/node" | "/worker.WorkerService/GetWorkerInfo"))
        .collect();
    assert!(tasks.is_empty(), "it was given work: {tasks:?}");
}
