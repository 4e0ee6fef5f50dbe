//! Files in object storage that nobody here wrote, as tables and as the end of COPY, with ADBC.

use integration_tests::backends::Backend;
use integration_tests::environment::scratch_directory;
use integration_tests::kinesis;
use integration_tests::process::READY_TIMEOUT;
use integration_tests::server::{Server, run_script};
use integration_tests::stand_in::StandIn;

async fn files_in(storage: StandIn, name: &str) {
    let running = Backend::Embedded.start().unwrap();
    let client = kinesis::client(&running.endpoint);
    client.create_stream().stream_name("numbers").shard_count(2).send().await.unwrap();
    kinesis::active(&client, "numbers").await.unwrap();
    let storage = storage.start_storage("lake").unwrap();
    let directory = scratch_directory(name).unwrap();
    let settings = format!(
        "lake: {{ endpoint: \"{}\", region: us-east-1 }}\nallow: {{ streams: [\"*\"], read: [\"s3://lake/allowed\", \"s3://lake/out\"], write: [\"s3://lake/out\"] }}\n",
        storage.endpoint
    );
    let mut server = Server::start(&directory, &running.endpoint, &settings).unwrap();
    run_script("files_client.py", &[&format!("grpc://{}", server.flight), &storage.endpoint]).unwrap();
    server.process.signal("TERM").unwrap();
    assert!(server.process.wait(READY_TIMEOUT).unwrap().success(), "{}", server.process.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_in_moto_are_tables() {
    files_in(StandIn::Moto, "files-moto").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_in_ministack_are_tables() {
    files_in(StandIn::Ministack, "files-ministack").await;
}
