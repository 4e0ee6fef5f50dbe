use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::Record;

use super::errors::by_code;
use super::*;

#[test]
fn codes_become_categories() {
    let cases = [
        ("ProvisionedThroughputExceededException", 400, SourceErrorKind::Throttled),
        ("KMSThrottlingException", 400, SourceErrorKind::Throttled),
        ("LimitExceededException", 400, SourceErrorKind::Throttled),
        ("ExpiredIteratorException", 400, SourceErrorKind::ExpiredIterator),
        ("ResourceNotFoundException", 400, SourceErrorKind::NotFound),
        ("KMSAccessDeniedException", 400, SourceErrorKind::Denied),
        ("KMSDisabledException", 400, SourceErrorKind::Denied),
        ("KMSInvalidStateException", 400, SourceErrorKind::Denied),
        ("KMSNotFoundException", 400, SourceErrorKind::Denied),
        ("KMSOptInRequired", 400, SourceErrorKind::Denied),
        ("AccessDeniedException", 400, SourceErrorKind::Denied),
        ("ResourceInUseException", 400, SourceErrorKind::Unavailable),
        ("ExpiredNextTokenException", 400, SourceErrorKind::Invalid),
        ("UnrecognizedClientException", 400, SourceErrorKind::Denied),
        ("InvalidArgumentException", 400, SourceErrorKind::Invalid),
        ("ValidationException", 400, SourceErrorKind::Invalid),
        ("InternalFailure", 500, SourceErrorKind::Unavailable),
    ];
    for (code, status, kind) in cases {
        assert_eq!(by_code(Some(code), status), kind, "{code}");
    }
    assert_eq!(by_code(None, 503), SourceErrorKind::Unavailable);
    assert_eq!(by_code(None, 200), SourceErrorKind::Unavailable, "a reply that cannot be read");
    assert_eq!(by_code(None, 429), SourceErrorKind::Throttled);
    assert_eq!(by_code(None, 403), SourceErrorKind::Denied);
}

fn record(sequence: &str) -> aws_sdk_kinesis::types::builders::RecordBuilder {
    Record::builder().sequence_number(sequence).data(Blob::new("payload"))
}

#[test]
fn a_record_without_arrival_and_key_is_a_row_with_nulls() {
    let whole = record("49546986683135544286507457936321625675700192471156785154")
        .partition_key("key")
        .approximate_arrival_timestamp(DateTime::from_millis(1_441_215_410_867))
        .build()
        .unwrap();
    // the builder insists on a key; a reply need not have one
    let mut bare = record("49546986683135544286507457936321625675700192471156785155")
        .partition_key("")
        .build()
        .unwrap();
    bare.partition_key = None;
    let reply = GetRecordsOutput::builder().records(whole).records(bare).build().unwrap();
    let records = columns(reply.records()).unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!((records.arrival(0), records.arrival(1)), (Some(1_441_215_410_867), None));
    assert_eq!(records.partition_keys().iter().collect::<Vec<_>>(), [Some("key"), None]);
    assert_eq!(records.data().value(1), b"payload");
    assert_eq!(records.wire_bytes(0..2), 17);
}

#[test]
fn times_are_the_nearest_millisecond() {
    for (seconds, expected) in [
        (1_795_391_123.123_f64, 1_795_391_123_123),
        (1_441_215_410.867, 1_441_215_410_867),
        (0.001, 1),
        (-0.001, -1),
    ] {
        assert_eq!(millis(&DateTime::from_secs_f64(seconds)), Some(expected));
    }
}

#[test]
fn a_sequence_number_that_does_not_fit_is_a_typed_error() {
    let wide = record(&"9".repeat(60)).partition_key("k").build().unwrap();
    let reply = GetRecordsOutput::builder().records(wide).build().unwrap();
    assert!(matches!(columns(reply.records()), Err(PositionError::TooWide(_))));
}

#[test]
fn arns_and_names_are_told_apart() {
    let by_arn = StreamName::of("arn:aws:kinesis:eu-west-1:123456789012:stream/logs");
    assert!(by_arn.name.is_none() && by_arn.arn.is_some());
    let by_name = StreamName::of("logs");
    assert!(by_name.arn.is_none() && by_name.name.as_deref() == Some("logs"));
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    let settings = KinesisSettings {
        external_id: Some("x".into()),
        region: Some("eu-west-1".into()),
        ..KinesisSettings::default()
    };
    assert_eq!(settings.client().await.unwrap_err().kind, SourceErrorKind::Invalid);
}

#[tokio::test]
async fn an_endpoint_nobody_listens_at_is_unavailable() {
    // bound and dropped: nobody listens there now
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = KinesisSettings {
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        region: Some("eu-west-1".into()),
        ..Default::default()
    };
    let mut config = settings.client().await.unwrap().config().to_builder();
    config = config.credentials_provider(aws_sdk_kinesis::config::Credentials::new("id", "secret", None, None, "test"));
    let source = KinesisSource::with_client(Client::from_conf(config.build()));
    let error = source
        .open("logs", &"shardId-000000000000".into(), OpenAt::TrimHorizon)
        .await
        .unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn reads_are_not_retried_by_the_sdk_and_do_not_wait_forever() {
    let settings = KinesisSettings {
        region: Some("eu-west-1".into()),
        ..Default::default()
    };
    let source = KinesisSource::connect(&settings).await.unwrap();
    let reads = source.reads.config();
    assert_eq!(reads.retry_config().map(RetryConfig::max_attempts), Some(1));
    let timeouts = reads.timeout_config().unwrap();
    assert_eq!(timeouts.operation_attempt_timeout(), Some(READ_TIMEOUT));
    assert!(timeouts.connect_timeout().is_some());
    let others = source.client.config();
    assert!(others.retry_config().unwrap().max_attempts() > 1);
    assert!(others.timeout_config().unwrap().operation_attempt_timeout().is_some());
}
