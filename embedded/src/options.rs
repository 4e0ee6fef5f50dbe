//! How to start the service, and what can go wrong with it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::clock::Clock;

/// How to start the service.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address to listen on; port 0 takes a free one. Default `127.0.0.1:0`. There is no authentication: whoever reaches this address
    /// can read and write every stream.
    pub listen: SocketAddr,
    /// Where streams are kept. Made when missing; held by one service at a time.
    pub data_dir: PathBuf,
    /// Whether a shard takes 1 MiB/s and 1,000 records/s and gives 2 MiB/s in 5 calls/s, as on AWS. Default: no limits.
    pub limits: bool,
    /// The time to go by. Default: the system's.
    pub clock: Clock,
    /// Age at which a shard iterator expires. Default 5 minutes, as on AWS.
    pub iterator_ttl: Duration,
    /// How long a new consumer is `CREATING`. Default 200 ms; AWS takes some seconds.
    pub consumer_creating: Duration,
    /// How long a subscription lasts. Default 5 minutes, as on AWS.
    pub subscription: Duration,
    /// After so long without records a subscription gets an event without any. Default 5 s, about as on AWS.
    pub heartbeat: Duration,
    /// Region in stream ARNs. Default `us-east-1`.
    pub region: String,
    /// Account id in stream ARNs, 12 digits. Default `000000000000`.
    pub account: String,
    /// Open shards that one stream may have. Default 10,000, the largest quota of AWS.
    pub shard_limit: u32,
    /// Whether an append is acknowledged only once it is on the disk. Default no: what was acknowledged then survives the death of the process
    /// (it is with the operating system), but not a power failure; waiting for the disk costs milliseconds a call.
    pub fsync: bool,
}

impl Options {
    /// The defaults, with streams kept in `data_dir`.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            data_dir: data_dir.into(),
            limits: false,
            clock: Clock::system(),
            iterator_ttl: Duration::from_secs(300),
            consumer_creating: Duration::from_millis(200),
            subscription: Duration::from_secs(300),
            heartbeat: Duration::from_secs(5),
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            shard_limit: 10_000,
            fsync: false,
        }
    }
}

/// Why the service does not start or stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address asked for.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Another service uses the data directory.
    #[error("data directory {} is in use by another service", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A file or directory cannot be read or written.
    #[error("cannot access {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A stored file does not hold what was written to it. Nothing was changed.
    #[error("{} is damaged at byte {offset}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The task that serves connections ended abnormally.
    #[error("serving ended abnormally")]
    Serve(#[source] tokio::task::JoinError),
    /// The runtime stopped while the service started.
    #[error("stopped while starting")]
    Stopped,
}

impl EmbeddedError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
