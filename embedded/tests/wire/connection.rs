//! Requests in raw HTTP.

use embedded::EmbeddedKinesis;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::JSON;

/// A connection to the service.
pub(crate) struct Connection {
    pub(crate) sender: SendRequest<Full<Bytes>>,
    _driver: JoinSet<()>,
}

impl Connection {
    pub(crate) async fn open(kinesis: &EmbeddedKinesis) -> Self {
        let stream = TcpStream::connect(kinesis.addr()).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // How the connection ends shows in the requests on it.
            drop(connection.await);
        });
        Self { sender, _driver: driver }
    }

    pub(crate) async fn send(&mut self, kind: &str, target: &str, body: Vec<u8>) -> Result<(StatusCode, HeaderMap, Bytes), hyper::Error> {
        let request = Request::post("/")
            .header("host", "localhost")
            .header("content-type", kind)
            .header("x-amz-target", target)
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let response = self.sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        Ok((head.status, head.headers, body.collect().await?.to_bytes()))
    }

    pub(crate) async fn json(&mut self, operation: &str, request: Value) -> (StatusCode, Value) {
        let target = format!("Kinesis_20131202.{operation}");
        let (status, _, body) = self.send(JSON, &target, request.to_string().into_bytes()).await.unwrap();
        (
            status,
            if body.is_empty() {
                Value::Null
            } else {
                serde_json::from_slice(&body).unwrap()
            },
        )
    }

    pub(crate) async fn ok(&mut self, operation: &str, request: Value) -> Value {
        let (status, value) = self.json(operation, request).await;
        assert_eq!(status, StatusCode::OK, "{value}");
        value
    }
}
