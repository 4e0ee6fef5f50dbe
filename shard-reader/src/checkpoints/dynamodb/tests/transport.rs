//! A way to the service on which things go wrong.

use std::sync::Arc;

use aws_sdk_dynamodb::config::http::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use parking_lot::Mutex;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is done, and the reply is lost.
    ReplyLost,
    /// It is done, and the reply is cut off.
    ReplyCut,
    /// It is done, and the reply says that the service failed.
    DoneButFailed,
    /// It is done twice; the second reply arrives.
    Twice,
    /// It is not done: throttled.
    Throttled,
    /// It is not done: the service failed.
    Failed,
    /// It is not done: it never arrived.
    Lost,
    /// It is not done, and acknowledged.
    Lie,
}

/// For which requests: the fault, given the name of the operation.
type Plan = Arc<Mutex<dyn FnMut(&str) -> Option<Fault> + Send>>;

#[derive(Clone)]
pub(super) struct Transport {
    inner: SharedHttpClient,
    plan: Plan,
}

struct Connector {
    inner: SharedHttpConnector,
    plan: Plan,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transport")
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

impl Transport {
    pub(super) fn new(plan: impl FnMut(&str) -> Option<Fault> + Send + 'static) -> Self {
        Self {
            inner: crate::kinesis::http_client(),
            plan: Arc::new(Mutex::new(plan)),
        }
    }
}

impl HttpClient for Transport {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            inner: self.inner.http_connector(settings, components),
            plan: Arc::clone(&self.plan),
        })
    }
}

fn lost() -> ConnectorError {
    ConnectorError::io(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into())
}

fn reply(status: u16, body: &'static str) -> HttpResponse {
    let mut reply = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
    reply.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    reply
}

const THROTTLED: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"The level of configured throughput was exceeded"}"#;
const FAILED: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"Internal server error"}"#;

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let fault = (self.plan.lock())(target.rsplit('.').next().unwrap_or_default());
        let inner = self.inner.clone();
        HttpConnectorFuture::new(async move {
            match fault {
                None => inner.call(request).await,
                Some(Fault::ReplyLost) => {
                    inner.call(request).await?;
                    Err(lost())
                }
                Some(Fault::ReplyCut) => {
                    inner.call(request).await?;
                    Ok(reply(200, r#"{"Attributes":{"consumer":{"S":"#))
                }
                Some(Fault::DoneButFailed) => {
                    inner.call(request).await?;
                    Ok(reply(500, FAILED))
                }
                Some(Fault::Twice) => {
                    let again = request.try_clone().unwrap();
                    inner.call(request).await?;
                    inner.call(again).await
                }
                Some(Fault::Throttled) => Ok(reply(400, THROTTLED)),
                Some(Fault::Failed) => Ok(reply(500, FAILED)),
                Some(Fault::Lost) => Err(lost()),
                Some(Fault::Lie) => Ok(reply(200, "{}")),
            }
        })
    }
}
