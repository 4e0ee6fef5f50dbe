//! A client's TCP connection, with TLS or without: it holds the session of a client that sends neither token nor cookie, and it can be cut.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use super::tls::{Tls, name_in};
use crate::engine::{Principal, SessionId};

/// Pause after the system refused to accept a connection (too many open files): it says nothing when that is over.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A TLS handshake may take so long, and so many may be under way.
const HANDSHAKE: Duration = Duration::from_secs(10);
const MOST_HANDSHAKES: usize = 512;

/// The sessions of a connection, one for each principal that calls over it. Live as long as the connection.
#[derive(Debug, Default)]
pub(crate) struct ConnectionSession(pub(crate) Mutex<HashMap<Principal, SessionId>>);

/// What a request knows of its connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnectionInfo {
    pub(crate) session: Arc<ConnectionSession>,
    /// Its other end.
    pub(crate) address: Option<Arc<str>>,
    /// Whom the client's certificate names.
    pub(crate) certificate: Option<Arc<str>>,
}

/// Bare, or with TLS inside.
#[derive(Debug)]
enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Whichever it is.
macro_rules! inner {
    ($self:ident, $stream:ident => $call:expr) => {
        match &mut $self.stream {
            Socket::Plain($stream) => $call,
            Socket::Tls($stream) => $call,
        }
    };
}

/// An accepted connection. Once `cut` is cancelled every read and write fails, which ends it and all its streams.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Socket,
    info: ConnectionInfo,
    token: CancellationToken,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Connection {
    fn new(stream: Socket, info: ConnectionInfo, token: CancellationToken) -> Self {
        Self {
            stream,
            info,
            cut: Box::pin(token.clone().cancelled_owned()),
            token,
        }
    }

    fn refuse(&self) -> io::Result<()> {
        if self.token.is_cancelled() {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the server is gone"));
        }
        Ok(())
    }
}

impl Connected for Connection {
    type ConnectInfo = ConnectionInfo;

    fn connect_info(&self) -> ConnectionInfo {
        self.info.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // A served connection always waits for a read, so this is where it hears of the cut.
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(self.refuse());
        }
        inner!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.refuse()?;
        inner!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        inner!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        inner!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Socket::Plain(stream) => stream.is_write_vectored(),
            Socket::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.refuse()?;
        inner!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }
}

/// What listens, and the handshakes under way.
#[derive(Debug)]
struct Incoming {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    cut: CancellationToken,
    handshakes: JoinSet<Option<Connection>>,
}

/// Connections as they come, without Nagle's delay; with TLS, once their handshake is done, which keeps nobody else waiting. A failed accept is
/// logged and survived.
pub(crate) fn incoming(listener: TcpListener, tls: Option<Arc<Tls>>, cut: CancellationToken) -> impl Stream<Item = io::Result<Connection>> {
    let incoming = Incoming {
        listener,
        tls,
        cut,
        handshakes: JoinSet::new(),
    };
    futures::stream::unfold(incoming, |mut incoming| async move {
        let connection = incoming.next().await;
        Some((Ok(connection), incoming))
    })
}

impl Incoming {
    async fn next(&mut self) -> Connection {
        loop {
            tokio::select! {
                Some(shaken) = self.handshakes.join_next() => match shaken {
                    Ok(Some(connection)) => return connection,
                    Ok(None) => {}
                    Err(error) => tracing::error!(%error, "a TLS handshake broke down"),
                },
                accepted = self.listener.accept(), if self.handshakes.len() < MOST_HANDSHAKES => match accepted {
                    Ok((stream, address)) => {
                        if let Some(connection) = self.accepted(stream, address) {
                            return connection;
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    /// A bare connection is ready at once.
    fn accepted(&mut self, stream: TcpStream, address: SocketAddr) -> Option<Connection> {
        // Fails only on a socket that is gone already; then the connection ends by itself.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        let info = ConnectionInfo {
            address: Some(address.to_string().into()),
            ..ConnectionInfo::default()
        };
        let cut = self.cut.clone();
        let Some(tls) = &self.tls else {
            return Some(Connection::new(Socket::Plain(stream), info, cut));
        };
        let acceptor = tls.acceptor();
        self.handshakes.spawn(async move {
            let shaken = cut
                .run_until_cancelled(tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)))
                .await?;
            match shaken {
                Ok(Ok(stream)) => secured(stream, info, cut.clone()),
                Ok(Err(error)) => {
                    tracing::debug!(%address, %error, "TLS handshake failed");
                    None
                }
                Err(_) => {
                    tracing::debug!(%address, "TLS handshake took too long");
                    None
                }
            }
        });
        None
    }
}

/// A connection whose certificate was verified, but names nobody, is none.
fn secured(stream: TlsStream<TcpStream>, info: ConnectionInfo, cut: CancellationToken) -> Option<Connection> {
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let certificate = match shown.map(|leaf| name_in(leaf)) {
        None => None,
        Some(Some(name)) => Some(name.into()),
        Some(None) => {
            tracing::warn!(address = ?info.address, "a client's certificate has no name that could be a principal's");
            return None;
        }
    };
    let info = ConnectionInfo { certificate, ..info };
    Some(Connection::new(Socket::Tls(Box::new(stream)), info, cut))
}
