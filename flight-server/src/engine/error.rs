//! What can go wrong with a statement, in categories that a protocol can map.

use std::sync::Arc;

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use lake::{LakeError, LakeErrorKind};
use serde::{Deserialize, Serialize};
use shard_reader::checkpoints::{CheckpointError, CheckpointErrorKind};
use shard_reader::{ReadError, ReadErrorKind, SourceError, SourceErrorKind};

use super::carried;
use super::options::OptionError;

/// The category of an error: what a protocol needs to pick a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ErrorCategory {
    /// The statement or an option is wrong; the same request can never work.
    InvalidArgument,
    /// No such table or stream.
    NotFound,
    /// It is there already.
    AlreadyExists,
    /// The principal, or this server's AWS principal, may not do that.
    PermissionDenied,
    /// Memory, disk, a reading limit.
    ResourceExhausted,
    /// Time is up.
    DeadlineExceeded,
    /// The state does not allow it: expired records, a re-created stream.
    FailedPrecondition,
    /// A service is out of reach or throttles: the same request may work later.
    Unavailable,
    /// Records that belong to the answer can no longer be read.
    DataLoss,
    /// This version does not do that.
    NotSupported,
    /// Reading ended at a limit, and the rows so far were wanted.
    OutOfRange,
    /// The statement was cancelled.
    Cancelled,
    /// Somebody else was faster: begin again.
    Aborted,
    /// A defect of ours.
    Internal,
}

/// Why a statement fails. The text is what the user reads.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// The statement is wrong.
    #[error("{0}")]
    Invalid(String),
    /// No such table.
    #[error("{0}")]
    NotFound(String),
    /// Refused, with the reason.
    #[error("{0}")]
    NotSupported(String),
    /// An option is wrong.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The server's configuration, or who asks, does not allow it.
    #[error("{0}")]
    Denied(String),
    /// What is to be made is there.
    #[error("{0}")]
    Exists(String),
    /// A service that is needed cannot be used now.
    #[error("{0}")]
    Unavailable(String),
    /// The state does not allow it.
    #[error("{0}")]
    FailedPrecondition(String),
    /// A record that the definition's `bad_records = fail` refuses.
    #[error("table {table}, shard {shard}, sequence number {sequence}: bad record: {reason} (bad_records = 'fail')")]
    BadRecord {
        /// Table.
        table: String,
        /// Shard of the record.
        shard: String,
        /// Sequence number of the record.
        sequence: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Reading the stream failed.
    #[error(transparent)]
    Read(Arc<ReadError>),
    /// Kinesis cannot be asked at all.
    #[error("connecting to Kinesis: {0}")]
    Source(Arc<SourceError>),
    /// A checkpoint could not be read or moved.
    #[error(transparent)]
    Checkpoint(CheckpointError),
    /// The statement's time is up.
    #[error("the statement ran longer than its time limit of {seconds} s")]
    Deadline {
        /// The limit.
        seconds: u64,
    },
    /// Somebody who may cancelled it.
    #[error("the statement was cancelled")]
    Cancelled,
    /// The rows so far were given; others are missing.
    #[error("{0}")]
    Incomplete(String),
    /// The statement would read more than it may.
    #[error("{message}")]
    OverLimit {
        /// Bytes or time.
        category: ErrorCategory,
        /// What would be read, and the limit.
        message: String,
    },
    /// Writing ended early; it says how many records were acknowledged.
    #[error("{message}")]
    Write {
        /// What ended it.
        category: ErrorCategory,
        /// That, and what was written before.
        message: String,
    },
    /// A node that does a part of the statement is gone, or does not answer.
    #[error("{message}; the same statement may work now")]
    NodeLost {
        /// Where it was.
        node: String,
        /// That, and why it counts as gone.
        message: String,
    },
    /// The query engine refused or failed.
    #[error("{message}")]
    Query {
        /// Category found from the root cause.
        category: ErrorCategory,
        /// The root cause's text.
        message: String,
    },
    /// A defect of ours.
    #[error("internal error: {0}")]
    Internal(String),
}

