//! Statements over two and three nodes in one process, each with readers of its own, that call each other over loopback.

mod failures;
mod rows;
mod trust;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use catalog::{DirectoryCatalog, KinesisOverrides};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion_distributed::Worker;
use futures::TryStreamExt;
use shard_reader::checkpoints::LocalCheckpoints;
use shard_reader::{MemorySource, ReaderConfig, Readers, ShardSource};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::channels::Channels;
use super::peers::Peers;
use super::spreading::Spreading;
use super::worker::worker;
use super::*;
use crate::cluster::serving;
use crate::cluster::trust::Trust;
use crate::cluster::{Members, Node};
use crate::engine::{Engine, EngineConfig, EngineError, Planned, Principal, Session, SessionId, SourceProvider, StatementRequest};

const TOKEN: &str = "a token of thirty-two characters";

fn credential(token: &str) -> Credential {
    Credential::new(http::header::AUTHORIZATION, Trust::of_token(token).credential())
}

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
    stop: CancellationToken,
    serving: JoinSet<()>,
}

struct Cluster {
    source: Arc<MemorySource>,
    members: Vec<Member>,
}

/// Serves a worker until `stop`, and gives its address.
fn serve(listener: TcpListener, worker: Worker, stop: CancellationToken, serving: &mut JoinSet<()>) {
    let trust = Arc::new(Trust::of_token(TOKEN));
    serving.spawn(async move {
        let served = serving::serve(listener, part::routes(worker), trust, None, stop, Duration::ZERO);
        served.await.expect("it serves");
    });
}

impl Cluster {
    async fn new(nodes: usize, source: Arc<MemorySource>) -> Self {
        let mut listeners = Vec::new();
        for _ in 0..nodes {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let urls: Vec<Node> = listeners
            .iter()
            .map(|listener| Node {
                url: Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap(),
            })
            .collect();
        let mut members = Vec::new();
        for (listener, node) in listeners.into_iter().zip(&urls) {
            let lone = Lone::new(&source);
            let channels = Channels::new(credential(TOKEN), None);
            let peers = Peers::new(Arc::new(Members::new(node.clone(), urls.clone())), Arc::clone(&channels));
            lone.engine.set_distribution(Spreading::new(Arc::clone(&peers)));
            let (stop, mut serving) = (CancellationToken::new(), JoinSet::new());
            serve(listener, worker(&lone.engine, channels), stop.clone(), &mut serving);
            members.push(Member {
                lone,
                node: node.clone(),
                peers,
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
        let source = Arc::new(MemorySource::new(shards));
        let ids = source.shard_ids();
        for n in 0..rows {
            let record = format!("{{\"n\":{n},\"word\":\"w{}\"}}", n % 5);
            source.put(&ids[n as usize % ids.len()], "key", record.as_bytes()).unwrap();
        }
        Self::new(nodes, source).await
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
