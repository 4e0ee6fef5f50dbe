//! Errors as AWS gives them.

use std::io;

use serde::Serialize;

use crate::stream::ReshardError;

/// An error answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
}

/// The `__type` of an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ErrorCode {
    Validation,
    InvalidArgument,
    ResourceNotFound,
    ResourceInUse,
    LimitExceeded,
    ProvisionedThroughputExceeded,
    ExpiredIterator,
    ExpiredNextToken,
    Serialization,
    UnknownOperation,
    UnsupportedOperation,
    RequestEntityTooLarge,
    InternalFailure,
}

impl ErrorCode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Validation => "ValidationException",
            Self::InvalidArgument => "InvalidArgumentException",
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::ResourceInUse => "ResourceInUseException",
            Self::LimitExceeded => "LimitExceededException",
            Self::ProvisionedThroughputExceeded => "ProvisionedThroughputExceededException",
            Self::ExpiredIterator => "ExpiredIteratorException",
            Self::ExpiredNextToken => "ExpiredNextTokenException",
            Self::Serialization => "SerializationException",
            Self::UnknownOperation => "UnknownOperationException",
            Self::UnsupportedOperation => "UnsupportedOperationException",
            Self::RequestEntityTooLarge => "RequestEntityTooLargeException",
            Self::InternalFailure => "InternalFailure",
        }
    }

    pub(crate) fn status(self) -> http::StatusCode {
        match self {
            Self::RequestEntityTooLarge => http::StatusCode::PAYLOAD_TOO_LARGE,
            Self::InternalFailure => http::StatusCode::INTERNAL_SERVER_ERROR,
            _ => http::StatusCode::BAD_REQUEST,
        }
    }
}

/// An error's body.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorBody<'a> {
    #[serde(rename = "__type")]
    pub(crate) code: &'static str,
    pub(crate) message: &'a str,
}

impl ApiError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidArgument, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::ResourceNotFound, message)
    }

    /// A defect or a failing disk: logged whole, and told to the caller, who runs this service himself.
    pub(crate) fn internal(error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        tracing::error!(%message, "request failed");
        Self::new(ErrorCode::InternalFailure, message)
    }

    pub(crate) fn defect(message: impl Into<String>) -> Self {
        let message = message.into();
        tracing::error!(%message, "request failed");
        Self::new(ErrorCode::InternalFailure, message)
    }

    pub(crate) fn body(&self) -> ErrorBody<'_> {
        ErrorBody {
            code: self.code.name(),
            message: &self.message,
        }
    }
}

impl From<io::Error> for ApiError {
    fn from(error: io::Error) -> Self {
        Self::internal(&error)
    }
}

impl From<ReshardError> for ApiError {
    fn from(error: ReshardError) -> Self {
        Self::internal(&error)
    }
}

impl From<crate::options::EmbeddedError> for ApiError {
    fn from(error: crate::options::EmbeddedError) -> Self {
        Self::internal(&error)
    }
}