impl EngineError {
    /// See [`ErrorCategory`].
    pub fn category(&self) -> ErrorCategory {
        match self {
            Self::Invalid(_) | Self::Option(_) | Self::BadRecord { .. } => ErrorCategory::InvalidArgument,
            Self::NotFound(_) => ErrorCategory::NotFound,
            Self::NotSupported(_) => ErrorCategory::NotSupported,
            Self::Denied(_) => ErrorCategory::PermissionDenied,
            Self::Exists(_) => ErrorCategory::AlreadyExists,
            Self::Unavailable(_) | Self::NodeLost { .. } => ErrorCategory::Unavailable,
            Self::FailedPrecondition(_) => ErrorCategory::FailedPrecondition,
            Self::Read(error) => read_category(error),
            Self::Source(error) => source_category(error.kind),
            Self::Checkpoint(error) => checkpoint_category(error.kind),
            Self::Deadline { .. } => ErrorCategory::DeadlineExceeded,
            Self::Cancelled => ErrorCategory::Cancelled,
            Self::Incomplete(_) => ErrorCategory::OutOfRange,
            Self::Query { category, .. } | Self::OverLimit { category, .. } | Self::Write { category, .. } => *category,
            Self::Internal(_) => ErrorCategory::Internal,
        }
    }

    /// As an error that can travel through the query engine and be found again by [`From<DataFusionError>`].
    pub fn into_datafusion(self) -> DataFusionError {
        DataFusionError::External(Box::new(self))
    }
}

fn read_category(error: &ReadError) -> ErrorCategory {
    match error.kind {
        ReadErrorKind::NotFound => ErrorCategory::NotFound,
        ReadErrorKind::Denied => ErrorCategory::PermissionDenied,
        ReadErrorKind::Invalid => ErrorCategory::InvalidArgument,
        ReadErrorKind::Throttled | ReadErrorKind::Unavailable => ErrorCategory::Unavailable,
        ReadErrorKind::Expired | ReadErrorKind::Recreated => ErrorCategory::FailedPrecondition,
        ReadErrorKind::DataLoss => ErrorCategory::DataLoss,
        ReadErrorKind::LimitExceeded => ErrorCategory::ResourceExhausted,
        ReadErrorKind::TimedOut => ErrorCategory::DeadlineExceeded,
        ReadErrorKind::Internal => ErrorCategory::Internal,
    }
}

pub(super) fn source_category(kind: SourceErrorKind) -> ErrorCategory {
    match kind {
        SourceErrorKind::NotFound => ErrorCategory::NotFound,
        SourceErrorKind::Denied => ErrorCategory::PermissionDenied,
        SourceErrorKind::Invalid => ErrorCategory::InvalidArgument,
        SourceErrorKind::Throttled | SourceErrorKind::Unavailable | SourceErrorKind::ExpiredIterator => ErrorCategory::Unavailable,
    }
}

fn checkpoint_category(kind: CheckpointErrorKind) -> ErrorCategory {
    match kind {
        CheckpointErrorKind::Conflict => ErrorCategory::Aborted,
        CheckpointErrorKind::NotFound => ErrorCategory::NotFound,
        CheckpointErrorKind::Denied => ErrorCategory::PermissionDenied,
        CheckpointErrorKind::Invalid => ErrorCategory::InvalidArgument,
        CheckpointErrorKind::Unavailable => ErrorCategory::Unavailable,
        CheckpointErrorKind::Corrupt => ErrorCategory::DataLoss,
    }
}

impl From<CheckpointError> for EngineError {
    fn from(error: CheckpointError) -> Self {
        Self::Checkpoint(error)
    }
}

impl From<SourceError> for EngineError {
    fn from(error: SourceError) -> Self {
        Self::Source(Arc::new(error))
    }
}

impl From<ReadError> for EngineError {
    fn from(error: ReadError) -> Self {
        Self::Read(Arc::new(error))
    }
}

impl From<LakeError> for EngineError {
    fn from(error: LakeError) -> Self {
        let message = error.to_string();
        match error.kind {
            LakeErrorKind::Unavailable | LakeErrorKind::Conflict => Self::Unavailable(message),
            LakeErrorKind::Denied => Self::Denied(message),
            LakeErrorKind::Unsupported => Self::Invalid(message),
            LakeErrorKind::Damaged | LakeErrorKind::Rows => Self::FailedPrecondition(message),
        }
    }
}

