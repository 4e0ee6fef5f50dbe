//! Registered consumers.

use super::*;

fn arn(fixture: &Fixture) -> Value {
    let summary = fixture.call(Operation::DescribeStreamSummary, json!({"StreamName": "s"}));
    summary["StreamDescriptionSummary"]["StreamARN"].clone()
}

fn register(fixture: &Fixture, name: &str) -> Result<Value, ErrorCode> {
    let request = json!({"StreamARN": arn(fixture), "ConsumerName": name});
    let answer = fixture.bent(Operation::RegisterStreamConsumer, Bend::default(), &request);
    answer.map(|answer| answer["Consumer"].clone()).map_err(|error| error.code)
}

fn names(listed: &Value) -> Vec<&str> {
    let consumers = listed["Consumers"].as_array().unwrap();
    consumers
        .iter()
        .map(|consumer| consumer["ConsumerName"].as_str().unwrap())
        .collect()
}

#[test]
fn a_consumer_is_registered_becomes_active_is_found_and_goes() {
    let fixture = fixture(1);
    let consumer = register(&fixture, "c").unwrap();
    let stream = arn(&fixture);
    let expected = json!({
        "ConsumerName": "c",
        // the creation time in seconds ends the ARN
        "ConsumerARN": format!("{}/consumer/c:1700000000", stream.as_str().unwrap()),
        "ConsumerStatus": "CREATING",
        "ConsumerCreationTimestamp": 1_700_000_000.0,
    });
    assert_eq!(consumer, expected);
    assert_eq!(register(&fixture, "c"), Err(ErrorCode::ResourceInUse));
    fixture.clock.advance(Duration::from_millis(200));
    let by_arn = json!({"ConsumerARN": consumer["ConsumerARN"]});
    let described = fixture.call(Operation::DescribeStreamConsumer, by_arn.clone())["ConsumerDescription"].clone();
    assert_eq!((&described["ConsumerStatus"], &described["StreamARN"]), (&json!("ACTIVE"), &stream));
    let by_name = json!({"StreamARN": stream, "ConsumerName": "c"});
    assert_eq!(
        fixture.call(Operation::DescribeStreamConsumer, by_name.clone())["ConsumerDescription"],
        described
    );
    let summary = fixture.call(Operation::DescribeStreamSummary, json!({"StreamName": "s"}));
    assert_eq!(summary["StreamDescriptionSummary"]["ConsumerCount"], 1);
    fixture.call(Operation::DeregisterStreamConsumer, by_name.clone());
    for request in [by_arn.clone(), by_name, json!({"ConsumerARN": "arn:x"})] {
        assert_eq!(
            fixture.error(Operation::DescribeStreamConsumer, request),
            ErrorCode::ResourceNotFound
        );
    }
    let half = json!({"ConsumerName": "c"});
    assert_eq!(fixture.error(Operation::DescribeStreamConsumer, half), ErrorCode::InvalidArgument);
    // registered anew it is another one
    fixture.clock.advance(Duration::from_secs(5));
    register(&fixture, "c").unwrap();
    assert_eq!(
        fixture.error(Operation::DescribeStreamConsumer, by_arn),
        ErrorCode::ResourceNotFound
    );
}

#[test]
fn a_stream_has_twenty_consumers_of_which_five_are_creating() {
    let fixture = fixture(1);
    for number in 0..20 {
        if number % 5 == 0 && number > 0 {
            assert_eq!(register(&fixture, "more"), Err(ErrorCode::LimitExceeded), "five are CREATING");
            fixture.clock.advance(Duration::from_millis(200));
        }
        register(&fixture, &format!("c{number:02}")).unwrap();
    }
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(register(&fixture, "more"), Err(ErrorCode::LimitExceeded));
    let page = |token: Option<&Value>| {
        let mut request = json!({"StreamARN": arn(&fixture), "MaxResults": 8});
        if let Some(token) = token {
            request["NextToken"] = token.clone();
        }
        fixture.call(Operation::ListStreamConsumers, request)
    };
    let first = page(None);
    let second = page(Some(&first["NextToken"]));
    let third = page(Some(&second["NextToken"]));
    let all: Vec<&str> = [&first, &second, &third].into_iter().flat_map(names).collect();
    assert_eq!(all, (0..20).map(|number| format!("c{number:02}")).collect::<Vec<_>>());
    assert!(third.get("NextToken").is_none());
    fixture.clock.advance(Duration::from_secs(301));
    let old = json!({"StreamARN": arn(&fixture), "NextToken": first["NextToken"]});
    assert_eq!(fixture.error(Operation::ListStreamConsumers, old), ErrorCode::ExpiredNextToken);
}

#[test]
fn consumers_survive_a_restart_and_end_with_their_stream() {
    let fixture = fixture(1);
    let consumer = register(&fixture, "c").unwrap();
    let Fixture { kinesis, clock, dir } = fixture;
    drop(kinesis);
    let mut options = Options::new(dir.path());
    options.clock = clock.clone();
    let fixture = Fixture {
        kinesis: Arc::new(Kinesis::open(&options).unwrap()),
        clock,
        dir,
    };
    fixture.clock.advance(Duration::from_secs(1));
    let by_arn = json!({"ConsumerARN": consumer["ConsumerARN"]});
    let described = fixture.call(Operation::DescribeStreamConsumer, by_arn.clone());
    assert_eq!(described["ConsumerDescription"]["ConsumerStatus"], "ACTIVE");
    let delete = json!({"StreamName": "s"});
    assert_eq!(fixture.error(Operation::DeleteStream, delete), ErrorCode::ResourceInUse);
    let delete = json!({"StreamName": "s", "EnforceConsumerDeletion": true});
    fixture.call(Operation::DeleteStream, delete);
    fixture.call(Operation::CreateStream, json!({"StreamName": "s", "ShardCount": 1}));
    assert_eq!(
        fixture.error(Operation::DescribeStreamConsumer, by_arn),
        ErrorCode::ResourceNotFound
    );
}
