//! Credentials, and whose they are.

use shard_reader::KinesisSettings;

use super::call::{Verdict, verdict};
use super::report::{Outcome, Report};

/// Whose credentials they are, as far as that is known.
#[derive(Debug, Default)]
pub(super) struct Caller {
    pub(super) account: Option<String>,
    pub(super) region: Option<String>,
}

/// Checks the credentials of settings.
pub(super) async fn check(settings: &KinesisSettings, about: &str, report: &mut Report) -> Caller {
    let shared = match settings.with_role("kinesis").await {
        Ok(shared) => shared,
        Err(error) => {
            report.add(about, "credentials", Outcome::Failed, error.to_string());
            return Caller::default();
        }
    };
    let mut caller = Caller {
        account: None,
        region: shared.region().map(ToString::to_string),
    };
    if let Some(region) = &caller.region {
        report.add(about, "region", Outcome::Ok, region);
    }
    let elsewhere = settings
        .endpoint
        .as_deref()
        .filter(|_| std::env::var_os("AWS_ENDPOINT_URL_STS").is_none());
    if let Some(endpoint) = elsewhere {
        let text = format!("not asked for: {endpoint} is no AWS endpoint (AWS_ENDPOINT_URL_STS names an STS beside it)");
        report.add(about, "credentials", Outcome::Unknown, text);
        return caller;
    }
    let reply = aws_sdk_sts::Client::new(&shared).get_caller_identity().send().await;
    match reply {
        Ok(identity) => {
            let arn = identity.arn().unwrap_or("somebody without an ARN");
            let role = settings
                .role_arn
                .as_ref()
                .map_or_else(String::new, |role| format!(" (assumed {role})"));
            report.add(about, "credentials", Outcome::Ok, format!("{arn}{role}"));
            caller.account = identity.account().map(str::to_owned);
        }
        Err(error) => {
            if let Verdict::Denied(text) | Verdict::Failed(text) = verdict::<(), _>(Err(error)) {
                report.add(about, "credentials", Outcome::Failed, format!("GetCallerIdentity: {text}"));
            }
        }
    }
    caller
}
