//! The database's errors as categories.

use std::path::Path;

use crate::checkpoints::store::{CheckpointError, CheckpointErrorKind};

/// Why work on the file failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Said already as it is to be told.
    #[error(transparent)]
    Told(#[from] CheckpointError),
    /// Of the database.
    #[error(transparent)]
    Database(#[from] redb::Error),
    /// The layout is of another version.
    #[error("its layout has version {0}")]
    Format(u64),
}

macro_rules! of_the_database {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for Failure {
            fn from(error: redb::$error) -> Self {
                Self::Database(error.into())
            }
        }
    )*};
}

of_the_database!(DatabaseError, TransactionError, TableError, StorageError, CommitError);

impl Failure {
    /// After which the database has to be opened anew.
    pub(super) fn is_of_the_disk(&self) -> bool {
        use redb::Error;
        matches!(
            self,
            Self::Database(Error::Io(_) | Error::PreviousIo | Error::DatabaseClosed | Error::LockPoisoned(_))
        )
    }

    /// For whoever called.
    pub(super) fn told(self, what: &str, path: &Path) -> CheckpointError {
        let path = path.display();
        let error = match self {
            Self::Told(error) => return error,
            Self::Format(version) => {
                let message = format!(
                    "checkpoint file {path} has layout version {version}, which this version of shardflight does not know; use the version that wrote it"
                );
                return CheckpointError::new(CheckpointErrorKind::Invalid, message);
            }
            Self::Database(error) => error,
        };
        let (kind, message) = match &error {
            redb::Error::DatabaseAlreadyOpen => (
                CheckpointErrorKind::Unavailable,
                format!(
                    "checkpoint file {path} is held by another process: send SQL to the server that holds it, stop that server, or let several servers \
                     share checkpoints in DynamoDB (`checkpoints.dynamodb`)"
                ),
            ),
            redb::Error::Corrupted(why) => (
                CheckpointErrorKind::Corrupt,
                format!("checkpoint file {path} is damaged, or no checkpoint file: {why}"),
            ),
            redb::Error::UpgradeRequired(version) => (
                CheckpointErrorKind::Invalid,
                format!("checkpoint file {path} has file format {version}, which this version of shardflight cannot read"),
            ),
            redb::Error::Io(io) if io.kind() == std::io::ErrorKind::PermissionDenied => {
                (CheckpointErrorKind::Denied, format!("{what}: checkpoint file {path}: {io}"))
            }
            redb::Error::Io(io) if io.kind() == std::io::ErrorKind::InvalidData => (
                CheckpointErrorKind::Corrupt,
                format!("checkpoint file {path} is damaged, or no checkpoint file: {io}"),
            ),
            redb::Error::ValueTooLarge(bytes) => (
                CheckpointErrorKind::Invalid,
                format!("{what}: {bytes} bytes do not fit into checkpoint file {path}"),
            ),
            redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TableIsNotMultimap(_)
            | redb::Error::TypeDefinitionChanged { .. }
            | redb::Error::TableDoesNotExist(_) => (CheckpointErrorKind::Corrupt, format!("file {path} is no checkpoint file: {error}")),
            other => (CheckpointErrorKind::Unavailable, format!("{what}: checkpoint file {path}: {other}")),
        };
        CheckpointError::new(kind, message).because(error)
    }
}
