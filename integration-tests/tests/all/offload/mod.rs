//! Offload jobs of the real program: what is in the lake, read by a program that nobody here wrote, is what was put into the stream, each record once.

mod chance;
mod hybrid;
mod killed;
mod kills;
mod ledger;
mod nasa;
mod roles;
mod statements;
mod store_faults;
mod two;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use integration_tests::environment::{python, scratch_directory};
use integration_tests::flight::{Client, Mode};
use integration_tests::kinesis;
use integration_tests::server::Server;

const TABLE: &str = "table: numbers\nstream: numbers\ncolumns:\n  - { name: n, path: n, type: bigint }\n";
const PATIENCE: Duration = Duration::from_secs(120);

/// What a lake holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    rows: i64,
    distinct: i64,
    sum: i64,
}

impl Held {
    /// The numbers below `count`, each once.
    fn below(count: i64) -> Self {
        Self {
            rows: count,
            distinct: count,
            sum: count * (count - 1) / 2,
        }
    }
}

fn read_lake(location: &str, endpoint: &str) -> Held {
    let mut command = python().unwrap().command("lake_rows.py");
    let output = command.args([location, endpoint, "numbers"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |name: &str| told[name].as_i64().unwrap();
    Held {
        rows: number("rows"),
        distinct: number("distinct"),
        sum: number("sum"),
    }
}

/// The lake once it holds so many numbers, or after some time.
async fn lake_with(location: &str, endpoint: &str, count: i64) -> Held {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let held = read_lake(location, endpoint);
        if held.rows >= count || Instant::now() > deadline {
            return held;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// A directory of a server's own, with the table.
fn directory(name: &str) -> PathBuf {
    let directory = scratch_directory(name).unwrap();
    std::fs::create_dir_all(directory.join("tables")).unwrap();
    std::fs::write(directory.join("tables/numbers.yaml"), TABLE).unwrap();
    directory
}

async fn stream(endpoint: &str, shards: i32) {
    let client = kinesis::client(endpoint);
    client
        .create_stream()
        .stream_name("numbers")
        .shard_count(shards)
        .send()
        .await
        .unwrap();
    kinesis::active(&client, "numbers").await.unwrap();
}

async fn run(server: &Server, sql: &str) {
    let mut client = Client::connect(server.flight, Mode::Single).await.unwrap();
    let answered = client.query(sql).await;
    answered.unwrap_or_else(|error| panic!("{sql}: {error:#}\n{}", server.process.output()));
}

async fn put(client: &aws_sdk_kinesis::Client, numbers: std::ops::Range<i64>) {
    let record = |n: i64| {
        let record = PutRecordsRequestEntry::builder()
            .data(Blob::new(format!("{{\"n\":{n}}}")))
            .partition_key(format!("key-{n}"));
        record.build().unwrap()
    };
    let mut records: Vec<PutRecordsRequestEntry> = numbers.map(record).collect();
    while !records.is_empty() {
        let call = client.put_records().stream_name("numbers").set_records(Some(records.clone()));
        let reply = call.send().await.unwrap();
        let refused = reply.records().iter().map(|record| record.error_code().is_some());
        records = records
            .into_iter()
            .zip(refused)
            .filter_map(|(record, refused)| refused.then_some(record))
            .collect();
    }
}

/// Puts numbers from 0 on until it is told to stop; how many.
async fn put_on(endpoint: String, stop: Arc<AtomicBool>) -> i64 {
    let client = kinesis::client(&endpoint);
    let mut next = 0;
    while !stop.load(Ordering::Relaxed) {
        put(&client, next..next + 20).await;
        next += 20;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    next
}

fn file_url(directory: &Path) -> String {
    format!("file://{}", directory.display())
}
