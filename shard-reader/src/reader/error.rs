//! What can go wrong when reading, with stream, shard and position.

use std::fmt;
use std::sync::Arc;

use crate::{Position, ShardId, SourceError, SourceErrorKind};

/// Category of a [`ReadError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReadErrorKind {
    /// No such stream or shard.
    NotFound,
    /// Not allowed to read it.
    Denied,
    /// The service refused the request, or the request made no sense.
    Invalid,
    /// Throttled for longer than the reader waits.
    Throttled,
    /// Not reachable for longer than the reader waits, or shutting down.
    Unavailable,
    /// The records of the range were gone before the first of them was read.
    Expired,
    /// Records of the range were lost while it was being read.
    DataLoss,
    /// The stream was deleted and created again: what is read is of the one that is gone.
    Recreated,
    /// The statement read more bytes than it may, or left more unread than is kept for it.
    LimitExceeded,
    /// The statement took longer than it may.
    TimedOut,
    /// A bug here or in the service.
    Internal,
}

/// An error of the reader.
#[derive(Clone, Debug, thiserror::Error)]
pub struct ReadError {
    /// Category.
    pub kind: ReadErrorKind,
    /// Name or ARN of the stream.
    pub stream: Arc<str>,
    /// Shard, where one is concerned.
    pub shard: Option<ShardId>,
    /// Where in the shard, where known.
    pub position: Option<Position>,
    /// What happened and what to do.
    pub message: String,
    /// Cause.
    #[source]
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {}", self.stream)?;
        if let Some(shard) = &self.shard {
            write!(f, ", shard {shard}")?;
        }
        if let Some(position) = &self.position {
            write!(f, ", position {position}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl ReadError {
    /// Whether the same statement may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.kind,
            ReadErrorKind::Throttled | ReadErrorKind::Unavailable | ReadErrorKind::TimedOut
        )
    }

    pub(crate) fn new(kind: ReadErrorKind, stream: &Arc<str>, message: impl Into<String>) -> Self {
        Self {
            kind,
            stream: Arc::clone(stream),
            shard: None,
            position: None,
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn of_source(stream: &Arc<str>, error: &SourceError) -> Self {
        let kind = match error.kind {
            SourceErrorKind::Throttled => ReadErrorKind::Throttled,
            SourceErrorKind::ExpiredIterator | SourceErrorKind::Unavailable => ReadErrorKind::Unavailable,
            SourceErrorKind::NotFound => ReadErrorKind::NotFound,
            SourceErrorKind::Denied => ReadErrorKind::Denied,
            SourceErrorKind::Invalid => ReadErrorKind::Invalid,
        };
        Self {
            source: error.source.clone(),
            ..Self::new(kind, stream, error.message.clone())
        }
    }

    pub(crate) fn at(mut self, shard: &ShardId, position: Option<Position>) -> Self {
        self.shard = Some(shard.clone());
        self.position = position.or(self.position);
        self
    }
}
