//! The seam to enhanced fan-out: a registered consumer, to whom a service pushes the records of a shard.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{OpenAt, Records, SequenceNumber, ShardId};

/// ARN of a registered consumer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerArn(Arc<str>);

impl ConsumerArn {
    /// The ARN's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ConsumerArn {
    fn from(text: &str) -> Self {
        Self(Arc::from(text))
    }
}

impl fmt::Display for ConsumerArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a service pushes at once.
#[derive(Clone, Debug)]
pub struct PushedRecords {
    /// Ascending. Often none: a heartbeat.
    pub records: Records,
    /// Everything up to this number was pushed by this subscription or lies before its start. It may name no record: it is a place to subscribe
    /// after, and no more. `None` = there is none, since the shard has ended, or because the service gave none.
    pub continuation: Option<SequenceNumber>,
    /// How far behind the shard's tip it is (ms), as the service says.
    pub millis_behind: u64,
    /// The shard has ended, and these are its children.
    pub children: Option<Vec<ShardId>>,
}

/// What went wrong with a consumer or a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FanOutErrorKind {
    /// Another subscription of the same consumer and shard: it is too young to be taken over, or it took over.
    InUse,
    /// Too many calls, subscriptions or consumers; try again later.
    LimitExceeded,
    /// No such stream, shard or consumer.
    NotFound,
    /// Not allowed.
    Denied,
    /// The service cannot do it, or the request or reply made no sense.
    Invalid,
    /// Not reachable, timed out, cut off, or the service failed.
    Unavailable,
}

/// An error of a consumer or a subscription.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct FanOutError {
    /// Category.
    pub kind: FanOutErrorKind,
    /// What was asked and what the service said.
    pub message: String,
    /// Cause.
    #[source]
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl FanOutError {
    /// An error without a cause.
    pub fn new(kind: FanOutErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }
}

/// A source that can push. Implementations retry nothing: the reader does.
#[async_trait]
pub trait FanOut: fmt::Debug + Send + Sync {
    /// The stream's consumer of that name: the one that is there, or a new one; once it is active. It is never deregistered.
    async fn ensure_consumer(&self, stream: &str, name: &str) -> Result<ConsumerArn, FanOutError>;

    /// Subscribes a consumer to a shard, from a place on. A service gives a pair of both one subscription: within 5 s of a success the next is
    /// refused, later it takes over. It lasts for 5 minutes.
    async fn subscribe(
        &self,
        stream: &str,
        consumer: &ConsumerArn,
        shard: &ShardId,
        at: OpenAt,
    ) -> Result<Box<dyn ShardSubscription>, FanOutError>;
}

/// A subscription under way; it ends when dropped. Nothing is read of the service ahead of what is asked for, beyond what the connection holds.
#[async_trait]
pub trait ShardSubscription: fmt::Debug + Send {
    /// What is pushed next; `None` at the end. Cancel safe: a dropped call loses nothing.
    async fn next(&mut self) -> Result<Option<PushedRecords>, FanOutError>;
}
