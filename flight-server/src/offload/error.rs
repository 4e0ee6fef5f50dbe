//! Why a job does not go on.

use lake::LakeError;

use crate::engine::{EngineError, ErrorCategory};

/// Why a job could not be made, or does not go on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OffloadError {
    /// The statement could not be planned or read, or its checkpoint not be moved.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The table of the lake.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// What the job is told makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The server's configuration does not let it write there.
    #[error("{0}")]
    Denied(String),
    /// The state does not allow it.
    #[error("{0}")]
    FailedPrecondition(String),
    /// Somebody else works on the same job, and was faster; nothing is lost or doubled.
    #[error("{0}")]
    Outrun(String),
    /// The job's file, or the place where these are, cannot be used.
    #[error("{file}: {message}")]
    File {
        /// Which.
        file: String,
        /// Why.
        message: String,
    },
    /// A store cannot be used now.
    #[error("{0}")]
    Unavailable(String),
    /// There is no such job.
    #[error("there is no offload `{0}`; SHOW OFFLOADS lists them")]
    Unknown(String),
}

impl OffloadError {
    /// Whether the same step can succeed soon.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Engine(error) => matches!(
                error.category(),
                ErrorCategory::Unavailable | ErrorCategory::Aborted | ErrorCategory::ResourceExhausted | ErrorCategory::DeadlineExceeded
            ),
            Self::Lake(error) => error.kind.is_retriable(),
            Self::Outrun(_) | Self::Unavailable(_) => true,
            Self::Invalid(_) | Self::Denied(_) | Self::FailedPrecondition(_) | Self::File { .. } | Self::Unknown(_) => false,
        }
    }
}

impl From<OffloadError> for EngineError {
    fn from(error: OffloadError) -> Self {
        let message = error.to_string();
        match error {
            OffloadError::Engine(error) => error,
            OffloadError::Lake(error) => error.into(),
            OffloadError::Invalid(_) => Self::Invalid(message),
            OffloadError::Denied(_) => Self::Denied(message),
            OffloadError::FailedPrecondition(_) => Self::FailedPrecondition(message),
            OffloadError::Outrun(_) | OffloadError::Unavailable(_) | OffloadError::File { .. } => Self::Unavailable(message),
            OffloadError::Unknown(_) => Self::NotFound(message),
        }
    }
}
