//! What can go wrong with a table of a lake.

use std::fmt;
use std::sync::Arc;

/// Why a table could not be written, published or read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{location}: {message}")]
pub struct LakeError {
    /// What went wrong, as callers tell it apart.
    pub kind: LakeErrorKind,
    /// URL of the table.
    pub location: String,
    /// What went wrong, for people.
    pub message: String,
    /// What it came from.
    #[source]
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// Categories of [`LakeError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LakeErrorKind {
    /// The store could not be reached, or it was busy: worth another try.
    Unavailable,
    /// The store refuses: credentials or permissions.
    Denied,
    /// Somebody else published first: read what is published, and go on from there.
    Conflict,
    /// What is asked has no form in this format, or does not fit the table that is there.
    Unsupported,
    /// Files that must be there are not, or do not hold what they say.
    Damaged,
    /// Rows could not be had: the statement that makes them failed.
    Rows,
}

impl LakeErrorKind {
    /// Whether the same call can succeed later.
    pub fn is_retriable(self) -> bool {
        matches!(self, Self::Unavailable | Self::Conflict)
    }
}

impl LakeError {
    /// Of a category, without a source.
    pub fn new(kind: LakeErrorKind, location: impl Into<String>, message: impl fmt::Display) -> Self {
        Self {
            kind,
            location: location.into(),
            message: message.to_string(),
            source: None,
        }
    }

    /// With what it came from.
    #[must_use]
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }
}
