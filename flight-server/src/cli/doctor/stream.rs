//! What a stream says of itself.

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::{EncryptionType, StreamDescriptionSummary, StreamMode};
use shard_reader::{KinesisSource, ShardInfo, ShardSource};

use super::call::{Verdict, named, verdict};
use super::report::{Outcome, Report};

/// Pages of consumers that are asked for; a stream has at most 50 (on-demand advantage), mostly 20.
const MOST_PAGES: usize = 10;

/// What is known of a stream.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) on_demand: bool,
    pub(super) retention_hours: u64,
    /// Closed ones too.
    pub(super) shards: Vec<ShardInfo>,
    /// Name, ARN, status.
    pub(super) consumers: Vec<(String, String, String)>,
    /// The customer's key that encrypts it, as the service names it.
    pub(super) key: Option<String>,
}

impl Known {
    pub(super) fn open_shards(&self) -> usize {
        self.shards.iter().filter(|shard| shard.ending_sequence.is_none()).count()
    }
}

/// Describes a stream and lists its shards and consumers; `None` where nothing else can be asked.
pub(super) async fn look(client: &Client, stream: &str, fan_out: Option<&str>, about: &str, report: &mut Report) -> Option<Known> {
    let (name, arn) = named(stream);
    let reply = client
        .describe_stream_summary()
        .set_stream_name(name)
        .set_stream_arn(arn)
        .send()
        .await;
    let summary = match reply {
        Ok(reply) => match reply.stream_description_summary {
            Some(summary) => summary,
            None => {
                report.add(about, "DescribeStreamSummary", Outcome::Failed, "the reply describes no stream");
                return None;
            }
        },
        Err(error) => {
            match verdict::<(), _>(Err(error)) {
                Verdict::Denied(text) => report.add(about, "DescribeStreamSummary", Outcome::Failed, text),
                Verdict::Failed(text) => report.add(about, "DescribeStreamSummary", Outcome::Failed, text),
                Verdict::Allowed | Verdict::Answered => {}
            }
            return None;
        }
    };
    let status = summary.stream_status().as_str();
    let usable = matches!(status, "ACTIVE" | "UPDATING");
    report.add(about, "status", if usable { Outcome::Ok } else { Outcome::Failed }, status);
    let key = encryption(&summary, about, report);
    let source = KinesisSource::with_client(client.clone());
    let shards = match source.list_shards(stream).await {
        Ok(shards) => shards,
        Err(error) => {
            report.add(about, "ListShards", Outcome::Failed, error.to_string());
            Vec::new()
        }
    };
    let arn = if summary.stream_arn().is_empty() {
        stream
    } else {
        summary.stream_arn()
    };
    let mut known = Known {
        name: summary.stream_name().to_owned(),
        arn: arn.to_owned(),
        on_demand: summary
            .stream_mode_details()
            .is_some_and(|mode| *mode.stream_mode() == StreamMode::OnDemand),
        retention_hours: u64::try_from(summary.retention_period_hours()).unwrap_or(24),
        shards,
        consumers: Vec::new(),
        key,
    };
    let mode = if known.on_demand { "on demand" } else { "provisioned" };
    let (open, closed) = (known.open_shards(), known.shards.len() - known.open_shards());
    report.add(
        about,
        "mode",
        Outcome::Ok,
        format!("{mode}, {open} open shards, {closed} closed ones that can still be read"),
    );
    let hours = known.retention_hours;
    report.add(
        about,
        "retention",
        Outcome::Ok,
        format!("{hours} hours: older records are gone for every reader"),
    );
    known.consumers = consumers(client, &known.arn, about, report).await;
    other_consumers(&known, fan_out, about, report);
    Some(known)
}

fn encryption(summary: &StreamDescriptionSummary, about: &str, report: &mut Report) -> Option<String> {
    if summary.encryption_type() != Some(&EncryptionType::Kms) {
        report.add(about, "encryption", Outcome::Ok, "none by KMS");
        return None;
    }
    let key = summary.key_id().unwrap_or("a key that is not named");
    if key.ends_with("alias/aws/kinesis") {
        report.add(
            about,
            "encryption",
            Outcome::Ok,
            format!("KMS, with AWS's key {key}: readers need no right to it"),
        );
        return None;
    }
    let text =
        format!("KMS, with {key}: a reader needs kms:Decrypt on it, a writer kms:GenerateDataKey (reading the sample shows whether)");
    report.add(about, "encryption", Outcome::Note, text);
    Some(key.to_owned())
}

async fn consumers(client: &Client, arn: &str, about: &str, report: &mut Report) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let mut token = None;
    for _ in 0..MOST_PAGES {
        let reply = match client
            .list_stream_consumers()
            .stream_arn(arn)
            .set_next_token(token.take())
            .send()
            .await
        {
            Ok(reply) => reply,
            Err(error) => {
                if let Verdict::Denied(text) | Verdict::Failed(text) = verdict::<(), _>(Err(error)) {
                    report.add(about, "consumers", Outcome::Unknown, text);
                }
                return found;
            }
        };
        found.extend(reply.consumers().iter().map(|consumer| {
            let status = consumer.consumer_status().as_str().to_owned();
            (consumer.consumer_name().to_owned(), consumer.consumer_arn().to_owned(), status)
        }));
        token = reply.next_token;
        if token.is_none() {
            break;
        }
    }
    found
}

fn other_consumers(known: &Known, ours: Option<&str>, about: &str, report: &mut Report) {
    let others: Vec<&str> = known
        .consumers
        .iter()
        .map(|(name, ..)| name.as_str())
        .filter(|name| Some(*name) != ours)
        .collect();
    if !others.is_empty() {
        let text = format!(
            "{}: they are pushed to, beside the budget that all pollers of a shard share",
            others.join(", ")
        );
        report.add(about, "consumers", Outcome::Note, text);
    }
    let Some(ours) = ours else { return };
    match known.consumers.iter().find(|(name, ..)| name == ours) {
        Some((_, _, status)) if status == "ACTIVE" => {
            report.add(about, "fan-out", Outcome::Ok, format!("consumer {ours} is registered, and charged"))
        }
        Some((_, _, status)) => report.add(about, "fan-out", Outcome::Warning, format!("consumer {ours} is {status}")),
        None => report.add(
            about,
            "fan-out",
            Outcome::Note,
            format!("consumer {ours} is not registered; the server registers it, which has no dry run, and it is charged from then on"),
        ),
    }
}
