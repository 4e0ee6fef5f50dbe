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
use tokio::sync::oneshot;
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
        let service: Arc<str> = service.strip_prefix("http://").context("an http address")?.into();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let mut task = JoinSet::new();
        task.spawn(accept(listener, service, Arc::clone(calls)));
        Ok(Self { endpoint, task })
    }
}

async fn accept(listener: TcpListener, service: Arc<str>, calls: Arc<Calls>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((connection, _)) = accepted else { return };
                let (service, calls) = (Arc::clone(&service), Arc::clone(&calls));
                let handle = service_fn(move |request| handle(Arc::clone(&service), Arc::clone(&calls), request));
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

async fn handle(service: Arc<str>, calls: Arc<Calls>, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let request = Request::from_parts(parts, body);
    let (call, mishap) = calls.meet(&request);
    let Some(mishap) = mishap else {
        return pass_on(&service, request).await;
    };
    let met = match mishap.when {
        When::Before => Met::Waiting(request),
        When::After => Met::Done(pass_on(&service, request).await?),
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
            Met::Waiting(request) => pass_on(&service, request).await,
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::Router;
    use tokio::time::timeout;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Keeps what it was asked to do.
    async fn service() -> (String, Arc<Mutex<Vec<String>>>, JoinSet<io::Result<()>>) {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let keep = Arc::clone(&asked);
        let router = Router::new().fallback(move |request: axum::extract::Request| {
            keep.lock().unwrap().push(request.uri().to_string());
            async { "done" }
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, router).await });
        (endpoint, asked, task)
    }

    async fn call(proxy: &Proxy, method: Method, path: &str) -> io::Result<(u16, String)> {
        let authority = proxy.endpoint.strip_prefix("http://").unwrap();
        let request = Request::builder().method(method).uri(path).body(Bytes::from("body")).unwrap();
        let response = timeout(LONG, pass_on(authority, request)).await.unwrap()?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Ok((parts.status.as_u16(), String::from_utf8(body.to_vec()).unwrap()))
    }

    #[tokio::test]
    async fn a_call_is_held_lost_or_refused_before_or_after_it_is_done() {
        let (endpoint, asked, _task) = service().await;
        let calls: Arc<Calls> = Arc::default();
        let proxy = Proxy::start(&endpoint, &calls).await.unwrap();
        let done = || std::mem::take(&mut *asked.lock().unwrap());
        let fine = (200, "done".to_owned());
        assert_eq!(call(&proxy, Method::PUT, "/0").await.unwrap(), fine);
        let plan = |when, answer| {
            calls.plan(move |call| {
                (call.change == Some(1)).then(|| Mishap {
                    when,
                    told: None,
                    until: None,
                    answer,
                })
            });
        };
        for (when, answer, is_done) in [
            (When::Before, Answer::Lost, false),
            (When::After, Answer::Lost, true),
            (When::Before, Answer::Other(503, "slow"), false),
            (When::After, Answer::Other(503, "slow"), true),
        ] {
            plan(when, answer);
            done();
            assert_eq!(call(&proxy, Method::PUT, "/a").await.unwrap(), fine);
            assert_eq!(call(&proxy, Method::GET, "/b?list-type=2").await.unwrap(), fine);
            let met = call(&proxy, Method::DELETE, "/c").await;
            match answer {
                Answer::Lost => assert!(met.is_err(), "{met:?}"),
                _ => assert_eq!(met.unwrap(), (503, "slow".to_owned())),
            }
            let expected: &[&str] = if is_done {
                &["/a", "/b?list-type=2", "/c"]
            } else {
                &["/a", "/b?list-type=2"]
            };
            assert_eq!(done(), expected);
            assert_eq!(calls.changes(), 2);
        }
        for (when, before) in [(When::Before, vec![]), (When::After, vec!["/held"])] {
            let ((tell, told), (go_on, until)) = (oneshot::channel(), oneshot::channel());
            let mut mishap = Some(Mishap {
                when,
                told: Some(tell),
                until: Some(until),
                answer: Answer::Own,
            });
            calls.plan(move |_| mishap.take());
            let test = async {
                let call = timeout(LONG, told).await.unwrap().unwrap();
                assert_eq!((call.change, call.text.as_str()), (Some(0), "POST /held "));
                assert_eq!(*asked.lock().unwrap(), before);
                go_on.send(()).unwrap();
            };
            let (met, ()) = tokio::join!(call(&proxy, Method::POST, "/held"), test);
            assert_eq!(met.unwrap(), fine);
            assert_eq!(done(), ["/held"]);
        }
    }
}
