//! A call goes to the node that holds its session.
//!
//! A session lives in one node, its home, which its token names. A node that gets a call of a session elsewhere relays it there whole, and the answer
//! back: so clients need no balancer that keeps them on one node. DoGet is answered where it comes in, since a ticket needs no session, unless it reads
//! scratch tables: their rows are in the memory of the node that planned it, which the ticket names. What is relayed comes in by the cluster's
//! listener, and is answered there whatever its token or ticket says: nothing goes round in circles.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, Ticket};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use tonic::body::Body;
use tonic::{Request, Response, Status};
use tower::{Layer, Service};
use url::Url;

use super::caller::{bearer, session_cookie};
use super::connection::ConnectionInfo;
use super::flight::Inner;
use super::sealing::{SealKind, Sealer};
use super::sessions::home_in;
use super::{status, ticket};
use crate::cluster::{Cluster, ClusterError, Node, Presence};
use crate::engine::QueryPart;

/// Who calls, as the node that was called saw it.
pub(super) const RELAYED: HeaderName = HeaderName::from_static("shardflight-relayed");
/// The client's own `authorization`: between nodes that header is theirs.
const CLIENT_AUTHORIZATION: HeaderName = HeaderName::from_static("shardflight-client-authorization");

const FLIGHT: &str = "/arrow.flight.protocol.FlightService/";
const DO_GET: &str = "DoGet";

/// Clocks of nodes may differ by as much.
const RELAYED_LIFETIME: Duration = Duration::from_secs(600);

/// What the home node cannot see for itself.
#[derive(Debug, Serialize, Deserialize)]
struct Relayed {
    address: Option<String>,
    certificate: Option<String>,
}

/// A call that another node relayed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WasRelayed;

/// Sends calls to the nodes that hold their sessions; without a cluster, all are answered here.
#[derive(Debug, Clone)]
pub(crate) struct RelayLayer(Option<Relay>);

#[derive(Debug, Clone)]
struct Relay {
    cluster: Arc<Cluster>,
    sealer: Arc<Sealer>,
}

impl RelayLayer {
    pub(crate) fn new(cluster: Option<Arc<Cluster>>, sealer: Arc<Sealer>) -> Self {
        Self(cluster.map(|cluster| Relay { cluster, sealer }))
    }
}

impl Relay {
    /// The node that holds the session of a call, if it is another one.
    fn elsewhere<B>(&self, request: &http::Request<B>) -> Option<Node> {
        let call = request.uri().path().strip_prefix(FLIGHT)?;
        if call == DO_GET {
            return None;
        }
        let home = home_of(&self.sealer, request.headers())?;
        (home != *self.cluster.members().own()).then_some(home)
    }

    async fn relay(self, home: Node, request: http::Request<Body>) -> http::Response<Body> {
        let relayed = async {
            match self.cluster.presence(&home) {
                Presence::Alive => {}
                Presence::Silent => {
                    return Err(status::unavailable(format!(
                        "node {home}, which holds this session, does not answer; retry"
                    )));
                }
                Presence::Gone => {
                    return Err(Status::unauthenticated(format!(
                        "session expired: node {home}, which held it, is gone; connect again"
                    )));
                }
            }
            let sent = self.send(&home, request).await?;
            sent.map_err(|error| status::unavailable(format!("the session's {error}; retry")))
        };
        relayed.await.unwrap_or_else(Status::into_http)
    }

    async fn send(&self, node: &Node, request: http::Request<Body>) -> Result<Result<http::Response<Body>, ClusterError>, Status> {
        let request = self.sealed(request)?;
        self.cluster.counters().relayed.add(1);
        Ok(self.cluster.send(node, request).await)
    }

    fn sealed(&self, request: http::Request<Body>) -> Result<http::Request<Body>, Status> {
        let (mut parts, body) = request.into_parts();
        let connection = parts.extensions.get::<ConnectionInfo>().cloned().unwrap_or_default();
        let relayed = Relayed {
            address: connection.address.as_deref().map(str::to_owned),
            certificate: connection.certificate.as_deref().map(str::to_owned),
        };
        let expires = SystemTime::now() + RELAYED_LIFETIME;
        let sealed = ticket::seal(&self.sealer, SealKind::Relayed, "relayed call", &relayed, expires)?;
        let sealed = HeaderValue::try_from(URL_SAFE_NO_PAD.encode(sealed)).map_err(|error| status::internal("relayed call", &error))?;
        if let Some(shown) = parts.headers.remove(AUTHORIZATION) {
            parts.headers.insert(CLIENT_AUTHORIZATION, shown);
        }
        parts.headers.insert(RELAYED, sealed);
        let mut request = http::Request::new(body);
        *request.method_mut() = parts.method;
        *request.uri_mut() = parts.uri;
        *request.headers_mut() = parts.headers;
        Ok(request)
    }
}

