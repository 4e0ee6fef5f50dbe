//! Calls, and what their errors say.

use std::error::Error;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
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
        return Verdict::Failed(chain(&error));
    };
    of_code(service.code().unwrap_or("error without a code"), service.message())
}

fn of_code(code: &str, message: Option<&str>) -> Verdict {
    let text = match message {
        Some(message) => format!("{code}: {message}"),
        None => code.to_owned(),
    };
    match code {
        "DryRunOperationException" => Verdict::Allowed,
        code if code.contains("AccessDenied") || code == "NotAuthorized" => Verdict::Denied(text),
        _ => Verdict::Failed(text),
    }
}

/// An error and its causes, each once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_that_would_have_succeeded_is_an_error_by_name() {
        assert_eq!(of_code("DryRunOperationException", Some("why")), Verdict::Allowed);
        let denied = of_code("AccessDeniedException", Some("why"));
        assert_eq!(denied, Verdict::Denied("AccessDeniedException: why".into()));
        assert_eq!(
            of_code("KMSAccessDeniedException", None),
            Verdict::Denied("KMSAccessDeniedException".into())
        );
        let throttled = of_code("ThrottlingException", Some("why"));
        assert_eq!(throttled, Verdict::Failed("ThrottlingException: why".into()));
    }
}
