//! The one seam to where checkpoints are kept.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::model::{Base, Consumer, Head, Iteration, IterationNumber, OwnerToken, Run, Runs};
use crate::StreamIdentity;

/// Category of a [`CheckpointError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CheckpointErrorKind {
    /// Somebody else changed the head in between: another owner has the iteration, or it is committed already.
    Conflict,
    /// No such checkpoint or iteration.
    NotFound,
    /// Not allowed to.
    Denied,
    /// What is to be stored does not fit, or makes no sense.
    Invalid,
    /// Out of reach, or throttled. The change may have happened or not; the same call again finds out.
    Unavailable,
    /// What is stored cannot be: it contradicts itself, or what was acknowledged before.
    Corrupt,
}

/// An error of a store.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct CheckpointError {
    /// Category.
    pub kind: CheckpointErrorKind,
    /// What happened, with the consumer and iteration, and what to do.
    pub message: String,
    /// Cause.
    #[source]
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl CheckpointError {
    /// Without a cause.
    pub fn new(kind: CheckpointErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// With its cause.
    #[must_use]
    pub fn because(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.kind == CheckpointErrorKind::Unavailable
    }
}

/// One consumer's part of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Which consumer.
    pub consumer: Consumer,
    /// The open iteration that is to be committed.
    pub number: IterationNumber,
    /// Who opened it or took it over.
    pub owner: OwnerToken,
}

/// Where checkpoints are kept. Reads are consistent: they see every change that was acknowledged before.
///
/// Each change is retried safely: a call whose reply was lost finds, when it is made again, that it happened, and succeeds.
#[async_trait]
pub trait CheckpointStore: fmt::Debug + Send + Sync {
    /// What it is, for messages: `DynamoDB table shardflight`, `file …`.
    fn describe(&self) -> String;

    /// All consumers, sorted by name and stream.
    async fn consumers(&self) -> Result<Vec<(Consumer, Head)>, CheckpointError>;

    /// The head of a consumer; `None` if it has no past.
    async fn head(&self, consumer: &Consumer) -> Result<Option<Head>, CheckpointError>;

    /// An iteration; `None` if there is none of that number, or it is no longer kept.
    async fn iteration(&self, consumer: &Consumer, number: IterationNumber) -> Result<Option<Iteration>, CheckpointError>;

    /// All iterations that are kept, by number. The state of each follows from the head.
    async fn iterations(&self, consumer: &Consumer) -> Result<Vec<Iteration>, CheckpointError>;

    /// A base; `None` if there is none under that number, or it is no longer kept.
    async fn base(&self, consumer: &Consumer, number: IterationNumber) -> Result<Option<Base>, CheckpointError>;

    /// Says where the next iteration starts: for a consumer without a past (`seen` = `None`), or one that is reset. An open iteration is given up,
    /// and its number is not used again.
    ///
    /// # Errors
    /// [`Conflict`](CheckpointErrorKind::Conflict) if the head is not (any longer) at version `seen`.
    async fn set_base(
        &self,
        consumer: &Consumer,
        stream: &StreamIdentity,
        seen: Option<u64>,
        base: &Base,
        by: &str,
    ) -> Result<Head, CheckpointError>;

    /// Opens the next iteration. `iteration.number` and `iteration.start` are the head's `next` and `start`.
    ///
    /// # Errors
    /// [`Conflict`](CheckpointErrorKind::Conflict) if the head is not at version `seen`: somebody else opened it, so look again.
    async fn open(&self, consumer: &Consumer, seen: u64, iteration: &Iteration, owner: &OwnerToken) -> Result<Head, CheckpointError>;

    /// Takes the open iteration over: from now on only `owner` can commit it.
    ///
    /// # Errors
    /// [`Conflict`](CheckpointErrorKind::Conflict) if the head is not at version `seen`.
    async fn take_over(&self, consumer: &Consumer, seen: u64, owner: &OwnerToken) -> Result<Head, CheckpointError>;

    /// Gives the open iteration up: its records belong to the next one, which has another number.
    ///
    /// # Errors
    /// [`Conflict`](CheckpointErrorKind::Conflict) if the head is not at version `seen`.
    async fn abandon(&self, consumer: &Consumer, seen: u64, by: &str) -> Result<Head, CheckpointError>;

    /// Commits open iterations of several consumers: all or none. At least one, none twice, at most 100.
    ///
    /// # Errors
    /// [`Conflict`](CheckpointErrorKind::Conflict) if one of them is not open, or somebody else's; then nothing moved. A commit of the same owner
    /// that happened already is a success.
    async fn commit(&self, commits: &[Commit]) -> Result<Vec<Head>, CheckpointError>;

    /// Forgets a consumer with all its iterations; false if there is none.
    async fn delete(&self, consumer: &Consumer) -> Result<bool, CheckpointError>;

    /// A statement was planned in an open iteration: replaces the last run of the same text. `statement` is a hash of the text.
    async fn begin_run(
        &self,
        consumer: &Consumer,
        number: IterationNumber,
        owner: &OwnerToken,
        statement: &str,
        run: &Run,
    ) -> Result<(), CheckpointError>;

    /// An endpoint was delivered to its end. The run as it stands now; `None` if it was replaced by a later one.
    async fn delivered(
        &self,
        consumer: &Consumer,
        number: IterationNumber,
        owner: &OwnerToken,
        statement: &str,
        query_id: &str,
        part: u32,
    ) -> Result<Option<Run>, CheckpointError>;

    /// The runs of an owner in an iteration.
    async fn runs(&self, consumer: &Consumer, number: IterationNumber, owner: &OwnerToken) -> Result<Runs, CheckpointError>;
}
