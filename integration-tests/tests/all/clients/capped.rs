//! Behind a proxy that caps the calls of a connection, as gateways do.

use std::collections::BTreeSet;

use integration_tests::backends::Backend;
use integration_tests::balancer::Balancer;
use integration_tests::server::run_script;

use super::{finish, jdbc_rows};
use crate::faults::stage::{Stage, create, put, put_sized};

/// Far fewer than the endpoints that clients are given by default.
const CAP: u32 = 10;
const HUNDRED: i64 = 3_000;
/// 4 MB in each of 12 shards.
const LARGE: i64 = 480;
const NOTE: usize = 100_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_caps_streams_costs_no_rows() {
    let running = Backend::Embedded.start().unwrap();
    let stage = Stage::new("capped", &running.endpoint, &running.endpoint, &["hundred", "large"]);
    create(&stage.kinesis, "hundred", 100).await;
    put(&stage.kinesis, "hundred", 0..HUNDRED, |_| {}).await;
    create(&stage.kinesis, "large", 12).await;
    put_sized(&stage.kinesis, "large", 0..LARGE, NOTE, |_| {}).await;
    let proxy = Balancer::start_capped(&[stage.server.flight], Some(CAP)).await.unwrap();
    let proxied = format!("grpc://{}", proxy.address);
    let numbers = [HUNDRED, LARGE, i64::from(CAP)].map(|number| number.to_string());
    let arguments: Vec<&str> = std::iter::once(proxied.as_str())
        .chain(numbers.iter().map(String::as_str))
        .collect();
    tokio::task::block_in_place(|| run_script("capped_client.py", &arguments)).unwrap();

    // pyarrow, pandas, polars and flightsql-dbapi too, all with the endpoints that they are given by default
    let arguments = [proxied.as_str(), "hundred", &HUNDRED.to_string(), "32"];
    tokio::task::block_in_place(|| run_script("endpoints_client.py", &arguments)).unwrap();

    for (table, count) in [("hundred", HUNDRED), ("large", LARGE)] {
        let properties = [
            "threadPoolSize=4",
            "x-shardflight-endpoints=shard",
            "x-shardflight-max-endpoints=100",
        ];
        let sql = format!("select id from {table}");
        let lines = tokio::task::block_in_place(|| finish("EveryType.java", &mut jdbc_rows(&proxied, &sql, &properties)));
        let ids: BTreeSet<i64> = lines.iter().filter_map(|line| line.strip_prefix("row\t")?.parse().ok()).collect();
        assert_eq!((lines.len() as i64, ids.len() as i64), (count, count), "{table}, JDBC");
        assert!(ids.into_iter().eq(0..count), "{table}, JDBC");
    }
}
