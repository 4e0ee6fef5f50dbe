//! What may be done with a stream, by DryRun.
//!
//! AWS checks rights and parameters of a dry run, does nothing, and answers `DryRunOperationException`; it takes one a second and stream
//! (<https://docs.aws.amazon.com/streams/latest/dev/kds-dryrun-validation.html>). Services that do not know the parameter do what is asked: what puts
//! records or takes a subscription is asked only of services that proved to know it.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, ShardIteratorType, StartingPosition};

use super::call::{Verdict, verdict};
use super::report::{Outcome, Report};
use super::stream::Known;

/// One dry run a second and stream.
const PACE: Duration = Duration::from_millis(1100);

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) write: bool,
    pub(super) fan_out: Option<&'a str>,
}

/// Checks what a server does with a stream.
pub(super) async fn check(client: &Client, known: &Known, wanted: Wanted<'_>, about: &str, report: &mut Report) {
    let Some(shard) = known.shards.last().map(|shard| shard.id.as_str()) else {
        return report.add(about, "permissions", Outcome::Unknown, "no shard to ask about");
    };
    let iterator = || {
        client
            .get_shard_iterator()
            .stream_arn(&known.arn)
            .shard_id(shard)
            .shard_iterator_type(ShardIteratorType::TrimHorizon)
    };
    let opened = verdict(iterator().dry_run(true).send().await);
    let knows = opened == Verdict::Allowed;
    add(report, about, "GetShardIterator", opened);
    if let Ok(reply) = iterator().send().await
        && let Some(token) = reply.shard_iterator
    {
        pause(knows).await;
        let read = client
            .get_records()
            .stream_arn(&known.arn)
            .shard_iterator(token)
            .limit(1)
            .dry_run(true);
        add(report, about, "GetRecords", verdict(read.send().await));
    }
    if wanted.write {
        writes(client, known, knows, about, report).await;
    }
    let ours = wanted
        .fan_out
        .and_then(|ours| known.consumers.iter().find(|(name, ..)| name == ours));
    match (ours, knows) {
        (Some((_, arn, _)), true) => {
            pause(knows).await;
            let Ok(position) = StartingPosition::builder().r#type(ShardIteratorType::Latest).build() else {
                return;
            };
            let subscribe = client
                .subscribe_to_shard()
                .consumer_arn(arn)
                .shard_id(shard)
                .starting_position(position);
            add(report, about, "SubscribeToShard", verdict(subscribe.dry_run(true).send().await));
        }
        (Some(_), false) => unknown(report, about, "SubscribeToShard"),
        (None, _) => {}
    }
}

async fn writes(client: &Client, known: &Known, knows: bool, about: &str, report: &mut Report) {
    if !knows {
        return unknown(report, about, "PutRecords");
    }
    let entry = PutRecordsRequestEntry::builder()
        .partition_key("doctor")
        .data(Blob::new(*b"doctor"))
        .build();
    let Ok(entry) = entry else { return };
    pause(knows).await;
    let put = client.put_records().stream_arn(&known.arn).records(entry).dry_run(true);
    add(report, about, "PutRecords", verdict(put.send().await));
}

/// Only who knows dry runs counts them.
async fn pause(knows: bool) {
    if knows {
        tokio::time::sleep(PACE).await;
    }
}

fn unknown(report: &mut Report, about: &str, action: &'static str) {
    report.add(
        about,
        action,
        Outcome::Unknown,
        "not asked for: this service does not know DryRun, and would do it",
    );
}

fn add(report: &mut Report, about: &str, action: &'static str, verdict: Verdict) {
    match verdict {
        Verdict::Allowed => report.add(about, action, Outcome::Ok, "allowed"),
        Verdict::Answered => report.add(about, action, Outcome::Ok, "answered (this service does not know DryRun)"),
        Verdict::Denied(text) => report.add(about, action, Outcome::Failed, format!("denied: {text}")),
        Verdict::Failed(text) => report.add(about, action, Outcome::Unknown, text),
    }
}
