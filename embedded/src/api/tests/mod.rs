//! Operations without HTTP, by a clock that stands.
#![expect(clippy::needless_pass_by_value, reason = "requests are written where they are sent")]

mod consumers;
mod streams;

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::stream::hash_of_key;

const START: i64 = 1_700_000_000_000;
const HOUR: Duration = Duration::from_secs(3_600);
const SHARD: &str = "shardId-000000000000";

struct Fixture {
    kinesis: Arc<Kinesis>,
    clock: Clock,
    dir: tempfile::TempDir,
}

fn fixture_with(change: impl FnOnce(&mut Options)) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(START);
    let mut options = Options::new(dir.path());
    options.clock = clock.clone();
    change(&mut options);
    Fixture {
        kinesis: Arc::new(Kinesis::open(&options).unwrap()),
        clock,
        dir,
    }
}

fn fixture(shards: u32) -> Fixture {
    let fixture = fixture_with(|_| {});
    fixture.call(Operation::CreateStream, json!({"StreamName": "s", "ShardCount": shards}));
    fixture
}

impl Fixture {
    fn bent(&self, operation: Operation, bend: Bend, request: &Value) -> Result<Value, ApiError> {
        let call = Call {
            operation,
            protocol: Protocol::Json,
            bend,
        };
        let request = Request::decode(operation, Protocol::Json, request.to_string().as_bytes())
            .map_err(|message| ApiError::new(ErrorCode::Serialization, message))?;
        let Answer::Whole(body) = self.kinesis.run(&call, request)? else {
            panic!("{operation} gives events");
        };
        Ok(if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body).unwrap()
        })
    }

    fn call(&self, operation: Operation, request: Value) -> Value {
        self.bent(operation, Bend::default(), &request)
            .unwrap_or_else(|error| panic!("{operation} {request}: {error:?}"))
    }

    fn error(&self, operation: Operation, request: Value) -> ErrorCode {
        self.bent(operation, Bend::default(), &request).expect_err("an error").code
    }

    fn put(&self, key: &str, hash: u128) -> Value {
        let request = json!({"StreamName": "s", "Data": "eA==", "PartitionKey": key, "ExplicitHashKey": hash.to_string()});
        self.call(Operation::PutRecord, request)
    }

    fn iterator(&self, shard: &str, kind: &str, more: Value) -> Value {
        let mut request = json!({"StreamName": "s", "ShardId": shard, "ShardIteratorType": kind});
        request
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().cloned().unwrap_or_default());
        self.call(Operation::GetShardIterator, request)["ShardIterator"].clone()
    }

    fn get(&self, iterator: &Value, limit: u32) -> Value {
        self.call(Operation::GetRecords, json!({"ShardIterator": iterator, "Limit": limit}))
    }

    fn keys(&self, iterator: &Value) -> Vec<String> {
        let page = self.get(iterator, 10_000);
        page["Records"]
            .as_array()
            .unwrap()
            .iter()
            .map(|record| record["PartitionKey"].as_str().unwrap().to_owned())
            .collect()
    }

    fn shards(&self, filter: Value) -> Vec<u64> {
        let mut request = json!({"StreamName": "s"});
        if !filter.is_null() {
            request["ShardFilter"] = filter;
        }
        let listed = self.call(Operation::ListShards, request);
        let number = |shard: &Value| shard["ShardId"].as_str().unwrap()[8..].parse().unwrap();
        listed["Shards"].as_array().unwrap().iter().map(number).collect()
    }
}

fn seconds(millis: i64) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "exact for the times of these tests")]
    Value::from(millis as f64 / 1_000.0)
}

#[test]
fn keys_go_where_their_md5_lies() {
    let fixture = fixture(3);
    let third = 113_427_455_640_312_821_154_458_202_477_256_070_485;
    for number in 0..50 {
        let key = format!("key-{number}");
        let put = fixture.call(Operation::PutRecord, json!({"StreamName": "s", "Data": "", "PartitionKey": key}));
        let expected = (hash_of_key(&key) / third).min(2);
        assert_eq!(put["ShardId"], format!("shardId-{expected:012}"));
    }
    for (hash, shard) in [
        (0, 0),
        (third - 1, 0),
        (third, 1),
        (2 * third - 1, 1),
        (2 * third, 2),
        (u128::MAX, 2),
    ] {
        assert_eq!(fixture.put("k", hash)["ShardId"], format!("shardId-{shard:012}"), "{hash}");
    }
}

