//! What several nodes take of a stream together, counted where they take it: at a service with the limits of AWS.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use embedded::{CallCounts, Operation};
use integration_tests::backends::{Backend, Running};
use integration_tests::environment::scratch_directory;
use integration_tests::flight::{Client, Mode};
use integration_tests::http;
use integration_tests::kinesis;
use integration_tests::spread::Cluster;

const SHARDS: i32 = 32;
/// `reader.calls_per_second`, as it is by default.
const CALLS_PER_SECOND: f64 = 2.0;
/// How often calls are looked at.
const LOOK: Duration = Duration::from_millis(100);

const GROUPED: &str = "select n % 10 as k, count(*) as c, sum(n) as s from load group by n % 10 order by k";
/// Of a stream without records, whose plan shows which nodes have found each other.
const READY: &str = "select n % 10 as k, count(*) as c from ready group by n % 10";

/// A stream with so many records of so many bytes.
#[derive(Clone, Copy)]
struct Load {
    records: i64,
    padding: usize,
}

struct Stage {
    kinesis: Running,
    cluster: Cluster,
    load: Load,
    /// Data and partition keys that were put.
    bytes: u64,
}

impl Stage {
    async fn new(name: &str, nodes: usize, load: Load) -> Self {
        let kinesis = Backend::EmbeddedLimited.start().unwrap();
        let directory = scratch_directory(name).unwrap();
        define(&directory);
        let client = kinesis::client(&kinesis.endpoint);
        for stream in ["load", "ready"] {
            client.create_stream().stream_name(stream).shard_count(SHARDS).send().await.unwrap();
        }
        let mut bytes = 0;
        let padding = "x".repeat(load.padding);
        let mut waiting: Vec<(String, String)> = (0..load.records)
            .map(|n| (format!("key-{n}"), format!("{{\"n\":{n},\"padding\":\"{padding}\"}}")))
            .inspect(|(key, data)| bytes += (key.len() + data.len()) as u64)
            .collect();
        // what a shard does not take now, it takes later
        while !waiting.is_empty() {
            let mut refused = Vec::new();
            for chunk in waiting.chunks(300) {
                let entry = |(key, data): &(String, String)| {
                    let entry = PutRecordsRequestEntry::builder()
                        .partition_key(key)
                        .data(Blob::new(data.as_bytes()));
                    entry.build().unwrap()
                };
                let put = client.put_records().stream_name("load");
                let reply = put.set_records(Some(chunk.iter().map(entry).collect())).send().await.unwrap();
                let entries = chunk.iter().zip(reply.records());
                refused.extend(
                    entries
                        .filter(|(_, entry)| entry.error_code().is_some())
                        .map(|(record, _)| record.clone()),
                );
            }
            if refused.len() == waiting.len() {
                tokio::time::sleep(LOOK).await;
            }
            waiting = refused;
        }
        let cluster = Cluster::start(nodes, &directory, &kinesis.endpoint, "").unwrap();
        if nodes > 1 {
            for asked in 0..nodes {
                cluster.wait_until_spread(asked, READY, nodes).await.unwrap();
            }
        }
        Self {
            kinesis,
            cluster,
            load,
            bytes,
        }
    }

    /// The statement at a node, whose answer is right; and how long it took.
    async fn ask(&self, node: usize) -> Duration {
        let mut client = Client::connect(self.cluster.nodes[node].flight, Mode::Single).await.unwrap();
        let started = Instant::now();
        let answer = client.query(GROUPED).await.unwrap();
        let took = started.elapsed();
        let mut rows = Vec::new();
        for batch in &answer.batches {
            let column = |at: usize| batch.column(at).as_primitive::<Int64Type>();
            rows.extend((0..batch.num_rows()).map(|row| (column(0).value(row), column(1).value(row), column(2).value(row))));
        }
        // of the numbers k, k + 10, ... below `records` there are a tenth, and their sum is that of an arithmetic series
        let each = self.load.records / 10;
        let expected: Vec<_> = (0..10).map(|k| (k, each, each * k + 10 * (each * (each - 1) / 2))).collect();
        assert_eq!(rows, expected, "asked at node {node}");
        took
    }

