//! Subscriptions over a real connection.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ciborium::value::Value as Cbor;
use embedded::{Clock, Cut, EmbeddedKinesis, Fault, FaultRule, Operation, Options, SubscriptionEnd};
use http::{HeaderMap, Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::connection::Connection;
use crate::events::Events;
use crate::{CBOR, JSON, SHARD, cbor, member, text};

const START: i64 = 1_700_000_000_000;
const TARGET: &str = "Kinesis_20131202.SubscribeToShard";

fn data(event: &Value) -> Vec<String> {
    let records = event["Records"].as_array().unwrap();
    records
        .iter()
        .map(|record| String::from_utf8(STANDARD.decode(record["Data"].as_str().unwrap()).unwrap()).unwrap())
        .collect()
}

struct Fixture {
    kinesis: EmbeddedKinesis,
    clock: Clock,
    connection: Connection,
    consumer: Value,
    _dir: tempfile::TempDir,
}

async fn fixture_with(change: impl FnOnce(&mut Options)) -> Fixture {
    let clock = Clock::manual(START);
    let dir = tempfile::tempdir().unwrap();
    let mut options = Options::new(dir.path());
    options.clock = clock.clone();
    change(&mut options);
    let kinesis = EmbeddedKinesis::start(options).await.unwrap();
    let mut connection = Connection::open(&kinesis).await;
    connection.ok("CreateStream", json!({"StreamName": "s", "ShardCount": 1})).await;
    let summary = connection.ok("DescribeStreamSummary", json!({"StreamName": "s"})).await;
    let arn = &summary["StreamDescriptionSummary"]["StreamARN"];
    let registered = connection
        .ok("RegisterStreamConsumer", json!({"StreamARN": arn, "ConsumerName": "c"}))
        .await;
    clock.advance(Duration::from_secs(1));
    Fixture {
        kinesis,
        clock,
        connection,
        consumer: registered["Consumer"]["ConsumerARN"].clone(),
        _dir: dir,
    }
}

async fn fixture() -> Fixture {
    fixture_with(|_| {}).await
}

impl Fixture {
    async fn put(&mut self, data: &str) -> String {
        let request = json!({"StreamName": "s", "Data": STANDARD.encode(data), "PartitionKey": "k"});
        let put = self.connection.ok("PutRecord", request).await;
        put["SequenceNumber"].as_str().unwrap().to_owned()
    }

    fn request(&self, start: &Value) -> Value {
        json!({"ConsumerARN": self.consumer, "ShardId": SHARD, "StartingPosition": start})
    }

    async fn ask(&self, kind: &str, body: Vec<u8>) -> (StatusCode, HeaderMap, Events) {
        let mut connection = Connection::open(&self.kinesis).await;
        let request = Request::post("/")
            .header("host", "localhost")
            .header("content-type", kind)
            .header("x-amz-target", TARGET)
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let (head, body) = connection.sender.send_request(request).await.unwrap().into_parts();
        let events = Events::new(body, Some(connection));
        (head.status, head.headers, events)
    }

    /// Subscribes, and takes the initial response off.
    async fn subscribe(&self, start: impl Into<Value>) -> Events {
        let (status, headers, mut events) = self.ask(JSON, self.request(&start.into()).to_string().into_bytes()).await;
        assert_eq!(
            (status, headers["content-type"].to_str().unwrap()),
            (StatusCode::OK, "application/vnd.amazon.eventstream")
        );
        let initial = events.frame().await.unwrap();
        assert_eq!(
            (initial.header(":event-type"), initial.payload.as_slice()),
            ("initial-response", &b"{}"[..])
        );
        events
    }

    async fn refused(&self, start: impl Into<Value>) -> String {
        let (status, _, events) = self.ask(JSON, self.request(&start.into()).to_string().into_bytes()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        let body = events.body.collect().await.unwrap().to_bytes();
        let error: Value = serde_json::from_slice(&body).unwrap();
        error["__type"].as_str().unwrap().to_owned()
    }
}

fn horizon() -> Value {
    json!({"Type": "TRIM_HORIZON"})
}

fn after(sequence: &Value) -> Value {
    json!({"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": sequence})
}

#[tokio::test]
async fn records_are_pushed_as_they_come() {
    let mut f = fixture().await;
    let mut events = f.subscribe(json!({"Type": "LATEST"})).await;
    for number in 0..3 {
        let sequence = f.put(&number.to_string()).await;
        // the clock stands: nothing but the record itself can have brought the event
        let event = events.event().await;
        assert_eq!(data(&event), [number.to_string()]);
        assert_eq!(event["Records"][0]["SequenceNumber"], sequence);
        assert_eq!(event["Records"][0]["ApproximateArrivalTimestamp"], 1_700_000_001.0);
        assert_eq!(
            (&event["ContinuationSequenceNumber"], &event["MillisBehindLatest"]),
            (&json!(sequence), &json!(0))
        );
        assert!(event.get("ChildShards").is_none());
    }
    let counts = f.kinesis.calls().get(Operation::SubscribeToShard, Some("s"), Some(SHARD));
    assert_eq!((counts.calls, counts.records, counts.bytes), (1, 3, 6));
    drop(events);
    f.kinesis.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_subscription_starts_where_it_is_told() {
    let mut f = fixture().await;
    let mut sequences = Vec::new();
    for number in 0..4 {
        f.clock.set(START + 10_000 + 1_000 * number);
        sequences.push(f.put(&number.to_string()).await);
    }
    f.clock.set(START + 20_000);
    let at = json!({"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": sequences[2]});
    let time = json!({"Type": "AT_TIMESTAMP", "Timestamp": 1_700_000_011.0});
    for (start, first) in [(horizon(), 0), (at, 2), (after(&json!(sequences[2])), 3), (time, 1)] {
        f.clock.advance(Duration::from_secs(5));
        let event = f.subscribe(start.clone()).await.event().await;
        assert_eq!(
            data(&event),
            (first..4).map(|number| number.to_string()).collect::<Vec<_>>(),
            "{start}"
        );
    }
    f.clock.advance(Duration::from_secs(5));
    for (start, error) in [
        (json!({"Type": "AFTER_SEQUENCE_NUMBER"}), "InvalidArgumentException"),
        (json!({"Type": "AT_TIMESTAMP"}), "InvalidArgumentException"),
        (after(&json!("12")), "InvalidArgumentException"),
        (json!({"Type": "SOMEWHERE"}), "ValidationException"),
    ] {
        assert_eq!(f.refused(start).await, error);
    }
}

#[tokio::test]
async fn an_idle_subscription_beats_advances_and_ends() {
    let mut f = fixture().await;
    let last = f.put("old").await;
    let mut events = f.subscribe(after(&json!(last))).await;
    let mut continuation = last;
    for _ in 0..59 {
        f.clock.advance(Duration::from_secs(5));
        let event = events.event().await;
        assert_eq!((&event["Records"], &event["MillisBehindLatest"]), (&json!([]), &json!(0)));
        let next = event["ContinuationSequenceNumber"].as_str().unwrap().to_owned();
        assert!(next > continuation, "{next} does not follow {continuation}");
        continuation = next;
    }
    f.clock.advance(Duration::from_secs(5));
    assert!(events.frame().await.is_none(), "it ends after five minutes");
    // What comes later, in the same millisecond too, lies above the continuation.
    let new = f.put("new").await;
    assert!(new > continuation);
    let event = f.subscribe(after(&json!(continuation))).await.event().await;
    assert_eq!(data(&event), ["new"]);
}

#[tokio::test]
async fn consumer_and_shard_have_one_subscription() {
    let mut f = fixture_with(|options| options.heartbeat = Duration::from_secs(60)).await;
    let mut first = f.subscribe(horizon()).await;
    f.clock.advance(Duration::from_millis(4_999));
    assert_eq!(f.refused(horizon()).await, "ResourceInUseException");
    f.clock.advance(Duration::from_millis(1));
    let mut second = f.subscribe(horizon()).await;
    assert_eq!(first.error().await.0, "ResourceInUseException");
    f.put("x").await;
    assert_eq!(data(&second.event().await), ["x"]);
    let arn = f.consumer.as_str().unwrap().rsplit_once(':').unwrap().0.to_owned();
    let other = json!({"ConsumerARN": format!("{arn}:1"), "ShardId": SHARD, "StartingPosition": horizon()});
    let (status, ..) = f.ask(JSON, other.to_string().into_bytes()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    f.connection
        .ok("DeregisterStreamConsumer", json!({"ConsumerARN": f.consumer}))
        .await;
    assert_eq!(second.error().await.0, "ResourceNotFoundException");
}

#[tokio::test]
async fn a_consumer_that_is_being_created_is_not_served_yet() {
    let f = fixture_with(|options| options.consumer_creating = Duration::from_secs(3)).await;
    assert_eq!(f.refused(horizon()).await, "ResourceInUseException");
    f.clock.advance(Duration::from_secs(2));
    f.subscribe(horizon()).await;
}

#[tokio::test]
async fn the_end_of_a_shard_is_told_once_with_its_children() {
    let mut f = fixture().await;
    f.put("a").await;
    let mut events = f.subscribe(horizon()).await;
    assert_eq!(data(&events.event().await), ["a"]);
    let split = json!({"StreamName": "s", "ShardToSplit": SHARD, "NewStartingHashKey": (1_u128 << 127).to_string()});
    f.connection.ok("SplitShard", split).await;
    let event = events.event().await;
    assert_eq!(event["Records"], json!([]));
    assert!(event.get("ContinuationSequenceNumber").is_none(), "{event}");
    let children: Vec<&str> = event["ChildShards"]
        .as_array()
        .unwrap()
        .iter()
        .map(|child| child["ShardId"].as_str().unwrap())
        .collect();
    assert_eq!(children, ["shardId-000000000001", "shardId-000000000002"]);
    assert!(events.frame().await.is_none());
    // A closed shard read from its start: records and end in one.
    f.clock.advance(Duration::from_secs(5));
    let event = f.subscribe(horizon()).await.event().await;
    assert_eq!((data(&event).len(), event["ChildShards"].as_array().unwrap().len()), (1, 2));
}

#[tokio::test]
async fn events_are_bounded_and_wait_for_a_slow_reader() {
    let mut f = fixture().await;
    let large = "x".repeat(600_000);
    let mut events = f.subscribe(horizon()).await;
    for number in 0..20 {
        f.clock.advance(Duration::from_millis(1));
        f.put(&format!("{number}{large}")).await;
    }
    let mut seen = 0;
    while seen < 20 {
        let event = events.event().await;
        let records = data(&event);
        // two records of 600 kB are more than 1 MiB
        assert_eq!(records.len(), 1);
        assert_eq!(records[0], format!("{seen}{large}"));
        seen += 1;
        if seen < 5 {
            assert!(event["MillisBehindLatest"].as_u64() <= Some(20));
        }
    }
    let many: Vec<Value> = (0..500)
        .map(|_| json!({"Data": STANDARD.encode("y".repeat(5_000)), "PartitionKey": "k"}))
        .collect();
    f.connection.ok("PutRecords", json!({"StreamName": "s", "Records": many})).await;
    // 5,001 bytes with the key: 209 of them are below 1 MiB = 1,048,576, 210 above
    let counts = [events.event().await, events.event().await, events.event().await].map(|event| data(&event).len());
    assert_eq!(counts, [209, 209, 82]);
}

#[tokio::test]
async fn with_limits_a_subscription_gives_two_mebibytes_a_second_beside_those_of_polling() {
    let mut f = fixture_with(|options| options.limits = true).await;
    for number in 0..6 {
        // 1 MiB/s goes in
        f.clock.advance(Duration::from_secs(1));
        f.put(&format!("{number}{}", "x".repeat(1_000_000))).await;
    }
    let iterator = crate::trim_horizon(&mut f.connection).await;
    let page = f.connection.ok("GetRecords", json!({"ShardIterator": iterator})).await;
    assert_eq!(page["Records"].as_array().unwrap().len(), 6);
    let mut events = f.subscribe(horizon()).await;
    // Three megabytes in the first second (2 MiB and what goes into debt), then one for each half second.
    for _ in 0..3 {
        assert_eq!(data(&events.event().await).len(), 1);
    }
    assert!(tokio::time::timeout(Duration::from_millis(50), events.body.frame()).await.is_err());
    f.clock.advance(Duration::from_secs(2));
    for _ in 3..6 {
        assert_eq!(data(&events.event().await).len(), 1);
    }
    assert_eq!(f.refused(horizon()).await, "ResourceInUseException");
    assert_eq!(f.refused(horizon()).await, "LimitExceededException");
}

#[tokio::test]
async fn cbor_events_are_framed_alike() {
    let mut f = fixture().await;
    let sequence = f.put("\u{1}").await;
    let start = Cbor::Map(vec![
        (text("Type"), text("AT_SEQUENCE_NUMBER")),
        (text("SequenceNumber"), text(&sequence)),
    ]);
    let request = Cbor::Map(vec![
        (text("ConsumerARN"), text(f.consumer.as_str().unwrap())),
        (text("ShardId"), text(SHARD)),
        (text("StartingPosition"), start),
    ]);
    let (status, _, mut events) = f.ask(CBOR, cbor(&request)).await;
    assert_eq!(status, StatusCode::OK);
    let initial = events.frame().await.unwrap();
    assert_eq!(
        (initial.header(":event-type"), initial.header(":content-type")),
        ("initial-response", CBOR)
    );
    let frame = events.frame().await.unwrap();
    assert_eq!(frame.header(":content-type"), CBOR);
    let event: Cbor = ciborium::from_reader(&frame.payload[..]).unwrap();
    let record = &member(&event, "Records").as_array().unwrap()[0];
    assert_eq!(member(record, "Data"), &Cbor::Bytes(vec![1]));
    assert_eq!(member(&event, "ContinuationSequenceNumber"), &text(&sequence));
    assert_eq!(member(&event, "MillisBehindLatest"), &Cbor::Integer(0.into()));
    f.connection
        .ok("DeleteStream", json!({"StreamName": "s", "EnforceConsumerDeletion": true}))
        .await;
    let frame = events.frame().await.unwrap();
    assert_eq!(frame.header(":exception-type"), "ResourceNotFoundException");
    let error: Cbor = ciborium::from_reader(&frame.payload[..]).unwrap();
    assert_eq!(member(&error, "__type"), &text("ResourceNotFoundException"));
}

#[tokio::test]
async fn http_2_carries_subscriptions_and_calls_on_one_connection() {
    let f = fixture().await;
    let stream = TcpStream::connect(f.kinesis.addr()).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(async move { drop(connection.await) });
    let request = |target: &str, body: Value| {
        Request::post(format!("http://{}/", f.kinesis.addr()))
            .version(Version::HTTP_2)
            .header("content-type", JSON)
            .header("x-amz-target", target)
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap()
    };
    let answer = sender.send_request(request(TARGET, f.request(&horizon()))).await.unwrap();
    assert_eq!((answer.status(), answer.version()), (StatusCode::OK, Version::HTTP_2));
    let mut events = Events::new(answer.into_body(), None);
    assert_eq!(events.frame().await.unwrap().header(":event-type"), "initial-response");
    for number in 0..3 {
        let record = json!({"StreamName": "s", "Data": STANDARD.encode(number.to_string()), "PartitionKey": "k"});
        let put = sender.send_request(request("Kinesis_20131202.PutRecord", record)).await.unwrap();
        assert_eq!(put.status(), StatusCode::OK);
        assert_eq!(data(&events.event().await), [number.to_string()]);
    }
    drop((events, sender));
    f.kinesis.shutdown().await.unwrap();
}

#[tokio::test]
async fn faults_refuse_cut_and_end_subscriptions() {
    let mut f = fixture().await;
    for number in 0..2 {
        f.put(&number.to_string()).await;
    }
    let faults = f.kinesis.faults().clone();
    let next = |fault: Fault| {
        faults.clear();
        faults.add(FaultRule::new(Operation::SubscribeToShard, fault).shard(SHARD).times(1));
        f.clock.advance(Duration::from_secs(5));
    };
    next(Fault::ResourceInUse);
    assert_eq!(f.refused(horizon()).await, "ResourceInUseException");
    next(Fault::LimitExceeded);
    assert_eq!(f.refused(horizon()).await, "LimitExceededException");
    let end = |after, how| Fault::EndSubscription { after, how };
    next(end(1, SubscriptionEnd::InternalFailure));
    let mut events = f.subscribe(horizon()).await;
    events.event().await;
    let (name, error) = events.error().await;
    assert_eq!((name.as_str(), &error["__type"]), ("InternalFailureException", &json!(name)));
    next(end(1, SubscriptionEnd::Close));
    let mut events = f.subscribe(horizon()).await;
    events.event().await;
    assert!(events.frame().await.is_none());
    for cut in [end(0, SubscriptionEnd::Cut), Fault::Reset(Cut::MidResponse)] {
        next(cut);
        let mut events = f.subscribe(horizon()).await;
        assert!(events.try_frame().await.is_err());
        assert!(!events.buffer.is_empty(), "cut in the middle of an event");
    }
    faults.clear();
    f.clock.advance(Duration::from_secs(5));
    let mut events = f.subscribe(horizon()).await;
    events.event().await;
    assert_eq!(f.kinesis.end_subscriptions(SubscriptionEnd::Cut), 1);
    assert!(events.try_frame().await.is_err());
}

#[tokio::test]
async fn a_stop_does_not_wait_for_subscriptions() {
    let f = fixture().await;
    let mut events = f.subscribe(horizon()).await;
    f.kinesis.shutdown().await.unwrap();
    assert!(events.frame().await.is_none());
}
