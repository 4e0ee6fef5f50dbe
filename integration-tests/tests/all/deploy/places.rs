//! What `shardflight doctor` finds where statements may read and write files.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt;
use integration_tests::environment::scratch_directory;
use integration_tests::stand_in::StandIn;
use object_store::aws::AmazonS3Builder;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::doctor::{doctor, words};

const CHECKS: [&str; 6] = [
    "ListBucket",
    "GetObject",
    "PutObject",
    "conditional put",
    "DeleteObject",
    "multipart upload",
];

/// A configuration without tables: no stream is asked about.
fn configuration(name: &str, storage: &str, read: &[&str], write: &[&str]) -> String {
    let directory = scratch_directory(name).unwrap();
    std::fs::create_dir_all(directory.join("tables")).unwrap();
    let file = directory.join("shardflight.yaml");
    let text = json!({
        "kinesis": { "region": "us-east-1", "endpoint": "http://127.0.0.1:9" },
        "data_dir": directory.display().to_string(),
        "catalog": { "path": directory.join("tables").display().to_string() },
        "allow": { "read": read, "write": write },
        "lake": { "region": "us-east-1", "endpoint": storage },
    });
    std::fs::write(&file, text.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Outcome and text of each check of a place.
fn findings(document: &Value, place: &str) -> Vec<(String, String, String)> {
    let findings = document["findings"].as_array().unwrap();
    let word = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    findings
        .iter()
        .filter(|finding| finding["about"] == json!(format!("place {place}")))
        .map(|finding| (word(finding, "check"), word(finding, "outcome"), word(finding, "text")))
        .collect()
}

fn names(found: &[(String, String, String)], outcome: &str) -> Vec<String> {
    let those = found.iter().filter(|(_, of, _)| of == outcome);
    those.map(|(check, ..)| check.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_tried_and_left_as_they_were() {
    for stand_in in [StandIn::Moto, StandIn::Ministack] {
        let mut task = JoinSet::new();
        task.spawn_blocking(move || stand_in.start_storage("lake").unwrap());
        let storage = task.join_next().await.unwrap().unwrap();
        let bucket = AmazonS3Builder::new()
            .with_bucket_name("lake")
            .with_region("us-east-1")
            .with_endpoint(&storage.endpoint)
            .with_allow_http(true)
            .with_access_key_id("test")
            .with_secret_access_key("test")
            .build()
            .unwrap();
        bucket.put(&"history/a.parquet".into(), "a".into()).await.unwrap();
        let directory = scratch_directory("doctor-places-lake").unwrap();
        let own = format!("file://{}", directory.display());
        let config = configuration(
            "doctor-places",
            &storage.endpoint,
            &["s3://lake/history", "s3://lake/exports", "s3://absent"],
            &["s3://lake/exports", &own],
        );
        let (code, document) = doctor(words(&["--config", &config]), None).await;
        assert_eq!(code, Some(1), "{stand_in:?}, one bucket is absent: {document:#}");
        for place in ["s3://lake/exports", &own] {
            assert_eq!(
                names(&findings(&document, place), "ok"),
                CHECKS,
                "{stand_in:?} {place}: {document:#}"
            );
        }
        let read = findings(&document, "s3://lake/history");
        assert_eq!(names(&read, "ok"), CHECKS[..2], "{stand_in:?}: {read:?}");
        assert!(read[0].2.contains("history/a.parquet"), "{stand_in:?}: {read:?}");
        let absent = findings(&document, "s3://absent");
        assert_eq!(names(&absent, "failed"), ["ListBucket"], "{stand_in:?}: {absent:?}");
        assert_eq!(absent.len(), 1, "{stand_in:?}: {absent:?}");

        let left: Vec<_> = bucket.list(None).try_collect().await.unwrap();
        let left: Vec<&str> = left.iter().map(|object| object.location.as_ref()).collect();
        assert_eq!(left, ["history/a.parquet"], "{stand_in:?}");
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0, "{stand_in:?}");

        let statements = document["policies"][0]["policy"]["Statement"].as_array().unwrap();
        let resources: Vec<_> = statements.iter().map(|of| (of["Sid"].as_str().unwrap(), &of["Resource"])).collect();
        let (exports, history) = ("arn:aws:s3:::lake/exports/*", "arn:aws:s3:::lake/history/*");
        let expected = [
            ("ListLake", &json!("arn:aws:s3:::absent")),
            ("ListLake2", &json!("arn:aws:s3:::lake")),
            ("ReadLake", &json!(["arn:aws:s3:::absent/*", exports, history])),
            ("WriteLake", &json!([exports])),
        ];
        assert_eq!(resources, expected, "{stand_in:?}");
    }
}

/// What storage does that does not do as S3 does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Odd {
    /// `If-None-Match` is passed over.
    Overwrites,
    /// As S3 for who may not list the bucket without a prefix.
    HidesWhatIsMissing,
    /// Nothing may be put.
    ReadsAlone,
}

type Calls = Arc<Mutex<Vec<String>>>;

async fn answer(State((odd, calls)): State<(Odd, Calls)>, method: Method, uri: Uri) -> Response {
    let query = uri.query().unwrap_or_default();
    let call = format!("{method} {uri}");
    let mut calls = calls.lock().await;
    let again = calls.contains(&call);
    calls.push(call);
    let xml = |body: &'static str| ([("content-type", "application/xml")], body).into_response();
    let denied = || {
        let body = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
        (StatusCode::FORBIDDEN, [("content-type", "application/xml")], body).into_response()
    };
    match method.as_str() {
        "GET" => xml("<ListBucketResult><Name>lake</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"),
        "HEAD" if odd == Odd::HidesWhatIsMissing => StatusCode::FORBIDDEN.into_response(),
        "HEAD" => StatusCode::NOT_FOUND.into_response(),
        "PUT" | "POST" if odd == Odd::ReadsAlone => denied(),
        "PUT" if again && odd != Odd::Overwrites => StatusCode::PRECONDITION_FAILED.into_response(),
        "PUT" => (StatusCode::OK, [("etag", "\"1\"")]).into_response(),
        "POST" if query.contains("uploads") => {
            xml("<InitiateMultipartUploadResult><Bucket>lake</Bucket><Key>k</Key><UploadId>u</UploadId></InitiateMultipartUploadResult>")
        }
        "POST" => xml("<DeleteResult><Deleted><Key>k</Key></Deleted></DeleteResult>"),
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_on_which_a_job_would_go_wrong_fails_by_name() {
    for (odd, check, says) in [
        (Odd::Overwrites, "conditional put", "replaced the first"),
        (Odd::HidesWhatIsMissing, "GetObject", "s3:ListBucket"),
        (Odd::ReadsAlone, "PutObject", "denied, it needs s3:PutObject"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let calls = Calls::default();
        let router = Router::new().fallback(answer).with_state((odd, Arc::clone(&calls)));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await });

        let config = configuration("doctor-odd", &endpoint, &[], &["s3://lake/exports"]);
        let (code, document) = doctor(words(&["--config", &config]), None).await;
        assert_eq!(code, Some(1), "{odd:?}");
        let found = findings(&document, "s3://lake/exports");
        assert_eq!(names(&found, "failed"), [check], "{odd:?}: {found:?}");
        let text = &found.iter().find(|(of, ..)| of == check).unwrap().2;
        assert!(text.contains(says), "{odd:?}: {text}");
        // what was put is taken away, and what was not put is not
        let deleted = names(&found, "ok").contains(&"DeleteObject".to_owned());
        assert_eq!(deleted, odd != Odd::ReadsAlone, "{odd:?}: {found:?}");
        let calls = calls.lock().await;
        let asked = calls.iter().any(|call| call.starts_with("DELETE") || call.contains("?delete"));
        assert_eq!(asked, odd != Odd::ReadsAlone, "{odd:?}: {calls:?}");
    }
}