    /// What the service counted of GetRecords for the stream, or for a shard of it.
    fn taken(&self, shard: Option<&str>) -> CallCounts {
        let counters = self.kinesis.embedded().unwrap().calls();
        counters.get(Operation::GetRecords, Some("load"), shard)
    }

    fn calls(&self) -> BTreeMap<String, u64> {
        let of_shard = |shard: i32| {
            let id = format!("shardId-{shard:012}");
            let calls = self.taken(Some(&id)).calls;
            (id, calls)
        };
        (0..SHARDS).map(of_shard).collect()
    }

    /// What each node says it has read of each shard: calls and bytes.
    fn of_nodes(&self) -> Vec<BTreeMap<String, (u64, u64)>> {
        self.cluster
            .nodes
            .iter()
            .map(|node| of_node(&http::get(&node.http, "/metrics").unwrap()))
            .collect()
    }
}

fn define(directory: &Path) {
    let tables = directory.join("tables");
    std::fs::create_dir_all(&tables).unwrap();
    for stream in ["load", "ready"] {
        let table = format!("table: {stream}\nstream: {stream}\ncolumns:\n  - {{ name: n, path: n, type: bigint }}\n");
        std::fs::write(tables.join(format!("{stream}.yaml")), table).unwrap();
    }
}

/// `name{stream="load",shard="..."} value` of a scrape.
fn of_node(metrics: &str) -> BTreeMap<String, (u64, u64)> {
    let mut shards: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for line in metrics.lines().filter(|line| line.contains("stream=\"load\"")) {
        let Some((name, rest)) = line.split_once('{') else { continue };
        let Some((labels, value)) = rest.split_once("} ") else { continue };
        let shard = labels
            .split(',')
            .find_map(|label| label.strip_prefix("shard=\""))
            .unwrap()
            .trim_end_matches('"');
        let known = shards.entry(shard.to_owned()).or_default();
        match name {
            "shardflight_shard_get_records_calls_total" => known.0 = value.parse().unwrap(),
            "shardflight_shard_bytes_total" => known.1 = value.parse().unwrap(),
            _ => {}
        }
    }
    shards
}

/// Calls for each shard at moments.
struct Watched(Vec<(Instant, BTreeMap<String, u64>, Instant)>);

impl Watched {
    fn look(&mut self, stage: &Stage) {
        let before = Instant::now();
        let calls = stage.calls();
        self.0.push((before, calls, Instant::now()));
    }

    /// Looks again and again while something runs.
    async fn during<T>(&mut self, stage: &Stage, running: impl Future<Output = T>) -> T {
        tokio::pin!(running);
        self.look(stage);
        let done = loop {
            tokio::select! {
                done = &mut running => break done,
                () = tokio::time::sleep(LOOK) => self.look(stage),
            }
        };
        self.look(stage);
        done
    }

    /// Between any two moments, how many calls a shard had beyond what the budget gives in that time; and the most calls in a second or so. Shards that
    /// two nodes read are not looked at: each has its budget, at half the pace.
    fn most(&self, twice: &BTreeSet<&String>) -> (f64, u64) {
        let (mut beyond, mut in_a_second) = (f64::MIN, 0);
        for (at, (begin, earlier, _)) in self.0.iter().enumerate() {
            for (_, later, end) in &self.0[at + 1..] {
                let time = end.duration_since(*begin).as_secs_f64();
                for (shard, calls) in later.iter().filter(|(shard, _)| !twice.contains(shard)) {
                    let more = calls - earlier[shard];
                    beyond = beyond.max(more as f64 - CALLS_PER_SECOND * time);
                    if time <= 1.0 {
                        in_a_second = in_a_second.max(more);
                    }
                }
            }
        }
        (beyond, in_a_second)
    }
}

/// Shards that more than one node has called for.
fn overlap(nodes: &[BTreeMap<String, (u64, u64)>]) -> BTreeSet<&String> {
    let read = |node: &'_ BTreeMap<String, (u64, u64)>, shard: &String| node.get(shard).is_some_and(|(calls, _)| *calls > 0);
    let all = nodes.iter().flat_map(BTreeMap::keys);
    all.filter(|shard| nodes.iter().filter(|node| read(node, shard)).count() > 1)
        .collect()
}

