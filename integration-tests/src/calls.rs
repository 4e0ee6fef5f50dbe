//! Calls to object storage or DynamoDB on their way: a test counts those that change something, and says of each what becomes of it.

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderValue, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, client, server};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Operations of DynamoDB that change something begin so.
const WRITES: [&str; 7] = ["Put", "Update", "Delete", "Create", "TransactWrite", "BatchWrite", "Tag"];

/// A call that has come in.
#[derive(Debug, Clone)]
pub struct Call {
    /// Number among the calls that change something, from 0.
    pub change: Option<u64>,
    /// It asks for the names of objects.
    pub is_listing: bool,
    /// It is one to DynamoDB.
    pub is_of_tables: bool,
    /// Method, path and operation, for messages.
    pub text: String,
}

/// What becomes of a call that is not simply passed on. First it is passed on, if `when` says so; then the test is told, and waited for; then it is passed
/// on if it was not; then it is answered.
#[derive(Debug)]
pub struct Mishap {
    /// Whether the service has done it when the test is told.
    pub when: When,
    /// Gets the call.
    pub told: Option<oneshot::Sender<Call>>,
    /// It goes on when this is sent, or dropped.
    pub until: Option<oneshot::Receiver<()>>,
    /// What the caller gets.
    pub answer: Answer,
}

/// Before or after the service has done what is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The service knows nothing of it yet.
    Before,
    /// It is done, and the answer not on its way.
    After,
}

/// What a caller gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The service's.
    Own,
    /// None: the connection ends.
    Lost,
    /// Another: status and body. With [`When::Before`] the service never hears of the call.
    Other(u16, &'static str),
}

type Plan = Box<dyn FnMut(&Call) -> Option<Mishap> + Send>;

/// The calls of all proxies that share it.
#[derive(Default)]
pub struct Calls(Mutex<State>);

#[derive(Default)]
struct State {
    changes: u64,
    plan: Option<Plan>,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").field("changes", &self.changes()).finish_non_exhaustive()
    }
}

impl Calls {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on calls are counted anew, and this says what becomes of each.
    pub fn plan(&self, plan: impl FnMut(&Call) -> Option<Mishap> + Send + 'static) {
        *self.state() = State {
            changes: 0,
            plan: Some(Box::new(plan)),
        };
    }

    /// As many have changed something, or tried to, since the last plan.
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    fn meet(&self, request: &Request<Bytes>) -> (Call, Option<Mishap>) {
        let operation = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
        let operation = operation.and_then(|target| target.split_once('.')).map(|(_, operation)| operation);
        let changes = match operation {
            Some(operation) => WRITES.iter().any(|write| operation.starts_with(write)),
            None => [Method::PUT, Method::POST, Method::DELETE].contains(request.method()),
        };
        let query = request.uri().query().unwrap_or_default();
        let mut state = self.state();
        let call = Call {
            change: changes.then_some(state.changes),
            is_of_tables: operation.is_some(),
            is_listing: operation.is_none() && request.method() == Method::GET && query.contains("list-type="),
            text: format!("{} {} {}", request.method(), request.uri(), operation.unwrap_or_default()),
        };
        state.changes += u64::from(changes);
        let mishap = state.plan.as_mut().and_then(|plan| plan(&call));
        (call, mishap)
    }
}

/// Stands before a service; dropping it ends its connections.
#[derive(Debug)]
pub struct Proxy {
    /// `http://127.0.0.1:port`
    pub endpoint: String,
    #[expect(dead_code, reason = "held: dropping it ends the connections")]
    task: JoinSet<()>,
}

impl Proxy {
    /// Before the service at `http://host:port`.
    pub async fn start(service: &str, calls: &Arc<Calls>) -> anyhow::Result<Self> {
        let service = Service::Direct(address(service)?);
        Self::before(service, Arc::clone(calls), JoinSet::new()).await
    }

