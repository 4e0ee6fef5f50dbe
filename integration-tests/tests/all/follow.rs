//! `FOLLOW SELECT` against the real program: rows as they come, over resharding and restarts, and every way in which it ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use aws_sdk_kinesis::primitives::Blob;
use futures::{StreamExt as _, TryStreamExt as _};
use integration_tests::backends::Backend;
use integration_tests::environment::scratch_directory;
use integration_tests::flight::{Client, Mode};
use integration_tests::server::{Demo, Server, run_script};
use integration_tests::{http, kinesis};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::Code;

use crate::faults::resharding::reshard;
use crate::faults::stage::{Stage, create, put};

/// Longer than a row may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
const RECORDS: i64 = 20_000;

/// Reads until so many numbers have come; each must come once.
async fn read(rows: &mut FlightRecordBatchStream, seen: &mut BTreeSet<i64>, count: usize) {
    while seen.len() < count {
        let next = timeout(PATIENCE, rows.try_next()).await;
        let batch = next
            .unwrap_or_else(|_| panic!("{} rows, not {count}", seen.len()))
            .unwrap()
            .unwrap();
        for id in batch.column(0).as_primitive::<Int64Type>().values() {
            assert!(seen.insert(*id), "{id} came twice");
        }
    }
}

async fn status(rows: &mut FlightRecordBatchStream) -> tonic::Status {
    loop {
        match timeout(PATIENCE, rows.next()).await.expect("it ends") {
            Some(Ok(_)) => {}
            Some(Err(FlightError::Tonic(status))) => return *status,
            other => panic!("{other:?}"),
        }
    }
}

