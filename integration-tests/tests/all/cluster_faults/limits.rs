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

/// Each number with those that end alike, in an order in which no node reads them: 800 thousand rows of about 100 bytes.
const SORTED: &str = "select b.n as b, a.n as a, repeat('x', 50 + a.n % 50) as pad from many a join many b on a.n % 10 = b.n % 10 \
                      where b.n < 2000 order by b, a";
const ALIKE: i64 = RECORDS / 10;

/// Three nodes, of which those that are not asked have little memory, and this much disk beside it.
async fn with_little_memory(disk: &str) -> Nodes {
    let mut places = Place::here(3).unwrap();
    places[0].settings = "query: { memory: 2GB }\n".to_owned();
    for place in &mut places[1..] {
        place.settings = format!("query: {{ memory: 40MB, spill_disk: {disk} }}\n");
    }
    Nodes::placed(places).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_spill_for_a_statement_that_another_node_is_asked_for() {
    let nodes = with_little_memory("1MB").await;
    let error = nodes
        .client()
        .await
        .query(SORTED)
        .await
        .expect_err("it fits in no memory of theirs");
    let Some(FlightError::Tonic(status)) = error.downcast_ref() else {
        panic!("{error:#}")
    };
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(
        nodes.cluster.addresses[1..]
            .iter()
            .any(|address| status.message().contains(address)),
        "{status}"
    );
    drop(nodes);
    // with disk it is answered
    let nodes = with_little_memory("1GB").await;
    let mut rows = nodes.client().await.stream(SORTED).await.unwrap();
    let mut at = 0;
    while let Some(batch) = rows.try_next().await.unwrap() {
        let number = |column: usize| batch.column(column).as_primitive::<Int64Type>();
        let pads = batch.column(2).as_string::<i32>();
        for row in 0..batch.num_rows() {
            let (b, a) = (at / ALIKE, at % ALIKE * 10 + at / ALIKE % 10);
            assert_eq!((number(0).value(row), number(1).value(row)), (b, a), "row {at}");
            assert_eq!(i64::try_from(pads.value(row).len()).unwrap(), 50 + a % 50, "row {at}");
            at += 1;
        }
    }
    assert_eq!(at, 2000 * ALIKE);
    nodes.together().await;
}
