//! What several nodes take of a stream together, counted where they take it: at a service with the limits of AWS.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::backends::{Backend, Running};
use crate::environment::scratch_directory;
use crate::flight::{Client, Mode};
use crate::http;
use crate::kinesis;
use crate::spread::Cluster;
use anyhow::{Context as _, ensure};
use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use embedded::{CallCounts, Operation};

/// Shards of the stream.
pub const SHARDS: i32 = 32;
/// `reader.calls_per_second`, as it is by default.
const CALLS_PER_SECOND: f64 = 2.0;
/// How often calls are looked at.
const LOOK: Duration = Duration::from_millis(100);

const GROUPED: &str = "select n % 10 as k, count(*) as c, sum(n) as s from load group by n % 10 order by k";
/// Of a stream without records, whose plan shows which nodes have found each other.
const READY: &str = "select n % 10 as k, count(*) as c from ready group by n % 10";

/// A stream with so many records of so many bytes.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Records, a multiple of ten.
    pub records: i64,
    /// Bytes of each, but for some thirty.
    pub padding: usize,
}

/// A cluster over a stream that no node has read.
#[derive(Debug)]
pub struct Stage {
    kinesis: Running,
    /// Its nodes.
    pub cluster: Cluster,
    load: Load,
    /// Data and partition keys that were put.
    pub bytes: u64,
}

impl Stage {
    /// With so many nodes, which have found each other.
    pub async fn new(name: &str, nodes: usize, load: Load) -> anyhow::Result<Self> {
        let kinesis = Backend::EmbeddedLimited.start()?;
        let directory = scratch_directory(name)?;
        define(&directory)?;
        let client = kinesis::client(&kinesis.endpoint);
        for stream in ["load", "ready"] {
            client.create_stream().stream_name(stream).shard_count(SHARDS).send().await?;
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
                    entry.build()
                };
                let put = client.put_records().stream_name("load");
                let reply = put
                    .set_records(Some(chunk.iter().map(entry).collect::<Result<_, _>>()?))
                    .send()
                    .await?;
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
        let cluster = Cluster::start(nodes, &directory, &kinesis.endpoint, "")?;
        if nodes > 1 {
            for asked in 0..nodes {
                cluster.wait_until_spread(asked, READY, nodes).await?;
            }
        }
        Ok(Self {
            kinesis,
            cluster,
            load,
            bytes,
        })
    }

    /// The statement at a node, whose answer is right; and how long it took.
    pub async fn ask(&self, node: usize) -> anyhow::Result<Duration> {
        let mut client = Client::connect(self.cluster.nodes[node].flight, Mode::Single).await?;
        let started = Instant::now();
        let answer = client.query(GROUPED).await?;
        let took = started.elapsed();
        let mut rows = Vec::new();
        for batch in &answer.batches {
            let column = |at: usize| batch.column(at).as_primitive::<Int64Type>();
            rows.extend((0..batch.num_rows()).map(|row| (column(0).value(row), column(1).value(row), column(2).value(row))));
        }
        // of the numbers k, k + 10, ... below `records` there are a tenth, and their sum is that of an arithmetic series
        let each = self.load.records / 10;
        let expected: Vec<_> = (0..10).map(|k| (k, each, each * k + 10 * (each * (each - 1) / 2))).collect();
        ensure!(rows == expected, "node {node} answers {rows:?} instead of {expected:?}");
        Ok(took)
    }

    /// What the service counted of GetRecords for the stream, or for a shard of it.
    pub fn taken(&self, shard: Option<&str>) -> anyhow::Result<CallCounts> {
        let counters = self.kinesis.embedded().context("the service is not in this process")?.calls();
        Ok(counters.get(Operation::GetRecords, Some("load"), shard))
    }

    fn calls(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let of_shard = |shard: i32| {
            let id = format!("shardId-{shard:012}");
            let calls = self.taken(Some(&id))?.calls;
            Ok((id, calls))
        };
        (0..SHARDS).map(of_shard).collect()
    }

    /// What each node says it has read of each shard: calls and bytes.
    pub fn of_nodes(&self) -> anyhow::Result<Vec<OfShards>> {
        self.cluster
            .nodes
            .iter()
            .map(|node| of_node(&http::get(&node.http, "/metrics")?))
            .collect()
    }
}

fn define(directory: &Path) -> anyhow::Result<()> {
    let tables = directory.join("tables");
    std::fs::create_dir_all(&tables)?;
    for stream in ["load", "ready"] {
        let table = format!("table: {stream}\nstream: {stream}\ncolumns:\n  - {{ name: n, path: n, type: bigint }}\n");
        std::fs::write(tables.join(format!("{stream}.yaml")), table)?;
    }
    Ok(())
}

/// Calls and bytes by shard.
pub type OfShards = BTreeMap<String, (u64, u64)>;

/// `name{stream="load",shard="..."} value` of a scrape.
fn of_node(metrics: &str) -> anyhow::Result<OfShards> {
    let mut shards = OfShards::new();
    for line in metrics.lines().filter(|line| line.contains("stream=\"load\"")) {
        let Some((name, rest)) = line.split_once('{') else { continue };
        let Some((labels, value)) = rest.split_once("} ") else { continue };
        let shard = labels
            .split(',')
            .find_map(|label| label.strip_prefix("shard=\""))
            .context("a series of a stream without a shard")?
            .trim_end_matches('"');
        let known = shards.entry(shard.to_owned()).or_default();
        match name {
            "shardflight_shard_get_records_calls_total" => known.0 = value.parse()?,
            "shardflight_shard_bytes_total" => known.1 = value.parse()?,
            _ => {}
        }
    }
    Ok(shards)
}

/// Calls for each shard at moments.
#[derive(Debug, Default)]
pub struct Watched(Vec<(Instant, BTreeMap<String, u64>, Instant)>);

impl Watched {
    fn look(&mut self, stage: &Stage) -> anyhow::Result<()> {
        let before = Instant::now();
        let calls = stage.calls()?;
        self.0.push((before, calls, Instant::now()));
        Ok(())
    }

    /// Looks again and again while something runs.
    pub async fn during<T>(&mut self, stage: &Stage, running: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        tokio::pin!(running);
        self.look(stage)?;
        let done = loop {
            tokio::select! {
                done = &mut running => break done,
                () = tokio::time::sleep(LOOK) => self.look(stage)?,
            }
        };
        self.look(stage)?;
        done
    }

    /// Between any two moments, how many calls a shard had beyond what the budget gives in that time; and the most calls in a second or so. Shards that
    /// two nodes read are not looked at: each has its budget, at half the pace.
    pub fn most(&self, twice: &BTreeSet<&String>) -> (f64, u64) {
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
pub fn overlap(nodes: &[OfShards]) -> BTreeSet<&String> {
    let read = |node: &OfShards, shard: &String| node.get(shard).is_some_and(|(calls, _)| *calls > 0);
    let all = nodes.iter().flat_map(BTreeMap::keys);
    all.filter(|shard| nodes.iter().filter(|node| read(node, shard)).count() > 1)
        .collect()
}

/// A node that begins may make as many calls at once as its budget gives in a second; and it counts a call when it makes it, the service when it
/// answers, so that one that is on its way is in a time to which it does not belong.
pub const BURST: f64 = CALLS_PER_SECOND + 1.0;
