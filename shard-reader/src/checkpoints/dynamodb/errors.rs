//! The SDK's errors as categories.

use std::fmt::Debug;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::checkpoints::store::{CheckpointError, CheckpointErrorKind};

/// Why a write did not happen, or may not have.
#[derive(Debug)]
pub(super) enum WriteError {
    /// The condition did not hold: nothing was written.
    Condition,
    /// Anything else.
    Other(CheckpointError),
}

/// An operation that writes under a condition.
pub(super) trait Conditional {
    /// Whether the condition was why nothing was written.
    fn is_condition(&self) -> bool;
    /// The category, where the code alone does not tell it.
    fn kind(&self) -> Option<CheckpointErrorKind> {
        None
    }
}

impl Conditional for PutItemError {
    fn is_condition(&self) -> bool {
        self.is_conditional_check_failed_exception()
    }
}

impl Conditional for UpdateItemError {
    fn is_condition(&self) -> bool {
        self.is_conditional_check_failed_exception()
    }
}

impl Conditional for DeleteItemError {
    fn is_condition(&self) -> bool {
        self.is_conditional_check_failed_exception()
    }
}

impl Conditional for TransactWriteItemsError {
    fn is_condition(&self) -> bool {
        cancelled_by(self, |code| code == "ConditionalCheckFailed")
    }

    fn kind(&self) -> Option<CheckpointErrorKind> {
        if !matches!(self, Self::TransactionCanceledException(_)) {
            return None;
        }
        let for_good = cancelled_by(self, |code| matches!(code, "ValidationError" | "ItemCollectionSizeLimitExceeded"));
        let denied = cancelled_by(self, |code| code == "AccessDenied");
        Some(if denied {
            CheckpointErrorKind::Denied
        } else if for_good {
            CheckpointErrorKind::Invalid
        } else {
            // TransactionConflict, ThrottlingError, ProvisionedThroughputExceeded
            CheckpointErrorKind::Unavailable
        })
    }
}

/// Whether one of a cancelled transaction's reasons is this. Not every service lists them; all name them in the message.
fn cancelled_by(error: &TransactWriteItemsError, is: impl Fn(&str) -> bool) -> bool {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else {
        return false;
    };
    let mut listed = cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code());
    let mut named = cancelled.message().unwrap_or_default().split(|c: char| !c.is_ascii_alphanumeric());
    listed.any(&is) || named.any(&is)
}

/// Of a write.
pub(super) fn of_write<E>(error: &SdkError<E, HttpResponse>, what: &str) -> WriteError
where
    E: Conditional + ProvideErrorMetadata + std::error::Error + Debug + 'static,
{
    let kind = match error {
        SdkError::ServiceError(context) if context.err().is_condition() => return WriteError::Condition,
        SdkError::ServiceError(context) => context.err().kind(),
        _ => None,
    };
    let mut classified = classify(error, what);
    if let Some(kind) = kind {
        classified.kind = kind;
    }
    WriteError::Other(classified)
}

/// By what was received of the service.
pub(super) fn classify<E>(error: &SdkError<E, HttpResponse>, what: &str) -> CheckpointError
where
    E: ProvideErrorMetadata + std::error::Error + Debug + 'static,
{
    let kind = match error {
        SdkError::ServiceError(context) => by_code(context.err().code(), context.raw().status().as_u16()),
        SdkError::DispatchFailure(failure) if failure.is_user() => CheckpointErrorKind::Invalid,
        SdkError::DispatchFailure(_) if without_credentials(error) => CheckpointErrorKind::Denied,
        SdkError::ConstructionFailure(_) => CheckpointErrorKind::Invalid,
        // cut off, unreadable, too late, not connected: what was asked for may have happened
        _ => CheckpointErrorKind::Unavailable,
    };
    let cause = match error {
        SdkError::ServiceError(context) => {
            let code = context.err().code().unwrap_or("error without a code");
            let status = context.raw().status().as_u16();
            format!("{code} (HTTP {status}): {}", context.err().message().unwrap_or("no message"))
        }
        other => DisplayErrorContext(other).to_string(),
    };
    CheckpointError::new(kind, format!("{what}: {cause}")).because(Cause(cause))
}

/// Whether it is for want of credentials: then nothing was sent.
fn without_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut credentials = causes.filter_map(|cause| cause.downcast_ref::<CredentialsError>());
    credentials.any(|cause| {
        matches!(
            cause,
            CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_)
        )
    })
}

/// Error codes of DynamoDB (developer guide, "Error handling with DynamoDB", and "Common Errors" of its API reference).
fn by_code(code: Option<&str>, status: u16) -> CheckpointErrorKind {
    match code.unwrap_or_default() {
        "ConditionalCheckFailedException" => CheckpointErrorKind::Conflict,
        "ResourceNotFoundException" | "TableNotFoundException" => CheckpointErrorKind::NotFound,
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "Throttling"
        | "RequestLimitExceeded"
        | "LimitExceededException"
        | "TransactionConflictException"
        | "TransactionInProgressException"
        | "ReplicatedWriteConflictException"
        | "ResourceInUseException"
        | "InternalServerError"
        | "InternalFailure"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "RequestExpired" => CheckpointErrorKind::Unavailable,
        "AccessDeniedException"
        | "AccessDenied"
        | "NotAuthorized"
        | "OptInRequired"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => CheckpointErrorKind::Denied,
        // below 400 it is no error of the service's, but a reply that cannot be read
        _ if status == 429 || !(400..500).contains(&status) => CheckpointErrorKind::Unavailable,
        _ if status == 401 || status == 403 => CheckpointErrorKind::Denied,
        _ => CheckpointErrorKind::Invalid,
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Cause(String);
