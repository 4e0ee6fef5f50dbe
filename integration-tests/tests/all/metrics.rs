//! The metrics as Prometheus reads them, with values known from what was put and asked.

use aws_sdk_kinesis::primitives::Blob;
use integration_tests::backends::Backend;
use integration_tests::environment::scratch_directory;
use integration_tests::flight::{Client, Mode};
use integration_tests::kinesis;
use integration_tests::server::{self, Server};
use serde_json::json;
use tokio::task::JoinSet;

const TABLE: &str = "table: numbers\nstream: numbers\ncolumns:\n  - { name: n, path: n, type: bigint }\n";

/// Partition key of a record's number: `k0` to `k9`.
const KEY_BYTES: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_was_put_and_asked() {
    let kinesis = Backend::Embedded.start().unwrap();
    let directory = scratch_directory("metrics").unwrap();
    std::fs::create_dir_all(directory.join("tables")).unwrap();
    std::fs::write(directory.join("tables/numbers.yaml"), TABLE).unwrap();
    let client = kinesis::client(&kinesis.endpoint);
    client.create_stream().stream_name("numbers").shard_count(2).send().await.unwrap();
    let mut of_shard = std::collections::BTreeMap::<String, (usize, usize)>::new();
    for n in 0..10 {
        // one of them is no number
        let record = if n == 7 {
            "{\"n\":\"seven\"}".to_owned()
        } else {
            format!("{{\"n\":{n}}}")
        };
        let put = client
            .put_record()
            .stream_name("numbers")
            .partition_key(format!("k{n}"))
            .data(Blob::new(record.as_bytes()));
        let shard = put.send().await.unwrap().shard_id;
        let (records, bytes) = of_shard.entry(shard).or_default();
        *records += 1;
        *bytes += record.len() + KEY_BYTES;
    }
    let pace = "reader: { calls_per_second: 1000, bytes_per_second: 1GB }\n";
    let server = Server::start(&directory, &kinesis.endpoint, pace).unwrap();
    let mut flight = Client::connect(server.flight, Mode::Single).await.unwrap();
    let rows = |answer: &integration_tests::flight::Answer| answer.batches.iter().map(|batch| batch.num_rows()).sum::<usize>();
    for _ in 0..3 {
        assert_eq!(rows(&flight.query("select n from numbers").await.unwrap()), 10);
    }
    assert!(rows(&flight.query("explain select n from numbers").await.unwrap()) > 3);
    flight.query("set kinesis.freshness = 'cached'").await.unwrap();
    flight.query("select missing from numbers").await.unwrap_err();

    let (records, bytes) = of_shard
        .values()
        .fold((0, 0), |(records, bytes), shard| (records + shard.0, bytes + shard.1));
    let statements =
        |kind: &str, outcome: &str, count: usize| json!(["shardflight_statements_total", {"kind": kind, "outcome": outcome}, count]);
    let mut expected = vec![
        json!(["shardflight_records_fetched_total", {}, records]),
        json!(["shardflight_bytes_fetched_total", {}, bytes]),
        json!(["shardflight_records_refetched_total", {}, 0]),
        json!(["shardflight_bad_records_total", {}, 1]),
        json!(["shardflight_gaps_total", {}, 0]),
        json!(["shardflight_throttles_total", {}, 0]),
        json!(["shardflight_iterator_expiries_total", {}, 0]),
        json!(["shardflight_shards_without_series", {}, 0]),
        json!(["shardflight_statement_rows_total", {"kind": "query"}, 3 * 10]),
        json!(["shardflight_statement_seconds_count", {"kind": "query"}, 3]),
        statements("query", "Ok", 3),
        statements("explain", "Ok", 1),
        statements("session", "Ok", 1),
        statements("unplanned", "Error", 1),
    ];
    for (shard, (records, bytes)) in &of_shard {
        let labels = json!({"stream": "numbers", "shard": shard});
        expected.push(json!(["shardflight_shard_records_total", labels, records]));
        expected.push(json!(["shardflight_shard_bytes_total", labels, bytes]));
        expected.push(json!(["shardflight_shard_held_records", labels, records]));
        expected.push(json!(["shardflight_shard_lag_milliseconds", labels, 0]));
        expected.push(json!(["shardflight_shard_gaps_total", labels, 0]));
        expected.push(json!(["shardflight_shard_scans", labels, 0]));
    }
    let expected = serde_json::Value::from(expected).to_string();
    let mut script = JoinSet::new();
    script.spawn_blocking(move || server::run_script("metrics.py", &[&server.http, &expected]));
    script.join_next().await.unwrap().unwrap().unwrap();
}
