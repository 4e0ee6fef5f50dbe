//! Consumption as a transaction against the real program: ADBC, several processes, `kill -9`, and two servers over one DynamoDB table.

use integration_tests::backends::Backend;
use integration_tests::environment::scratch_directory;
use integration_tests::kinesis;
use integration_tests::server::{Server, run_script};
use integration_tests::tables::TableService;
use std::path::{Path, PathBuf};

const TABLE: &str = "table: numbers\nstream: numbers\ncolumns:\n  - { name: n, path: n, type: bigint }\n";

async fn stream(endpoint: &str, shards: i32) {
    let client = kinesis::client(endpoint);
    client
        .create_stream()
        .stream_name("numbers")
        .shard_count(shards)
        .send()
        .await
        .unwrap();
    kinesis::active(&client, "numbers").await.unwrap();
}

/// A directory of a server's own, with the table.
fn directory(name: &str) -> PathBuf {
    let directory = scratch_directory(name).unwrap();
    std::fs::create_dir_all(directory.join("tables")).unwrap();
    std::fs::write(directory.join("tables/numbers.yaml"), TABLE).unwrap();
    directory
}

fn phase(server: &Server, endpoint: &str, phase: &str, file: Option<&Path>) {
    let flight = format!("grpc://{}", server.flight);
    let mut arguments = vec![flight.as_str(), endpoint, phase];
    let file = file.map(|file| file.display().to_string());
    arguments.extend(file.as_deref());
    run_script("transactions.py", &arguments).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn adbc_consumes_in_transactions() {
    let running = Backend::Embedded.start().unwrap();
    stream(&running.endpoint, 3).await;
    let directory = directory("transactions");
    let server = Server::start(&directory, &running.endpoint, "").unwrap();
    phase(&server, &running.endpoint, "clients", None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_finds_its_open_iteration() {
    let running = Backend::Roto.start().unwrap();
    stream(&running.endpoint, 2).await;
    let directory = directory("transactions-killed");
    let file = directory.join("before.json");
    let mut server = Server::start(&directory, &running.endpoint, "").unwrap();
    phase(&server, &running.endpoint, "open", Some(&file));
    server.process.signal("KILL").unwrap();
    server.process.wait(std::time::Duration::from_secs(10)).unwrap();
    let server = Server::start(&directory, &running.endpoint, "").unwrap();
    phase(&server, &running.endpoint, "reopen", Some(&file));
}

/// One server opens an iteration, another one over the same table of checkpoints goes on with it.
async fn another_server_goes_on(service: TableService) {
    let running = Backend::Embedded.start().unwrap();
    stream(&running.endpoint, 2).await;
    let tables = service.start().unwrap();
    let checkpoints = format!(
        "checkpoints: {{ dynamodb: {{ endpoint: \"{}\", region: us-east-1 }} }}\n",
        tables.endpoint
    );
    let first = directory(&format!("transactions-{service:?}-first"));
    let file = first.join("before.json");
    let server = Server::start(&first, &running.endpoint, &checkpoints).unwrap();
    phase(&server, &running.endpoint, "open", Some(&file));
    let second = directory(&format!("transactions-{service:?}-second"));
    let other = Server::start(&second, &running.endpoint, &checkpoints).unwrap();
    phase(&other, &running.endpoint, "reopen", Some(&file));
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_goes_on_by_a_table_in_moto() {
    another_server_goes_on(TableService::Moto).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_goes_on_by_a_table_in_ministack() {
    another_server_goes_on(TableService::Ministack).await;
}
