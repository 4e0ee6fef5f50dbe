//! Connections that a test can cut, as a network does that loses its packets: what is sent is not passed on, and neither end hears of it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// As much is read at once.
const CHUNK: usize = 64 << 10;

/// Passes connections on to another address, until it is cut; dropping it ends them.
#[derive(Debug)]
pub struct Link {
    /// Where it listens.
    pub address: SocketAddr,
    passing: watch::Sender<bool>,
    #[expect(dead_code, reason = "held: dropping it ends the connections")]
    task: JoinSet<()>,
}

impl Link {
    /// From a free port of `from` to an address.
    pub async fn start(from: Ipv4Addr, to: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((from, 0)).await?;
        let address = listener.local_addr()?;
        let (passing, passes) = watch::channel(true);
        let mut task = JoinSet::new();
        task.spawn(accept(listener, to, passes));
        Ok(Self { address, passing, task })
    }

    /// From now on nothing passes. What was sent and is not yet passed on waits, as it does in whoever sends it again.
    pub fn cut(&self) {
        self.passing.send_replace(false);
    }

    /// From now on everything passes again.
    pub fn heal(&self) {
        self.passing.send_replace(true);
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, passes: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((connection, _)) = accepted else { return };
                connections.spawn(connect(connection, to, passes.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// An end of the connection that fails is the end of both.
async fn connect(from: TcpStream, to: SocketAddr, mut passes: watch::Receiver<bool>) -> io::Result<()> {
    until(&mut passes, true).await?;
    let to = TcpStream::connect(to).await?;
    for end in [&from, &to] {
        end.set_nodelay(true)?;
    }
    let ((from_read, from_write), (to_read, to_write)) = (from.into_split(), to.into_split());
    let there = pass(from_read, to_write, passes.clone());
    let back = pass(to_read, from_write, passes);
    tokio::try_join!(there, back).map(|_| ())
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut passes: watch::Receiver<bool>) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        until(&mut passes, true).await?;
        let read = tokio::select! {
            read = from.read(&mut chunk) => read?,
            cut = until(&mut passes, false) => { cut?; continue; }
        };
        // what was read before the cut waits as well, and so does the news that an end is closed
        until(&mut passes, true).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&chunk[..read]).await?;
    }
}

async fn until(passes: &mut watch::Receiver<bool>, state: bool) -> io::Result<()> {
    let changed = passes.wait_for(|passes| *passes == state).await;
    changed.map(|_| ()).map_err(|_| io::ErrorKind::ConnectionAborted.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn nothing_passes_a_cut_link_and_all_of_it_a_healed_one() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let link = Link::start(Ipv4Addr::LOCALHOST, listener.local_addr().unwrap()).await.unwrap();
        let mut near = TcpStream::connect(link.address).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        let mut received = [0; 3];
        near.write_all(b"one").await.unwrap();
        timeout(LONG, far.read_exact(&mut received)).await.unwrap().unwrap();
        assert_eq!(&received, b"one");
        link.cut();
        near.write_all(b"two").await.unwrap();
        far.write_all(b"too").await.unwrap();
        assert!(timeout(SHORT, far.read(&mut received)).await.is_err(), "it passed");
        // a new connection gets no answer either
        let mut later = TcpStream::connect(link.address).await.unwrap();
        assert!(timeout(SHORT, listener.accept()).await.is_err(), "it passed");
        drop(near.shutdown().await);
        assert!(timeout(SHORT, far.read(&mut received)).await.is_err(), "the end passed");
        link.heal();
        timeout(LONG, far.read_exact(&mut received)).await.unwrap().unwrap();
        assert_eq!(&received, b"two");
        timeout(LONG, near.read_exact(&mut received)).await.unwrap().unwrap();
        assert_eq!(&received, b"too");
        assert_eq!(timeout(LONG, far.read(&mut received)).await.unwrap().unwrap(), 0);
        let (mut third, _) = timeout(LONG, listener.accept()).await.unwrap().unwrap();
        third.write_all(b"new").await.unwrap();
        timeout(LONG, later.read_exact(&mut received)).await.unwrap().unwrap();
        assert_eq!(&received, b"new");
    }
}