/// A node that begins may make as many calls at once as its budget gives in a second; and it counts a call when it makes it, the service when it
/// answers, so that one that is on its way is in a time to which it does not belong.
const BURST: f64 = CALLS_PER_SECOND + 1.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_nodes_take_of_a_stream_what_one_would() {
    let load = Load {
        records: 3_200,
        padding: 1_000,
    };
    let stage = Stage::new("cluster-scale", 4, load).await;
    let mut watched = Watched(Vec::new());
    // cold at the first, then at all of them, again and again and at the same time
    watched.during(&stage, stage.ask(0)).await;
    for _ in 0..3 {
        let all = futures::future::join_all((0..4).map(|node| stage.ask(node)));
        watched.during(&stage, all).await;
    }
    let taken = stage.taken(None);
    assert_eq!(taken.errors, 0, "nothing was refused");
    let (bytes, records) = (taken.bytes as f64 / stage.bytes as f64, taken.records as f64 / load.records as f64);
    assert!(
        (1.0..=1.1).contains(&bytes) && (1.0..=1.1).contains(&records),
        "{taken:?} of {} bytes",
        stage.bytes
    );
    let nodes = stage.of_nodes();
    // a node that did not answer for seconds, on a machine that is busy with other things, may have cost a second read
    let twice = overlap(&nodes);
    assert!(twice.len() <= SHARDS as usize / 10, "read by more than one node: {twice:?}");
    let (beyond, _) = watched.most(&twice);
    assert!(beyond <= BURST, "a shard had {beyond} calls beyond its budget");
    assert!(
        nodes.iter().all(|node| node.values().any(|(calls, _)| *calls > 0)),
        "each node has a part: {nodes:?}"
    );
    let sum: u64 = nodes.iter().flat_map(BTreeMap::values).map(|(_, bytes)| bytes).sum();
    assert_eq!(sum, taken.bytes);
    let metrics = http::get(&stage.cluster.nodes[0].http, "/metrics").unwrap();
    for line in ["shardflight_cluster_members 4", "shardflight_cluster_live 4"] {
        assert!(metrics.lines().any(|found| found == line), "no {line} in\n{metrics}");
    }
}

/// Nodes read at half their pace for a minute after they found each other.
const SETTLED: Duration = Duration::from_secs(65);

/// `cargo test --workspace --test all cluster::scale -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: it gives the table of docs/scale.md"]
async fn one_two_and_four_nodes() {
    let load = Load {
        records: 12_800,
        padding: 5_000,
    };
    let mut table = String::from(
        "| nodes | cold | again | calls of a node | MB of a node | read twice | bytes of the stream's | most calls/s of a shard |\n|---|---|---|---|---|---|---|---|\n",
    );
    for nodes in [1, 2, 4] {
        let stage = Stage::new(&format!("cluster-scale-{nodes}"), nodes, load).await;
        tokio::time::sleep(SETTLED).await;
        let mut watched = Watched(Vec::new());
        let cold = watched.during(&stage, stage.ask(0)).await;
        let mut again = Duration::ZERO;
        for round in 0..8 {
            again += watched.during(&stage, stage.ask(round % nodes)).await;
        }
        let taken = stage.taken(None);
        let of_nodes = stage.of_nodes();
        let sums = |of: fn(&(u64, u64)) -> u64| of_nodes.iter().map(|node| node.values().map(of).sum::<u64>()).collect::<Vec<_>>();
        let (calls, bytes) = (sums(|shard| shard.0), sums(|shard| shard.1));
        let range = |of: &[u64], unit: u64| {
            let (least, most) = (of.iter().min().unwrap() / unit, of.iter().max().unwrap() / unit);
            if least == most {
                most.to_string()
            } else {
                format!("{least}-{most}")
            }
        };
        let (beyond, in_a_second) = watched.most(&overlap(&of_nodes));
        assert!(beyond <= BURST && taken.errors == 0, "{beyond} {taken:?}");
        writeln!(
            table,
            "| {nodes} | {:.1} s | {:.2} s | {} | {} | {} | {:.3} | {in_a_second} |",
            cold.as_secs_f64(),
            again.as_secs_f64() / 8.0,
            range(&calls, 1),
            range(&bytes, 1_000_000),
            overlap(&of_nodes).len(),
            taken.bytes as f64 / stage.bytes as f64,
        )
        .unwrap();
    }
    println!("{table}");
}
