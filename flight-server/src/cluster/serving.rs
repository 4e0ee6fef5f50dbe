//! The cluster's own listener: for nodes alone.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use super::error::ClusterError;
use super::pings;
use super::refusals::Refusals;
use super::trust::Trust;

/// PEM of `cluster.tls`.
#[derive(Clone)]
pub(super) struct ServerTls {
    pub(super) cert: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) ca: Vec<u8>,
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerTls")
    }
}

/// Serves other nodes until `shutdown`; calls that run then may take `drain` to end.
pub(super) async fn serve(
    listener: TcpListener,
    routes: axum::Router,
    trust: Arc<Trust>,
    tls: Option<ServerTls>,
    shutdown: CancellationToken,
    drain: Duration,
) -> Result<(), ClusterError> {
    let failed = |source| ClusterError::Transport {
        what: "serving other nodes",
        source,
    };
    let mut server = Server::builder()
        .http2_keepalive_interval(Some(pings::INTERVAL))
        .http2_keepalive_timeout(Some(pings::TIMEOUT))
        .tcp_nodelay(true);
    if let Some(ServerTls { cert, key, ca }) = tls {
        crate::tls_provider::settle();
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(cert, key))
            .client_ca_root(Certificate::from_pem(ca));
        server = server.tls_config(tls).map_err(failed)?;
    }
    let refusals = Arc::new(Refusals::default());
    let serving = server
        .add_routes(Routes::from(routes.layer(axum::middleware::from_fn(
            move |request: axum::extract::Request, next: axum::middleware::Next| {
                let admitted = trust.admits(request.headers());
                if !admitted {
                    refusals.refused(request.extensions());
                }
                async move {
                    if admitted {
                        return Ok(next.run(request).await);
                    }
                    Err((
                        StatusCode::UNAUTHORIZED,
                        "this is the listener of a cluster's nodes, and the call shows no token of theirs",
                    ))
                }
            },
        ))))
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), shutdown.clone().cancelled_owned());
    let overdue = async {
        shutdown.cancelled().await;
        tokio::time::sleep(drain).await;
    };
    tokio::select! {
        served = serving => served.map_err(failed),
        () = overdue => Ok(()),
    }
}
