//! A second opinion on faults: `microburst`, a proxy that knows AWS's protocols, in front of `roto`.

use std::process::Command;

use integration_tests::backends::Backend;
use integration_tests::environment::{python, scratch_directory};
use integration_tests::flight::Mode;
use integration_tests::http;
use integration_tests::process::{Process, without_aws_settings};

use super::stage::{Stage, put};

const RULES: &str = r"
rules:
  - { service: kinesis, operation: GetRecords, sequence: { fail: 1, pass: 5 }, error: { code: ExpiredIteratorException } }
  - { service: kinesis, operation: GetRecords, sequence: { fail: 1, pass: 3 }, error: { code: ProvisionedThroughputExceededException } }
  - { service: kinesis, operation: GetRecords, sequence: { fail: 1, pass: 6 }, reset: true }
  - { service: kinesis, operation: GetShardIterator, sequence: { fail: 1, pass: 2 }, error: { code: ProvisionedThroughputExceededException } }
";

const RECORDS: i64 = 12_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_a_proxy_before_another_service_lose_and_double_nothing() {
    let roto = Backend::Roto.start().unwrap();
    let rules = scratch_directory("microburst").unwrap().join("rules.yaml");
    std::fs::write(&rules, RULES).unwrap();
    let program = python().unwrap().program("microburst");
    let (_proxy, address) = Process::serve("microburst", |port| {
        let mut command = Command::new(&program);
        command
            .args(["--host", "127.0.0.1", "--upstream", &roto.endpoint, "--port"])
            .arg(port.to_string())
            .arg("--config")
            .arg(&rules);
        without_aws_settings(&mut command);
        Ok(command)
    })
    .unwrap();
    let proxy = format!("http://{address}");
    let stage = Stage::new("proxied", &roto.endpoint, &proxy, &["proxied"]);
    stage.create("proxied", 3).await;
    put(&stage.kinesis, "proxied", 0..RECORDS, |_| {}).await;
    let mut client = stage.client(Mode::PerShard).await;
    stage.assert_exactly(&mut client, "proxied", RECORDS).await;
    for round in 1..=6 {
        let end = RECORDS + round * 50;
        put(&stage.kinesis, "proxied", end - 50..end, |_| {}).await;
        stage.assert_exactly(&mut client, "proxied", end).await;
    }
    let fired = http::get(&proxy, "/_microburst/fired?limit=1000").unwrap();
    for fault in ["ExpiredIteratorException", "ProvisionedThroughputExceededException", "reset"] {
        assert!(fired.contains(fault), "{fault} was never injected: {fired}");
    }
}
