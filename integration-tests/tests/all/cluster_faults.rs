//! Nodes of a cluster that are killed, stopped, cut off and restarted while statements run on them, and those that are no nodes.

mod commits;
mod limits;
mod links;
mod restarts;
mod sessions;
mod slots;
mod starved;
mod trust;
mod versions;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use futures::TryStreamExt as _;
use integration_tests::backends::{Backend, Running};
use integration_tests::environment::scratch_directory;
use integration_tests::flight::{Client, Mode};
use integration_tests::kinesis;
use integration_tests::spread::{Cluster, Place};
use tonic::Code;

/// As many shards that the chance of a node without any is nil.
const SHARDS: i32 = 16;
const RECORDS: i64 = 4000;
const PACE: &str = "reader: { calls_per_second: 1000, bytes_per_second: 1GB }\n";

const GROUPED: &str = "select n % 10 as k, count(*) as c, sum(n) as s from many group by n % 10 order by k";
/// Sixteen million pairs: rows enough to be on the way for as long as a test needs.
const PAIRS: &str = "select a.n as a, b.n as b from many a join many b on a.one = b.one";
/// The same, counted after a comparison that no hash shortens: no row leaves before the end.
const COUNTED: &str = "select count(*) from many a join many b on a.n < b.n";

/// A stream of numbers, and a table of it.
struct Stream {
    kinesis: Running,
    directory: PathBuf,
}

impl Stream {
    async fn new(name: &str) -> Self {
        let kinesis = Backend::Embedded.start().unwrap();
        let client = kinesis::client(&kinesis.endpoint);
        client.create_stream().stream_name("many").shard_count(SHARDS).send().await.unwrap();
        let directory = scratch_directory(name).unwrap();
        define(&directory);
        let stream = Self { kinesis, directory };
        stream.put(0..RECORDS).await;
        stream
    }

    async fn put(&self, numbers: Range<i64>) {
        let client = kinesis::client(&self.kinesis.endpoint);
        let numbers: Vec<i64> = numbers.collect();
        for chunk in numbers.chunks(500) {
            let records = chunk.iter().map(|n| {
                PutRecordsRequestEntry::builder()
                    .partition_key(format!("key-{n}"))
                    .data(Blob::new(format!("{{\"n\":{n},\"one\":1}}")))
                    .build()
                    .unwrap()
            });
            let put = client.put_records().stream_name("many").set_records(Some(records.collect()));
            assert_eq!(put.send().await.unwrap().failed_record_count(), Some(0));
        }
    }
}

struct Nodes {
    cluster: Cluster,
    stream: Stream,
}

impl Nodes {
    async fn start(nodes: usize) -> Self {
        Self::placed(Place::here(nodes).unwrap()).await
    }

    /// All of these, which share the work.
    async fn placed(places: Vec<Place>) -> Self {
        let mut nodes = Self::planned(places).await;
        nodes.cluster.start_all(&nodes.stream.directory).unwrap();
        nodes.together().await;
        nodes
    }

    /// None is started yet.
    async fn planned(places: Vec<Place>) -> Self {
        let stream = Stream::new("cluster-faults").await;
        let cluster = Cluster::placed(places, &stream.kinesis.endpoint, PACE).unwrap();
        Self { cluster, stream }
    }

    /// Starts a node in the place of one that is gone.
    fn restart(&mut self, number: usize) {
        self.cluster.nodes[number] = self.cluster.start_node(number, &self.stream.directory).unwrap();
    }

    /// Until all nodes share the work.
    async fn together(&self) {
        self.cluster.wait_until_spread(0, GROUPED, self.cluster.nodes.len()).await.unwrap();
    }

    async fn client(&self) -> Client {
        self.client_of(0).await
    }

    async fn client_of(&self, asked: usize) -> Client {
        Client::connect(self.cluster.nodes[asked].flight, Mode::Single).await.unwrap()
    }

    /// The next statement is answered, and right.
    async fn answers(&self) {
        self.answers_at(0).await;
    }

    /// As [`Self::answers`], of this node.
    async fn answers_at(&self, asked: usize) {
        let answer = self.client_of(asked).await.query(GROUPED).await.unwrap();
        let mut rows = Vec::new();
        for batch in &answer.batches {
            let column = |at: usize| batch.column(at).as_primitive::<Int64Type>();
            rows.extend((0..batch.num_rows()).map(|row| (column(0).value(row), column(1).value(row), column(2).value(row))));
        }
        // of the numbers k, k + 10, ... below 4000 there are 400, and their sum is 400 k + 10 (0 + ... + 399)
        let expected: Vec<_> = (0..10).map(|k| (k, 400, 400 * k + 798_000)).collect();
        assert_eq!(rows, expected);
    }