#[test]
fn an_iterator_is_a_position() {
    let fixture = fixture(1);
    for (key, at) in [("a", 0), ("b", 5), ("c", 5), ("d", 9)] {
        fixture.clock.set(START + at);
        fixture.put(key, 0);
    }
    fixture.clock.set(START + 20);
    let all = fixture.iterator(SHARD, "TRIM_HORIZON", json!({}));
    let first = fixture.get(&all, 2);
    assert_eq!(first, fixture.get(&all, 2), "read twice, the same page");
    let second = &first["Records"][1]["SequenceNumber"];
    assert_eq!(fixture.keys(&first["NextShardIterator"]), ["c", "d"]);
    let from = |kind, more| fixture.keys(&fixture.iterator(SHARD, kind, more));
    assert_eq!(
        from("AT_SEQUENCE_NUMBER", json!({"StartingSequenceNumber": second})),
        ["b", "c", "d"]
    );
    assert_eq!(from("AFTER_SEQUENCE_NUMBER", json!({"StartingSequenceNumber": second})), ["c", "d"]);
    assert_eq!(
        from("AT_TIMESTAMP", json!({"Timestamp": seconds(START - 1_000)})),
        ["a", "b", "c", "d"]
    );
    assert_eq!(from("AT_TIMESTAMP", json!({"Timestamp": seconds(START + 5)})), ["b", "c", "d"]);
    assert_eq!(from("AT_TIMESTAMP", json!({"Timestamp": seconds(START + 6)})), ["d"]);
    assert_eq!(from("AT_TIMESTAMP", json!({"Timestamp": seconds(START + 10)})), [""; 0]);
    let latest = fixture.iterator(SHARD, "LATEST", json!({}));
    assert_eq!(fixture.keys(&latest), [""; 0]);
    fixture.put("e", 0);
    assert_eq!(fixture.keys(&latest), ["e"]);
    let shards = fixture.call(Operation::ListShards, json!({"StreamName": "s"}));
    let start = &shards["Shards"][0]["SequenceNumberRange"]["StartingSequenceNumber"];
    assert_eq!(
        from("AFTER_SEQUENCE_NUMBER", json!({"StartingSequenceNumber": start})).len(),
        5,
        "no record lies at the start itself"
    );

    let future = json!({"StreamName": "s", "ShardId": SHARD, "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": seconds(START + 21)});
    assert_eq!(fixture.error(Operation::GetShardIterator, future), ErrorCode::InvalidArgument);
}

#[test]
fn iterators_expire_and_end_with_their_stream() {
    let fixture = fixture(1);
    let iterator = fixture.iterator(SHARD, "TRIM_HORIZON", json!({}));
    fixture.clock.advance(Duration::from_secs(300));
    fixture.get(&iterator, 1);
    fixture.clock.advance(Duration::from_millis(1));
    let read = json!({"ShardIterator": iterator});
    assert_eq!(fixture.error(Operation::GetRecords, read), ErrorCode::ExpiredIterator);
    let read = json!({"ShardIterator": fixture.iterator(SHARD, "TRIM_HORIZON", json!({}))});
    fixture.call(Operation::DeleteStream, json!({"StreamName": "s"}));
    assert_eq!(fixture.error(Operation::GetRecords, read.clone()), ErrorCode::ResourceNotFound);
    fixture.call(Operation::CreateStream, json!({"StreamName": "s", "ShardCount": 1}));
    assert_eq!(
        fixture.error(Operation::GetRecords, read),
        ErrorCode::ResourceNotFound,
        "made anew in the same millisecond"
    );
}

#[test]
fn millis_behind_latest_is_the_age_of_what_is_unread() {
    let fixture = fixture(1);
    for at in [0, 100, 250] {
        fixture.clock.set(START + at);
        fixture.put("k", 0);
    }
    let start = fixture.iterator(SHARD, "TRIM_HORIZON", json!({}));
    assert_eq!(
        fixture.get(&start, 2)["MillisBehindLatest"],
        1,
        "not at the tip, though no time has passed"
    );
    fixture.clock.set(START + 1_000);
    assert_eq!(fixture.get(&start, 1)["MillisBehindLatest"], 900);
    assert_eq!(fixture.get(&start, 2)["MillisBehindLatest"], 750);
    assert_eq!(fixture.get(&start, 3)["MillisBehindLatest"], 0);
    let bend = Bend {
        empty: true,
        ..Bend::default()
    };
    let empty = fixture.bent(Operation::GetRecords, bend, &json!({"ShardIterator": start})).unwrap();
    assert_eq!((&empty["Records"], &empty["MillisBehindLatest"]), (&json!([]), &json!(1_000)));
    assert_eq!(fixture.keys(&empty["NextShardIterator"]).len(), 3);
}

