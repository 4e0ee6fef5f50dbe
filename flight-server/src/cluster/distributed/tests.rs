//! Statements over two and three nodes in one process, each with readers of its own, that call each other over loopback.

mod failures;
mod pinning;
mod rows;
mod slots;
mod trust;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use catalog::{DirectoryCatalog, KinesisOverrides};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use shard_reader::checkpoints::LocalCheckpoints;
use shard_reader::{MemorySource, ReaderConfig, Readers, ShardSource};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::channels::Channels;
use super::peers::Peers;
use super::worker::worker;
use super::*;
use crate::cluster::connections::Connections;
use crate::cluster::counters::ClusterCounters;
use crate::cluster::serving;
use crate::cluster::trust::Trust;
use crate::cluster::{Members, Node, Placement};
use crate::engine::{
    AdmissionLimits, Engine, EngineConfig, EngineError, Planned, Principal, Session, SessionId, SourceProvider, StatementRequest,
};

const TOKEN: &str = "a token of thirty-two characters";

fn credential(token: &str) -> Credential {
    Credential::new(http::header::AUTHORIZATION, Trust::of_token(token).credential())
}

/// What the memory source names the stream.
const ARN: &str = "arn:aws:kinesis:local:0:stream/s";

const TABLE: &str = "
table: t
stream: s
columns:
  - { name: n, path: n, type: bigint }
  - { name: word, path: word, type: varchar }
";

#[derive(Debug)]
struct InMemory(Arc<MemorySource>);

#[async_trait]
impl SourceProvider for InMemory {
    async fn source(&self, _: Option<&KinesisOverrides>) -> Result<(String, Arc<dyn ShardSource>), EngineError> {
        let source: Arc<dyn ShardSource> = Arc::<MemorySource>::clone(&self.0);
        Ok(("memory".into(), source))
    }
}

/// An engine over the stream, and where it keeps its files.
struct Lone {
    engine: Arc<Engine>,
    session: Arc<Session>,
    _directory: tempfile::TempDir,
}

impl Lone {
    fn new(source: &Arc<MemorySource>) -> Self {
        Self::with(source, AdmissionLimits::default())
    }

    fn with(source: &Arc<MemorySource>, admission: AdmissionLimits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("table.yaml"), TABLE).unwrap();
        let catalog = Arc::new(DirectoryCatalog::new(directory.path(), "default"));
        catalog.refresh();
        let readers = Readers::new(ReaderConfig {
            calls_per_second: None,
            bytes_per_second: None,
            background_poll: false,
            page_limit: 16,
            describe_age: Duration::ZERO,
            wall_clock: source.clock(),
            ..ReaderConfig::default()
        });
        let config = EngineConfig {
            spill_disk: 1 << 20,
            target_partitions: 2,
            admission,
            ..EngineConfig::new(directory.path().to_path_buf())
        };
        let store = Arc::new(LocalCheckpoints::open(directory.path().join("checkpoints.redb")));
        let engine = Engine::new(config, catalog, readers, Arc::new(InMemory(Arc::clone(source))), store).unwrap();
        Self {
            engine,
            session: Session::new(SessionId("test".into()), Principal::anonymous()),
            _directory: directory,
        }
    }

    /// Rows as text, in the order in which they came, and the final facts.
    async fn run(&self, sql: &str) -> Result<(Vec<String>, serde_json::Value), EngineError> {
        let request = StatementRequest::new(sql);
        let Planned::Query(query) = self.engine.plan(&self.session, request).await? else {
            panic!("{sql} is no query");
        };
        let [part] = <[_; 1]>::try_from(query.parts).expect("one part");
        let execution = self.engine.execute(part).await?;
        let facts = Arc::clone(&execution.facts);
        let batches: Vec<RecordBatch> = execution.batches.try_collect().await?;
        Ok((texts(&batches), facts.to_json()))
    }

    /// Rows as text, sorted.
    async fn rows(&self, sql: &str) -> Result<Vec<String>, EngineError> {
        let (mut rows, _) = self.run(sql).await?;
        rows.sort();
        Ok(rows)
    }
}

fn texts(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::new().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        rows.extend((0..batch.num_rows()).map(|row| {
            let cells: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
            cells.join("|")
        }));
    }
    rows
}

/// A node: an engine, its worker on a listener, and what it knows of the others.
struct Member {
    lone: Lone,
    node: Node,
    peers: Arc<Peers>,
    counters: Arc<ClusterCounters>,
    stop: CancellationToken,
    serving: JoinSet<()>,
}

