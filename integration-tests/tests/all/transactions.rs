//! Consumption as a transaction against the real program: ADBC, several processes, `kill -9`, and two servers over one DynamoDB table.

use integration_tests::backends::Backend;
use integration_tests::environment::scratch_directory;
use integration_tests::kinesis;
use integration_tests::server::{Server, run, run_script};
use integration_tests::stand_in::StandIn;
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
    let others = kinesis::client(&running.endpoint);
    others.create_stream().stream_name("others").shard_count(1).send().await.unwrap();
    kinesis::active(&others, "others").await.unwrap();
    let directory = directory("transactions");
    std::fs::write(directory.join("tables/others.yaml"), TABLE.replace("numbers", "others")).unwrap();
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

/// `shardflight checkpoints` on the configuration of a server.
fn checkpoints(directory: &Path, arguments: &[&str]) -> Result<Vec<String>, String> {
    let config = directory.join("shardflight.yaml").display().to_string();
    let mut command = vec!["checkpoints", "--format", "csv", "--config", config.as_str()];
    command.extend(arguments);
    run(&command, std::time::Duration::from_secs(60)).map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_looks_after_checkpoints() {
    let running = Backend::Embedded.start().unwrap();
    stream(&running.endpoint, 2).await;
    let directory = directory("transactions-steered");
    let file = directory.join("before.json");
    let mut server = Server::start(&directory, &running.endpoint, "").unwrap();
    phase(&server, &running.endpoint, "open", Some(&file));
    let held = checkpoints(&directory, &["list"]).expect_err("the server holds the file");
    assert!(held.contains("checkpoints.redb") && held.contains("SQL"), "{held}");
    server.process.signal("TERM").unwrap();
    server.process.wait(std::time::Duration::from_secs(10)).unwrap();
    let listed = checkpoints(&directory, &["list"]).unwrap();
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert!(listed[1].starts_with("crash,") && listed[1].contains(",0,"), "{listed:?}");
    let shown = checkpoints(&directory, &["show", "crash"]).unwrap();
    let states: Vec<&str> = shown[1..].iter().filter_map(|line| line.split(',').nth(3)).collect();
    assert_eq!(states, ["committed", "committed", "open", "open"], "{shown:?}");
    let given_up = checkpoints(&directory, &["abandon", "crash", "numbers"]).unwrap();
    assert!(given_up[1].ends_with("iteration 1 given up"), "{given_up:?}");
    let reset = checkpoints(&directory, &["reset", "crash", "numbers", "--to", "iteration:0"]).unwrap();
    assert!(reset[1].ends_with("reset to iteration:0"), "{reset:?}");
    // what a reset leads to is what the open iteration was, and came since
    let server = Server::start(&directory, &running.endpoint, "").unwrap();
    phase(&server, &running.endpoint, "after_reset", Some(&file));
    drop(server);
    let deleted = checkpoints(&directory, &["delete", "crash"]).unwrap();
    assert!(deleted[1].ends_with("deleted"), "{deleted:?}");
    assert_eq!(checkpoints(&directory, &["list"]).unwrap().len(), 1);
    assert!(checkpoints(&directory, &["delete", "crash"]).unwrap_err().contains("no checkpoint"));
}

/// Rows as the Presto connector and the Kinesis Client Library write them.
async fn old_table(client: &aws_sdk_dynamodb::Client, table: &str, rows: &[(&str, &str)]) {
    use aws_sdk_dynamodb::types::{AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
    let key = KeySchemaElement::builder().attribute_name("leaseKey").key_type(KeyType::Hash);
    let attribute = AttributeDefinition::builder()
        .attribute_name("leaseKey")
        .attribute_type(ScalarAttributeType::S);
    client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(key.build().unwrap())
        .attribute_definitions(attribute.build().unwrap())
        .send()
        .await
        .unwrap();
    for (key, checkpoint) in rows {
        client
            .put_item()
            .table_name(table)
            .item("leaseKey", AttributeValue::S((*key).to_owned()))
            .item("checkpoint", AttributeValue::S((*checkpoint).to_owned()))
            .item("checkpointSubSequenceNumber", AttributeValue::N("0".to_owned()))
            .item("leaseCounter", AttributeValue::N("7".to_owned()))
            .send()
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_presto_and_kcl_kept_is_taken_over() {
    let running = Backend::Embedded.start().unwrap();
    stream(&running.endpoint, 2).await;
    let tables = StandIn::Moto.start_tables().unwrap();
    let settings = format!(
        "checkpoints: {{ dynamodb: {{ endpoint: \"{}\", region: us-east-1 }} }}\n",
        tables.endpoint
    );
    let directory = directory("transactions-imported");
    let server = Server::start(&directory, &running.endpoint, &settings).unwrap();
    let file = directory.join("positions.json");
    phase(&server, &running.endpoint, "positions", Some(&file));
    let positions: Vec<(String, String)> = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let [(shard, sequence), (other, last)] = positions.as_slice() else {
        panic!("{positions:?}")
    };
    let client = tables.client();
    let key = |shard: &str, iteration: u32| format!("old_job_numbers_{shard}_{iteration}");
    let (first, second, third) = (key(shard, 0), key(shard, 1), key(other, 1));
    old_table(&client, "numbers", &[(&first, "1"), (&second, sequence), (&third, last)]).await;
    old_table(&client, "app", &[(shard, sequence), (other, "TRIM_HORIZON")]).await;
    let imported = checkpoints(&directory, &["import-presto", "old_job", "numbers"]).unwrap();
    assert!(imported[1].contains(",2 shards taken over"), "{imported:?}");
    assert!(!imported[1].contains("first record"), "{imported:?}");
    let again = checkpoints(&directory, &["import-presto", "old_job", "numbers"]).unwrap_err();
    assert!(again.contains("--overwrite"), "{again}");
    assert!(checkpoints(&directory, &["import-presto", "old_job", "numbers", "--overwrite"]).is_ok());
    let imported = checkpoints(&directory, &["import-kcl", "kcl", "numbers", "--from-table", "app"]).unwrap();
    let told = format!("1 shards taken over; 1 begin at their first record: {other}");
    assert!(imported[1].contains(&told), "{imported:?}");
    let missing = checkpoints(&directory, &["import-kcl", "kcl2", "numbers", "--from-table", "nothing"]).unwrap_err();
    assert!(missing.contains("nothing"), "{missing}");
    phase(&server, &running.endpoint, "imported", Some(&file));
}

/// One server opens an iteration, another one over the same table of checkpoints goes on with it.
async fn another_server_goes_on(service: StandIn) {
    let running = Backend::Embedded.start().unwrap();
    // of the deliveries of several endpoints that end at once, each an ADD to one item, moto loses some
    let shards = if matches!(service, StandIn::Moto) { 1 } else { 2 };
    stream(&running.endpoint, shards).await;
    let tables = service.start_tables().unwrap();
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
    another_server_goes_on(StandIn::Moto).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_goes_on_by_a_table_in_ministack() {
    another_server_goes_on(StandIn::Ministack).await;
}
