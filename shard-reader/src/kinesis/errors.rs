//! The SDK's errors as categories.

use std::fmt::Debug;
use std::sync::Arc;

use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::{SourceError, SourceErrorKind};

/// The category of an error, by what was received of the service.
pub(crate) fn classify<E>(error: &SdkError<E, HttpResponse>, what: &str) -> SourceError
where
    E: ProvideErrorMetadata + std::error::Error + Debug + 'static,
{
    let kind = match error {
        SdkError::ServiceError(context) => by_code(context.err().code(), context.raw().status().as_u16()),
        SdkError::ResponseError(context) if context.raw().status().is_server_error() => SourceErrorKind::Unavailable,
        // a reply that was cut off cannot be read; asking again is safe
        SdkError::ResponseError(_) | SdkError::TimeoutError(_) => SourceErrorKind::Unavailable,
        SdkError::DispatchFailure(failure) if failure.is_user() => SourceErrorKind::Invalid,
        SdkError::DispatchFailure(_) => SourceErrorKind::Unavailable,
        SdkError::ConstructionFailure(_) => SourceErrorKind::Invalid,
        _ => SourceErrorKind::Unavailable,
    };
    let cause = match error {
        SdkError::ServiceError(context) => {
            let code = context.err().code().unwrap_or("error without a code");
            let status = context.raw().status().as_u16();
            format!("{code} (HTTP {status}): {}", context.err().message().unwrap_or("no message"))
        }
        other => DisplayErrorContext(other).to_string(),
    };
    SourceError {
        kind,
        message: format!("{what}: {cause}"),
        source: Some(Arc::new(Cause(cause))),
    }
}

/// Error codes of Kinesis (API reference, "Errors" of each operation, and "Common Errors").
pub(crate) fn by_code(code: Option<&str>, status: u16) -> SourceErrorKind {
    match code.unwrap_or_default() {
        "ProvisionedThroughputExceededException"
        | "LimitExceededException"
        | "KMSThrottlingException"
        | "ThrottlingException"
        | "Throttling"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "SlowDown" => SourceErrorKind::Throttled,
        "ExpiredIteratorException" => SourceErrorKind::ExpiredIterator,
        "ResourceNotFoundException" => SourceErrorKind::NotFound,
        "AccessDeniedException"
        | "AccessDenied"
        | "KMSAccessDeniedException"
        | "KMSDisabledException"
        | "KMSInvalidStateException"
        | "KMSNotFoundException"
        | "KMSOptInRequired"
        | "OptInRequired"
        | "NotAuthorized"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "IncompleteSignature"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => SourceErrorKind::Denied,
        // the stream is being created or updated
        "ResourceInUseException" | "InternalFailure" | "InternalFailureException" | "ServiceUnavailable" | "RequestExpired" => {
            SourceErrorKind::Unavailable
        }
        _ if status == 429 => SourceErrorKind::Throttled,
        // below 400 it is no error of the service's, but a reply that cannot be read
        _ if !(400..500).contains(&status) => SourceErrorKind::Unavailable,
        _ if status == 401 || status == 403 => SourceErrorKind::Denied,
        _ => SourceErrorKind::Invalid,
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Cause(String);