fn others(own: &Node, nodes: &[Node]) -> Others {
    Others {
        members: Arc::new(Members::new(own.clone(), nodes.to_vec())),
        connections: Arc::new(Connections::new(Trust::of_token(TOKEN))),
        counters: Arc::default(),
        advertised: false,
    }
}

/// So many records `{n, word}` over so many shards.
fn stream(shards: usize, rows: i64) -> Arc<MemorySource> {
    let source = Arc::new(MemorySource::new(shards));
    let ids = source.shard_ids();
    for n in 0..rows {
        let record = format!("{{\"n\":{n},\"word\":\"w{}\"}}", n % 5);
        source.put(&ids[n as usize % ids.len()], "key", record.as_bytes()).unwrap();
    }
    source
}

/// Addresses of nodes each of which owns a shard, if there are as many: which addresses are free is chance, and so is what is theirs.
async fn places(nodes: usize, source: &MemorySource) -> (Vec<TcpListener>, Vec<Node>) {
    let shards = source.shard_ids();
    loop {
        let mut listeners = Vec::new();
        for _ in 0..nodes {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let address = |listener: &TcpListener| format!("http://{}/", listener.local_addr().unwrap());
        let urls: Vec<Node> = listeners
            .iter()
            .map(|listener| Node {
                url: Url::parse(&address(listener)).unwrap(),
            })
            .collect();
        let placement = Placement::new(urls[0].clone(), urls[1..].iter().cloned());
        let owners: BTreeSet<&Node> = shards.iter().map(|shard| placement.owner(ARN, shard)).collect();
        if owners.len() == nodes.min(shards.len()) {
            return (listeners, urls);
        }
    }
}

struct Cluster {
    source: Arc<MemorySource>,
    members: Vec<Member>,
}

/// Serves a worker until `stop`, and gives its address.
fn serve(listener: TcpListener, routes: axum::Router, stop: CancellationToken, serving: &mut JoinSet<()>) {
    let trust = Arc::new(Trust::of_token(TOKEN));
    serving.spawn(async move {
        let served = serving::serve(listener, routes, trust, None, stop, Duration::ZERO);
        served.await.expect("it serves");
    });
}

impl Cluster {
    async fn new(nodes: usize, source: Arc<MemorySource>) -> Self {
        Self::of(nodes, source, None, AdmissionLimits::default()).await
    }

    /// The second node answers what it is asked to pin by other routes than its own, if there are any.
    async fn of(nodes: usize, source: Arc<MemorySource>, mut pins: Option<axum::Router>, admission: AdmissionLimits) -> Self {
        let (listeners, urls) = places(nodes, &source).await;
        let mut members = Vec::new();
        for (listener, node) in listeners.into_iter().zip(&urls) {
            let lone = Lone::with(&source, admission);
            let others = others(node, &urls);
            let counters = Arc::clone(&others.counters);
            let part = Part::new(&lone.engine, others.clone(), credential(TOKEN), None);
            let routes = match pins.take_if(|_| members.len() == 1) {
                Some(pins) => part::routes(worker(&lone.engine, Channels::new(credential(TOKEN), None), &others))
                    .merge(pins)
                    .merge(super::slots::routes(Arc::clone(&lone.engine.workplace().slots))),
                None => part.routes(),
            };
            let (stop, mut serving) = (CancellationToken::new(), JoinSet::new());
            serve(listener, routes, stop.clone(), &mut serving);
            members.push(Member {
                lone,
                node: node.clone(),
                peers: Arc::clone(part.peers()),
                counters,
                stop,
                serving,
            });
        }
        for member in &members {
            member.peers.ask().await;
            assert_eq!(member.peers.placement().nodes().len(), nodes);
        }
        Self { source, members }
    }

    /// With `rows` records `{n, word}` over so many shards.
    async fn with_rows(nodes: usize, shards: usize, rows: i64) -> Self {
        Self::new(nodes, stream(shards, rows)).await
    }

    fn first(&self) -> &Lone {
        &self.members[0].lone
    }

    /// Which nodes have a reader of the stream that read a page of some shard.
    fn readers(&self) -> BTreeSet<usize> {
        let reads = |member: &Member| {
            let streams = member.lone.engine.readers().streams();
            streams.iter().any(|stream| stream.shards().iter().any(|shard| shard.records > 0))
        };
        (0..self.members.len()).filter(|index| reads(&self.members[*index])).collect()
    }
}
