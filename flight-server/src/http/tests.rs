use axum::body::Body;
use axum::http::Request;
use prometheus_client::metrics::MetricType;
use tower::ServiceExt;

use super::*;

#[derive(Debug)]
struct TwoShards;

impl Facts for TwoShards {
    fn totals(&self) -> Vec<(&'static str, &'static str, MetricType, u64)> {
        vec![
            ("records_fetched", "Records fetched", MetricType::Counter, 7),
            ("held_bytes", "Bytes held", MetricType::Gauge, 9),
        ]
    }

    fn consumers(&self) -> Vec<ConsumerSample> {
        vec![ConsumerSample {
            checkpoint: "c".into(),
            stream: "s".into(),
            lag_ms: 1500,
        }]
    }

    fn shards(&self) -> Vec<ShardSample> {
        let shard = |shard: &str, lag_ms| ShardSample {
            stream: "s".into(),
            shard: shard.into(),
            lag_ms,
            held_records: 3,
            records: 12,
            ..ShardSample::default()
        };
        vec![shard("shardId-1", Some(250)), shard("shardId-0", None)]
    }
}

async fn call(router: &Router, path: &str) -> (StatusCode, String) {
    let reply = router
        .clone()
        .oneshot(Request::get(path).body(Body::empty()).unwrap())
        .await
        .unwrap();
    let status = reply.status();
    let body = axum::body::to_bytes(reply.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn ready_only_when_said_so() {
    let readiness = Readiness::default();
    let router = router(readiness.clone(), Arc::default());
    assert_eq!(call(&router, "/healthz").await, (StatusCode::OK, "ok\n".to_owned()));
    assert_eq!(call(&router, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    readiness.set(true);
    assert_eq!(call(&router, "/readyz").await, (StatusCode::OK, "ready\n".to_owned()));
    readiness.set(false);
    assert_eq!(call(&router, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(call(&router, "/other").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn statements_and_facts_are_in_the_scrape() {
    let metrics = Arc::new(Metrics::default());
    metrics.statement("query", 0.5, 2, Outcome::Ok);
    metrics.statement("query", 1.5, 3, Outcome::Error);
    metrics.add_facts(TwoShards, 1);
    let (status, text) = call(&router(Readiness::default(), metrics), "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    for line in [
        "shardflight_statements_total{kind=\"query\",outcome=\"Ok\"} 1",
        "shardflight_statements_total{kind=\"query\",outcome=\"Error\"} 1",
        "shardflight_statement_seconds_sum{kind=\"query\"} 2.0",
        "shardflight_statement_seconds_count{kind=\"query\"} 2",
        "shardflight_statement_rows_total{kind=\"query\"} 5",
        "shardflight_records_fetched_total 7",
        "shardflight_held_bytes 9",
        "shardflight_checkpoint_lag_milliseconds{checkpoint=\"c\",stream=\"s\"} 1500",
        "shardflight_shards_without_series 1",
        "shardflight_shard_held_records{stream=\"s\",shard=\"shardId-0\"} 3",
        "shardflight_shard_records_total{stream=\"s\",shard=\"shardId-0\"} 12",
        "# TYPE shardflight_shard_records counter",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("shardId-1"), "one shard was allowed:\n{text}");
    assert!(
        !text.lines().any(|line| line.starts_with("shardflight_shard_lag_milliseconds{")),
        "an unknown lag is no number:\n{text}"
    );
}

#[tokio::test]
async fn a_connection_that_stays_does_not_hold_up_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(serve(
        listener,
        router(Readiness::default(), Arc::default()),
        shutdown.clone(),
        Duration::from_millis(50),
    ));
    let mut held = tokio::net::TcpStream::connect(address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut held, b"GET /healthz HTTP/1.1\r\n")
        .await
        .unwrap();
    shutdown.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(5), tasks.join_next())
        .await
        .expect("it must end");
    ended.unwrap().unwrap().unwrap();
}