#[test]
fn pages_hold_ten_thousand_records_and_ten_mebibytes() {
    let fixture = fixture(1);
    let many: Vec<Value> = (0..500).map(|_| json!({"Data": "", "PartitionKey": "k"})).collect();
    for _ in 0..21 {
        fixture.call(Operation::PutRecords, json!({"StreamName": "s", "Records": many}));
    }
    let start = fixture.iterator(SHARD, "TRIM_HORIZON", json!({}));
    let page = fixture.call(Operation::GetRecords, json!({"ShardIterator": start}));
    assert_eq!(page["Records"].as_array().unwrap().len(), 10_000);
    let latest = fixture.iterator(SHARD, "LATEST", json!({}));
    let large = json!({"StreamName": "s", "Data": "AAAA".repeat(300_000), "PartitionKey": "k"});
    for _ in 0..12 {
        fixture.call(Operation::PutRecord, large.clone());
    }
    // 900,001 bytes with the key: 11 of them are below 10 MiB = 10,485,760, 12 above.
    let page = fixture.get(&latest, 10_000);
    assert_eq!(page["Records"].as_array().unwrap().len(), 11);
    assert_eq!(
        fixture.get(&page["NextShardIterator"], 10_000)["Records"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn a_split_closes_the_parent_and_the_children_take_over() {
    let fixture = fixture(1);
    let before = fixture.put("before", 1 << 127);
    fixture.clock.advance(Duration::from_secs(1));
    let split = json!({"StreamName": "s", "ShardToSplit": SHARD, "NewStartingHashKey": (1_u128 << 127).to_string()});
    fixture.call(Operation::SplitShard, split.clone());
    let after = fixture.put("after", 1 << 127);
    assert_eq!(after["ShardId"], "shardId-000000000002");
    let shards = fixture.call(Operation::ListShards, json!({"StreamName": "s"}))["Shards"].clone();
    let ending = shards[0]["SequenceNumberRange"]["EndingSequenceNumber"].as_str().unwrap();
    let starting = shards[2]["SequenceNumberRange"]["StartingSequenceNumber"].as_str().unwrap();
    let order = [
        before["SequenceNumber"].as_str().unwrap(),
        ending,
        starting,
        after["SequenceNumber"].as_str().unwrap(),
    ];
    assert!(order.is_sorted() && order.iter().all(|number| number.len() == 56), "{order:?}");
    assert_eq!(shards[1]["ParentShardId"], SHARD);
    assert_eq!(shards[1]["HashKeyRange"]["EndingHashKey"], ((1_u128 << 127) - 1).to_string());
    let page = fixture.get(&fixture.iterator(SHARD, "TRIM_HORIZON", json!({})), 10);
    assert_eq!(page["Records"][0]["PartitionKey"], "before");
    assert_eq!((&page["NextShardIterator"], &page["MillisBehindLatest"]), (&Value::Null, &json!(0)));
    let children: Vec<&str> = page["ChildShards"]
        .as_array()
        .unwrap()
        .iter()
        .map(|child| child["ShardId"].as_str().unwrap())
        .collect();
    assert_eq!(children, ["shardId-000000000001", "shardId-000000000002"]);
    assert_eq!(fixture.error(Operation::SplitShard, split), ErrorCode::InvalidArgument);

    let merge = json!({"StreamName": "s", "ShardToMerge": children[0], "AdjacentShardToMerge": children[1]});
    fixture.call(Operation::MergeShards, merge);
    let shards = fixture.call(Operation::ListShards, json!({"StreamName": "s"}))["Shards"].clone();
    assert_eq!(
        (&shards[3]["ParentShardId"], &shards[3]["AdjacentParentShardId"]),
        (&json!(children[0]), &json!(children[1]))
    );
    let page = fixture.get(&fixture.iterator(children[0], "LATEST", json!({})), 10);
    assert_eq!(page["ChildShards"][0]["ParentShards"], json!(children));
}

#[test]
fn update_shard_count_keeps_the_lineage_and_its_bounds() {
    let fixture = fixture(2);
    let update = |target: u32| json!({"StreamName": "s", "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING"});
    assert_eq!(fixture.error(Operation::UpdateShardCount, update(5)), ErrorCode::InvalidArgument);
    fixture.call(Operation::UpdateShardCount, update(4));
    assert_eq!(fixture.error(Operation::UpdateShardCount, update(1)), ErrorCode::InvalidArgument);
    fixture.clock.advance(Duration::from_secs(1));
    fixture.call(Operation::UpdateShardCount, update(3));
    let shards = fixture.call(Operation::ListShards, json!({"StreamName": "s"}))["Shards"].clone();
    let shards = shards.as_array().unwrap();
    let parent = |shard: &Value, name: &str| shard.get(name).map(|id| id.as_str().unwrap()[8..].parse::<u32>().unwrap());
    let lineage: Vec<_> = shards
        .iter()
        .map(|shard| (parent(shard, "ParentShardId"), parent(shard, "AdjacentParentShardId")))
        .collect();
    // 2 -> 4 splits 0 and 1; 4 -> 3 splits the second and the third of four (3 and 4) at 1/3 and 2/3, then merges 2 + 6, 7 + 8, 9 + 5.
    let expected = [
        (None, None),
        (None, None),
        (Some(0), None),
        (Some(0), None),
        (Some(1), None),
        (Some(1), None),
        (Some(3), None),
        (Some(3), None),
        (Some(4), None),
        (Some(4), None),
        (Some(2), Some(6)),
        (Some(7), Some(8)),
        (Some(9), Some(5)),
    ];
    assert_eq!(lineage, expected);
    assert_eq!(fixture.shards(json!({"Type": "AT_LATEST"})), [10, 11, 12]);
    assert_eq!(
        fixture.call(Operation::DescribeStreamSummary, json!({"StreamName": "s"}))["StreamDescriptionSummary"]["OpenShardCount"],
        3
    );
}
