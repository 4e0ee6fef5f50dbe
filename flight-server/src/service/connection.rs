//! A client's TCP connection: it holds the session of a client that sends neither token nor cookie, and it can be cut.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use crate::engine::SessionId;

/// Pause after the system refused to accept a connection (too many open files): it says nothing when that is over.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The session of a connection. Lives as long as the connection.
#[derive(Debug, Default)]
pub(crate) struct ConnectionSession(pub(crate) Mutex<Option<SessionId>>);

/// What a request knows of its connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnectionInfo {
    pub(crate) session: Arc<ConnectionSession>,
}

/// An accepted connection. Once `cut` is cancelled every read and write fails, which ends it and all its streams.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    info: ConnectionInfo,
    token: CancellationToken,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Connection {
    fn new(stream: TcpStream, token: CancellationToken) -> Self {
        Self {
            stream,
            info: ConnectionInfo::default(),
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
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.refuse()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.refuse()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}

/// Connections as they come, without Nagle's delay. A failed accept is logged and survived.
pub(crate) fn incoming(listener: TcpListener, cut: CancellationToken) -> impl Stream<Item = io::Result<Connection>> {
    futures::stream::unfold((listener, cut), |(listener, cut)| async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    // The peer may be gone already; then the connection ends by itself.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "TCP_NODELAY");
                    }
                    let connection = Connection::new(stream, cut.clone());
                    return Some((Ok(connection), (listener, cut)));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    })
}
