//! Credentials, and whose they are.

use shard_reader::KinesisSettings;

use super::call::{Verdict, verdict};
use super::report::{Outcome, Report};

/// Checks the credentials of settings; the answer is the account.
pub(super) async fn check(settings: &KinesisSettings, about: &str, report: &mut Report) -> Option<String> {
    let shared = match settings.with_role("kinesis").await {
        Ok(shared) => shared,
        Err(error) => {
            report.add(about, "credentials", Outcome::Failed, error.to_string());
            return None;
        }
    };
    if let Some(region) = shared.region() {
        report.add(about, "region", Outcome::Ok, region.to_string());
    }
    let elsewhere = settings
        .endpoint
        .as_deref()
        .filter(|_| std::env::var_os("AWS_ENDPOINT_URL_STS").is_none());
    if let Some(endpoint) = elsewhere {
        let text = format!("not asked for: {endpoint} is no AWS endpoint (AWS_ENDPOINT_URL_STS names an STS beside it)");
        report.add(about, "credentials", Outcome::Unknown, text);
        return None;
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
            identity.account().map(str::to_owned)
        }
        Err(error) => {
            let (Verdict::Denied(text) | Verdict::Failed(text)) = verdict::<(), _>(Err(error)) else {
                return None;
            };
            report.add(about, "credentials", Outcome::Failed, format!("GetCallerIdentity: {text}"));
            None
        }
    }
}