/// The home of the session that a call names: by its token, else by its cookie.
fn home_of(sealer: &Sealer, headers: &HeaderMap) -> Option<Node> {
    let shown = headers.get(AUTHORIZATION).and_then(|shown| shown.to_str().ok()).and_then(bearer);
    let of_token = shown.and_then(|token| home_in(sealer, token));
    let cookies = || headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    of_token.or_else(|| session_cookie(cookies()).and_then(|token| home_in(sealer, token)))
}

impl<S> Layer<S> for RelayLayer {
    type Service = RelayService<S>;

    fn layer(&self, inner: S) -> RelayService<S> {
        RelayService {
            inner,
            relay: self.0.clone(),
        }
    }
}

/// See [`RelayLayer`].
#[derive(Debug, Clone)]
pub(crate) struct RelayService<S> {
    inner: S,
    relay: Option<Relay>,
}

impl<S> Service<http::Request<Body>> for RelayService<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if let Some(relay) = &self.relay
            && let Some(home) = relay.elsewhere(&request)
        {
            let relay = relay.clone();
            return async move { Ok(relay.relay(home, request).await) }.boxed();
        }
        self.inner.call(request).boxed()
    }
}

/// Turns what another node relayed into the call that came to it, and refuses all else.
#[derive(Debug, Clone)]
pub(crate) struct RelayedLayer(pub(crate) Arc<Sealer>);

impl<S> Layer<S> for RelayedLayer {
    type Service = RelayedService<S>;

    fn layer(&self, inner: S) -> RelayedService<S> {
        RelayedService {
            inner,
            sealer: Arc::clone(&self.0),
        }
    }
}

/// See [`RelayedLayer`].
#[derive(Debug, Clone)]
pub(crate) struct RelayedService<S> {
    inner: S,
    sealer: Arc<Sealer>,
}

/// The call as it came to the other node.
fn restore<B>(sealer: &Sealer, request: &mut http::Request<B>) -> Result<(), Status> {
    let refused = || Status::unauthenticated("this call was not relayed by a node of the cluster");
    let headers = request.headers_mut();
    let sealed = headers.remove(RELAYED).ok_or_else(refused)?;
    let sealed = URL_SAFE_NO_PAD.decode(sealed.as_bytes()).map_err(|_| refused())?;
    let opened = sealer.open(SealKind::Relayed, &sealed).map_err(|_| refused())?;
    let relayed: Relayed = ciborium::from_reader(opened.as_slice()).map_err(|_| refused())?;
    headers.remove(AUTHORIZATION);
    if let Some(shown) = headers.remove(CLIENT_AUTHORIZATION) {
        headers.insert(AUTHORIZATION, shown);
    }
    request.extensions_mut().insert(WasRelayed);
    request.extensions_mut().insert(ConnectionInfo {
        address: relayed.address.map(Into::into),
        certificate: relayed.certificate.map(Into::into),
        ..ConnectionInfo::default()
    });
    Ok(())
}

impl<S, B, R> Service<http::Request<B>> for RelayedService<S>
where
    S: Service<http::Request<B>, Response = http::Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Default + Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        match restore(&self.sealer, &mut request) {
            Ok(()) => self.inner.call(request).boxed(),
            Err(refused) => futures::future::ready(Ok(refused.into_http())).boxed(),
        }
    }
}

/// The node that keeps rows of scratch tables, for tonic's client.
#[derive(Debug, Clone)]
struct Keeper {
    node: Node,
    relay: Relay,
}

impl Service<http::Request<Body>> for Keeper {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let Self { node, relay } = self.clone();
        async move {
            let sent = match relay.send(&node, request).await {
                Ok(sent) => sent.map_err(|error| status::unavailable(format!("the rows of a scratch table are elsewhere: {error}; retry"))),
                Err(refused) => Err(refused),
            };
            Ok(sent.unwrap_or_else(Status::into_http))
        }
        .boxed()
    }
}

