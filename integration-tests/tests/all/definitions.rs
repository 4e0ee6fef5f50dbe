//! Tables made by statements and by tools, on the real program.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use arrow::array::AsArray;
use aws_sdk_kinesis::primitives::Blob;
use embedded::Operation;
use integration_tests::backends::{Backend, Running};
use integration_tests::environment::scratch_directory;
use integration_tests::flight::{Client, Mode};
use integration_tests::kinesis;
use integration_tests::process::READY_TIMEOUT;
use integration_tests::server::{self, Server};
use integration_tests::stand_in::StandIn;

const PACE: &str = "reader: { calls_per_second: 1000, bytes_per_second: 1GB }\nsegments: { path: none }\n";
const ALL: &str = "allow: { streams: [\"*\"] }\n";
const CREATE: &str =
    "create external table quakes (id varchar, mag double path 'properties/mag', place varchar path 'properties/place' comment 'where')
    stored as kinesis location 'kinesis://quakes' options (format 'json')";
const SUMS: &str = "select count(*), count(mag), round(sum(mag), 2) from quakes";

/// Features of the USGS feed, a line each.
fn quakes() -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../catalog/tests/data/earthquakes.ndjson");
    std::fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}

/// What [`SUMS`] gives for these records.
fn sums(records: &[String]) -> String {
    let magnitude = |record: &String| serde_json::from_str::<serde_json::Value>(record).unwrap()["properties"]["mag"].as_f64();
    let magnitudes: Vec<f64> = records.iter().filter_map(magnitude).collect();
    let sum = (magnitudes.iter().sum::<f64>() * 100.0).round() / 100.0;
    format!("{},{},{sum}", records.len(), magnitudes.len())
}

/// A stream service whose stream holds the features.
async fn started() -> Running {
    let running = Backend::Embedded.start().unwrap();
    let client = kinesis::client(&running.endpoint);
    client.create_stream().stream_name("quakes").shard_count(2).send().await.unwrap();
    for (number, record) in quakes().into_iter().enumerate() {
        let put = client.put_record().stream_name("quakes").partition_key(number.to_string());
        put.data(Blob::new(record)).send().await.unwrap();
    }
    running
}

/// Rows of a statement, cells joined by commas.
async fn rows(server: &Server, sql: &str) -> anyhow::Result<Vec<String>> {
    let mut client = Client::connect(server.flight, Mode::Single).await?;
    let mut rows = Vec::new();
    for batch in client.query(sql).await?.batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| arrow::compute::cast(column, &arrow::datatypes::DataType::Utf8).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<_> = columns
                .iter()
                .map(|column| column.as_string::<i32>().value(row).to_owned())
                .collect();
            rows.push(cells.join(","));
        }
    }
    Ok(rows)
}

fn stop(mut server: Server) {
    server.process.signal("TERM").unwrap();
    let status = server.process.wait(READY_TIMEOUT).unwrap();
    assert!(status.success(), "{status}\n{}", server.process.output());
}

