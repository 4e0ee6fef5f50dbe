//! The service over a real connection, spoken to in raw HTTP.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod connection;
mod events;
mod subscriptions;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ciborium::value::Value as Cbor;
use connection::Connection;
use embedded::{Clock, Cut, EmbeddedKinesis, Fault, FaultRule, Operation, Options};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const JSON: &str = "application/x-amz-json-1.1";
const CBOR: &str = "application/x-amz-cbor-1.1";
const SHARD: &str = "shardId-000000000000";

async fn start(clock: Clock) -> (tempfile::TempDir, EmbeddedKinesis, Connection) {
    let dir = tempfile::tempdir().unwrap();
    let mut options = Options::new(dir.path());
    options.clock = clock;
    let kinesis = EmbeddedKinesis::start(options).await.unwrap();
    let mut connection = Connection::open(&kinesis).await;
    connection.ok("CreateStream", json!({"StreamName": "s", "ShardCount": 1})).await;
    (dir, kinesis, connection)
}

async fn trim_horizon(connection: &mut Connection) -> Value {
    let request = json!({"StreamName": "s", "ShardId": SHARD, "ShardIteratorType": "TRIM_HORIZON"});
    connection.ok("GetShardIterator", request).await["ShardIterator"].clone()
}

#[tokio::test]
async fn json_put_and_get_with_headers_and_counts() {
    let (_dir, kinesis, mut connection) = start(Clock::manual(1_700_000_000_123)).await;
    let records = json!([{"Data": STANDARD.encode("one"), "PartitionKey": "k1"}, {"Data": "", "PartitionKey": "k2"}]);
    let put = connection.ok("PutRecords", json!({"StreamName": "s", "Records": records})).await;
    assert_eq!(
        (&put["FailedRecordCount"], &put["Records"][1]["ShardId"]),
        (&json!(0), &json!(SHARD))
    );
    let iterator = trim_horizon(&mut connection).await;
    let body = json!({"ShardIterator": iterator}).to_string().into_bytes();
    let (status, headers, body) = connection.send(JSON, "Kinesis_20131202.GetRecords", body).await.unwrap();
    assert_eq!((status, &headers["content-type"]), (StatusCode::OK, &JSON.parse().unwrap()));
    // date -u -d @1700000000
    assert_eq!(headers["date"], "Tue, 14 Nov 2023 22:13:20 GMT");
    assert!(headers.contains_key("x-amzn-requestid"));
    let page: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(page["Records"][0]["Data"], "b25l");
    assert_eq!(page["Records"][0]["ApproximateArrivalTimestamp"], 1_700_000_000.123);
    assert_eq!(page["Records"][1]["SequenceNumber"], put["Records"][1]["SequenceNumber"]);
    let served = kinesis.calls().get(Operation::GetRecords, Some("s"), Some(SHARD));
    assert_eq!((served.calls, served.errors, served.records, served.bytes), (1, 0, 2, 7));
    assert_eq!(kinesis.calls().get(Operation::PutRecords, Some("s"), None).records, 2);
    kinesis.shutdown().await.unwrap();
}

fn text(text: &str) -> Cbor {
    Cbor::Text(text.to_owned())
}

fn cbor(value: &Cbor) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

fn member<'a>(value: &'a Cbor, name: &str) -> &'a Cbor {
    let found = value.as_map().unwrap().iter().find(|(key, _)| key.as_text() == Some(name));
    &found.unwrap_or_else(|| panic!("no {name} in {value:?}")).1
}

