//! A table whose older rows lie in a lake, while its stream is written and offloaded.

use integration_tests::backends::Backend;
use integration_tests::server::run_script;
use tokio::task::JoinSet;

use super::*;

async fn offloaded_as(format: &str, name: &str) {
    let running = Backend::Embedded.start().unwrap();
    stream(&running.endpoint, 2).await;
    let directory = directory(name);
    std::fs::write(directory.join("tables/numbers.yaml"), format!("{TABLE}history: numbers_lake\n")).unwrap();
    std::fs::write(directory.join("tables/plain.yaml"), TABLE.replace("table: numbers", "table: plain")).unwrap();
    let location = file_url(&directory.join("lake/numbers"));
    let settings = format!(
        "allow: {{ write: [\"{}\"] }}\nreader: {{ calls_per_second: 1000, bytes_per_second: 1GB }}\n",
        file_url(&directory.join("lake"))
    );
    let mut server = Server::start(&directory, &running.endpoint, &settings).unwrap();
    let create = format!(
        "CREATE OFFLOAD numbers_lake STORED AS {format} LOCATION '{location}' \
         OPTIONS (every '1s', start 'trim_horizon', iteration_max '4kB') AS SELECT n FROM numbers"
    );
    run(&server, &create).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut producer = JoinSet::new();
    producer.spawn(put_on(running.endpoint.clone(), Arc::clone(&stop)));
    let url = format!("grpc://{}", server.flight);
    run_script("hybrid_client.py", &[&url, "-"]).unwrap();
    stop.store(true, Ordering::Relaxed);
    let count = producer.join_next().await.unwrap().unwrap();
    run_script("hybrid_client.py", &[&url, &count.to_string()]).unwrap();
    server.process.signal("TERM").unwrap();
    assert!(server.process.wait(PATIENCE).unwrap().success(), "{}", server.process.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_with_a_history_in_delta_is_its_stream() {
    offloaded_as("DELTA", "hybrid-delta").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_with_a_history_in_parquet_is_its_stream() {
    offloaded_as("PARQUET", "hybrid-parquet").await;
}
