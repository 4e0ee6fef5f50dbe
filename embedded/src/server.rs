//! The listener and its connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::Kinesis;
use crate::clock::Clock;
use crate::counters::CallCounters;
use crate::exchange::exchange;
use crate::faults::Faults;
use crate::options::{EmbeddedError, Options};
use crate::stream::SubscriptionEnd;

/// How long calls under way may take to end when the service stops.
const DRAIN: Duration = Duration::from_secs(5);
/// Pause after a connection could not be accepted, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running service. Dropping it stops it at once, connections included; [`shutdown`](Self::shutdown) lets calls under way end.
#[derive(Debug)]
pub struct EmbeddedKinesis {
    addr: SocketAddr,
    service: Arc<Kinesis>,
    serving: JoinSet<()>,
}

impl EmbeddedKinesis {
    /// Opens the data directory and listens; connections are accepted when this returns.
    ///
    /// # Errors
    /// The address cannot be listened on; the data directory cannot be used, is in use, or is damaged.
    pub async fn start(options: Options) -> Result<Self, EmbeddedError> {
        let addr = options.listen;
        let listener = TcpListener::bind(addr)
            .await
            .map_err(|source| EmbeddedError::Listen { addr, source })?;
        let addr = listener.local_addr().map_err(|source| EmbeddedError::Listen { addr, source })?;
        let mut opening = JoinSet::new();
        opening.spawn_blocking(move || Kinesis::open(&options));
        let opened = match opening.join_next().await {
            Some(opened) => opened.map_err(EmbeddedError::Serve)??,
            None => return Err(EmbeddedError::Stopped),
        };
        let service = Arc::new(opened);
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, Arc::clone(&service)));
        tracing::info!(%addr, "embedded Kinesis service listens");
        Ok(Self { addr, service, serving })
    }

    /// The address that is listened on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The endpoint URL for an AWS SDK or CLI, such as `http://127.0.0.1:4567`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Faults on demand.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.service.faults
    }

    /// The time that the service goes by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.service.clock
    }

    /// What was asked and served.
    #[must_use]
    pub fn calls(&self) -> &CallCounters {
        &self.service.counters
    }

    /// Ends all subscriptions under way; the answer is how many.
    pub fn end_subscriptions(&self, how: SubscriptionEnd) -> usize {
        self.service.end_subscriptions(how)
    }

    /// Accepts no more, ends subscriptions, lets other calls under way end (for 5 s at most), and stops.
    ///
    /// # Errors
    /// The serving task ended abnormally.
    pub async fn shutdown(mut self) -> Result<(), EmbeddedError> {
        self.service.stop.cancel();
        while let Some(ended) = self.serving.join_next().await {
            ended.map_err(EmbeddedError::Serve)?;
        }
        Ok(())
    }
}

async fn accept(listener: TcpListener, service: Arc<Kinesis>) {
    let stop = service.stop.clone();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => report(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&service)));
                }
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let drained = tokio::time::timeout(DRAIN, async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    });
    if drained.await.is_err() {
        tracing::warn!(connections = connections.len(), "cutting connections that did not end");
        connections.shutdown().await;
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection ended abnormally");
    }
}

/// Runs the exchanges of one HTTP/2 connection: they end with it.
#[derive(Clone, Debug)]
struct Exchanges(CancellationToken);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Exchanges {
    fn execute(&self, exchange: F) {
        let ended = self.0.clone();
        #[expect(clippy::disallowed_methods, reason = "ends with the connection that owns the token")]
        drop(tokio::spawn(async move { ended.run_until_cancelled(exchange).await.map(drop) }));
    }
}

async fn serve(stream: TcpStream, service: Arc<Kinesis>) {
    let stop = service.stop.clone();
    let ended = CancellationToken::new();
    let _ends = ended.clone().drop_guard();
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY not set");
    }
    let answer = service_fn(move |request| exchange(Arc::clone(&service), request));
    // No timeout on reading headers: it would close idle kept-alive connections under their callers.
    let mut server = auto::Builder::new(Exchanges(ended));
    server.http1().header_read_timeout(None);
    let connection = server.serve_connection(TokioIo::new(stream), answer);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection closed");
    }
}
