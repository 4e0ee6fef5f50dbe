//! What clients write: frames of pandas and polars, and batches of JDBC.

use integration_tests::backends::Backend;
use integration_tests::environment::{Java, java, scratch_directory};
use integration_tests::flight::{Client, Mode};
use integration_tests::kinesis;
use integration_tests::server::{Server, run_script};

use super::finish;
use crate::faults::stage::{Stage, create, numbers};

/// Rows of each of two batches.
const BATCH: i64 = 700;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_and_batches_arrive_whole() {
    let running = Backend::Embedded.start().unwrap();
    create(&kinesis::client(&running.endpoint), "written", 2).await;
    let directory = scratch_directory("written").unwrap();
    Stage::define(&directory, "written");
    let server = Server::start(&directory, &running.endpoint, "allow: { streams: [\"*\"] }\n").unwrap();
    run_script("frames_writing.py", &[&format!("grpc://{}", server.flight)]).unwrap();

    let mut batches = java().unwrap().command(&Java::program("Batches.java"));
    batches.arg(server.flight.to_string()).arg(BATCH.to_string());
    finish("Batches.java", &mut batches);
    let mut client = Client::connect(server.flight, Mode::Single).await.unwrap();
    let sql = "select count(*), count(distinct id), sum(id), count(note) from written";
    // -1 and -2, twice 700 from 0 on, and 1400 without a note; one of the first two has none either
    let all = 2 * BATCH;
    let sum = (0..=all).sum::<i64>() - 3;
    assert_eq!(numbers(&server, &mut client, sql).await, [[all + 3, all + 3, sum, all + 1]]);
}
