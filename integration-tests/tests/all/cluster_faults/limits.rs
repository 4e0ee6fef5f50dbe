//! The limits of a node hold for what it does for others.

use super::*;

/// 1.6 million pairs in 4000 groups, each with 400 different numbers: tens of megabytes where they are counted.
const DISTINCT: &str = "select max(c) as most, min(c) as least from \
                        (select a.n, count(distinct b.n) as c from many a join many b on a.n % 10 = b.n % 10 group by a.n)";

/// Little memory is enough.
async fn assert_summed(nodes: &Nodes, asked: usize) {
    let answer = nodes.client_of(asked).await.query("select sum(n) as s from many").await.unwrap();
    let batch = answer.batches.iter().find(|batch| batch.num_rows() > 0).unwrap();
    let sum = batch.column(0).as_primitive::<Int64Type>().value(0);
    assert_eq!(sum, RECORDS * (RECORDS - 1) / 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_beyond_the_memory_of_a_node_fails_by_its_name_and_others_go_on() {
    let mut places = Place::here(3).unwrap();
    places[1].settings = "query: { memory: 4MB, spill_disk: 1MB }\n".to_owned();
    let nodes = Nodes::placed(places).await;
    let failed = nodes.client().await.query(DISTINCT).await;
    let error = failed.expect_err("it does not fit");
    let Some(FlightError::Tonic(status)) = error.downcast_ref() else {
        panic!("{error:#}")
    };
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains(&nodes.cluster.addresses[1]), "{status}");
    // what has room goes on, on all nodes
    for asked in 0..3 {
        assert_summed(&nodes, asked).await;
    }
    nodes.together().await;
}