impl From<DataFusionError> for EngineError {
    fn from(error: DataFusionError) -> Self {
        Self::from_root(error.find_root())
    }
}

impl EngineError {
    /// As [`From<DataFusionError>`], of an error that goes on.
    pub(super) fn of(error: &DataFusionError) -> Self {
        Self::from_root(error.find_root())
    }

    /// Every variant is named, so that a new one of the query engine is a decision and not an accident.
    fn from_root(error: &DataFusionError) -> Self {
        if let DataFusionError::External(inner) = error
            && let Some(found) = find_ours(inner.as_ref())
        {
            return found;
        }
        // a store of files says it through the layers that read it
        if let Some(found) = std::error::Error::source(error).and_then(find_ours) {
            return found;
        }
        // what an operator of another node met came as text
        if let Some(carried) = carried::found(error) {
            return carried;
        }
        let category = match error {
            DataFusionError::SQL(..)
            | DataFusionError::Plan(_)
            | DataFusionError::SchemaError(..)
            | DataFusionError::Execution(_)
            | DataFusionError::Configuration(_) => ErrorCategory::InvalidArgument,
            DataFusionError::ArrowError(arrow, _) => arrow_category(arrow),
            DataFusionError::ObjectStore(store) => store_category(store),
            // a file is not what its table says
            DataFusionError::ParquetError(_) => ErrorCategory::FailedPrecondition,
            DataFusionError::NotImplemented(_) => ErrorCategory::NotSupported,
            DataFusionError::ResourcesExhausted(_) => ErrorCategory::ResourceExhausted,
            DataFusionError::Collection(errors) => {
                return errors
                    .first()
                    .map_or_else(|| Self::Internal(error.to_string()), |first| Self::from_root(first.find_root()));
            }
            DataFusionError::Diagnostic(_, inner) => return Self::from_root(inner.find_root()),
            DataFusionError::Context(_, inner) => return Self::from_root(inner.find_root()),
            DataFusionError::Shared(inner) => return Self::from_root(inner.find_root()),
            _ => ErrorCategory::Internal,
        };
        Self::Query {
            category,
            message: error.strip_backtrace(),
        }
    }
}

fn find_ours(error: &(dyn std::error::Error + 'static)) -> Option<EngineError> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<EngineError>() {
            return Some(found.clone());
        }
        // rows that could not be had say themselves why
        if let Some(found) = current.downcast_ref::<LakeError>()
            && found.kind != LakeErrorKind::Rows
        {
            return Some(found.clone().into());
        }
        if let Some(found) = current.downcast_ref::<DataFusionError>() {
            return Some(EngineError::from_root(found.find_root()));
        }
        next = current.source();
    }
    None
}

/// What the query engine says where `spill_disk` is used up.
const SPILL_FULL: &str = "The used disk space during the spilling process has exceeded the allowable limit";

fn store_category(error: &object_store::Error) -> ErrorCategory {
    match error {
        object_store::Error::NotFound { .. } => ErrorCategory::NotFound,
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => ErrorCategory::PermissionDenied,
        object_store::Error::Precondition { .. } => ErrorCategory::FailedPrecondition,
        object_store::Error::Generic { .. } => ErrorCategory::Unavailable,
        _ => ErrorCategory::Internal,
    }
}

fn arrow_category(error: &ArrowError) -> ErrorCategory {
    match error {
        ArrowError::DivideByZero
        | ArrowError::ArithmeticOverflow(_)
        | ArrowError::CastError(_)
        | ArrowError::ParseError(_)
        | ArrowError::ComputeError(_)
        | ArrowError::InvalidArgumentError(_)
        | ArrowError::OffsetOverflowError(_)
        | ArrowError::SchemaError(_) => ErrorCategory::InvalidArgument,
        ArrowError::NotYetImplemented(_) => ErrorCategory::NotSupported,
        ArrowError::MemoryError(_) => ErrorCategory::ResourceExhausted,
        // it comes out of a writer, and from another node as text alone
        ArrowError::IoError(message, _) if message.contains(SPILL_FULL) => ErrorCategory::ResourceExhausted,
        _ => ErrorCategory::Internal,
    }
}
