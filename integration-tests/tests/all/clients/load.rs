//! Two hundred clients at once, with statements of every kind: no error, bounded memory, and how long they wait.
//!
//! For 20 seconds, or as many as `SHARDFLIGHT_LOAD_SECONDS` says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use arrow_flight::FlightInfo;
use arrow_flight::sql::CommandGetTables;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt as _;
use integration_tests::backends::Backend;
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};

use super::endpoints::resident;
use crate::faults::stage::{Stage, put};

const CLIENTS: usize = 200;
const RECORDS: i64 = 8_000;
/// What the server may hold, and what it may gain in the second half of the time.
const MEMORY: u64 = 1 << 30;
const GROWTH: u64 = 128 << 20;

type Client = FlightSqlServiceClient<Channel>;
type Waits = BTreeMap<&'static str, Vec<Duration>>;

fn seconds() -> u64 {
    std::env::var("SHARDFLIGHT_LOAD_SECONDS").map_or(20, |text| text.parse().unwrap())
}

async fn connect(address: SocketAddr) -> Client {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut client = FlightSqlServiceClient::new(endpoint.connect().await.unwrap());
    client.set_header("x-shardflight-endpoints", "shard");
    client
}

async fn read(client: &mut Client, info: FlightInfo) -> anyhow::Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    for endpoint in info.endpoint {
        let stream = client.do_get(endpoint.ticket.unwrap()).await?;
        batches.extend(stream.try_collect::<Vec<_>>().await?);
    }
    Ok(batches)
}

async fn query(client: &mut Client, sql: &str) -> anyhow::Result<Vec<RecordBatch>> {
    let info = client.execute(sql.to_owned(), None).await?;
    read(client, info).await
}

fn row_count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

fn first(batches: &[RecordBatch]) -> i64 {
    let batch = batches.iter().find(|batch| batch.num_rows() > 0).unwrap();
    batch.column(0).as_primitive::<Int64Type>().value(0)
}

/// One statement of a kind, with its answer checked.
async fn work(client: &mut Client, kind: &str, number: usize) -> anyhow::Result<()> {
    match kind {
        "small" => {
            let batches = query(client, &format!("select id from load where id = {}", number as i64 % RECORDS)).await?;
            anyhow::ensure!(
                first(&batches) == number as i64 % RECORDS && row_count(&batches) == 1,
                "another row"
            );
        }
        "aggregate" => {
            let batches = query(client, "select sum(id), count(distinct note) from load").await?;
            anyhow::ensure!(first(&batches) == RECORDS * (RECORDS - 1) / 2, "another sum");
        }
        "scan" => {
            let batches = query(client, "select id, note, _shard_id from load").await?;
            anyhow::ensure!(row_count(&batches) == RECORDS as usize, "{} rows", row_count(&batches));
        }
        "metadata" => {
            let request = CommandGetTables {
                table_name_filter_pattern: Some("load".to_owned()),
                include_schema: true,
                ..CommandGetTables::default()
            };
            let info = client.get_tables(request).await?;
            anyhow::ensure!(row_count(&read(client, info).await?) == 1, "another number of tables");
        }
        "prepared" => {
            let mut statement = client
                .prepare("select count(*) from load where note like 'x%'".to_owned(), None)
                .await?;
            let info = statement.execute().await?;
            let batches = read(client, info).await?;
            anyhow::ensure!(first(&batches) == RECORDS, "another count");
            statement.close().await?;
        }
        "set" => {
            query(client, &format!("set kinesis.max_seconds = {}", 1000 + number)).await?;
            let shown = query(client, "show kinesis.max_seconds").await?;
            let text = arrow::util::pretty::pretty_format_batches(&shown)?.to_string();
            anyhow::ensure!(text.contains(&(1000 + number).to_string()), "another session's value: {text}");
        }
        _ => {
            // left after its first batch
            let info = client.execute("select id, note, _message from load".to_owned(), None).await?;
            let ticket = info.endpoint.into_iter().next().and_then(|endpoint| endpoint.ticket).unwrap();
            let mut stream = client.do_get(ticket).await?;
            stream.try_next().await?;
        }
    }
    Ok(())
}

const KINDS: [&str; 7] = ["small", "aggregate", "scan", "metadata", "prepared", "set", "cancelled"];

async fn one_client(address: SocketAddr, client_number: usize, until: Instant) -> Result<Waits, String> {
    let mut client = connect(address).await;
    let mut waits = Waits::new();
    let mut number = client_number;
    while Instant::now() < until {
        let kind = KINDS[number % KINDS.len()];
        let started = Instant::now();
        work(&mut client, kind, number)
            .await
            .map_err(|error| format!("client {client_number}, {kind}: {error:#}"))?;
        waits.entry(kind).or_default().push(started.elapsed());
        // another kind next, and another than the neighbour's
        number += 1 + client_number % 3;
    }
    Ok(waits)
}

fn at(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_clients_get_their_answers() {
    let running = Backend::Embedded.start().unwrap();
    let stage = Stage::new("load", &running.endpoint, &running.endpoint, &["load"]);
    stage.create("load", 4).await;
    put(&stage.kinesis, "load", 0..RECORDS, |_| {}).await;

    let time = Duration::from_secs(seconds());
    let started = Instant::now();
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(one_client(stage.server.flight, number, started + time));
    }
    let (mut waits, mut memory) = (Waits::new(), Vec::new());
    let mut sample = tokio::time::interval(Duration::from_millis(250));
    loop {
        tokio::select! {
            ended = clients.join_next() => match ended {
                Some(ended) => {
                    for (kind, more) in ended.unwrap().unwrap_or_else(|error| panic!("{error}\n{}", stage.server.process.output())) {
                        waits.entry(kind).or_default().extend(more);
                    }
                }
                None => break,
            },
            _ = sample.tick() => memory.push(resident(&stage.server.process)),
        }
    }
    let all: Vec<Duration> = waits.values().flatten().copied().collect();
    waits.insert("all", all);
    for (kind, waits) in &mut waits {
        waits.sort_unstable();
        println!(
            "{kind:10} {:6} statements, p50 {:8.1?} p95 {:8.1?} p99 {:8.1?} max {:8.1?}",
            waits.len(),
            at(waits, 50),
            at(waits, 95),
            at(waits, 99),
            waits[waits.len() - 1]
        );
    }
    assert_eq!(waits.len(), KINDS.len() + 1, "every kind was run");
    let (early, late) = memory.split_at(memory.len() / 2);
    let (early, late) = (early.iter().max().unwrap(), late.iter().max().unwrap());
    println!("memory: {} MiB in the first half, {} MiB in the second", early >> 20, late >> 20);
    assert!(*late < MEMORY, "{late} bytes");
    assert!(late.saturating_sub(*early) < GROWTH, "from {early} to {late} bytes");
}
