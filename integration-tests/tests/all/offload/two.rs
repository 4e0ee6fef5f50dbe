//! Two servers that do not know of each other run one job: over one table of checkpoints and one bucket.

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use integration_tests::backends::Backend;
use integration_tests::calls::Proxy;
use integration_tests::stand_in::StandIn;
use tokio::task::JoinSet;

use super::*;

const CATALOG: &str = "path: \"s3://lake/catalog\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_at_once_publish_each_row_once() {
    let running = Backend::Embedded.start().unwrap();
    stream(&running.endpoint, 3).await;
    let tables = StandIn::Moto.start_tables().unwrap();
    let storage = StandIn::Moto.start_storage("lake").unwrap();
    // neither of moto's services keeps two callers apart
    let tables_in_turn = Proxy::in_turn(&tables.endpoint).await.unwrap();
    let storage_in_turn = Proxy::in_turn(&storage.endpoint).await.unwrap();
    let settings = format!(
        "allow: {{ write: [\"s3://lake/tables\"], streams: [numbers] }}\n\
         lake: {{ endpoint: \"{storage}\", region: us-east-1 }}\n\
         checkpoints: {{ dynamodb: {{ endpoint: \"{tables}\", region: us-east-1 }} }}\n\
         reader: {{ calls_per_second: 1000, bytes_per_second: 1GB }}\n",
        storage = storage_in_turn.endpoint,
        tables = tables_in_turn.endpoint,
    );
    let catalog = format!("{CATALOG}, endpoint: \"{}\", region: us-east-1", storage_in_turn.endpoint);
    let node = |name: &str| Server::with_catalog(&scratch_directory(name).unwrap(), &running.endpoint, &catalog, &settings).unwrap();
    let servers = [node("offload-two-0"), node("offload-two-1")];
    run(
        &servers[0],
        "CREATE EXTERNAL TABLE numbers (n bigint PATH 'n') STORED AS KINESIS LOCATION 'kinesis://numbers' OPTIONS (format 'json')",
    )
    .await;
    let location = "s3://lake/tables/numbers";
    run(
        &servers[0],
        &format!(
            "CREATE OFFLOAD numbers_lake STORED AS DELTA LOCATION '{location}' \
             OPTIONS (every '1s', start 'trim_horizon', iteration_max '8kB') AS SELECT n FROM numbers"
        ),
    )
    .await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut producer = JoinSet::new();
    producer.spawn(put_on(running.endpoint.clone(), Arc::clone(&stop)));
    // Each in turn stands still wherever it is, and goes on with what it had in mind after the other has published.
    for round in 0..6 {
        let (still, other) = (&servers[round % 2], &servers[1 - round % 2]);
        still.process.signal("STOP").unwrap();
        published_more(other).await;
        still.process.signal("CONT").unwrap();
        // points that are spread over its cycle
        tokio::time::sleep(Duration::from_millis(round as u64 * 137 % 500)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let count = producer.join_next().await.unwrap().unwrap();
    let held = lake_with(location, &storage.endpoint, count).await;
    assert_eq!(
        held,
        Held::below(count),
        "{}\n{}",
        servers[0].process.output(),
        servers[1].process.output()
    );
}

/// Waits until a server has published twice more: once may be what it had begun before.
async fn published_more(server: &Server) {
    let before = iterations(server).await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = iterations(server).await;
        if now >= before + 2 {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{now} iterations, {before} before\n{}",
            server.process.output()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// How many iterations a server has published.
async fn iterations(server: &Server) -> i64 {
    let mut client = Client::connect(server.flight, Mode::Single).await.unwrap();
    let answer = client.query("select iterations from kinesis.system.offloads").await.unwrap();
    // a server that has not looked at the files yet knows of no job
    let told = answer.batches.iter().find(|batch| batch.num_rows() > 0);
    told.map_or(0, |batch| batch.column(0).as_primitive::<Int64Type>().value(0))
}
