//! Before every call: who sends it.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, COOKIE};
use tonic::Status;
use tower::{Layer, Service};

use super::super::caller::session_cookie;
use super::super::connection::ConnectionInfo;
use super::super::sessions::is_session_token;
use super::{Authentication, Credentials};
use crate::engine::with_origin;
use crate::service::Sealer;

/// Balancers ask for health without credentials.
const HEALTH: &str = "/grpc.health.v1.Health/";
/// Where a connection's other end is not known.
const NOWHERE: &str = "unknown";

/// Puts [`Authenticated`](super::Authenticated) into requests that show valid credentials, and refuses those that show others.
#[derive(Debug, Clone)]
pub(crate) struct AuthenticationLayer {
    authentication: Arc<Authentication>,
    sealer: Arc<Sealer>,
}

impl AuthenticationLayer {
    pub(crate) fn new(authentication: Arc<Authentication>, sealer: Arc<Sealer>) -> Self {
        Self { authentication, sealer }
    }
}

impl<S> Layer<S> for AuthenticationLayer {
    type Service = AuthenticationService<S>;

    fn layer(&self, inner: S) -> AuthenticationService<S> {
        AuthenticationService {
            inner,
            layer: self.clone(),
        }
    }
}

/// See [`AuthenticationLayer`].
#[derive(Debug, Clone)]
pub(crate) struct AuthenticationService<S> {
    inner: S,
    layer: AuthenticationLayer,
}

impl AuthenticationLayer {
    fn has_session(&self, headers: &http::HeaderMap) -> bool {
        let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        session_cookie(values).is_some_and(|token| is_session_token(&self.sealer, token))
    }

    async fn ask<B>(&self, request: &mut http::Request<B>, address: &str) -> Result<(), Status> {
        if request.uri().path().starts_with(HEALTH) || self.authentication.token_ttl().is_none() {
            return Ok(());
        }
        let connection = request.extensions().get::<ConnectionInfo>().cloned().unwrap_or_default();
        let found = {
            let header = request.headers().get(AUTHORIZATION);
            let header = header.map(|header| {
                header
                    .to_str()
                    .map_err(|_| Status::unauthenticated("the header `authorization` is not text"))
            });
            let credentials = match header.transpose()? {
                Some(header) => Credentials::of_header(header)?,
                None => match connection.certificate.as_deref() {
                    // Who logged in otherwise, and keeps his session's cookie, is not who the certificate names.
                    Some(name) if !self.has_session(request.headers()) => Credentials::Certificate(name),
                    _ => Credentials::None,
                },
            };
            match credentials {
                Credentials::Token(token) if is_session_token(&self.sealer, token) => None,
                credentials => self.authentication.of(credentials, address).await?,
            }
        };
        if let Some(found) = found {
            request.extensions_mut().insert(found);
        }
        Ok(())
    }
}

impl<S, B, R> Service<http::Request<B>> for AuthenticationService<S>
where
    S: Service<http::Request<B>, Response = http::Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
    R: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        // The one that was ready is called; the clone becomes ready in its turn.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let layer = self.layer.clone();
        let address = request.extensions().get::<ConnectionInfo>().and_then(|info| info.address.clone());
        let address = address.unwrap_or_else(|| NOWHERE.into());
        let asked_from = Arc::clone(&address);
        let call = async move {
            match layer.ask(&mut request, &asked_from).await {
                Ok(()) => inner.call(request).await,
                Err(refused) => Ok(refused.into_http()),
            }
        };
        with_origin(address, call).boxed()
    }
}