/// Runs the program to its end: its exit code, stdout and stderr.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let mut command: Command = server::command(arguments).unwrap();
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn files(directory: &Path) -> Vec<String> {
    let Ok(files) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn place(name: &str) -> (PathBuf, PathBuf) {
    let directory = scratch_directory(name).unwrap();
    let tables = directory.join("tables");
    (directory, tables)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_created_outlives_the_server_and_what_is_dropped_is_gone() {
    let running = started().await;
    let (directory, tables) = place("ddl");
    let settings = format!("{PACE}{ALL}");
    let server = Server::start(&directory, &running.endpoint, &settings).unwrap();
    assert!(rows(&server, CREATE).await.unwrap().is_empty());
    assert_eq!(rows(&server, SUMS).await.unwrap(), [sums(&quakes())]);
    assert_eq!(files(&tables), ["quakes.yaml"]);
    // A driver that prepares first, and sends updates as updates.
    let url = format!("grpc://{}", server.flight);
    server::run_script("definitions_client.py", &[&url]).unwrap();
    stop(server);

    let server = Server::start(&directory, &running.endpoint, &settings).unwrap();
    assert_eq!(rows(&server, SUMS).await.unwrap(), [sums(&quakes())]);
    let (code, shown, stderr) = run(&[
        "sql",
        "--url",
        &format!("grpc://{}", server.flight),
        "--format",
        "csv",
        "-e",
        "describe quakes",
    ]);
    assert_eq!(code, 0, "{stderr}");
    assert!(shown.contains("place,varchar,YES,where"), "{shown}");
    let error = rows(&server, CREATE).await.unwrap_err();
    assert!(format!("{error:#}").contains("exists"), "{error:#}");
    assert!(rows(&server, "drop table quakes").await.unwrap().is_empty());
    assert!(rows(&server, SUMS).await.is_err());
    assert!(files(&tables).is_empty());
    stop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_over_one_stream_cost_the_calls_of_one() {
    let running = started().await;
    let service = running.embedded().unwrap();
    let (directory, _) = place("one-reader");
    let server = Server::start(&directory, &running.endpoint, &format!("{PACE}{ALL}")).unwrap();
    let records = |text: &str| {
        let served = service.calls().get(Operation::GetRecords, Some("quakes"), None).records;
        service.calls().reset();
        println!("{text}: {served} records");
        served
    };
    rows(&server, CREATE).await.unwrap();
    rows(&server, SUMS).await.unwrap();
    records("the first table");
    for other in ["second", "third"] {
        rows(&server, &CREATE.replace("table quakes", &format!("table {other}")))
            .await
            .unwrap();
        assert_eq!(
            rows(&server, &SUMS.replace("from quakes", &format!("from {other}"))).await.unwrap(),
            [sums(&quakes())]
        );
    }
    let joined = "select count(*) from quakes q join second s on q.id = s.id join third t on t.id = s.id";
    assert_eq!(rows(&server, joined).await.unwrap(), [quakes().len().to_string()]);
    let undefined = "select count(*) from kinesis_stream('quakes')";
    assert_eq!(rows(&server, undefined).await.unwrap(), [quakes().len().to_string()]);
    assert_eq!(records("all others"), 0, "what is held is not read again");
    stop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_rule_statements_name_no_other_stream() {
    let running = started().await;
    let (directory, tables) = place("rules");
    std::fs::create_dir_all(&tables).unwrap();
    let server = Server::start(&directory, &running.endpoint, PACE).unwrap();
    for sql in [CREATE, "select * from kinesis_stream('quakes')"] {
        let error = format!("{:#}", rows(&server, sql).await.unwrap_err());
        assert!(error.contains("allow.streams"), "{error}");
    }
    stop(server);
    std::fs::write(tables.join("own.yaml"), "table: own\nstream: quakes\nformat: dummy\n").unwrap();
    let server = Server::start(&directory, &running.endpoint, PACE).unwrap();
    assert!(rows(&server, CREATE).await.is_ok(), "a stream of a definition file");
    stop(server);
    let server = Server::with_catalog(
        &directory,
        &running.endpoint,
        &format!("path: \"{}\", ddl: false", tables.display()),
        PACE,
    )
    .unwrap();
    let error = format!("{:#}", rows(&server, "drop table quakes").await.unwrap_err());
    assert!(error.contains("catalog.ddl"), "{error}");
    assert_eq!(rows(&server, SUMS).await.unwrap(), [sums(&quakes())]);
    stop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_looked_at_without_a_server_and_without_a_definition() {
    let running = started().await;
    let (_, tables) = place("infer");
    std::fs::create_dir_all(&tables).unwrap();
    let reach = ["--endpoint", running.endpoint.as_str(), "--region", "us-east-1"];
    let (code, proposed, stderr) = run(&[&["catalog", "infer", "quakes", "--sample", "50"], &reach[..]].concat());
    assert_eq!(code, 0, "{stderr}");
    assert!(proposed.contains("coordinates array<double>"), "{proposed}");
    let file = tables.join("quakes.yaml");
    std::fs::write(&file, &proposed).unwrap();
    let (code, checked, stderr) = run(&["catalog", "check", tables.to_str().unwrap()]);
    assert_eq!(code, 0, "{checked}{stderr}");

    // Later records bring a field; what is there stays.
    let client = kinesis::client(&running.endpoint);
    let put = client.put_record().stream_name("quakes").partition_key("new");
    put.data(Blob::new(r#"{"id":"new","depth":{"km":7.5}}"#)).send().await.unwrap();
    let merge = ["catalog", "infer", "quakes", "--merge", file.to_str().unwrap()];
    let (code, merged, stderr) = run(&[&merge[..], &reach[..]].concat());
    assert_eq!(code, 0, "{stderr}");
    assert!(merged.starts_with(proposed.trim_end()), "{merged}");
    assert!(merged[proposed.trim_end().len()..].contains("row<km double>"), "{merged}");

    // A definition that has no columns yet gets all of them, and keeps what it says.
    let bare = tables.join("bare.yaml");
    let settings = "table: bare\nstream: quakes\nformat: json\nbad_records: skip\n";
    std::fs::write(&bare, settings).unwrap();
    let merge = ["catalog", "infer", "quakes", "--merge", bare.to_str().unwrap()];
    let (code, filled, stderr) = run(&[&merge[..], &reach[..]].concat());
    assert_eq!(code, 0, "{stderr}");
    let columns = filled.strip_prefix(settings).unwrap_or_else(|| panic!("{filled}"));
    assert!(columns.starts_with("columns:"), "{filled}");
    assert!(
        columns.contains("coordinates array<double>") && columns.contains("row<km double>"),
        "{filled}"
    );
    std::fs::write(&bare, &filled).unwrap();
    let (code, checked, stderr) = run(&["catalog", "check", tables.to_str().unwrap()]);
    assert_eq!(code, 0, "{checked}{stderr}");

    let statement = "select count(*) as n, sum(properties['sig']) as sig from quakes";
    let (code, answer, stderr) = run(&[&["sql", "--stream", "quakes", "--format", "csv", "-e", statement], &reach[..]].concat());
    assert_eq!(code, 0, "{stderr}");
    let sig = |record: &String| {
        serde_json::from_str::<serde_json::Value>(record).unwrap()["properties"]["sig"]
            .as_i64()
            .unwrap()
    };
    let total: i64 = quakes().iter().map(sig).sum();
    assert_eq!(answer.trim(), format!("n,sig\n{},{total}", quakes().len() + 1));
    let (code, _, stderr) = run(&[&["sql", "--stream", "no-such-stream", "-e", "select 1"], &reach[..]].concat());
    assert_eq!(code, 1);
    assert!(stderr.contains("no-such-stream"), "{stderr}");

    let description = Path::new(env!("CARGO_MANIFEST_DIR")).join("../catalog/tests/data/nasahttp.json");
    let (code, converted, stderr) = run(&["catalog", "convert", description.to_str().unwrap()]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        converted.contains("table: nasahttp") && converted.contains("path: timestamp"),
        "{converted}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalog_in_object_storage_is_shared() {
    let running = started().await;
    let storage = StandIn::Moto.start_storage("catalog").unwrap();
    let catalog = format!("path: \"s3://catalog/of/all nodes\", endpoint: \"{}\"", storage.endpoint);
    let start = |name: &str| {
        let directory = scratch_directory(name).unwrap();
        Server::with_catalog(&directory, &running.endpoint, &catalog, &format!("{PACE}{ALL}")).unwrap()
    };
    let (one, other) = (start("s3-one"), start("s3-other"));
    rows(&one, CREATE).await.unwrap();
    assert_eq!(rows(&one, SUMS).await.unwrap(), [sums(&quakes())]);
    // The other sees it within its refresh, and the table's end too.
    eventually(async || rows(&other, SUMS).await.is_ok_and(|rows| rows == [sums(&quakes())])).await;
    rows(&other, "alter table quakes add column kind varchar path 'properties/type'")
        .await
        .unwrap();
    eventually(async || rows(&one, "select count(kind) from quakes").await.is_ok()).await;
    rows(&other, "drop table quakes").await.unwrap();
    eventually(async || rows(&one, SUMS).await.is_err()).await;
    stop(one);
    stop(other);
}

async fn eventually(holds: impl AsyncFn() -> bool) {
    for _ in 0..100 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("it never holds");
}
