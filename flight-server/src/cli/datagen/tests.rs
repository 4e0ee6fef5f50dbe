//! The whole way into a stream and back, against the embedded service with faults.

use std::num::NonZeroUsize;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::Credentials;
use embedded::{Cut, EmbeddedKinesis, Fault, FaultRule, Operation, Options};
use shard_reader::{SequenceNumber, SourceErrorKind, WriterOptions};

use super::super::args::RecordFormat;
use super::load::{LoadError, Observer, Totals};
use super::stream::StreamError;
use super::verify::{Acknowledged, Content, Digest, Verified, verify};
use super::*;

const STREAM: &str = "weblog";

struct Service {
    kinesis: EmbeddedKinesis,
    client: Client,
    _data: tempfile::TempDir,
}

async fn service(limits: bool) -> Service {
    let data = tempfile::tempdir().unwrap();
    let kinesis = EmbeddedKinesis::start(Options {
        limits,
        ..Options::new(data.path())
    })
    .await
    .unwrap();
    let settings = KinesisSettings {
        endpoint: Some(kinesis.endpoint()),
        region: Some("us-east-1".to_owned()),
        ..KinesisSettings::default()
    };
    let config = settings
        .client()
        .await
        .unwrap()
        .config()
        .to_builder()
        .credentials_provider(Credentials::new("k", "s", None, None, "test"));
    Service {
        kinesis,
        client: Client::from_conf(config.build()),
        _data: data,
    }
}

fn shards(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).unwrap()
}

/// Lines with distinct hosts and byte counts 0, 1, 2, ...
fn log(lines: usize) -> String {
    let line = |n| format!("host-{n}.example.com - - [01/Aug/1995:00:00:01 -0400] \"GET /{n} HTTP/1.0\" 200 {n}\n");
    (0..lines).map(line).collect()
}

#[derive(Debug, Default)]
struct Heard {
    unparsable: Vec<(u64, String)>,
    consumed: u64,
}

impl Observer for Heard {
    fn consumed(&mut self, bytes: u64) {
        self.consumed = bytes;
    }

    fn unparsable(&mut self, number: u64, line: &str) {
        self.unparsable.push((number, line.to_owned()));
    }
}

/// With delays that a test can wait for.
fn hasty(service: &Service) -> Destination {
    let mut destination = Destination::new(service.client.clone(), STREAM.to_owned(), true);
    destination.options = WriterOptions {
        first_delay: Duration::from_millis(1),
        patience: Duration::from_secs(5),
        ..destination.options
    };
    destination
}

async fn put(service: &Service, log: &str) -> (Result<(), LoadError>, Totals) {
    let destination = hasty(service);
    let options = LoadOptions {
        workers: NonZeroUsize::new(3).unwrap(),
        rate: None,
        shift: None,
        format: RecordFormat::Json,
    };
    let mut load = Load::new(Target::Put(destination), options);
    let mut ended = load.feed(log.as_bytes(), &mut Heard::default()).await;
    if ended.is_ok() {
        ended = load.finish().await;
    }
    (ended, load.into_totals().await)
}

#[tokio::test]
async fn every_record_is_acknowledged_once_though_entries_fail() {
    let service = service(false).await;
    prepare(&service.client, STREAM, Preparation::Create(shards(3))).await.unwrap();
    service
        .kinesis
        .faults()
        .add(FaultRule::new(Operation::PutRecords, Fault::PartialPut { every: 3 }).times(7));
    let (ended, totals) = put(&service, &log(1700)).await;
    ended.unwrap();
    assert_eq!((totals.produced, totals.acknowledged), (1700, 1700));
    assert!(
        totals.retried >= 167,
        "a third of 500 entries at least failed once: {}",
        totals.retried
    );
    let found = verify(&service.client, STREAM, totals.positions).await.unwrap();
    assert_eq!(
        found,
        Verified {
            verified: 1700,
            ..Verified::default()
        },
        "none lost, none doubled"
    );
}

#[tokio::test]
async fn calls_that_fail_as_a_whole_are_made_again() {
    let service = service(false).await;
    prepare(&service.client, STREAM, Preparation::Create(shards(1))).await.unwrap();
    service
        .kinesis
        .faults()
        .add(FaultRule::new(Operation::PutRecords, Fault::Reset(Cut::BeforeWork)).times(4));
    service
        .kinesis
        .faults()
        .add(FaultRule::new(Operation::PutRecords, Fault::Throttle).times(4));
    let (ended, totals) = put(&service, &log(10)).await;
    ended.unwrap();
    let found = verify(&service.client, STREAM, totals.positions).await.unwrap();
    assert_eq!(
        found,
        Verified {
            verified: 10,
            ..Verified::default()
        }
    );
}

