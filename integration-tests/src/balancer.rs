//! A balancer as proxies are that speak HTTP/2: it spreads calls, not connections, and it may cap the calls of a connection.

use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Request;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service as _;
use tonic::codegen::http::HeaderValue;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Error, Server};

/// A running balancer; dropping it ends it.
#[derive(Debug)]
pub struct Balancer {
    /// Where clients call.
    pub address: SocketAddr,
    #[expect(dead_code, reason = "held: dropping it ends the balancer")]
    task: JoinSet<Result<(), Error>>,
}

impl Balancer {
    /// Each call goes to the next of these servers, whoever makes it.
    pub async fn start(servers: &[SocketAddr]) -> anyhow::Result<Self> {
        Self::start_capped(servers, None).await
    }

    /// As [`Self::start`]; a connection may have so many calls at once (SETTINGS_MAX_CONCURRENT_STREAMS).
    pub async fn start_capped(servers: &[SocketAddr], streams: Option<u32>) -> anyhow::Result<Self> {
        let channels = servers.iter().map(|server| Endpoint::from_shared(format!("http://{server}")));
        let channels: Vec<Channel> = channels
            .map(|endpoint| Ok(endpoint?.connect_lazy()))
            .collect::<anyhow::Result<_>>()?;
        let next = Arc::new(AtomicUsize::new(0));
        let router = Router::new().fallback(move |request: Request| {
            let channel = channels[next.fetch_add(1, Ordering::Relaxed) % channels.len()].clone();
            async move {
                let passed = pass(channel, request.map(Body::new)).await;
                passed.unwrap_or_else(|error| Status::unavailable(error.to_string()).into_http())
            }
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut task = JoinSet::new();
        let serving = Server::builder().max_concurrent_streams(streams).add_routes(Routes::from(router));
        task.spawn(serving.serve_with_incoming(TcpIncoming::from(listener)));
        Ok(Self { address, task })
    }
}

async fn pass(mut channel: Channel, mut request: Request<Body>) -> Result<axum::http::Response<Body>, tonic::transport::Error> {
    request
        .headers_mut()
        .insert("x-forwarded-for", HeaderValue::from_static("192.0.2.1"));
    poll_fn(|cx| channel.poll_ready(cx)).await?;
    channel.call(request).await
}
