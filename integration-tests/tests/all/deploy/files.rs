//! The files of `deploy/`, linted, rendered, parsed, and held against the program.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use integration_tests::backends::Backend;
use integration_tests::environment::{Python, chart_renderer, linters, scratch_directory};
use integration_tests::flight::{Client, Mode};
use integration_tests::process::{Process, without_aws_settings};
use integration_tests::server::{self, Server};
use integration_tests::{kinesis, process};
use tokio::task::JoinSet;

/// A script may have a demo to run.
const TIMEOUT: Duration = Duration::from_secs(400);

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").canonicalize().unwrap()
}

/// Runs a script of `integration-tests/python` with the linters' Python.
fn check(script: &str, arguments: &[&Path]) {
    let mut command = Command::new(linters().unwrap().join("python"));
    command.arg("-u").arg(Python::script(script)).args(arguments);
    without_aws_settings(&mut command);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    let mut running = Process::start(script, &command).unwrap();
    let status = running.wait(TIMEOUT).unwrap();
    assert!(status.success(), "{script}: {status}\n{}", running.output());
    println!("{}", running.stdout().join("\n"));
}

#[test]
fn files_are_sound() {
    check("deploy_files.py", &[&deploy()]);
}

#[test]
fn the_image_runs_as_its_container_file_says() {
    check("deploy_image.py", &[&deploy(), &server::program().unwrap()]);
}

#[test]
fn the_chart_makes_what_kubernetes_and_the_server_take() {
    let made = scratch_directory("chart").unwrap();
    check(
        "deploy_chart.py",
        &[chart_renderer().unwrap(), &deploy().join("helm/shardflight"), &made],
    );
    check("deploy_configurations.py", &[&server::program().unwrap(), &deploy(), &made]);
}

#[test]
fn a_release_holds_the_program_and_says_what_it_is_made_of() {
    let made = scratch_directory("release").unwrap();
    check("deploy_release.py", &[&deploy(), &server::program().unwrap(), &made]);
}

#[test]
fn the_pages_figures_are_what_their_assumptions_give() {
    check("scale_model.py", &[&deploy().join("../docs/scale.md")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboards_and_alerts_ask_for_what_is_there() {
    let kinesis = Backend::Embedded.start().unwrap();
    let directory = scratch_directory("dashboards").unwrap();
    std::fs::create_dir_all(directory.join("tables")).unwrap();
    let definition = deploy().join("../flight-server/demo/nasahttp.yaml");
    std::fs::copy(definition, directory.join("tables/nasahttp.yaml")).unwrap();
    let client = kinesis::client(&kinesis.endpoint);
    client.create_stream().stream_name("nasahttp").shard_count(1).send().await.unwrap();
    let record = r#"{"host":"h","timestamp":"01/Aug/1995:00:00:01 -0400","request":"GET /","code":200,"bytes":5}"#;
    let put = client
        .put_record()
        .stream_name("nasahttp")
        .partition_key("h")
        .data(Blob::new(record));
    put.send().await.unwrap();
    let server = Server::start(&directory, &kinesis.endpoint, "").unwrap();
    let mut flight = Client::connect(server.flight, Mode::Single).await.unwrap();
    // its labels are there once a statement has failed
    flight.query("selec").await.unwrap_err();

    let text = std::fs::read_to_string(deploy().join("grafana/dashboards/streams.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 2);
    for panel in panels {
        let sql = panel["targets"][0]["queryText"].as_str().unwrap();
        let answer = flight.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:#}"));
        assert!(answer.batches.iter().any(|batch| batch.num_rows() > 0), "{sql}: no rows");
    }
    let http = PathBuf::from(&server.http);
    let mut script = JoinSet::new();
    script.spawn_blocking(move || check("deploy_metrics.py", &[&http, &deploy()]));
    script.join_next().await.unwrap().unwrap();
}

#[test]
fn health_says_by_its_exit_code_whether_a_server_can_serve() {
    let kinesis = Backend::Embedded.shared().unwrap();
    let directory = scratch_directory("health").unwrap();
    std::fs::create_dir_all(directory.join("tables")).unwrap();
    let server = Server::start(&directory, &kinesis.endpoint, "").unwrap();
    let address = server.http.strip_prefix("http://").unwrap().to_owned();
    let config = directory.join("shardflight.yaml");
    server::run(&["health", "--http", &address], TIMEOUT).unwrap();
    server::run(&["health", "--config", config.to_str().unwrap()], TIMEOUT).unwrap();
    drop(server);
    let error = server::run(&["health", "--http", &address], TIMEOUT).unwrap_err().to_string();
    assert!(error.contains("exit status: 1") && error.contains("does not answer"), "{error}");
    let nobody = format!("127.0.0.1:{}", process::free_port().unwrap());
    server::run(&["health", "--http", &nobody], TIMEOUT).unwrap_err();
}
