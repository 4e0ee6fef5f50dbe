//! Errors -> gRPC status. One exhaustive function each.

use arrow_flight::error::FlightError;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use super::sealing::SealError;
use crate::engine::{EngineError, ErrorCategory, OptionError};

/// Longest message of a status, in bytes: it travels in a header, and proxies cap those.
const LONGEST: usize = 2_000;

/// Trailer of UNAVAILABLE: after so many milliseconds a retry makes sense.
const RETRY_AFTER: &str = "retry-after-ms";
const RETRY_AFTER_MS: u64 = 1_000;

/// The code of a category. No catch-all: a new category is a decision.
pub(crate) fn code(category: ErrorCategory) -> Code {
    match category {
        ErrorCategory::InvalidArgument => Code::InvalidArgument,
        ErrorCategory::NotFound => Code::NotFound,
        ErrorCategory::AlreadyExists => Code::AlreadyExists,
        ErrorCategory::PermissionDenied => Code::PermissionDenied,
        ErrorCategory::ResourceExhausted => Code::ResourceExhausted,
        ErrorCategory::DeadlineExceeded => Code::DeadlineExceeded,
        ErrorCategory::FailedPrecondition => Code::FailedPrecondition,
        ErrorCategory::Unavailable => Code::Unavailable,
        ErrorCategory::DataLoss => Code::DataLoss,
        ErrorCategory::NotSupported => Code::Unimplemented,
        ErrorCategory::OutOfRange => Code::OutOfRange,
        ErrorCategory::Cancelled => Code::Cancelled,
        ErrorCategory::Aborted => Code::Aborted,
        ErrorCategory::Internal => Code::Internal,
    }
}

/// What the client is told of an engine's error.
pub(crate) fn engine(error: &EngineError) -> Status {
    let category = error.category();
    match category {
        ErrorCategory::Internal | ErrorCategory::DataLoss => tracing::error!(?category, %error, "statement failed"),
        ErrorCategory::Unavailable | ErrorCategory::ResourceExhausted => tracing::warn!(?category, %error, "statement failed"),
        ErrorCategory::InvalidArgument
        | ErrorCategory::NotFound
        | ErrorCategory::AlreadyExists
        | ErrorCategory::PermissionDenied
        | ErrorCategory::DeadlineExceeded
        | ErrorCategory::FailedPrecondition
        | ErrorCategory::NotSupported
        | ErrorCategory::OutOfRange
        | ErrorCategory::Aborted
        | ErrorCategory::Cancelled => tracing::debug!(?category, %error, "statement refused"),
    }
    with_retry(Status::new(code(category), shortened(error.to_string())))
}

/// What the client is told of an option's error.
pub(crate) fn option(error: &OptionError) -> Status {
    Status::invalid_argument(shortened(error.to_string()))
}

/// What the client is told of something sealed that does not open; `what` names it.
pub(crate) fn seal(what: &str, error: SealError) -> Status {
    match error {
        SealError::Forged => Status::unauthenticated(format!("{what} is not one of this server's")),
        SealError::Expired => Status::failed_precondition(format!("{what} expired")),
        SealError::Version => Status::failed_precondition(format!("{what} is of another version of this server; ask for a new one")),
        SealError::Refused => Status::internal(format!("{what} cannot be sealed")),
    }
}

/// What the client is told when encoding a result fails. A status inside travels through unchanged.
pub(crate) fn encoding(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        other => internal("encoding the result", &other),
    }
}

/// A defect of ours, logged.
pub(crate) fn internal(what: &str, error: &(dyn std::error::Error + 'static)) -> Status {
    tracing::error!(what, error, "internal error");
    Status::internal(shortened(format!("{what}: {error}")))
}

/// This server cannot take more now.
pub(crate) fn unavailable(message: impl Into<String>) -> Status {
    with_retry(Status::unavailable(shortened(message.into())))
}

fn with_retry(mut status: Status) -> Status {
    if status.code() == Code::Unavailable {
        status.metadata_mut().insert(RETRY_AFTER, MetadataValue::from(RETRY_AFTER_MS));
    }
    status
}

fn shortened(mut message: String) -> String {
    const ELLIPSIS: &str = "…";
    if message.len() > LONGEST {
        message.truncate(message.floor_char_boundary(LONGEST - ELLIPSIS.len()));
        message.push_str(ELLIPSIS);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_category_has_its_code() {
        let expected = [
            (ErrorCategory::InvalidArgument, 3),
            (ErrorCategory::DeadlineExceeded, 4),
            (ErrorCategory::NotFound, 5),
            (ErrorCategory::PermissionDenied, 7),
            (ErrorCategory::ResourceExhausted, 8),
            (ErrorCategory::FailedPrecondition, 9),
            (ErrorCategory::Aborted, 10),
            (ErrorCategory::OutOfRange, 11),
            (ErrorCategory::NotSupported, 12),
            (ErrorCategory::Internal, 13),
            (ErrorCategory::Unavailable, 14),
            (ErrorCategory::DataLoss, 15),
            (ErrorCategory::Cancelled, 1),
        ];
        for (category, number) in expected {
            assert_eq!(code(category) as i32, number, "{category:?}");
            let status = engine(&EngineError::Query {
                category,
                message: "why".into(),
            });
            assert_eq!((status.code(), status.message()), (code(category), "why"));
            assert_eq!(
                status.metadata().get(RETRY_AFTER).is_some(),
                category == ErrorCategory::Unavailable,
                "{category:?}"
            );
        }
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        for text in [
            "é".repeat(5_000),
            "a".repeat(5_000),
            format!("a{}", "é".repeat(5_000)),
            "語".repeat(3_000),
        ] {
            let status = engine(&EngineError::Invalid(text));
            assert!(status.message().len() <= LONGEST && status.message().len() > LONGEST - 8);
            assert!(status.message().ends_with('…'));
        }
        assert_eq!(engine(&EngineError::Invalid("short".into())).message(), "short");
    }
}
