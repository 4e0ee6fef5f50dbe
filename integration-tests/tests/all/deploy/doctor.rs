//! `shardflight doctor`, against what answers as AWS does and against services that know no dry run.

use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use integration_tests::backends::Backend;
use integration_tests::environment::scratch_directory;
use integration_tests::process::Process;
use integration_tests::stand_in::StandIn;
use integration_tests::{kinesis, server};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::aws::{Aws, CONSUMER, KEY, STREAM, Says};

/// Dry runs are a second apart.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The exit code, and the document.
pub(super) async fn doctor(arguments: Vec<String>, sts: Option<String>) -> (Option<i32>, Value) {
    let mut task = JoinSet::new();
    task.spawn_blocking(move || {
        let mut all = vec!["doctor", "--format", "json"];
        all.extend(arguments.iter().map(String::as_str));
        let mut command = server::command(&all).unwrap();
        if let Some(sts) = sts {
            command.env("AWS_ENDPOINT_URL_STS", sts);
        }
        let mut process = Process::start("shardflight doctor", &command).unwrap();
        let code = process.wait(TIMEOUT).unwrap().code();
        let text = process.stdout().join("\n");
        let document = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {}", process.output()));
        (code, document)
    });
    task.join_next().await.unwrap().unwrap()
}

fn outcome<'a>(document: &'a Value, check: &str) -> &'a str {
    let findings = document["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["check"] == check);
    found.map_or("absent", |finding| finding["outcome"].as_str().unwrap())
}

fn text<'a>(document: &'a Value, check: &str) -> &'a str {
    let findings = document["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["check"] == check);
    found.map_or("absent", |finding| finding["text"].as_str().unwrap())
}

pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn configuration(name: &str, endpoint: &str, more: &str) -> String {
    let directory = scratch_directory(name).unwrap();
    let file = directory.join("shardflight.yaml");
    let text = format!(
        "kinesis: {{ region: us-east-1, endpoint: \"{endpoint}\" }}\ndata_dir: \"{}\"\n{more}",
        directory.display()
    );
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_a_server_needs_is_found_and_nothing_is_changed() {
    let aws = Aws::start(Says::default()).await;
    let more = "reader: { fan_out: { consumer: sql }, calls_per_second: 100 }\nsegments: { store: \"s3://lake/segments\" }\n";
    let config = configuration("doctor-aws", &aws.endpoint, more);
    let (code, document) = doctor(words(&["clicks", "--write", "--config", &config]), Some(aws.endpoint.clone())).await;
    assert_eq!(code, Some(0), "{document:#}");
    assert_eq!(text(&document, "credentials"), "arn:aws:iam::123456789012:user/doc");
    for check in ["GetShardIterator", "GetRecords", "PutRecords", "SubscribeToShard"] {
        assert_eq!((outcome(&document, check), text(&document, check)), ("ok", "allowed"), "{check}");
    }
    assert_eq!(outcome(&document, "clock"), "ok");
    assert!(text(&document, "encryption").contains(KEY));
    assert!(text(&document, "consumers").starts_with("billing: "));
    assert!(
        text(&document, "compression").starts_with("2 payloads look like gzip"),
        "one in each shard"
    );
    // nothing was written, registered or subscribed to
    let carried_out = [
        "DescribeStreamSummary",
        "GetRecords",
        "GetShardIterator",
        "ListShards",
        "ListStreamConsumers",
    ];
    assert_eq!(Vec::from_iter(aws.carried_out().await), carried_out);
    let dry = ["GetRecords", "GetShardIterator", "PutRecords", "SubscribeToShard"];
    assert_eq!(Vec::from_iter(aws.dry_runs().await), dry);

    // 200 bytes of 10 s in each of two shards of 60 s: 1,200 bytes each
    let reading = &document["full_reads"][0];
    let bytes = reading["bytes"].as_f64().unwrap();
    assert!((2300.0..2600.0).contains(&bytes), "{reading}");
    assert_eq!(reading["dollars"], json!(0.0), "provisioned, within 7 days");
    // 2 shards at 0.015 and, for 48 hours of retention, 0.020; 2 consumers of 2 shards at 0.015
    assert!(
        (reading["stream_dollars_per_hour"].as_f64().unwrap() - 0.13).abs() < 1e-9,
        "{reading}"
    );

    let statements = document["policies"][0]["policy"]["Statement"].as_array().unwrap();
    let sids: Vec<&str> = statements.iter().map(|statement| statement["Sid"].as_str().unwrap()).collect();
    assert_eq!(sids, ["ReadStreams", "FanOut", "Write", "UseKey", "ListSegments", "ShareSegments"]);
    assert_eq!(statements[0]["Resource"], json!([STREAM]));
    assert_eq!(statements[3]["Resource"], KEY);
    assert!(CONSUMER.starts_with(statements[1]["Resource"][1].as_str().unwrap().trim_end_matches('*')));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_fails_by_name() {
    let says = Says {
        denied: ["PutRecords", "ListStreamConsumers"].into(),
        date: Some("Mon, 01 Jan 2024 00:00:00 GMT"),
    };
    let aws = Aws::start(says).await;
    let config = configuration("doctor-denied", &aws.endpoint, "reader: { calls_per_second: 100 }\n");
    let arguments = words(&["clicks", "--write", "--config", &config]);
    let (code, document) = doctor(arguments, Some(aws.endpoint.clone())).await;
    assert_eq!(code, Some(1));
    assert_eq!(outcome(&document, "PutRecords"), "failed");
    assert!(text(&document, "PutRecords").contains("not authorized to perform: kinesis:PutRecords"));
    assert_eq!(outcome(&document, "GetRecords"), "ok");
    assert_eq!(
        outcome(&document, "consumers"),
        "unknown",
        "a server without fan-out does not need that right"
    );
    assert_eq!(outcome(&document, "clock"), "failed");
    // without `--write` nobody asks
    let (_, document) = doctor(words(&["clicks", "--config", &config]), Some(aws.endpoint.clone())).await;
    assert_eq!(outcome(&document, "PutRecords"), "absent");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_without_dry_runs_are_not_written_to() {
    for backend in [Backend::Embedded, Backend::KinesisLocal] {
        let running = backend.start().unwrap();
        let client = kinesis::client(&running.endpoint);
        client.create_stream().stream_name("doctored").shard_count(2).send().await.unwrap();
        kinesis::active(&client, "doctored").await.unwrap();
        for n in 0..5 {
            let put = client
                .put_record()
                .stream_name("doctored")
                .partition_key(format!("k{n}"))
                .data(Blob::new(*b"{\"n\":1}"));
            put.send().await.unwrap();
        }
        let arguments = words(&["doctored", "--write", "--endpoint", &running.endpoint, "--region", "us-east-1"]);
        let (code, document) = doctor(arguments.clone(), None).await;
        assert_eq!(code, Some(0), "{backend:?}: {document:#}");
        assert_eq!(outcome(&document, "credentials"), "unknown", "{backend:?}");
        assert_eq!(outcome(&document, "GetRecords"), "ok", "{backend:?}");
        assert_eq!(outcome(&document, "PutRecords"), "unknown", "{backend:?}");
        // five records of 7 bytes with keys of 2; a second look finds no more of them
        assert_eq!(document["full_reads"][0]["bytes"], json!(5 * 9), "{backend:?}");
        assert_eq!(
            doctor(arguments, None).await.1["full_reads"][0]["bytes"],
            json!(5 * 9),
            "{backend:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_stream_and_a_missing_table_are_said() {
    let running = Backend::Embedded.shared().unwrap();
    let mut task = JoinSet::new();
    task.spawn_blocking(|| StandIn::Moto.start_tables().unwrap());
    let tables = task.join_next().await.unwrap().unwrap();
    for (create, expected) in [(true, "note"), (false, "failed")] {
        let more = format!(
            "checkpoints: {{ dynamodb: {{ table: kept, create: {create}, endpoint: \"{}\" }} }}\n",
            tables.endpoint
        );
        let config = configuration("doctor-missing", &running.endpoint, &more);
        let (ended, document) = doctor(words(&["nothing", "--config", &config]), None).await;
        assert_eq!(ended, Some(1), "the stream is missing");
        assert_eq!(outcome(&document, "DescribeStreamSummary"), "failed");
        assert!(text(&document, "DescribeStreamSummary").starts_with("ResourceNotFoundException"));
        assert_eq!(outcome(&document, "DescribeTable"), expected);
    }
    let found = tables.client().list_tables().send().await.unwrap();
    assert!(found.table_names().is_empty(), "doctor makes no table");
}
