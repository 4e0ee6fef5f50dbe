//! Serving, and stopping.

use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use super::connection::incoming;
use super::flight::FlightService;
use super::reply::ReplyLayer;
use super::{health, reflection};

/// Largest message a client may send. tonic's own limit of 4 MiB is too small for bulk data.
pub(super) const LARGEST_REQUEST: usize = 64 << 20;

/// HTTP/2 pings on a connection, and how long a peer may take to answer one before it counts as gone.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Why serving ended in an error.
#[derive(Debug, thiserror::Error)]
#[error("serving Flight SQL failed")]
pub struct ServeError(#[from] tonic::transport::Error);

/// Serves on a bound listener until `shutdown` is cancelled. Then no call is accepted any more, those that run may finish within `drain` (streams
/// that have no end are UNAVAILABLE at once), and what is left after that is cut. Dropping the future cuts at once.
///
/// # Errors
/// [`ServeError`] if the transport fails.
pub async fn serve(listener: TcpListener, service: FlightService, shutdown: CancellationToken, drain: Duration) -> Result<(), ServeError> {
    let cut = CancellationToken::new();
    let _cut_on_drop = cut.clone().drop_guard();
    let stopping = service.stopping();
    let (authentication, relay, tls) = (service.authentication_layer(), service.relay_layer(), service.tls());
    let service = FlightServiceServer::new(service)
        .max_decoding_message_size(LARGEST_REQUEST)
        .max_encoding_message_size(usize::MAX);
    let reflection = reflection::reflection()
        .inspect_err(|error| tracing::error!(%error, "gRPC reflection is not served"))
        .ok();
    let (mut health, health_service) = health::serving().await;
    let serving = Server::builder()
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .layer(ReplyLayer)
        .layer(relay)
        .layer(authentication)
        .add_service(service)
        .add_service(health_service)
        .add_optional_service(reflection)
        .serve_with_incoming_shutdown(incoming(listener, tls, cut.clone()), shutdown.clone().cancelled_owned());
    let overdue = async {
        shutdown.cancelled().await;
        stopping.cancel();
        health::stopping(&mut health).await;
        tokio::time::sleep(drain).await;
    };
    tokio::pin!(serving, overdue);
    tokio::select! {
        served = &mut serving => return Ok(served?),
        () = &mut overdue => {
            tracing::warn!(?drain, "calls still run after the time to finish; cutting them");
            cut.cancel();
        }
    }
    Ok(serving.await?)
}