    /// Before a service that must not be called by two at once: moto's DynamoDB takes back what others wrote meanwhile when a transaction of it fails.
    /// What has come in is done, whether its caller is still there or not.
    pub async fn in_turn(service: &str) -> anyhow::Result<Self> {
        let service = address(service)?;
        let (ask, mut asked) = mpsc::channel::<Asked>(64);
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Some((request, reply)) = asked.recv().await {
                // its caller may be dead
                let _ = reply.send(pass_on(&service, request).await);
            }
        });
        Self::before(Service::InTurn(ask), Arc::default(), task).await
    }

    async fn before(service: Service, calls: Arc<Calls>, mut task: JoinSet<()>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        task.spawn(accept(listener, service, calls));
        Ok(Self { endpoint, task })
    }
}

type Asked = (Request<Bytes>, oneshot::Sender<io::Result<Response<Full<Bytes>>>>);

#[derive(Clone)]
enum Service {
    Direct(Arc<str>),
    InTurn(mpsc::Sender<Asked>),
}

impl Service {
    async fn ask(&self, request: Request<Bytes>) -> io::Result<Response<Full<Bytes>>> {
        match self {
            Self::Direct(address) => pass_on(address, request).await,
            Self::InTurn(queue) => {
                let (reply, replied) = oneshot::channel();
                queue.send((request, reply)).await.map_err(io::Error::other)?;
                replied.await.map_err(io::Error::other)?
            }
        }
    }
}

fn address(endpoint: &str) -> anyhow::Result<Arc<str>> {
    Ok(endpoint.strip_prefix("http://").context("an http address")?.into())
}

async fn accept(listener: TcpListener, service: Service, calls: Arc<Calls>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((connection, _)) = accepted else { return };
                let (service, calls) = (service.clone(), Arc::clone(&calls));
                let handle = service_fn(move |request| handle(service.clone(), Arc::clone(&calls), request));
                connections.spawn(server::conn::http1::Builder::new().serve_connection(TokioIo::new(connection), handle));
            }
            // a connection that fails is its caller's to report
            Some(_) = connections.join_next() => {}
        }
    }
}

/// How far a call has come.
enum Met {
    Waiting(Request<Bytes>),
    Done(Response<Full<Bytes>>),
}

async fn handle(service: Service, calls: Arc<Calls>, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let request = Request::from_parts(parts, body);
    let (call, mishap) = calls.meet(&request);
    let Some(mishap) = mishap else {
        return service.ask(request).await;
    };
    let met = match mishap.when {
        When::Before => Met::Waiting(request),
        When::After => Met::Done(service.ask(request).await?),
    };
    if let Some(told) = mishap.told {
        // a test that has ended waits for nothing
        drop(told.send(call));
    }
    if let Some(until) = mishap.until {
        drop(until.await);
    }
    match mishap.answer {
        Answer::Lost => Err(io::ErrorKind::ConnectionAborted.into()),
        Answer::Other(status, body) => {
            let mut response = Response::new(Full::from(body));
            *response.status_mut() = StatusCode::from_u16(status).map_err(io::Error::other)?;
            Ok(response)
        }
        Answer::Own => match met {
            Met::Waiting(request) => service.ask(request).await,
            Met::Done(answer) => Ok(answer),
        },
    }
}

/// The service sees its own address in `Host`, by which some of them tell buckets.
async fn pass_on(service: &str, mut request: Request<Bytes>) -> io::Result<Response<Full<Bytes>>> {
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(service).map_err(io::Error::other)?);
    for header in [CONNECTION, TRANSFER_ENCODING] {
        headers.remove(header);
    }
    let stream = TcpStream::connect(service).await?;
    let connected = client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = connected.map_err(io::Error::other)?;
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request.map(Full::new)).await.map_err(io::Error::other)?;
    let (mut parts, body) = response.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    for header in [CONNECTION, TRANSFER_ENCODING] {
        parts.headers.remove(header);
    }
    Ok(Response::from_parts(parts, Full::new(body)))
}
