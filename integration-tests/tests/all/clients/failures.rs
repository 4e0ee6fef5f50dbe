//! A result of which one endpoint fails is an error in every client, never a short result.

use aws_sdk_kinesis::primitives::Blob;
use integration_tests::backends::Backend;
use integration_tests::environment::{grafana, java, scratch_directory};
use integration_tests::flight::{Client, Mode};
use integration_tests::process::Process;
use integration_tests::server::{self, Server, run_script};
use std::process::Command;
use std::time::Duration;

use super::{fail, jdbc_rows};
use crate::faults::stage::{Stage, create, put};
use integration_tests::kinesis;

const RECORDS: i64 = 4_000;
const SQL: &str = "/*+ bad_records='fail' */ select id, note from broken";
/// What the reason names.
const WORD: &str = "bigint";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_fails_is_an_error_in_every_client() {
    let running = Backend::Embedded.start().unwrap();
    let writer = kinesis::client(&running.endpoint);
    create(&writer, "broken", 4).await;
    put(&writer, "broken", 0..RECORDS, |_| {}).await;
    // one record of one shard, behind its others
    let bad = writer.put_record().stream_name("broken").partition_key("key-1");
    bad.data(Blob::new(r#"{"id": "none", "note": "x"}"#)).send().await.unwrap();

    let directory = scratch_directory("broken").unwrap();
    Stage::define(&directory, "broken");
    let server = Server::start(&directory, &running.endpoint, "").unwrap();
    let flight = format!("grpc://{}", server.flight);
    run_script("failing_client.py", &[&flight, SQL, WORD]).unwrap();

    java().unwrap();
    for properties in [
        &["threadPoolSize=1"][..],
        &["threadPoolSize=1", "x-shardflight-endpoints=shard"],
        &["threadPoolSize=4", "x-shardflight-endpoints=shard"],
    ] {
        let said = fail("EveryType.java", &mut jdbc_rows(&flight, SQL, properties));
        assert!(said.contains(WORD), "{properties:?}: {said}");
    }

    let mut panel = Command::new(grafana().unwrap());
    panel
        .arg(server.flight.to_string())
        .args(["table", "2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z", "1s", SQL]);
    let said = fail("grafana", &mut panel);
    assert!(said.contains(WORD), "{said}");

    for mode in [Mode::Single, Mode::PerShard] {
        let mut client = Client::connect(server.flight, mode).await.unwrap();
        let error = client.query(SQL).await.unwrap_err();
        assert!(format!("{error:#}").contains(WORD), "{mode:?}: {error:#}");
    }

    let shell = server::command(&["sql", "--url", &flight, "--format", "csv", "-e", SQL]).unwrap();
    let mut shell = Process::start("shardflight sql", &shell).unwrap();
    assert_eq!(shell.wait(Duration::from_secs(60)).unwrap().code(), Some(1), "{}", shell.output());
    assert!(shell.output().contains(WORD), "{}", shell.output());
}
