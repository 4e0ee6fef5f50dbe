//! Streams and shards over time: lists, retention, restarts, limits, validation.

use super::*;

#[test]
fn list_shards_filters_and_pages() {
    let fixture = fixture(2);
    let update = |target: u32| json!({"StreamName": "s", "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING"});
    fixture.clock.set(START + 1_000);
    fixture.call(Operation::UpdateShardCount, update(4));
    fixture.clock.set(START + 2_000);
    assert_eq!(fixture.shards(Value::Null), [0, 1, 2, 3, 4, 5]);
    assert_eq!(fixture.shards(json!({"Type": "AT_TRIM_HORIZON"})), [0, 1]);
    assert_eq!(fixture.shards(json!({"Type": "FROM_TRIM_HORIZON"})), [0, 1, 2, 3, 4, 5]);
    assert_eq!(fixture.shards(json!({"Type": "AT_LATEST"})), [2, 3, 4, 5]);
    assert_eq!(
        fixture.shards(json!({"Type": "AFTER_SHARD_ID", "ShardId": "shardId-000000000003"})),
        [4, 5]
    );
    assert_eq!(
        fixture.shards(json!({"Type": "AT_TIMESTAMP", "Timestamp": seconds(START + 999)})),
        [0, 1]
    );
    assert_eq!(
        fixture.shards(json!({"Type": "AT_TIMESTAMP", "Timestamp": seconds(START + 1_001)})),
        [2, 3, 4, 5]
    );
    assert_eq!(
        fixture.shards(json!({"Type": "FROM_TIMESTAMP", "Timestamp": seconds(START + 500)})),
        [0, 1, 2, 3, 4, 5]
    );
    assert_eq!(
        fixture.shards(json!({"Type": "FROM_TIMESTAMP", "Timestamp": seconds(START + 1_001)})),
        [2, 3, 4, 5]
    );

    let first = fixture.call(
        Operation::ListShards,
        json!({"StreamName": "s", "MaxResults": 3, "ShardFilter": {"Type": "AT_LATEST"}}),
    );
    let token = &first["NextToken"];
    let second = fixture.call(Operation::ListShards, json!({"NextToken": token}));
    assert_eq!(
        (
            first["Shards"].as_array().unwrap().len(),
            second["Shards"].as_array().unwrap().len()
        ),
        (3, 1)
    );
    assert!(second.get("NextToken").is_none());
    for (name, value) in [("StreamName", json!("s")), ("ShardFilter", json!({"Type": "AT_LATEST"}))] {
        assert_eq!(
            fixture.error(Operation::ListShards, json!({"NextToken": token, name: value})),
            ErrorCode::InvalidArgument
        );
    }
    fixture.clock.advance(Duration::from_secs(301));
    assert_eq!(
        fixture.error(Operation::ListShards, json!({"NextToken": token})),
        ErrorCode::ExpiredNextToken
    );
}

#[test]
fn retention_takes_records_and_then_closed_shards() {
    let fixture = fixture(1);
    fixture.put("old", 0);
    fixture.clock.advance(HOUR * 20);
    fixture.put("young", 0);
    let split = json!({"StreamName": "s", "ShardToSplit": SHARD, "NewStartingHashKey": "1000"});
    fixture.call(Operation::SplitShard, split);
    fixture.clock.advance(HOUR * 4);
    assert_eq!(fixture.keys(&fixture.iterator(SHARD, "TRIM_HORIZON", json!({}))), ["old", "young"]);
    fixture.clock.advance(Duration::from_millis(1));
    assert_eq!(fixture.keys(&fixture.iterator(SHARD, "TRIM_HORIZON", json!({}))), ["young"]);
    fixture.call(
        Operation::IncreaseStreamRetentionPeriod,
        json!({"StreamName": "s", "RetentionPeriodHours": 48}),
    );
    fixture.clock.advance(HOUR * 44);
    assert_eq!(fixture.shards(Value::Null), [1, 2]);
    let gone = json!({"StreamName": "s", "ShardId": SHARD, "ShardIteratorType": "TRIM_HORIZON"});
    assert_eq!(fixture.error(Operation::GetShardIterator, gone), ErrorCode::ResourceNotFound);
    let shards = fixture.call(Operation::ListShards, json!({"StreamName": "s"}));
    assert_eq!(shards["Shards"][0]["ParentShardId"], SHARD, "the name of the parent stays");
}

