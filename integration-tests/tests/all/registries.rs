//! Commands on definitions that name a schema registry by its URL.

use std::path::Path;
use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use integration_tests::backends::Backend;
use integration_tests::environment::scratch_directory;
use integration_tests::kinesis;
use integration_tests::process::{Process, free_port};
use integration_tests::server::command;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::faults::stage::create;

const TIMEOUT: Duration = Duration::from_secs(90);

/// A registry of Confluent's kind, as `GET /schemas` answers; and one whose schema is none.
async fn registry(serving: &mut JoinSet<()>) -> String {
    let second = json!({ "type": "record", "name": "Click", "fields": [
        { "name": "url", "type": "string" },
        { "name": "user", "type": ["null", "long"], "default": null },
        { "name": "at", "type": { "type": "long", "logicalType": "timestamp-millis" } },
        { "name": "price", "type": { "type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2 } } ] });
    let first = json!({ "type": "record", "name": "Click", "fields": [{ "name": "url", "type": "string" }] });
    let listed = json!([
        { "subject": "clicks-value", "version": 1, "id": 7, "schema": first.to_string() },
        { "subject": "clicks-value", "version": 2, "id": 9, "schema": second.to_string() },
    ])
    .to_string();
    let broken = json!([{ "subject": "x", "version": 1, "id": 7, "schema": "{\"type\":\"lung\"}" }]).to_string();
    let router = Router::new()
        .route("/schemas", get(move || async move { listed }))
        .route("/broken", get(move || async move { broken }))
        .route("/down", get(|| async { (StatusCode::SERVICE_UNAVAILABLE, "not now") }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

/// Exit code, stdout, all.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let mut process = Process::start("shardflight", &command(arguments).unwrap()).unwrap();
    let status = process.wait(TIMEOUT).unwrap();
    (status.code().unwrap(), process.stdout().join("\n") + "\n", process.output())
}

fn define(directory: &Path, name: &str, registry: &str, columns: &str) -> String {
    let text = format!("table: {name}\nstream: clicks\nformat:\n  avro:\n    framing: confluent\n    registry: '{registry}'\n{columns}");
    let path = directory.join(format!("{name}.yaml"));
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_fetches_the_schemas_that_definitions_name() {
    let mut serving = JoinSet::new();
    let url = registry(&mut serving).await;
    let directory = scratch_directory("registries-check").unwrap();
    let columns = "columns:\n  - { name: url, type: varchar }\n  - { name: user, type: bigint }\n";
    for name in ["one", "two"] {
        define(&directory, name, &url, columns);
    }
    let path = directory.display().to_string();
    let check = || tokio::task::block_in_place(|| run(&["catalog", "check", &path]));
    let (code, report, said) = check();
    assert_eq!(code, 0, "{said}");
    assert!(
        report.contains("one.yaml: ok: kinesis.default.one over stream clicks, 2 columns"),
        "{said}"
    );

    let nobody = format!("http://me:hush@127.0.0.1:{}", free_port().unwrap());
    for (name, registry, columns, expected) in [
        (
            "misspelt",
            url.clone(),
            "columns:\n  - { name: ulr, type: varchar }\n",
            "no schema has a value at `ulr`",
        ),
        ("broken", format!("{url}/broken"), columns, "no type `lung`"),
        (
            "down",
            format!("{url}/down"),
            columns,
            "the registry cannot be read: HTTP status server error (503",
        ),
        (
            "away",
            format!("{url}/away"),
            columns,
            "the registry cannot be read: HTTP status client error (404",
        ),
        ("nobody", nobody, columns, "the registry cannot be read: error sending request"),
    ] {
        define(&directory, name, &registry, columns);
        let (code, report, said) = check();
        assert_eq!(code, 1, "{said}");
        let line = report.lines().find(|line| line.contains(&format!("{name}.yaml:"))).unwrap();
        assert!(line.contains(expected), "{line}");
        assert!(!said.contains("hush"), "{said}");
        // the place where it is named, and the others are judged
        let place = if name == "misspelt" { 8 } else { 6 };
        assert!(line.contains(&format!("{name}.yaml:{place}:")), "{line}");
        assert!(report.contains("two.yaml: ok"), "{report}");
        std::fs::remove_file(directory.join(format!("{name}.yaml"))).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn infer_types_columns_by_the_schemas_of_a_registry() {
    let mut serving = JoinSet::new();
    let url = registry(&mut serving).await;
    let running = Backend::Embedded.start().unwrap();
    let client = kinesis::client(&running.endpoint);
    create(&client, "clicks", 1).await;
    // by hand: schema 9, "/a", 5, 1000 ms, 1.25; and schema 7, "/b"
    for record in [&b"\0\0\0\0\x09\x04/a\x02\x0a\xd0\x0f\x02\x7d"[..], b"\0\0\0\0\x07\x04/b"] {
        let put = client.put_record().stream_name("clicks").partition_key("k").data(Blob::new(record));
        put.send().await.unwrap();
    }
    let directory = scratch_directory("registries-infer").unwrap();
    let file = define(&directory, "clicks", &url, "");
    let infer = |file: &str| {
        let arguments = [
            "catalog",
            "infer",
            "clicks",
            "--merge",
            file,
            "--endpoint",
            &running.endpoint,
            "--region",
            "us-east-1",
        ];
        tokio::task::block_in_place(|| run(&arguments))
    };
    let (code, proposed, said) = infer(&file);
    assert_eq!(code, 0, "{said}");
    assert!(proposed.contains(&url), "the registry stays named: {proposed}");
    let kept = directory.join("proposed.yaml");
    std::fs::write(&kept, proposed.replace("table: clicks", "table: proposed")).unwrap();
    for column in ["url", "user", "at", "price"] {
        assert!(proposed.contains(&format!("name: {column}")), "{column} is not in {proposed}");
    }
    for column_type in ["varchar", "bigint", "timestamp(ms)", "decimal(10,2)"] {
        assert!(proposed.contains(column_type), "{column_type} is not in {proposed}");
    }
    // what it proposed is a definition, and so is its extension: nothing is missing there
    let kept = kept.display().to_string();
    let (code, report, said) = tokio::task::block_in_place(|| run(&["catalog", "check", &kept]));
    assert_eq!(code, 0, "{said}");
    assert!(report.contains("4 columns"), "{report}");

    let nobody = define(&directory, "nobody", &format!("http://127.0.0.1:{}", free_port().unwrap()), "");
    let (code, _, said) = infer(&nobody);
    assert_eq!(code, 1);
    assert!(said.contains("the registry cannot be read"), "{said}");
}