#[tokio::test]
async fn cbor_put_and_get() {
    let (_dir, kinesis, mut connection) = start(Clock::manual(1_700_000_000_123)).await;
    let entry = Cbor::Map(vec![(text("Data"), Cbor::Bytes(vec![0, 255])), (text("PartitionKey"), text("k"))]);
    let request = Cbor::Map(vec![(text("StreamName"), text("s")), (text("Records"), Cbor::Array(vec![entry]))]);
    let (status, headers, _) = connection.send(CBOR, "Kinesis_20131202.PutRecords", cbor(&request)).await.unwrap();
    assert_eq!((status, &headers["content-type"]), (StatusCode::OK, &CBOR.parse().unwrap()));
    let since = Cbor::Tag(1, Box::new(Cbor::Integer(1_700_000_000_123_i64.into())));
    let request = Cbor::Map(vec![
        (text("StreamName"), text("s")),
        (text("ShardId"), text(SHARD)),
        (text("ShardIteratorType"), text("AT_TIMESTAMP")),
        (text("Timestamp"), since.clone()),
    ]);
    let (_, _, body) = connection
        .send(CBOR, "Kinesis_20131202.GetShardIterator", cbor(&request))
        .await
        .unwrap();
    let iterator = member(&ciborium::from_reader(&body[..]).unwrap(), "ShardIterator").clone();
    let request = Cbor::Map(vec![(text("ShardIterator"), iterator)]);
    let (_, _, body) = connection.send(CBOR, "Kinesis_20131202.GetRecords", cbor(&request)).await.unwrap();
    let page: Cbor = ciborium::from_reader(&body[..]).unwrap();
    let record = &member(&page, "Records").as_array().unwrap()[0];
    assert_eq!(member(record, "Data"), &Cbor::Bytes(vec![0, 255]));
    assert_eq!(member(record, "ApproximateArrivalTimestamp"), &since);
    let request = Cbor::Map(vec![(text("StreamName"), text("other"))]);
    let (status, _, body) = connection
        .send(CBOR, "Kinesis_20131202.DescribeStreamSummary", cbor(&request))
        .await
        .unwrap();
    let error: Cbor = ciborium::from_reader(&body[..]).unwrap();
    assert_eq!(
        (status, member(&error, "__type")),
        (StatusCode::BAD_REQUEST, &text("ResourceNotFoundException"))
    );
    let request = Cbor::Map(vec![(text("StreamName"), text("s"))]);
    let (_, _, body) = connection
        .send(CBOR, "Kinesis_20131202.DescribeStream", cbor(&request))
        .await
        .unwrap();
    let described: Cbor = ciborium::from_reader(&body[..]).unwrap();
    assert_eq!(member(member(&described, "StreamDescription"), "StreamCreationTimestamp"), &since);
    kinesis.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_is_not_answered_says_so() {
    let (_dir, _kinesis, mut connection) = start(Clock::system()).await;
    for (operation, error) in [
        ("StartStreamEncryption", "UnsupportedOperationException"),
        ("PutResourcePolicy", "UnsupportedOperationException"),
        ("NoSuchThing", "UnknownOperationException"),
    ] {
        let (status, value) = connection.json(operation, json!({})).await;
        assert_eq!((status, &value["__type"]), (StatusCode::BAD_REQUEST, &json!(error)));
    }
    let (status, _, body) = connection
        .send("text/plain", "Kinesis_20131202.ListStreams", Vec::new())
        .await
        .unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body:?}");
    let (_, _, body) = connection.send(JSON, "Kinesis_20131202.PutRecord", b"{".to_vec()).await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["__type"], "SerializationException");
    let (status, _, _) = connection
        .send(JSON, "Kinesis_20131202.PutRecord", vec![b' '; 19 << 20])
        .await
        .unwrap();
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn faults_meet_the_calls_they_are_meant_for() {
    let (_dir, kinesis, mut connection) = start(Clock::system()).await;
    let entry = json!({"Data": "eA==", "PartitionKey": "k"});
    let put = json!({"StreamName": "s", "Records": vec![entry; 6]});
    let partial = kinesis.faults().add(
        FaultRule::new(Operation::PutRecords, Fault::PartialPut { every: 3 })
            .stream("s")
            .times(1),
    );
    let answer = connection.ok("PutRecords", put.clone()).await;
    let failed: Vec<usize> = (0..6).filter(|at| !answer["Records"][at]["ErrorCode"].is_null()).collect();
    assert_eq!((failed, &answer["FailedRecordCount"]), (vec![0, 3], &json!(2)));
    assert_eq!(connection.ok("PutRecords", put).await["FailedRecordCount"], 0);
    assert_eq!(kinesis.faults().fired(partial), 1);

    let iterator = trim_horizon(&mut connection).await;
    let get = json!({"ShardIterator": iterator});
    let cases = [
        (Fault::Throttle, StatusCode::BAD_REQUEST, "ProvisionedThroughputExceededException"),
        (Fault::ExpireIterator, StatusCode::BAD_REQUEST, "ExpiredIteratorException"),
        (Fault::InternalFailure, StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure"),
    ];
    for (fault, status, code) in cases {
        kinesis
            .faults()
            .add(FaultRule::new(Operation::GetRecords, fault).shard(SHARD).times(1));
        let answer = connection.json("GetRecords", get.clone()).await;
        assert_eq!((answer.0, &answer.1["__type"]), (status, &json!(code)));
        assert_eq!(
            connection.ok("GetRecords", get.clone()).await["Records"].as_array().unwrap().len(),
            10
        );
    }
    kinesis
        .faults()
        .add(FaultRule::new(Operation::GetRecords, Fault::EmptyReply).times(1));
    let empty = connection.ok("GetRecords", get.clone()).await;
    assert_eq!(empty["Records"], json!([]));
    assert!(empty["MillisBehindLatest"].as_u64().unwrap() > 0);
    let next = json!({"ShardIterator": empty["NextShardIterator"]});
    assert_eq!(connection.ok("GetRecords", next).await["Records"].as_array().unwrap().len(), 10);

    kinesis
        .faults()
        .add(FaultRule::new(Operation::GetRecords, Fault::Delay(Duration::from_millis(60))).times(1));
    let before = std::time::Instant::now();
    connection.ok("GetRecords", get).await;
    assert!(before.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn connections_are_cut_where_the_fault_says() {
    let (_dir, kinesis, mut connection) = start(Clock::system()).await;
    let put = json!({"StreamName": "s", "Data": "eA==", "PartitionKey": "k"})
        .to_string()
        .into_bytes();
    let target = "Kinesis_20131202.PutRecord";
    for (cut, stored) in [(Cut::BeforeWork, 0), (Cut::BeforeResponse, 1), (Cut::MidResponse, 2)] {
        let id = kinesis
            .faults()
            .add(FaultRule::new(Operation::PutRecord, Fault::Reset(cut)).times(1));
        let error = connection.send(JSON, target, put.clone()).await.unwrap_err();
        assert!(
            error.is_incomplete_message() || error.is_body_write_aborted() || error.to_string().contains("body"),
            "{cut:?}: {error:?}"
        );
        assert_eq!(kinesis.faults().fired(id), 1);
        assert_eq!(
            kinesis.calls().get(Operation::PutRecord, Some("s"), None).records,
            stored,
            "{cut:?}"
        );
        connection = Connection::open(&kinesis).await;
    }
    assert!(connection.send(JSON, target, put).await.is_ok());
}

#[tokio::test]
async fn a_tailing_reader_sees_every_record_of_concurrent_writers_once() {
    const WRITERS: usize = 3;
    const BATCHES: usize = 40;
    let (_dir, kinesis, mut connection) = start(Clock::system()).await;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let mut connection = Connection::open(&kinesis).await;
        writers.spawn(async move {
            for batch in 0..BATCHES {
                let entry = |n: usize| json!({"Data": STANDARD.encode(format!("{writer}/{batch}/{n}")), "PartitionKey": n.to_string()});
                let records: Vec<Value> = (0..50).map(entry).collect();
                connection.ok("PutRecords", json!({"StreamName": "s", "Records": records})).await;
            }
        });
    }
    let mut iterator = trim_horizon(&mut connection).await;
    let mut seen = Vec::new();
    let mut sequences = Vec::new();
    loop {
        let written = writers.is_empty();
        let page = connection.ok("GetRecords", json!({"ShardIterator": iterator, "Limit": 70})).await;
        let records = page["Records"].as_array().unwrap();
        seen.extend(records.iter().map(|record| record["Data"].as_str().unwrap().to_owned()));
        sequences.extend(records.iter().map(|record| record["SequenceNumber"].as_str().unwrap().to_owned()));
        iterator = page["NextShardIterator"].clone();
        if written && records.is_empty() {
            break;
        }
        while let Some(ended) = writers.try_join_next() {
            ended.unwrap();
        }
    }
    assert!(sequences.is_sorted_by(|left, right| left < right));
    assert_eq!(seen.len(), WRITERS * BATCHES * 50);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), WRITERS * BATCHES * 50);
}

#[tokio::test]
async fn dropping_the_service_ends_its_connections() {
    let (_dir, kinesis, mut connection) = start(Clock::system()).await;
    let addr = kinesis.addr();
    drop(kinesis);
    assert!(connection.send(JSON, "Kinesis_20131202.ListStreams", b"{}".to_vec()).await.is_err());
    assert!(TcpStream::connect(addr).await.is_err());
}