#[tokio::test]
async fn what_never_gets_through_is_reported_with_its_reason() {
    let service = service(false).await;
    prepare(&service.client, STREAM, Preparation::Create(shards(1))).await.unwrap();
    service
        .kinesis
        .faults()
        .add(FaultRule::new(Operation::PutRecords, Fault::PartialPut { every: 1 }));
    let (ended, totals) = put(&service, &log(5)).await;
    let error = ended.unwrap_err().to_string();
    assert!(error.contains("ProvisionedThroughputExceededException"), "{error}");
    assert!(error.contains("0 records were acknowledged before"), "{error}");
    assert_eq!((totals.produced, totals.acknowledged), (5, 0));
}

#[tokio::test]
async fn a_shards_real_limits_slow_down_and_lose_nothing() {
    let service = service(true).await;
    prepare(&service.client, STREAM, Preparation::Create(shards(2))).await.unwrap();
    let destination = Destination::new(service.client.clone(), STREAM.to_owned(), true);
    let mut load = Load::new(
        Target::Put(destination),
        LoadOptions {
            workers: NonZeroUsize::new(4).unwrap(),
            rate: None,
            shift: None,
            format: RecordFormat::Json,
        },
    );
    load.feed(log(5000).as_bytes(), &mut Heard::default()).await.unwrap();
    load.finish().await.unwrap();
    let totals = load.into_totals().await;
    assert_eq!(totals.acknowledged, 5000);
    assert!(totals.retried > 0, "two shards take 2,000 records a second");
    let found = verify(&service.client, STREAM, totals.positions).await.unwrap();
    assert_eq!(found.verified, 5000);
}

#[tokio::test]
async fn verify_survives_faults_and_tells_missing_different_and_foreign_records() {
    let service = service(false).await;
    prepare(&service.client, STREAM, Preparation::Create(shards(1))).await.unwrap();
    let (_, ours) = put(&service, &log(30)).await;
    let (_, theirs) = put(&service, &log(4)).await;
    let (_, last) = put(&service, &log(1)).await;
    let mut positions = ours.positions;
    positions.extend(last.positions);
    let foreign = theirs.positions.len() as u64;
    let shard = positions[0].shard.clone();
    let max = positions.iter().map(|record| record.sequence).max().unwrap();
    positions[3].content = Content::Plain(Digest::of("host-3.example.com", b"something else"));
    let beyond: SequenceNumber = format!("{}9", max).parse().unwrap();
    positions.push(Acknowledged {
        shard,
        sequence: beyond,
        content: Content::Plain(Digest::of("k", b"v")),
    });
    service
        .kinesis
        .faults()
        .add(FaultRule::new(Operation::GetRecords, Fault::EmptyReply).times(2));
    service
        .kinesis
        .faults()
        .add(FaultRule::new(Operation::GetRecords, Fault::ExpireIterator).times(1));
    service
        .kinesis
        .faults()
        .add(FaultRule::new(Operation::GetRecords, Fault::Throttle).times(2));
    let found = verify(&service.client, STREAM, positions).await.unwrap();
    assert_eq!(
        found,
        Verified {
            verified: 30,
            different: 1,
            missing: 1,
            foreign
        }
    );
}

#[tokio::test]
async fn aggregates_are_put_and_verified_record_by_record() {
    for compression in [None, Some(PayloadCompression::Gzip), Some(PayloadCompression::Zstd)] {
        let service = service(false).await;
        prepare(&service.client, STREAM, Preparation::Create(shards(3))).await.unwrap();
        service
            .kinesis
            .faults()
            .add(FaultRule::new(Operation::PutRecords, Fault::PartialPut { every: 2 }).times(3));
        let destination = hasty(&service);
        let packer = packer(&destination).await.unwrap();
        let options = LoadOptions {
            workers: NonZeroUsize::new(2).unwrap(),
            rate: None,
            shift: None,
            format: RecordFormat::Json,
        };
        let mut load = Load::new(Target::Put(destination), options).packed(compression, Some(packer));
        load.feed(log(4000).as_bytes(), &mut Heard::default()).await.unwrap();
        load.finish().await.unwrap();
        let totals = load.into_totals().await;
        assert_eq!((totals.produced, totals.acknowledged), (4000, 4000));
        assert!(
            (9..60).contains(&totals.positions.len()),
            "{} records of the stream",
            totals.positions.len()
        );
        let mut positions = totals.positions;
        // one user record of an aggregate is another one
        let Content::Aggregate(users) = &mut positions[0].content else {
            panic!("not aggregated")
        };
        users[1] = Digest::of("k", b"v");
        let found = verify(&service.client, STREAM, positions).await.unwrap();
        assert_eq!(
            found,
            Verified {
                verified: 3999,
                different: 1,
                ..Verified::default()
            }
        );
    }
}

