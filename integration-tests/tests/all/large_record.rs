//! The largest record that a stream can take, from the service through the program to clients that others wrote.

use aws_sdk_kinesis::primitives::Blob;
use integration_tests::backends::Backend;
use integration_tests::environment::scratch_directory;
use integration_tests::kinesis;
use integration_tests::server::{Server, run_script};

const RECORD: usize = 10 << 20;
const TABLE: &str = "table: large\nstream: large\nformat: json\ncolumns:\n  - { name: id, path: id, type: bigint }\n  \
                     - { name: note, path: note, type: varchar }\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_of_ten_mebibytes_reaches_real_clients() {
    // with AWS's limits: the reply of 10 MiB closes the shard for 5 s
    for backend in [Backend::Embedded, Backend::EmbeddedLimited] {
        let running = backend.start().unwrap();
        let client = kinesis::client(&running.endpoint);
        client.create_stream().stream_name("large").shard_count(1).send().await.unwrap();
        let arn = stream_arn(&client).await;
        client
            .update_max_record_size()
            .stream_arn(arn)
            .max_record_size_in_kib(10_240)
            .send()
            .await
            .unwrap();
        let filler = RECORD - r#"{"id": 1, "note": ""}"#.len();
        for (id, note) in [(0, 5), (1, filler), (2, 5)] {
            let data = format!(r#"{{"id": {id}, "note": "{}"}}"#, "x".repeat(note));
            assert!(data.len() <= RECORD);
            loop {
                let put = client
                    .put_record()
                    .stream_name("large")
                    .partition_key("k")
                    .data(Blob::new(data.clone()));
                match put.send().await {
                    Ok(_) => break,
                    // the debt of a large record is paid in seconds
                    Err(error)
                        if error
                            .as_service_error()
                            .is_some_and(|error| error.is_provisioned_throughput_exceeded_exception()) =>
                    {
                        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
                    }
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
        let directory = scratch_directory("large-record").unwrap();
        std::fs::create_dir_all(directory.join("tables")).unwrap();
        std::fs::write(directory.join("tables/large.yaml"), TABLE).unwrap();
        let server = Server::start(&directory, &running.endpoint, "").unwrap();
        run_script("large_record.py", &[&format!("grpc://{}", server.flight), &filler.to_string()]).unwrap();
    }
}

async fn stream_arn(client: &aws_sdk_kinesis::Client) -> String {
    let summary = client.describe_stream_summary().stream_name("large").send().await.unwrap();
    summary.stream_description_summary().unwrap().stream_arn().to_owned()
}
