//! Kinesis services to test against: our own, and services that nobody here wrote.
//!
//! Each says by name where it deviates from what Kinesis promises. The list is kept true by the tests: a promise that a service is listed to break
//! must be seen broken.

mod deviation;
mod embedded;
mod ferrokinesis;
mod kinesis_local;
mod ministack;
mod roto;

use std::sync::{LazyLock, OnceLock};

use anyhow::{Context as _, anyhow};
use tokio::runtime::Runtime;

pub use deviation::Deviation;

use crate::process::Process;

/// A Kinesis service.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Backend {
    /// The crate `embedded` of this workspace.
    Embedded,
    /// The same with the real limits of AWS switched on.
    EmbeddedLimited,
    /// The crate `ferrokinesis`, one request at a time.
    Ferrokinesis,
    /// The same with its write limits switched on.
    FerrokinesisLimited,
    /// `roto-aws` from the Python package index, a Rust program.
    Roto,
    /// `ministack` from the Python package index.
    Ministack,
    /// `kinesis-local` from npm: kinesis-mock, written in Scala.
    KinesisLocal,
}

/// A running service.
#[derive(Debug)]
pub struct Running {
    /// `http://127.0.0.1:port`
    pub endpoint: String,
    keeper: Keeper,
}

/// What keeps a service alive.
#[derive(Debug)]
enum Keeper {
    Process(Process),
    Embedded(::embedded::EmbeddedKinesis),
    Task(#[expect(dead_code, reason = "held: dropping it ends the service")] tokio::task::JoinSet<std::io::Result<()>>),
}

/// How much a service takes before it becomes too slow for a test, measured.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Records in one stream.
    pub records: usize,
    /// Bytes in one stream.
    pub bytes: usize,
}

/// In-process services outlive the runtime of a single test.
static SERVICES: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("services")
        .enable_all()
        .build()
        .expect("a runtime for in-process services")
});

impl Backend {
    /// The service, started by the first test that asks; the tests of one executable share it, each with streams of its own.
    pub fn shared(self) -> anyhow::Result<&'static Running> {
        static RUNNING: [OnceLock<Result<Running, String>>; 7] = [const { OnceLock::new() }; 7];
        RUNNING[self as usize]
            .get_or_init(|| self.start().map_err(|error| format!("{error:#}")))
            .as_ref()
            .map_err(|error| anyhow!("{self:?}: {error}"))
    }

    /// A service of one's own.
    pub fn start(self) -> anyhow::Result<Running> {
        match self {
            Self::Embedded => embedded::start(false),
            Self::EmbeddedLimited => embedded::start(true),
            Self::Ferrokinesis => ferrokinesis::start(false),
            Self::FerrokinesisLimited => ferrokinesis::start(true),
            Self::Roto => roto::start(),
            Self::Ministack => ministack::start(),
            Self::KinesisLocal => kinesis_local::start(),
        }
    }

    /// Where the service is known to deviate from what Kinesis promises.
    pub fn deviations(self) -> &'static [Deviation] {
        match self {
            Self::Embedded | Self::EmbeddedLimited => &[],
            Self::Ferrokinesis | Self::FerrokinesisLimited => ferrokinesis::DEVIATIONS,
            Self::Roto => roto::DEVIATIONS,
            Self::Ministack => ministack::DEVIATIONS,
            Self::KinesisLocal => kinesis_local::DEVIATIONS,
        }
    }

    /// What the service takes in a test's time.
    pub fn capacity(self) -> Capacity {
        match self {
            Self::Embedded | Self::EmbeddedLimited | Self::Ferrokinesis | Self::FerrokinesisLimited => Capacity {
                records: 40_000,
                bytes: 100_000_000,
            },
            Self::Roto | Self::Ministack => Capacity {
                records: 20_000,
                bytes: 100_000_000,
            },
            Self::KinesisLocal => Capacity {
                records: 2_000,
                bytes: 2_000_000,
            },
        }
    }
}

/// Runs the start of an in-process service on the runtime that outlives the tests, from wherever the caller is.
fn on_services_runtime<T: Send + 'static>(start: impl Future<Output = anyhow::Result<T>> + Send + 'static) -> anyhow::Result<T> {
    let (send, receive) = std::sync::mpsc::sync_channel(1);
    SERVICES.spawn(async move {
        // The receiver waits right below.
        let _ = send.send(start.await);
    });
    receive.recv().context("the start of an in-process service panicked")?
}

impl Running {
    /// Our own service's handle, for faults, counters and the clock.
    pub fn embedded(&self) -> Option<&::embedded::EmbeddedKinesis> {
        match &self.keeper {
            Keeper::Embedded(service) => Some(service),
            Keeper::Process(_) | Keeper::Task(_) => None,
        }
    }

    /// What the service printed, if it is a process.
    pub fn output(&self) -> Option<String> {
        match &self.keeper {
            Keeper::Process(process) => Some(process.output()),
            Keeper::Embedded(_) | Keeper::Task(_) => None,
        }
    }
}
