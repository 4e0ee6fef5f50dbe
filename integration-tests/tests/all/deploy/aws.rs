//! A stand-in for AWS that answers as its documentation says: dry runs, rights, keys, dates. No service that can be had does.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

pub(super) const STREAM: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/clicks";
pub(super) const CONSUMER: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/clicks/consumer/sql:1";
pub(super) const KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/0a1b";

/// What it says.
#[derive(Debug, Default)]
pub(super) struct Says {
    /// Actions that are denied.
    pub(super) denied: BTreeSet<&'static str>,
    /// The `Date` of its replies, where it is not now.
    pub(super) date: Option<&'static str>,
}

/// A running one.
#[derive(Debug)]
pub(super) struct Aws {
    pub(super) endpoint: String,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
    #[expect(dead_code, reason = "held: dropping it ends the service")]
    task: JoinSet<std::io::Result<()>>,
}

#[derive(Debug, Clone)]
struct Shared {
    says: Arc<Says>,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Aws {
    pub(super) async fn start(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let calls = Arc::new(Mutex::new(Vec::new()));
        let shared = Shared {
            says: Arc::new(says),
            calls: Arc::clone(&calls),
        };
        let router = Router::new().fallback(answer).with_state(shared);
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, router).await });
        Self { endpoint, calls, task }
    }

    /// Actions that were asked for and were no dry runs.
    pub(super) async fn carried_out(&self) -> BTreeSet<String> {
        let calls = self.calls.lock().await;
        let real = calls.iter().filter(|(_, body)| body["DryRun"] != json!(true));
        real.map(|(action, _)| action.clone()).collect()
    }

    /// Actions of which a dry run was asked for.
    pub(super) async fn dry_runs(&self) -> BTreeSet<String> {
        let calls = self.calls.lock().await;
        let dry = calls.iter().filter(|(_, body)| body["DryRun"] == json!(true));
        dry.map(|(action, _)| action.clone()).collect()
    }
}

async fn answer(State(shared): State<Shared>, headers: HeaderMap, body: String) -> Response {
    let Some(target) = headers.get("x-amz-target").and_then(|target| target.to_str().ok()) else {
        return identity().into_response();
    };
    let action = target.rsplit('.').next().unwrap_or_default().to_owned();
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    let dry = body["DryRun"] == json!(true);
    shared.calls.lock().await.push((action.clone(), body));
    let (status, answer) = if shared.says.denied.contains(action.as_str()) {
        let message = format!("User: arn:aws:iam::123456789012:user/doc is not authorized to perform: kinesis:{action}");
        (
            StatusCode::BAD_REQUEST,
            json!({"__type": "AccessDeniedException", "message": message}),
        )
    } else if dry {
        (
            StatusCode::BAD_REQUEST,
            json!({"__type": "DryRunOperationException", "message": "would have succeeded"}),
        )
    } else {
        (StatusCode::OK, reply(&action))
    };
    let mut response = (status, [("content-type", "application/x-amz-json-1.1")], answer.to_string()).into_response();
    if let Some(date) = shared.says.date {
        response.headers_mut().insert("date", date.parse().unwrap());
    }
    response
}

fn reply(action: &str) -> Value {
    // one minute ago, and ten seconds later
    let first = (std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis() as f64)
        / 1000.0
        - 60.0;
    match action {
        "DescribeStreamSummary" => json!({"StreamDescriptionSummary": {
            "StreamName": "clicks", "StreamARN": STREAM, "StreamStatus": "ACTIVE", "StreamCreationTimestamp": 1.7e9,
            "StreamModeDetails": {"StreamMode": "PROVISIONED"}, "RetentionPeriodHours": 48, "EnhancedMonitoring": [],
            "EncryptionType": "KMS", "KeyId": KEY, "OpenShardCount": 2, "ConsumerCount": 2}}),
        "ListShards" => json!({"Shards": [shard(0), shard(1)]}),
        "ListStreamConsumers" => json!({"Consumers": [
            {"ConsumerName": "sql", "ConsumerARN": CONSUMER, "ConsumerStatus": "ACTIVE", "ConsumerCreationTimestamp": 1.7e9},
            {"ConsumerName": "billing", "ConsumerARN": format!("{STREAM}/consumer/billing:1"), "ConsumerStatus": "ACTIVE", "ConsumerCreationTimestamp": 1.7e9}]}),
        "GetShardIterator" => json!({"ShardIterator": "token"}),
        // 98 bytes and a key of two: 100 bytes a record, of which the first 10 s of 60 s are read
        "GetRecords" => json!({"Records": [record("1", first, &[0x1f, 0x8b]), record("2", first + 9.0, b"{}")],
            "NextShardIterator": "next", "MillisBehindLatest": 50_000}),
        other => json!({"unexpected": other}),
    }
}

fn shard(number: u32) -> Value {
    json!({"ShardId": format!("shardId-{number:012}"), "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "9"},
        "SequenceNumberRange": {"StartingSequenceNumber": "1"}})
}

fn record(sequence: &str, arrival: f64, begins: &[u8]) -> Value {
    let mut data = begins.to_vec();
    data.resize(98, b' ');
    json!({"SequenceNumber": sequence, "ApproximateArrivalTimestamp": arrival, "Data": STANDARD.encode(data), "PartitionKey": "k1"})
}

/// STS, which has no such header.
fn identity() -> impl IntoResponse {
    let body = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
                <Arn>arn:aws:iam::123456789012:user/doc</Arn><UserId>AIDA</UserId><Account>123456789012</Account>\
                </GetCallerIdentityResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></GetCallerIdentityResponse>";
    ([("content-type", "text/xml")], body)
}
