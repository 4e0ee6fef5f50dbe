//! Connections to other nodes: two each, kept, and known to be dead within seconds. What fails on one names the node.
//!
//! A connection is not pinged while something is read from it, be it what came long ago and waited for a slow client. So rows have a connection of their own,
//! and the other one, on which little is said, tells in time that a node is lost.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion_distributed::grpc::{BoxCloneSyncChannel, create_worker_client};
use datafusion_distributed::{
    ChannelResolver, CoordinatorToWorkerMsg, ExecuteTaskRequest, GetWorkerInfoRequest, GetWorkerInfoResponse, SetPlanRequest,
    WorkerChannel, WorkerToCoordinatorMsg,
};
use futures::StreamExt;
use futures::stream::BoxStream;
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tower::ServiceExt;
use url::Url;

use crate::cluster::pings;
use crate::engine::{CarriedError, FactsElsewhere, SCAN_FACTS};

/// A connection is made within this time.
const CONNECT: Duration = Duration::from_secs(2);

/// The header by which a node shows another that it is one.
#[derive(Clone)]
pub(crate) struct Credential {
    name: HeaderName,
    value: HeaderValue,
}

impl Credential {
    pub(crate) fn new(name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        Self { name, value }
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Carries {
    /// Plans, facts, and who a node is.
    Words,
    Rows,
}

/// Connections by node.
pub(crate) struct Channels {
    credential: Credential,
    tls: Option<ClientTlsConfig>,
    known: Mutex<HashMap<(Url, Carries), Channel>>,
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channels").field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}

impl Channels {
    /// None yet.
    pub(crate) fn new(credential: Credential, tls: Option<ClientTlsConfig>) -> Arc<Self> {
        Arc::new(Self {
            credential,
            tls,
            known: Mutex::default(),
        })
    }

    /// To a node; the connection is made when it is first used, and again when it broke.
    fn channel(&self, node: &Url, carries: Carries) -> DfResult<Channel> {
        let mut known = self.known.lock();
        let key = (node.clone(), carries);
        if let Some(channel) = known.get(&key) {
            return Ok(channel.clone());
        }
        let lost = |error: tonic::transport::Error| CarriedError::lost(node.as_str(), &chain(&error));
        let mut endpoint = Endpoint::from_shared(node.to_string())
            .map_err(lost)?
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(pings::INTERVAL)
            .keep_alive_timeout(pings::TIMEOUT)
            .keep_alive_while_idle(true);
        if let Some(tls) = &self.tls {
            endpoint = endpoint.tls_config(tls.clone()).map_err(lost)?;
        }
        let channel = endpoint.connect_lazy();
        known.insert(key, channel.clone());
        Ok(channel)
    }

    /// To the worker of a node.
    pub(super) fn to(&self, node: &Url) -> DfResult<Box<dyn WorkerChannel>> {
        Ok(Box::new(NodeChannel {
            node: Arc::new(node.clone()),
            words: self.worker(node, Carries::Words)?,
            rows: self.worker(node, Carries::Rows)?,
        }))
    }

    fn worker(&self, node: &Url, carries: Carries) -> DfResult<Box<dyn WorkerChannel>> {
        let Credential { name, value } = self.credential.clone();
        let channel = self
            .channel(node, carries)?
            .map_request(move |mut request: http::Request<tonic::body::Body>| {
                request.headers_mut().insert(name.clone(), value.clone());
                request
            });
        Ok(create_worker_client(BoxCloneSyncChannel::new(channel)))
    }
}

/// The connections, as the query engine asks for them.
pub(super) struct Resolver(pub(super) Arc<Channels>);

#[async_trait]
impl ChannelResolver for Resolver {
    async fn get_worker_client_for_url(&self, url: &Url) -> Result<Box<dyn WorkerChannel>, DataFusionError> {
        self.0.to(url)
    }
}

/// The worker of a node.
struct NodeChannel {
    node: Arc<Url>,
    words: Box<dyn WorkerChannel>,
    rows: Box<dyn WorkerChannel>,
}

/// A status that the worker did not give as an error of a plan is about the node, or the way to it.
fn named(node: &Url, error: DataFusionError) -> DataFusionError {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<tonic::Status>() {
            Ok(status) => CarriedError::lost(node.as_str(), &chain(status.as_ref())),
            Err(inner) => CarriedError::exhausted_at(node.as_str(), DataFusionError::External(inner)),
        },
        error => CarriedError::exhausted_at(node.as_str(), error),
    }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        next = cause.source();
    }
    said
}

#[async_trait]
impl WorkerChannel for NodeChannel {
    async fn coordinator_channel(
        &mut self,
        headers: HeaderMap,
        request: SetPlanRequest,
        messages: BoxStream<'static, CoordinatorToWorkerMsg>,
        metrics: ExecutionPlanMetricsSet,
        context: &Arc<TaskContext>,
    ) -> DfResult<BoxStream<'static, DfResult<WorkerToCoordinatorMsg>>> {
        let node = Arc::clone(&self.node);
        let facts = context.session_config().get_extension::<FactsElsewhere>();
        let replies = self.words.coordinator_channel(headers, request, messages, metrics, context).await;
        let replies = replies.map_err(|error| named(&node, error))?;
        Ok(replies
            .map(move |reply| {
                let reply = reply.map_err(|error| named(&node, error)).inspect_err(|error| {
                    if let Some(facts) = &facts {
                        facts.failed(error);
                    }
                })?;
                if let (Some(facts), WorkerToCoordinatorMsg::TaskMetrics(metrics)) = (&facts, &reply) {
                    let all = metrics.pre_order_plan_metrics.iter().flat_map(|metrics| metrics.iter());
                    let labels = all.flat_map(|metric| metric.labels());
                    labels
                        .filter(|label| label.name() == SCAN_FACTS)
                        .for_each(|label| facts.add(label.value()));
                }
                Ok(reply)
            })
            .boxed())
    }

    async fn execute_task(
        &mut self,
        headers: HeaderMap,
        request: ExecuteTaskRequest,
        metrics: ExecutionPlanMetricsSet,
        context: &Arc<TaskContext>,
    ) -> DfResult<Vec<BoxStream<'static, DfResult<RecordBatch>>>> {
        let rows = self.rows.execute_task(headers, request, metrics, context).await;
        let rows = rows.map_err(|error| named(&self.node, error))?;
        let of_node = |rows: BoxStream<'static, DfResult<RecordBatch>>| {
            let node = Arc::clone(&self.node);
            rows.map(move |batch| batch.map_err(|error| named(&node, error))).boxed()
        };
        Ok(rows.into_iter().map(of_node).collect())
    }

    async fn get_worker_info(&mut self, request: GetWorkerInfoRequest) -> DfResult<GetWorkerInfoResponse> {
        self.words.get_worker_info(request).await.map_err(|error| named(&self.node, error))
    }
}
