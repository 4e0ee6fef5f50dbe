//! A consumer to check with.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::checkpoints::{
    Base, CheckpointError, CheckpointErrorKind, CheckpointStore, Commit, Consumer, Ends, Head, Iteration, IterationNumber, OwnerToken,
    ShardEnd,
};
use crate::conformance::Violation;
use crate::{Position, SequenceNumber, ShardId, StreamIdentity};

pub(super) type Store = Arc<dyn CheckpointStore>;

/// A new consumer.
pub(super) struct Case<'a> {
    pub(super) store: &'a Store,
    pub(super) consumer: Consumer,
    pub(super) stream: StreamIdentity,
}

/// What is named once.
pub(super) fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    (rand::random::<u64>() >> 20 << 20) + NEXT.fetch_add(1, Ordering::Relaxed)
}

pub(super) fn owner() -> OwnerToken {
    OwnerToken(format!("owner-{}", unique()).into())
}

/// Ends of so many shards that no other call gives.
pub(super) fn ends(shards: u64) -> Ends {
    let of = |shard: u64| {
        let sequence = SequenceNumber::from(unique());
        let position = match shard % 3 {
            0 => Position::After(sequence, 7),
            1 => Position::Before(sequence),
            _ => Position::TrimHorizon,
        };
        let closed_ms = (shard % 5 == 4).then_some(1_700_000_000_000);
        (ShardId::from(format!("shardId-{shard:012}")), ShardEnd { position, closed_ms })
    };
    Ends {
        as_of_ms: Some(1_700_000_000_123),
        retention_ms: 86_400_000,
        shards: (0..shards).map(of).collect(),
    }
}

pub(super) fn base() -> Base {
    Base {
        ends: ends(4),
        stated: "latest".to_owned(),
        at_ms: 1_700_000_000_456,
    }
}

/// The iteration that comes next.
pub(super) fn following(head: &Head) -> Iteration {
    let late = (
        ShardId::from("shardId-000000000003"),
        Position::Before(SequenceNumber::from(unique())),
    );
    Iteration {
        number: head.next,
        start: head.start,
        created_ms: head.stream.created_ms,
        opened_ms: (unique() >> 12) as i64,
        starts: BTreeMap::from([late]),
        ends: ends(6),
    }
}

impl<'a> Case<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Self::named(store, &format!("case {}", unique()))
    }

    pub(super) fn named(store: &'a Store, name: &str) -> Self {
        let arn: Arc<str> = format!("arn:aws:kinesis:eu-central-1:123456789012:stream/s{}", unique()).into();
        #[expect(clippy::expect_used, reason = "names of checks are constants")]
        let name = name.parse().expect("a name");
        Self {
            store,
            consumer: Consumer {
                name,
                stream: Arc::clone(&arn),
            },
            stream: StreamIdentity {
                arn,
                created_ms: 1_690_000_000_000,
            },
        }
    }

    /// With its first base.
    pub(super) async fn started(store: &'a Store) -> Result<(Self, Head), Violation> {
        let case = Self::new(store);
        let head = case.set_base(None).await?;
        Ok((case, head))
    }

    pub(super) async fn set_base(&self, seen: Option<u64>) -> Result<Head, CheckpointError> {
        self.store.set_base(&self.consumer, &self.stream, seen, &base(), "somebody").await
    }

    pub(super) async fn head(&self) -> Result<Option<Head>, CheckpointError> {
        self.store.head(&self.consumer).await
    }

    /// Opens the next iteration.
    pub(super) async fn open(&self, head: &Head, owner: &OwnerToken) -> Result<(Head, Iteration), CheckpointError> {
        let iteration = following(head);
        let head = self.store.open(&self.consumer, head.version, &iteration, owner).await?;
        Ok((head, iteration))
    }

    pub(super) fn part(&self, number: IterationNumber, owner: &OwnerToken) -> Commit {
        Commit {
            consumer: self.consumer.clone(),
            number,
            owner: owner.clone(),
        }
    }

    pub(super) async fn commit(&self, number: IterationNumber, owner: &OwnerToken) -> Result<Head, CheckpointError> {
        let heads = self.store.commit(&[self.part(number, owner)]).await?;
        match <[Head; 1]>::try_from(heads) {
            Ok([head]) => Ok(head),
            Err(heads) => Err(CheckpointError::new(
                CheckpointErrorKind::Corrupt,
                format!("{} heads of one commit", heads.len()),
            )),
        }
    }

    /// Opens and commits one.
    pub(super) async fn advance(&self, head: &Head) -> Result<Head, CheckpointError> {
        let owner = owner();
        let (_, iteration) = self.open(head, &owner).await?;
        self.commit(iteration.number, &owner).await
    }

    /// The head, which is there.
    pub(super) async fn known(&self) -> Result<Head, Violation> {
        self.head()
            .await?
            .ok_or_else(|| Violation(format!("{} has no head", self.consumer)))
    }
}

impl From<CheckpointError> for Violation {
    fn from(error: CheckpointError) -> Self {
        Self(format!("{:?}: {error}", error.kind))
    }
}

pub(super) fn same<T: PartialEq + Debug>(what: impl Display, found: &T, expected: &T) -> Result<(), Violation> {
    if found == expected {
        Ok(())
    } else {
        Err(Violation(format!("{what}: {found:?}, expected {expected:?}")))
    }
}

pub(super) fn refused<T: Debug>(what: impl Display, found: Result<T, CheckpointError>, kind: CheckpointErrorKind) -> Result<(), Violation> {
    match found {
        Err(error) if error.kind == kind => Ok(()),
        other => Err(Violation(format!("{what}: {other:?}, expected {kind:?}"))),
    }
}