/// Follows a stream that is written and resharded on a service, eight times; `records` are put in all.
async fn resharding_loses_and_doubles_nothing(backend: Backend, records: i64) {
    let running = backend.start().unwrap();
    let stage = Arc::new(Stage::new(
        &format!("follow-resharding-{backend:?}"),
        &running.endpoint,
        &running.endpoint,
        &["followed"],
    ));
    stage.create("followed", 2).await;
    put(&stage.kinesis, "followed", 0..500, |_| {}).await;
    let mut client = stage.client(Mode::Single).await;
    let mut rows = client.stream("follow select id from followed").await.unwrap();
    let mut seen = BTreeSet::new();
    read(&mut rows, &mut seen, 500).await;
    let writer = Arc::clone(&stage);
    let mut writing = JoinSet::new();
    writing.spawn(async move {
        for step in 0..8_i64 {
            let from = 500 + step * (records - 500) / 8;
            let to = 500 + (step + 1) * (records - 500) / 8;
            put(&writer.kinesis, "followed", from..to, |_| {}).await;
            reshard(&writer, "followed", step).await;
            kinesis::active(&writer.kinesis, "followed").await.unwrap();
        }
    });
    read(&mut rows, &mut seen, records as usize).await;
    writing.join_next().await.unwrap().unwrap();
    // into the newest shards
    put(&stage.kinesis, "followed", records..records + 200, |_| {}).await;
    read(&mut rows, &mut seen, records as usize + 200).await;
    assert_eq!(seen.last(), Some(&(records + 199)));
    let shards = stage.kinesis.list_shards().stream_name("followed").send().await.unwrap();
    assert!(shards.shards().len() > 10, "only {} shards came to be", shards.shards().len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resharding_on_the_embedded_service() {
    resharding_loses_and_doubles_nothing(Backend::Embedded, RECORDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resharding_on_roto() {
    resharding_loses_and_doubles_nothing(Backend::Roto, 4_500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resharding_on_kinesis_local() {
    resharding_loses_and_doubles_nothing(Backend::KinesisLocal, 2_500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_outlives_the_server_and_the_shards_it_names() {
    let running = Backend::Embedded.start().unwrap();
    let mut stage = Stage::new("follow-restart", &running.endpoint, &running.endpoint, &["restarted"]);
    stage.create("restarted", 2).await;
    put(&stage.kinesis, "restarted", 0..400, |_| {}).await;
    let mut client = stage.client(Mode::Single).await;
    let mut latest = client.plan("/*+ start='latest' */ follow select id from restarted").await.unwrap();
    let mut whole = client.plan("follow select id from restarted").await.unwrap();
    put(&stage.kinesis, "restarted", 400..600, |_| {}).await;
    for step in 0..3 {
        reshard(&stage, "restarted", step).await;
    }
    put(&stage.kinesis, "restarted", 600..900, |_| {}).await;
    stage.restart();
    let mut client = stage.client(Mode::Single).await;
    for (info, from) in [(&mut latest, 400), (&mut whole, 0)] {
        let ticket = info.endpoint.remove(0).ticket.unwrap();
        let mut rows = client.fetch(ticket).await.unwrap();
        let mut seen = BTreeSet::new();
        read(&mut rows, &mut seen, 900 - from as usize).await;
        assert_eq!((seen.first(), seen.last()), (Some(&from), Some(&899)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_the_same_name_is_another_stream() {
    let running = Backend::Embedded.start().unwrap();
    let stage = Stage::new("follow-recreate", &running.endpoint, &running.endpoint, &["again"]);
    stage.create("again", 2).await;
    put(&stage.kinesis, "again", 0..300, |_| {}).await;
    let mut client = stage.client(Mode::Single).await;
    let mut rows = client.stream("follow select id from again").await.unwrap();
    read(&mut rows, &mut BTreeSet::new(), 300).await;
    let old = client.plan("select id from again").await.unwrap();
    stage.kinesis.delete_stream().stream_name("again").send().await.unwrap();
    // its name is free once it is gone
    while stage.kinesis.describe_stream_summary().stream_name("again").send().await.is_ok() {
        tokio::task::yield_now().await;
    }
    stage.create("again", 2).await;
    put(&stage.kinesis, "again", 1000..1100, |_| {}).await;
    let mut new = stage.numbers(&mut client, "select id from again").await;
    new.sort();
    assert_eq!(new, (1000..1100).map(|id| vec![id]).collect::<Vec<_>>());
    let ended = status(&mut rows).await;
    // where it saw that there was no stream before it saw the new one
    assert!(
        ended.code() == Code::NotFound || (ended.code() == Code::FailedPrecondition && ended.message().contains("created again")),
        "{ended}"
    );
    let refused = format!("{:#}", client.read(old).await.unwrap_err());
    assert!(
        refused.contains("not in a state required") && refused.contains("created again"),
        "{refused}"
    );
}

fn pushed_events(server: &Server) -> u64 {
    let metrics = http::get(&server.http, "/metrics").unwrap();
    let line = metrics
        .lines()
        .find(|line| line.starts_with("shardflight_fan_out_events_total"))
        .unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_fan_out_what_is_new_is_pushed() {
    let running = Backend::Embedded.start().unwrap();
    let kinesis = kinesis::client(&running.endpoint);
    create(&kinesis, "pushed", 2).await;
    put(&kinesis, "pushed", 0..300, |_| {}).await;
    let directory = scratch_directory("follow-pushed").unwrap();
    Stage::define(&directory, "pushed");
    let settings = "reader: { fan_out: { consumer: tests, use: tip } }\n";
    let server = Server::start(&directory, &running.endpoint, settings).unwrap();
    let mut client = Client::connect(server.flight, Mode::Single).await.unwrap();
    let mut rows = client.stream("follow select id from pushed").await.unwrap();
    let mut seen = BTreeSet::new();
    read(&mut rows, &mut seen, 300).await;
    // the backlog is polled; then a record after another, until the first is pushed
    let (started, mut next) = (Instant::now(), 300);
    while pushed_events(&server) == 0 {
        assert!(started.elapsed() < PATIENCE, "nothing is pushed");
        put(&kinesis, "pushed", next..next + 1, |_| {}).await;
        next += 1;
        read(&mut rows, &mut seen, usize::try_from(next).unwrap()).await;
    }
    let before = pushed_events(&server);
    put(&kinesis, "pushed", next..next + 1000, |_| {}).await;
    read(&mut rows, &mut seen, usize::try_from(next + 1000).unwrap()).await;
    assert_eq!((seen.first(), seen.last()), (Some(&0), Some(&(next + 999))));
    assert!(pushed_events(&server) > before);
}

fn scans(demo: &Demo) -> u64 {
    let metrics = http::get(&demo.http, "/metrics").unwrap();
    let lines = metrics.lines().filter(|line| line.starts_with("shardflight_shard_scans{"));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

const HOSTS: &str = "/*+ start='latest' */ follow select bytes from nasahttp where host = 'follow.example'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_come_and_go_and_the_server_ends_what_is_left() {
    let mut demo = Demo::start(&["--shards", "2"]).unwrap();
    run_script("follow_client.py", &[&demo.flight, &demo.kinesis]).unwrap();
    let address = demo.flight.strip_prefix("grpc://").unwrap().parse().unwrap();
    let kinesis = kinesis::client(&demo.kinesis);
    let mut client = Client::connect(address, Mode::PerShard).await.unwrap();
    let mut rows = client.stream(HOSTS).await.unwrap();
    let mut times = Vec::new();
    for number in 0..200_i64 {
        let record = format!(r#"{{"host": "follow.example", "bytes": {number}}}"#);
        let key = format!("key-{number}");
        let put = kinesis
            .put_record()
            .stream_name("nasahttp")
            .partition_key(key)
            .data(Blob::new(record));
        put.send().await.unwrap();
        let acknowledged = Instant::now();
        let batch = timeout(PATIENCE, rows.try_next()).await.expect("a row").unwrap().unwrap();
        times.push(acknowledged.elapsed());
        assert_eq!(batch.column(0).as_primitive::<Int64Type>().values(), &[number]);
    }
    times.sort();
    println!(
        "acknowledged to received: p50 {:?}, p99 {:?}, most {:?}",
        times[100], times[197], times[199]
    );
    assert_eq!(scans(&demo), 2);
    drop((rows, client));
    let begin = Instant::now();
    while scans(&demo) > 0 {
        assert!(begin.elapsed() < PATIENCE, "scans of a client that is gone");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut client = Client::connect(address, Mode::Single).await.unwrap();
    let mut rows = client.stream(HOSTS).await.unwrap();
    demo.process.signal("TERM").unwrap();
    let ended = status(&mut rows).await;
    assert_eq!(ended.code(), Code::Unavailable, "{ended}");
    let exit = demo.process.wait(Duration::from_secs(10)).unwrap();
    assert_eq!(exit.code(), Some(0), "{}", demo.process.output());
}
