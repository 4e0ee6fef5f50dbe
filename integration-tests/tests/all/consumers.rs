//! The documented consumer counts each record once, though it and the server are killed at any moment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use integration_tests::backends::Backend;
use integration_tests::environment::{python, scratch_directory};
use integration_tests::kinesis;
use integration_tests::process::{Process, without_aws_settings};
use integration_tests::server::{Server, command};
use tokio::task::JoinSet;

const TABLE: &str = "table: visits\nstream: visits\ncolumns:\n  - { name: host, path: host, type: varchar }\n";
const KILLS: u64 = 15;
const END: Duration = Duration::from_secs(10);

/// Requests per host.
type Ledger = BTreeMap<String, u64>;

#[derive(Debug)]
struct Totals {
    increments: u64,
    hosts: Ledger,
}

/// Puts records until it is told to stop. Most hosts come once, so that one record lost and another doubled do not make up for each other.
async fn put(endpoint: String, stop: Arc<AtomicBool>) -> Ledger {
    let client = kinesis::client(&endpoint);
    let mut ledger = Ledger::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut records = Vec::new();
        for _ in 0..10 {
            let host = match number % 4 {
                0 => format!("often-{}", number % 3),
                _ => format!("once-{number}"),
            };
            number += 1;
            let data = serde_json::json!({ "host": host }).to_string();
            let record = PutRecordsRequestEntry::builder()
                .data(Blob::new(data))
                .partition_key(format!("key-{number}"));
            records.push(record.build().unwrap());
            *ledger.entry(host).or_default() += 1;
        }
        let reply = client
            .put_records()
            .stream_name("visits")
            .set_records(Some(records))
            .send()
            .await
            .unwrap();
        assert_eq!(reply.failed_record_count(), Some(0));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ledger
}

fn consumer(server: &Server, sink: &Path) -> Process {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/top_requesters.py");
    let mut command = Command::new(python().unwrap().program("python"));
    command
        .arg("-u")
        .arg(example)
        .arg(format!("grpc://{}", server.flight))
        .arg(sink)
        .args(["--table", "visits", "--every", "0.02", "--top", "1000000"]);
    without_aws_settings(&mut command);
    Process::start("top_requesters.py", &command).unwrap()
}

fn totals(sink: &Path) -> Totals {
    let mut command = python().unwrap().command("sink_totals.py");
    let output = command.arg(sink).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let hosts = found["hosts"].as_object().unwrap();
    Totals {
        increments: found["increments"].as_u64().unwrap(),
        hosts: hosts.iter().map(|(host, count)| (host.clone(), count.as_u64().unwrap())).collect(),
    }
}

fn kill(process: &mut Process) {
    process.signal("KILL").unwrap();
    process.wait(END).unwrap();
}

/// The same server again, as after a crash: port, directory and configuration are those it had.
fn restart(server: &mut Server, directory: &Path) {
    kill(&mut server.process);
    let mut command = command(&["serve", "--config"]).unwrap();
    command.arg(directory.join("shardflight.yaml")).current_dir(directory);
    server.process = Process::start("shardflight serve", &command).unwrap();
    server.process.wait_until_listening(server.flight).unwrap();
}

fn directory() -> PathBuf {
    let directory = scratch_directory("consumers").unwrap();
    std::fs::create_dir_all(directory.join("tables")).unwrap();
    std::fs::write(directory.join("tables/visits.yaml"), TABLE).unwrap();
    directory
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_consumer_counts_each_record_once() {
    let running = Backend::Embedded.start().unwrap();
    let client = kinesis::client(&running.endpoint);
    client.create_stream().stream_name("visits").shard_count(3).send().await.unwrap();
    kinesis::active(&client, "visits").await.unwrap();
    let directory = directory();
    let sink = directory.join("top.sqlite");
    let mut server = Server::start(&directory, &running.endpoint, "").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut producer = JoinSet::new();
    producer.spawn(put(running.endpoint.clone(), Arc::clone(&stop)));

    let mut increments = 0;
    for kill_number in 0..KILLS {
        let mut process = consumer(&server, &sink);
        // it is at work when it has written something more
        let deadline = Instant::now() + Duration::from_secs(60);
        while totals(&sink).increments <= increments {
            assert!(Instant::now() < deadline, "nothing is consumed\n{}", process.output());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if kill_number % 4 == 3 {
            restart(&mut server, &directory);
        }
        // points that are spread over its cycle, which takes some tens of milliseconds
        tokio::time::sleep(Duration::from_millis(kill_number * 37 % 200)).await;
        kill(&mut process);
        increments = totals(&sink).increments;
    }

    stop.store(true, Ordering::Relaxed);
    let ledger = producer.join_next().await.unwrap().unwrap();
    let records: u64 = ledger.values().sum();
    let process = consumer(&server, &sink);
    let deadline = Instant::now() + Duration::from_secs(60);
    while totals(&sink).hosts.values().sum::<u64>() < records && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // time for cycles that must add nothing
    tokio::time::sleep(Duration::from_secs(1)).await;
    let found = totals(&sink);
    let wrong: Vec<_> = ledger
        .iter()
        .map(|(host, put)| (host, *put, found.hosts.get(host).copied().unwrap_or(0)))
        .filter(|(_, put, counted)| put != counted)
        .take(20)
        .collect();
    assert!(wrong.is_empty(), "(host, put, counted): {wrong:?}\n{}", process.output());
    assert_eq!(found.hosts.len(), ledger.len());
    assert!(found.increments > KILLS, "{} increments", found.increments);
}
