//! Calls, and what their errors say.

use std::error::Error;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use shard_reader::{KinesisSettings, SourceError};

use super::clock::ServiceClock;

/// What a call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A dry run would have been carried out.
    Allowed,
    /// It was carried out.
    Answered,
    /// It is not allowed; code and message.
    Denied(String),
    /// It failed in another way.
    Failed(String),
}

/// A client whose replies are looked at for their dates.
pub(super) async fn client(settings: &KinesisSettings, clock: &ServiceClock) -> Result<Client, SourceError> {
    let client = settings.client().await?;
    Ok(Client::from_conf(client.config().to_builder().interceptor(clock.clone()).build()))
}

/// A stream as calls name it: by name or by ARN.
pub(super) fn named(stream: &str) -> (Option<String>, Option<String>) {
    let text = Some(stream.to_owned());
    if stream.starts_with("arn:") { (None, text) } else { (text, None) }
}

/// What a call came to, a dry run or not.
pub(super) fn verdict<T, E>(result: Result<T, SdkError<E>>) -> Verdict
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let error = match result {
        Ok(_) => return Verdict::Answered,
        Err(error) => error,
    };
    let Some(service) = error.as_service_error() else {
        return Verdict::Failed(DisplayErrorContext(&error).to_string());
    };
    let code = service.code().unwrap_or("error without a code");
    let text = match service.message() {
        Some(message) => format!("{code}: {message}"),
        None => code.to_owned(),
    };
    match code {
        "DryRunOperationException" => Verdict::Allowed,
        code if code.contains("AccessDenied") || code == "NotAuthorized" => Verdict::Denied(text),
        _ => Verdict::Failed(text),
    }
}