impl Inner {
    /// The other node that keeps the rows of scratch tables that a ticket reads.
    pub(crate) fn keeper(&self, part: &QueryPart) -> Option<String> {
        let own = self.config.cluster.as_ref()?.members().own().to_string();
        part.scratch.node.clone().filter(|node| *node != own)
    }

    /// DoGet at the node that keeps the rows, as the client would do it there.
    pub(crate) async fn rows_at(
        &self,
        node: &str,
        mut request: Request<Ticket>,
    ) -> Result<Response<BoxStream<'static, Result<FlightData, Status>>>, Status> {
        let gone = || {
            Status::failed_precondition(format!(
                "the rows of a scratch table that this statement reads were kept by node {node}, which is gone; run the statement again"
            ))
        };
        let (cluster, url) = (
            self.config.cluster.as_ref().ok_or_else(gone)?,
            Url::parse(node).map_err(|_| gone())?,
        );
        let node = Node { url };
        match cluster.presence(&node) {
            Presence::Alive => {}
            Presence::Silent => {
                return Err(status::unavailable(format!(
                    "node {node}, which keeps the rows of a scratch table that this statement reads, does not answer; retry"
                )));
            }
            Presence::Gone => return Err(gone()),
        }
        let relay = Relay {
            cluster: Arc::clone(cluster),
            sealer: Arc::clone(&self.sealer),
        };
        request.metadata_mut().remove("content-length");
        let mut client = FlightServiceClient::new(Keeper { node, relay }).max_decoding_message_size(usize::MAX);
        Ok(client.do_get(request).await?.map(StreamExt::boxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(sealer: &Sealer, address: &str) -> HeaderValue {
        let relayed = Relayed {
            address: Some(address.to_owned()),
            certificate: Some("ann".to_owned()),
        };
        let later = SystemTime::now() + RELAYED_LIFETIME;
        let sealed = ticket::seal(sealer, SealKind::Relayed, "", &relayed, later).unwrap();
        HeaderValue::try_from(URL_SAFE_NO_PAD.encode(sealed)).unwrap()
    }

    #[test]
    fn a_relayed_call_is_the_clients_again() {
        let sealer = Sealer::with_key([7; 32]);
        let mut request = http::Request::new(());
        request
            .headers_mut()
            .insert(AUTHORIZATION, HeaderValue::from_static("Bearer of-nodes"));
        request
            .headers_mut()
            .insert(CLIENT_AUTHORIZATION, HeaderValue::from_static("Bearer of-the-client"));
        request.headers_mut().insert(RELAYED, sealed(&sealer, "192.0.2.1"));
        restore(&sealer, &mut request).unwrap();
        assert_eq!(request.headers().len(), 1);
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer of-the-client");
        let connection = request.extensions().get::<ConnectionInfo>().unwrap();
        assert_eq!(
            (connection.address.as_deref(), connection.certificate.as_deref()),
            (Some("192.0.2.1"), Some("ann"))
        );
    }

    #[test]
    fn what_no_node_sealed_is_refused() {
        let sealer = Sealer::with_key([7; 32]);
        for shown in [
            None,
            Some(HeaderValue::from_static("x")),
            Some(sealed(&Sealer::with_key([8; 32]), "a")),
        ] {
            let mut request = http::Request::new(());
            if let Some(shown) = shown {
                request.headers_mut().insert(RELAYED, shown);
            }
            let refused = restore(&sealer, &mut request).unwrap_err();
            assert_eq!(refused.code(), tonic::Code::Unauthenticated);
        }
    }

    /// As in `service::tests::formats`.
    #[test]
    fn who_calls_is_told_as_ever_from_node_to_node() {
        use crate::service::tests::formats::{assert_kept, bytes, ignoring};
        let golden = bytes(include_str!("tests/formats/relayed.hex"));
        let relayed: Relayed = assert_kept(&golden);
        assert_eq!(
            (relayed.address.as_deref(), relayed.certificate.as_deref()),
            (Some("192.0.2.7"), Some("ann"))
        );
        assert_eq!(ignoring::<Relayed>(&golden), [""]);
    }
}