#[test]
fn a_stream_may_take_records_of_ten_mebibytes() {
    let fixture = fixture(1);
    let summary = || fixture.call(Operation::DescribeStreamSummary, json!({"StreamName": "s"}))["StreamDescriptionSummary"].clone();
    assert_eq!(summary()["MaxRecordSizeInKiB"], 1024);
    let arn = summary()["StreamARN"].clone();
    let put = |mebibytes: usize, more: usize| {
        // base64: four characters for three bytes
        let data = "AAAA".repeat(mebibytes * (1 << 20) / 3) + if (mebibytes * (1 << 20)) % 3 == 1 { "AA==" } else { "AAA=" };
        json!({"StreamName": "s", "PartitionKey": "k", "Data": "AAAA".repeat(more) + &data})
    };
    assert_eq!(fixture.error(Operation::PutRecord, put(10, 0)), ErrorCode::Validation);
    let size = |kib: u32| json!({"StreamARN": arn, "MaxRecordSizeInKiB": kib});
    assert_eq!(fixture.error(Operation::UpdateMaxRecordSize, size(1023)), ErrorCode::Validation);
    assert_eq!(fixture.error(Operation::UpdateMaxRecordSize, size(10_241)), ErrorCode::Validation);
    fixture.call(Operation::UpdateMaxRecordSize, size(10_240));
    assert_eq!(summary()["MaxRecordSizeInKiB"], 10_240);
    fixture.call(Operation::PutRecord, put(10, 0));
    assert_eq!(fixture.error(Operation::PutRecord, put(10, 1)), ErrorCode::Validation);
    fixture.put("small", 0);
    // each reply holds 10 MiB at most, so the large record stands alone
    let page = fixture.get(&fixture.iterator(SHARD, "TRIM_HORIZON", json!({})), 10);
    assert_eq!(page["Records"].as_array().map(Vec::len), Some(1));
    let rest = fixture.get(&page["NextShardIterator"], 10);
    assert_eq!(rest["Records"][0]["PartitionKey"], "small");
}

#[test]
fn everything_survives_a_restart() {
    let fixture = fixture(2);
    let first = fixture.put("first", 0);
    fixture.call(
        Operation::UpdateShardCount,
        json!({"StreamName": "s", "TargetShardCount": 4, "ScalingType": "UNIFORM_SCALING"}),
    );
    fixture.put("second", 0);
    fixture.call(Operation::CreateStream, json!({"StreamName": "gone", "ShardCount": 1}));
    fixture.call(Operation::DeleteStream, json!({"StreamName": "gone"}));
    let listed = fixture.call(Operation::ListShards, json!({"StreamName": "s"}));
    let iterator = fixture.iterator(SHARD, "TRIM_HORIZON", json!({}));
    let Fixture { kinesis, clock, dir } = fixture;
    let mut options = Options::new(dir.path());
    options.clock = clock.clone();
    assert!(matches!(Kinesis::open(&options), Err(EmbeddedError::InUse { .. })));
    drop(kinesis);
    let fixture = Fixture {
        kinesis: Arc::new(Kinesis::open(&options).unwrap()),
        clock,
        dir,
    };
    assert_eq!(fixture.call(Operation::ListStreams, json!({}))["StreamNames"], json!(["s"]));
    assert_eq!(fixture.call(Operation::ListShards, json!({"StreamName": "s"})), listed);
    let page = fixture.get(&iterator, 10);
    assert_eq!(page["Records"][0]["SequenceNumber"], first["SequenceNumber"]);
    let third = fixture.put("third", 0);
    let shard = third["ShardId"].as_str().unwrap();
    assert_eq!(
        fixture.keys(&fixture.iterator(shard, "TRIM_HORIZON", json!({}))),
        ["second", "third"]
    );
    let entries = std::fs::read_dir(fixture.dir.path()).unwrap().count();
    assert_eq!(entries, 2, "the stream and the lock");
}

