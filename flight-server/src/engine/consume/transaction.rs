//! A transaction: what its statements see, and which iterations it holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shard_reader::Snapshot;
use shard_reader::checkpoints::{CheckpointName, Consumer, IterationNumber, OwnerToken};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::super::error::EngineError;

/// The transaction of a session, and how it came there.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    /// Its id, as the protocol carries it.
    pub(crate) id: Arc<str>,
    /// A driver opened it for the connection, and ends it by the protocol.
    pub(crate) by_driver: bool,
    pub(crate) transaction: Arc<Transaction>,
}

impl Slot {
    /// A new one.
    pub(crate) fn new(by_driver: bool) -> Self {
        Self {
            id: Uuid::new_v4().to_string().into(),
            by_driver,
            transaction: Transaction::new(!by_driver),
        }
    }

    /// The one that follows it under the same id: SQL ended what a driver began, and goes on in.
    pub(crate) fn renewed(&self) -> Self {
        Self {
            transaction: Transaction::new(false),
            ..self.clone()
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Transaction {
    /// New for each transaction: it fences those before.
    pub(super) owner: OwnerToken,
    /// Begun by a statement: it sees one snapshot of each stream, whether it consumes or not.
    repeatable: AtomicBool,
    /// Held while an iteration is opened, so that statements at once open one.
    pub(super) state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Why it can do no more.
    pub(super) over: Option<EngineError>,
    /// By ARN.
    pub(super) streams: BTreeMap<Arc<str>, HeldStream>,
}

/// A stream that a transaction has read.
#[derive(Debug, Clone)]
pub(super) enum HeldStream {
    /// Its ranges are an iteration's.
    Consumed {
        consumer: Consumer,
        number: IterationNumber,
        snapshot: Snapshot,
    },
    /// From a checkpoint on, up to fixed ends.
    Observed { name: CheckpointName, snapshot: Snapshot },
    /// Its ends are fixed.
    Seen { ends: Snapshot },
}

impl Transaction {
    pub(super) fn new(repeatable: bool) -> Arc<Self> {
        Arc::new(Self {
            owner: OwnerToken(Uuid::new_v4().to_string().into()),
            repeatable: AtomicBool::new(repeatable),
            state: Mutex::default(),
        })
    }

    pub(super) fn is_repeatable(&self) -> bool {
        self.repeatable.load(Ordering::Relaxed)
    }

    /// A statement begins it anew: as good as new as long as nothing was read.
    pub(super) async fn begin_again(&self) -> Result<(), EngineError> {
        let state = self.state.lock().await;
        if state.over.is_some() || !state.streams.is_empty() {
            return Err(EngineError::FailedPrecondition(
                "BEGIN: the session is in a transaction that has read already; COMMIT or ROLLBACK it first".into(),
            ));
        }
        self.repeatable.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl State {
    pub(super) fn check(&self) -> Result<(), EngineError> {
        self.over.clone().map_or(Ok(()), Err)
    }

    /// The iterations that it holds.
    pub(super) fn consumed(&self) -> impl Iterator<Item = (&Consumer, IterationNumber)> {
        self.streams.values().filter_map(|held| match held {
            HeldStream::Consumed { consumer, number, .. } => Some((consumer, *number)),
            HeldStream::Observed { .. } | HeldStream::Seen { .. } => None,
        })
    }
}