#[tokio::test]
async fn a_stream_is_made_kept_and_made_anew() {
    let service = service(false).await;
    let missing = prepare(&service.client, STREAM, Preparation::Existing).await.unwrap_err();
    assert!(
        matches!(missing, StreamError::Missing(_)) && missing.to_string().contains("--create"),
        "{missing}"
    );
    assert_eq!(
        prepare(&service.client, STREAM, Preparation::Create(shards(3))).await.unwrap(),
        Prepared::Created
    );
    put(&service, &log(20)).await.0.unwrap();
    assert_eq!(
        prepare(&service.client, STREAM, Preparation::Create(shards(5))).await.unwrap(),
        Prepared::Existed(3)
    );
    assert_eq!(
        prepare(&service.client, STREAM, Preparation::Existing).await.unwrap(),
        Prepared::Existed(3)
    );
    assert_eq!(
        prepare(&service.client, STREAM, Preparation::Recreate(shards(2))).await.unwrap(),
        Prepared::Created
    );
    assert_eq!(
        prepare(&service.client, STREAM, Preparation::Existing).await.unwrap(),
        Prepared::Existed(2)
    );
    let (_, totals) = put(&service, &log(5)).await;
    let found = verify(&service.client, STREAM, totals.positions).await.unwrap();
    assert_eq!(
        found,
        Verified {
            verified: 5,
            ..Verified::default()
        },
        "the first 20 are gone"
    );
}

#[tokio::test]
async fn a_stream_that_vanishes_ends_the_run() {
    let service = service(false).await;
    let (ended, totals) = put(&service, &log(5)).await;
    assert!(
        matches!(&ended, Err(LoadError::Put(error)) if error.kind == SourceErrorKind::NotFound),
        "{ended:?}"
    );
    assert_eq!((totals.produced, totals.acknowledged), (5, 0));
}

#[tokio::test]
async fn parsing_counts_and_shows_what_is_no_record() {
    let text = format!("{}\n   \nnonsense\n{}", log(2), "alyssa.p");
    let mut load = Load::new(
        Target::Parse,
        LoadOptions {
            workers: NonZeroUsize::MIN,
            rate: None,
            shift: None,
            format: RecordFormat::Json,
        },
    );
    let mut heard = Heard::default();
    load.feed(text.as_bytes(), &mut heard).await.unwrap();
    load.finish().await.unwrap();
    let totals = load.into_totals().await;
    assert_eq!((totals.lines, totals.produced, totals.blank, totals.unparsable), (6, 2, 2, 2));
    assert_eq!(heard.unparsable, [(5, "nonsense".to_owned()), (6, "alyssa.p".to_owned())]);
    assert_eq!((heard.consumed, totals.bytes), (text.len() as u64, text.len() as u64));
}

#[tokio::test]
async fn a_rate_is_kept() {
    let service = service(false).await;
    prepare(&service.client, STREAM, Preparation::Create(shards(1))).await.unwrap();
    let destination = Destination::new(service.client.clone(), STREAM.to_owned(), false);
    let mut load = Load::new(
        Target::Put(destination),
        LoadOptions {
            workers: NonZeroUsize::MIN,
            rate: Some(100.0),
            shift: None,
            format: RecordFormat::Json,
        },
    );
    let started = Instant::now();
    load.feed(log(101).as_bytes(), &mut Heard::default()).await.unwrap();
    load.finish().await.unwrap();
    let seconds = started.elapsed().as_secs_f64();
    assert!(
        (1.0..10.0).contains(&seconds),
        "the 101st of 100 records a second comes after a second: {seconds}"
    );
}

#[tokio::test]
async fn the_last_line_becomes_now_and_the_distances_stay() {
    let text = "h - - [01/Aug/1995:00:00:00 -0400] \"GET /\" 200 1\nh - - [01/Aug/1995:00:01:00 -0400] \"GET /\" 200 1\nalyssa.p";
    let shift = load::shift_to_now(text.as_bytes()).await.unwrap().unwrap();
    let last = chrono::DateTime::parse_from_rfc3339("1995-08-01T00:01:00-04:00").unwrap() + shift;
    let age = chrono::Utc::now().signed_duration_since(last);
    assert!(age.num_seconds().abs() < 60, "{age}");
    assert_eq!(load::shift_to_now(&b"nothing"[..]).await.unwrap(), None);
}
