//! Segments on disk and in object storage: a killed server has them still, and another node has them too.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use embedded::{EmbeddedKinesis, Operation};
use integration_tests::backends::Backend;
use integration_tests::environment::scratch_directory;
use integration_tests::flight::{Client, Mode};
use integration_tests::kinesis;
use integration_tests::process::READY_TIMEOUT;
use integration_tests::server::Server;
use integration_tests::stand_in::StandIn;
use tokio::task::JoinSet;

use super::stage::{Stage, create, numbers, put_sized};

const STREAM: &str = "stored";
const SHARDS: i32 = 2;

fn files(directory: &Path, wanted: impl Fn(&str) -> bool + Copy) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            found.extend(files(&path, wanted));
        } else if path.file_name().and_then(|name| name.to_str()).is_some_and(wanted) {
            found.push(path);
        }
    }
    found
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    files(directory, |name| name.ends_with(".parquet"))
}

/// A server on a directory of its own; what it has stored outlives it.
struct Node {
    directory: PathBuf,
    endpoint: String,
    settings: String,
}

impl Node {
    fn new(name: &str, endpoint: &str, settings: &str) -> Self {
        let directory = scratch_directory(name).unwrap();
        Stage::define(&directory, STREAM);
        Self {
            directory,
            endpoint: endpoint.to_owned(),
            settings: format!("reader: {{ calls_per_second: 1000, bytes_per_second: 1GB }}\n{settings}"),
        }
    }

    fn start(&self) -> Server {
        Server::start(&self.directory, &self.endpoint, &self.settings).unwrap()
    }

    fn stop(mut server: Server) {
        server.process.signal("TERM").unwrap();
        let status = server.process.wait(READY_TIMEOUT).unwrap();
        assert!(status.success(), "{status}\n{}", server.process.output());
    }
}

/// The stream holds the numbers below `count`, each once.
async fn assert_exactly(server: &Server, count: i64) {
    let mut client = Client::connect(server.flight, Mode::Single).await.unwrap();
    let sql = format!("select count(*), count(distinct id), sum(id) from {STREAM}");
    let sums = numbers(server, &mut client, &sql).await;
    assert_eq!(sums, [[count, count, count * (count - 1) / 2]]);
}

/// Records that the service gave out since the last question.
fn served(service: &EmbeddedKinesis) -> u64 {
    let counters = service.calls();
    let served = counters.get(Operation::GetRecords, Some(STREAM), None).records;
    counters.reset();
    served
}

/// Each time the server dies when files appear or are being written: enough records for several of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_while_it_writes_answers_the_same_afterwards() {
    const RECORDS: i64 = 9000;
    const BYTES: usize = 8000;
    let running = Backend::Embedded.start().unwrap();
    let service = running.embedded().unwrap();
    let client = kinesis::client(&running.endpoint);
    create(&client, STREAM, SHARDS).await;
    put_sized(&client, STREAM, 0..RECORDS, BYTES, |_| {}).await;
    let node = Node::new("stored", &running.endpoint, "");
    for kill in 0..4 {
        let server = node.start();
        let before = segments(&node.directory).len();
        let mut reading = JoinSet::new();
        reading.spawn({
            let address = server.flight;
            async move {
                let mut client = Client::connect(address, Mode::Single).await?;
                client.query(&format!("select count(*) from {STREAM}")).await
            }
        });
        let deadline = Instant::now() + Duration::from_secs(60);
        let struck = loop {
            let finished = reading.try_join_next().is_some();
            let writing = !files(&node.directory, |name| name.starts_with("tmp-")).is_empty();
            if (kill % 2 == 0 && writing) || segments(&node.directory).len() > before {
                break true;
            }
            if Instant::now() > deadline || (kill > 1 && finished) {
                // everything is stored by now
                break false;
            }
            // nothing signals what another process does to its files
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        assert!(struck || kill > 1, "nothing was written\n{}", server.process.output());
        server.process.signal("KILL").unwrap();
        drop(server);
        // the statement's connection is gone, or it was done before
        while reading.join_next().await.is_some() {}
    }
    assert!(!segments(&node.directory).is_empty());
    served(service);
    let server = node.start();
    assert_exactly(&server, RECORDS).await;
    let again = served(service);
    assert!(again < RECORDS as u64, "what was stored before a kill is not read again: {again}");
    assert!(files(&node.directory, |name| name.starts_with("tmp-")).is_empty());
    put_sized(&client, STREAM, RECORDS..RECORDS + 100, BYTES, |_| {}).await;
    assert_exactly(&server, RECORDS + 100).await;
    Node::stop(server);

    // after a graceful end nothing is read twice but the last record of each shard, which must be there
    served(service);
    let server = node.start();
    assert_exactly(&server, RECORDS + 100).await;
    assert_eq!(served(service), SHARDS as u64);
    // damage costs speed alone
    server.process.signal("KILL").unwrap();
    drop(server);
    for (number, path) in segments(&node.directory).iter().enumerate() {
        let mut bytes = std::fs::read(path).unwrap();
        let at = bytes.len() / (2 + number);
        bytes[at] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }
    let server = node.start();
    assert_exactly(&server, RECORDS + 100).await;
    assert!(served(service) >= RECORDS as u64);
    Node::stop(server);
}

async fn nodes_share(storage: StandIn) {
    const RECORDS: i64 = 4000;
    let running = Backend::Embedded.start().unwrap();
    let service = running.embedded().unwrap();
    let client = kinesis::client(&running.endpoint);
    create(&client, STREAM, SHARDS).await;
    put_sized(&client, STREAM, 0..RECORDS, 2000, |_| {}).await;
    let storage = storage.start_storage("segments").unwrap();
    let settings = format!(
        "segments: {{ store: \"s3://segments/of/all nodes\", store_endpoint: \"{}\" }}\n",
        storage.endpoint
    );
    let a = Node::new("node-a", &running.endpoint, &settings);
    let server = a.start();
    assert_exactly(&server, RECORDS).await;
    Node::stop(server);
    served(service);

    let b = Node::new("node-b", &running.endpoint, &settings);
    let server = b.start();
    assert_exactly(&server, RECORDS).await;
    assert_eq!(served(service), SHARDS as u64, "the last record of each shard, which must be there");
    let names = |node: &Node| {
        let mut names: Vec<_> = segments(&node.directory)
            .iter()
            .map(|path| path.file_name().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&a), names(&b));
    Node::stop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_segments_in_moto() {
    nodes_share(StandIn::Moto).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_segments_in_ministack() {
    nodes_share(StandIn::Ministack).await;
}