#[test]
fn limits_refuse_entries_one_by_one() {
    let fixture = fixture_with(|options| options.limits = true);
    fixture.call(Operation::CreateStream, json!({"StreamName": "s", "ShardCount": 1}));
    let many: Vec<Value> = (0..500).map(|_| json!({"Data": "", "PartitionKey": "k"})).collect();
    let failed = || fixture.call(Operation::PutRecords, json!({"StreamName": "s", "Records": many}))["FailedRecordCount"].clone();
    assert_eq!([failed(), failed(), failed()], [json!(0), json!(0), json!(500)]);
    fixture.clock.advance(Duration::from_millis(100));
    assert_eq!(failed(), 400);
    let iterator = fixture.iterator(SHARD, "TRIM_HORIZON", json!({}));
    let read = json!({"ShardIterator": iterator});
    for _ in 0..5 {
        fixture.call(Operation::GetRecords, read.clone());
    }
    assert_eq!(fixture.error(Operation::GetRecords, read), ErrorCode::ProvisionedThroughputExceeded);
}

#[test]
fn requests_are_validated_as_aws_does() {
    let fixture = fixture(1);
    let entry = json!({"Data": "eA==", "PartitionKey": "k"});
    let put = |more: Value| {
        let mut request = json!({"StreamName": "s", "Data": "eA==", "PartitionKey": "k"});
        request.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        request
    };
    let cases = [
        (
            Operation::PutRecords,
            json!({"StreamName": "s", "Records": vec![entry.clone(); 501]}),
            ErrorCode::Validation,
        ),
        (
            Operation::PutRecords,
            json!({"StreamName": "s", "Records": []}),
            ErrorCode::Validation,
        ),
        (
            Operation::PutRecords,
            json!({"StreamName": "s", "Records": [entry, {"Data": "eA=="}]}),
            ErrorCode::Validation,
        ),
        (
            Operation::PutRecord,
            put(json!({"PartitionKey": "k".repeat(257)})),
            ErrorCode::Validation,
        ),
        (Operation::PutRecord, put(json!({"PartitionKey": ""})), ErrorCode::Validation),
        (
            Operation::PutRecord,
            put(json!({"Data": "AAAA".repeat((1 << 20) / 3 + 1)})),
            ErrorCode::Validation,
        ),
        (Operation::PutRecord, put(json!({"ExplicitHashKey": "01"})), ErrorCode::Validation),
        (
            Operation::PutRecord,
            put(json!({"ExplicitHashKey": "340282366920938463463374607431768211456"})),
            ErrorCode::InvalidArgument,
        ),
        (
            Operation::PutRecord,
            put(json!({"SequenceNumberForOrdering": "12"})),
            ErrorCode::InvalidArgument,
        ),
        (Operation::PutRecord, put(json!({"StreamName": "t"})), ErrorCode::ResourceNotFound),
        (Operation::PutRecord, put(json!({"Data": 5})), ErrorCode::Serialization),
        (
            Operation::CreateStream,
            json!({"StreamName": "a/b", "ShardCount": 1}),
            ErrorCode::Validation,
        ),
        (
            Operation::CreateStream,
            json!({"StreamName": "t", "ShardCount": 0}),
            ErrorCode::Validation,
        ),
        (
            Operation::CreateStream,
            json!({"StreamName": "t", "ShardCount": 10_001}),
            ErrorCode::LimitExceeded,
        ),
        (
            Operation::CreateStream,
            json!({"StreamName": "s", "ShardCount": 1}),
            ErrorCode::ResourceInUse,
        ),
        (Operation::DescribeStream, json!({}), ErrorCode::InvalidArgument),
        (
            Operation::DescribeStream,
            json!({"StreamARN": "arn:aws:kinesis:us-east-1:1:stream/s"}),
            ErrorCode::ResourceNotFound,
        ),
        (Operation::GetRecords, json!({"ShardIterator": "AAA"}), ErrorCode::InvalidArgument),
        (
            Operation::GetRecords,
            json!({"ShardIterator": "AAA", "Limit": 10_001}),
            ErrorCode::Validation,
        ),
    ];
    for (operation, request, code) in cases {
        let shown: String = request.to_string().chars().take(200).collect();
        assert_eq!(fixture.error(operation, request), code, "{operation} {shown}");
    }
    let message = fixture
        .bent(
            Operation::PutRecord,
            Bend::default(),
            &put(json!({"PartitionKey": "", "Data": null})),
        )
        .unwrap_err()
        .message;
    assert_eq!(
        message,
        "2 validation errors detected: Value null at 'data' failed to satisfy constraint: Member must not be null; \
         Value '' at 'partitionKey' failed to satisfy constraint: Member must have length greater than or equal to 1"
    );
}
