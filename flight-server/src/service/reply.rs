//! Response headers of a call: the session that was opened for it.
//!
//! tonic's service traits give no access to the response headers of DoPut and DoAction, or of an error. So a layer puts a [`Reply`] into
//! every request, the call fills it, and the layer writes it out. A call that panics is answered here, too: with INTERNAL, and not with a
//! stream reset that clients take for a cancelled call.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;
use tonic::Status;
use tower::{Layer, Service};

/// Name of the session's cookie.
pub(crate) const COOKIE: &str = "shardflight_session";

/// What the client of a call that panicked reads. The panic itself is in the log.
pub(crate) const PANICKED: &str = "internal error: the call broke off, the server's log says where";

#[derive(Debug, Default)]
enum Said {
    #[default]
    Nothing,
    Token(String),
    ForgetCookie,
}

/// What the response headers of one call will say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply(Arc<Mutex<Said>>);

impl Reply {
    /// The token of the session that this call opened.
    pub(crate) fn token(&self, token: String) {
        *self.0.lock() = Said::Token(token);
    }

    /// The client's cookie names a session that is gone.
    pub(crate) fn forget_cookie(&self) {
        *self.0.lock() = Said::ForgetCookie;
    }

    fn write(&self, headers: &mut HeaderMap) {
        let mut add = |name, text: String| match HeaderValue::try_from(text) {
            Ok(value) => {
                headers.append(name, value);
            }
            Err(error) => tracing::error!(%error, "a session token that is not a header value"),
        };
        match &*self.0.lock() {
            Said::Nothing => {}
            Said::Token(token) => {
                add(AUTHORIZATION, format!("Bearer {token}"));
                add(SET_COOKIE, format!("{COOKIE}={token}; Path=/; HttpOnly"));
            }
            Said::ForgetCookie => add(SET_COOKIE, format!("{COOKIE}=; Path=/; Max-Age=0")),
        }
    }
}

/// Gives every request a [`Reply`] and writes it into the response's headers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplyLayer;

impl<S> Layer<S> for ReplyLayer {
    type Service = ReplyService<S>;

    fn layer(&self, inner: S) -> ReplyService<S> {
        ReplyService { inner }
    }
}

/// See [`ReplyLayer`].
#[derive(Debug, Clone)]
pub(crate) struct ReplyService<S> {
    inner: S,
}

impl<S, B, R> Service<http::Request<B>> for ReplyService<S>
where
    S: Service<http::Request<B>, Response = http::Response<R>>,
    S::Future: Send + 'static,
    R: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        let reply = Reply::default();
        request.extensions_mut().insert(reply.clone());
        let response = AssertUnwindSafe(self.inner.call(request)).catch_unwind();
        async move {
            let mut response = match response.await {
                Ok(response) => response?,
                Err(_) => Status::internal(PANICKED).into_http(),
            };
            reply.write(response.headers_mut());
            Ok(response)
        }
        .boxed()
    }
}
