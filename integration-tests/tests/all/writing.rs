//! Writing into services that nobody here wrote: the writer itself, and the program with ADBC.

use std::collections::BTreeSet;
use std::sync::Arc;

use embedded::{Cut, Fault, FaultRule, Operation};
use integration_tests::backends::{Backend, Running};
use integration_tests::environment::scratch_directory;
use integration_tests::kinesis;
use integration_tests::server::{Server, run_script};
use shard_reader::{KinesisSource, OpenAt, OutgoingRecord, ShardSource, SourceErrorKind, Writer, WriterOptions};

async fn stream(running: &Running, shards: i32) -> Arc<dyn ShardSource> {
    let client = kinesis::client(&running.endpoint);
    client
        .create_stream()
        .stream_name("numbers")
        .shard_count(shards)
        .send()
        .await
        .unwrap();
    kinesis::active(&client, "numbers").await.unwrap();
    Arc::new(KinesisSource::with_client(client))
}

/// Data of all records, shard by shard.
async fn contents(source: &Arc<dyn ShardSource>) -> Vec<Vec<usize>> {
    let mut shards = Vec::new();
    for shard in source.list_shards("numbers").await.unwrap() {
        let mut cursor = source.open("numbers", &shard.id, OpenAt::TrimHorizon).await.unwrap();
        let mut found = Vec::new();
        loop {
            let page = source.read("numbers", &shard.id, &cursor, 10_000).await.unwrap();
            let number = |row| {
                std::str::from_utf8(page.records.data().value(row))
                    .unwrap()
                    .trim()
                    .parse::<usize>()
                    .unwrap()
            };
            found.extend((0..page.records.len()).map(number));
            match page.next {
                Some(next) if !page.records.is_empty() => cursor = next,
                _ => break,
            }
        }
        shards.push(found);
    }
    shards
}

async fn all_arrive_in_the_order_of_their_keys(backend: Backend, rows: usize, width: usize) {
    let running = backend.start().unwrap();
    let source = stream(&running, 4).await;
    let mut writer = Writer::new(&source, "numbers", WriterOptions::default()).unwrap();
    for number in 0..rows {
        let record = OutgoingRecord::new(format!("key-{}", number % 40), format!("{number:width$}"));
        writer.push(record).await.unwrap();
    }
    let totals = writer.finish().await.unwrap();
    assert_eq!(totals.acknowledged, rows as u64, "{backend:?}");
    let shards = contents(&source).await;
    let mut numbers: Vec<usize> = shards.iter().flatten().copied().collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..rows).collect::<Vec<_>>(), "{backend:?}");
    let mut keys = BTreeSet::new();
    for shard in shards {
        let own: BTreeSet<usize> = shard.iter().map(|number| number % 40).collect();
        for key in own {
            assert!(keys.insert(key), "key {key} is in one shard");
            if totals.retried == 0 {
                let of_key: Vec<usize> = shard.iter().copied().filter(|number| number % 40 == key).collect();
                assert!(of_key.is_sorted(), "{backend:?}: key {key}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_service_takes_all_records() {
    all_arrive_in_the_order_of_their_keys(Backend::Embedded, 5000, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_shards_take_all_records_in_time() {
    // 4 shards take 4,000 records a second: this is more than two seconds of them
    all_arrive_in_the_order_of_their_keys(Backend::EmbeddedLimited, 12_000, 1).await;
    all_arrive_in_the_order_of_their_keys(Backend::FerrokinesisLimited, 6000, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roto_and_ministack_take_all_records() {
    all_arrive_in_the_order_of_their_keys(Backend::Roto, 5000, 1).await;
    all_arrive_in_the_order_of_their_keys(Backend::Ministack, 5000, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_connections_lose_nothing_and_may_double() {
    let running = Backend::Embedded.start().unwrap();
    let source = stream(&running, 2).await;
    let faults = running.embedded().unwrap().faults();
    faults.add(FaultRule::new(Operation::PutRecords, Fault::Reset(Cut::BeforeWork)).times(2));
    faults.add(
        FaultRule::new(Operation::PutRecords, Fault::Reset(Cut::BeforeResponse))
            .after(2)
            .times(2),
    );
    faults.add(
        FaultRule::new(Operation::PutRecords, Fault::PartialPut { every: 3 })
            .after(4)
            .times(3),
    );
    let mut writer = Writer::new(&source, "numbers", WriterOptions::default()).unwrap();
    for number in 0..5000 {
        writer
            .push_unordered(OutgoingRecord::new(number.to_string(), number.to_string()))
            .await
            .unwrap();
    }
    let totals = writer.finish().await.unwrap();
    assert_eq!(totals.acknowledged, 5000);
    let numbers: Vec<usize> = contents(&source).await.concat();
    let different: BTreeSet<usize> = numbers.iter().copied().collect();
    assert_eq!(different, (0..5000).collect());
    // two calls were done, of at most 500 records each, and their replies lost
    assert!((5001..=6000).contains(&numbers.len()), "{}", numbers.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_goes_away_leaves_an_honest_count() {
    let running = Backend::Embedded.start().unwrap();
    let source = stream(&running, 1).await;
    running
        .embedded()
        .unwrap()
        .faults()
        .add(FaultRule::new(Operation::PutRecords, Fault::Reset(Cut::BeforeResponse)).after(3));
    let options = WriterOptions {
        concurrency: 1,
        patience: std::time::Duration::from_secs(2),
        ..WriterOptions::default()
    };
    let mut writer = Writer::new(&source, "numbers", options).unwrap();
    let mut pushed = Ok(());
    for number in 0..5000 {
        pushed = writer
            .push_unordered(OutgoingRecord::new(number.to_string(), number.to_string()))
            .await;
        if pushed.is_err() {
            break;
        }
    }
    let error = match pushed {
        Err(error) => error,
        Ok(()) => writer.finish().await.unwrap_err(),
    };
    assert_eq!(error.kind, SourceErrorKind::Unavailable);
    assert_eq!((error.totals.acknowledged, error.totals.uncertain), (1500, 500), "{error}");
    assert!(
        error
            .to_string()
            .contains("1500 records were acknowledged before, and 500 more may have been written"),
        "{error}"
    );
}

const TABLE: &str = "table: numbers
stream: numbers
columns:
  - { name: n, type: bigint }
  - { name: word, type: varchar }
  - { name: price, type: 'decimal(14,2)' }
  - { name: at, type: timestamp(s), format: '%d/%b/%Y:%H:%M:%S %z' }
";

async fn adbc_writes(backend: Backend) {
    let running = backend.start().unwrap();
    stream(&running, 4).await;
    let directory = scratch_directory(&format!("writing-{backend:?}")).unwrap();
    std::fs::create_dir_all(directory.join("tables")).unwrap();
    std::fs::write(directory.join("tables/numbers.yaml"), TABLE).unwrap();
    let server = Server::start(&directory, &running.endpoint, "allow: { streams: [\"*\"] }\n").unwrap();
    run_script("writing.py", &[&format!("grpc://{}", server.flight), &running.endpoint]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn adbc_writes_into_the_embedded_service() {
    adbc_writes(Backend::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn adbc_writes_into_roto() {
    adbc_writes(Backend::Roto).await;
}