    /// The first column, of texts, as a node answers.
    async fn texts(&self, asked: usize, sql: &str) -> Vec<String> {
        self.texts_of(asked, sql, 0).await
    }

    /// As [`Self::texts`], another column.
    async fn texts_of(&self, asked: usize, sql: &str, column: usize) -> Vec<String> {
        let answer = self.client_of(asked).await.query(sql).await.unwrap();
        let mut texts = Vec::new();
        for batch in &answer.batches {
            let column = arrow::compute::cast(batch.column(column), &DataType::Utf8).unwrap();
            texts.extend(column.as_string::<i32>().iter().flatten().map(str::to_owned));
        }
        texts
    }

    /// The nodes that answer, as a node sees them.
    async fn alive(&self, asked: usize) -> Vec<String> {
        self.texts(asked, "select node from kinesis.system.nodes where alive").await
    }

    /// What a statement whose rows are on their way ends with, and how long that took from `harm` on: the client gets what was on its way first.
    async fn broken_by(&self, harm: impl FnOnce()) -> (FlightError, Duration) {
        let mut rows = self.client().await.stream(PAIRS).await.unwrap();
        first_with_rows(&mut rows).await;
        let begun = Instant::now();
        harm();
        (error_of(rows).await, begun.elapsed())
    }
}

/// Of a statement that cannot end otherwise.
async fn error_of(mut rows: FlightRecordBatchStream) -> FlightError {
    loop {
        match rows.try_next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the statement ended as if nothing had happened"),
            Err(error) => return error,
        }
    }
}

fn define(directory: &Path) {
    let tables = directory.join("tables");
    std::fs::create_dir_all(&tables).unwrap();
    let table = "table: many\nstream: many\ncolumns:\n  - { name: n, path: n, type: bigint }\n  - { name: one, path: one, type: bigint }\n";
    std::fs::write(tables.join("many.yaml"), table).unwrap();
}

/// Batches without rows keep a silent stream alive.
async fn first_with_rows(rows: &mut FlightRecordBatchStream) -> RecordBatch {
    loop {
        let batch = rows.try_next().await.unwrap().unwrap();
        if batch.num_rows() > 0 {
            return batch;
        }
    }
}

/// Of [`COUNTED`].
async fn assert_counted(rows: &mut FlightRecordBatchStream) {
    let batch = first_with_rows(rows).await;
    // pairs of different numbers, each in one of its two orders
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(0), RECORDS * (RECORDS - 1) / 2);
}

/// From the fault to the client's error, as docs/cluster.md has it.
const PROMISED: Duration = Duration::from_secs(5);
/// What a machine that is busy with other tests may add.
const BUSY: Duration = Duration::from_secs(3);

fn assert_lost(error: &FlightError, took: Duration, address: &str) {
    let FlightError::Tonic(status) = error else { panic!("{error}") };
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().contains(address), "{status}");
    assert_in_time(took, status.message());
}

fn assert_in_time(took: Duration, what: &str) {
    println!("known after {took:?}: {what}");
    assert!(took < PROMISED + BUSY, "known after {took:?} only: {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_killed_while_rows_are_on_their_way() {
    let nodes = Nodes::start(2).await;
    let victim = &nodes.cluster.nodes[1].process;
    let (error, took) = nodes.broken_by(|| victim.signal("KILL").unwrap()).await;
    assert_lost(&error, took, &nodes.cluster.addresses[1]);
    nodes.answers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_stopped_while_rows_are_on_their_way_and_goes_on_later() {
    let nodes = Nodes::start(2).await;
    let victim = &nodes.cluster.nodes[1].process;
    let (error, took) = nodes.broken_by(|| victim.signal("STOP").unwrap()).await;
    assert_lost(&error, took, &nodes.cluster.addresses[1]);
    nodes.answers().await;
    victim.signal("CONT").unwrap();
    nodes.together().await;
    nodes.answers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_without_rows_yet_is_begun_again_without_the_lost_node() {
    let mut nodes = Nodes::start(3).await;
    let mut client = nodes.client().await;
    let mut rows = client.stream(COUNTED).await.unwrap();
    nodes.cluster.nodes[2].process.signal("KILL").unwrap();
    assert_counted(&mut rows).await;
    nodes.answers().await;
    nodes.restart(2);
    nodes.together().await;
    nodes.answers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_listener_of_nodes_hears_nobody_without_their_token() {
    let nodes = Nodes::start(2).await;
    let address = nodes.cluster.addresses[1].parse().unwrap();
    let mut client = Client::connect(address, Mode::Single).await.unwrap();
    let error = client.plan("select 1").await.unwrap_err();
    let refused = format!("{error:#}");
    assert!(refused.contains("401"), "{refused}");
}
