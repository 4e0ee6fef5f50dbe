//! How many statements have tasks on a node, and what all of them read together.

use futures::future::join_all;

use super::*;
use crate::engine::{AdmissionLimits, ErrorCategory};

const SQL: &str = "select word, count(*), sum(n) from t group by word";

fn one_at_once(queue: usize) -> AdmissionLimits {
    AdmissionLimits {
        max_concurrent: 1,
        queue,
        queue_timeout: Duration::from_secs(60),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_of_all_nodes_never_wait_for_each_other_in_a_circle() {
    let cluster = Cluster::of(3, stream(12, 600), None, one_at_once(64)).await;
    let expected = Lone::new(&cluster.source).rows(SQL).await.unwrap();
    let statements = (0..18).map(|number| cluster.members[number % 3].lone.rows(SQL));
    let answers = tokio::time::timeout(Duration::from_secs(120), join_all(statements)).await;
    for answer in answers.expect("none waits forever") {
        assert_eq!(answer.unwrap(), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_has_no_slot_left_and_lets_nobody_wait_is_named() {
    let cluster = Cluster::of(2, stream(24, 120), None, one_at_once(0)).await;
    let other = &cluster.members[1];
    let slots = Arc::clone(&other.lone.engine.workplace().slots);
    let taken = slots.take("another statement").await.unwrap();
    let error = cluster.first().rows(SQL).await.unwrap_err();
    assert_eq!(error.category(), ErrorCategory::ResourceExhausted, "{error}");
    assert!(error.to_string().contains(other.node.url.as_str()), "{error}");
    // its own statements, and this node's that need no other, run all the while
    assert_eq!(cluster.first().rows("select 1").await.unwrap(), ["1"]);
    drop(taken);
    assert_eq!(cluster.first().rows(SQL).await.unwrap().len(), 5);
    // the end of a statement gives its slots back
    let again = tokio::time::timeout(Duration::from_secs(60), async {
        while slots.take_at_once("another statement").await.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    again.await.expect("a slot");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_together_read_no_more_than_a_statement_may() {
    let source = Arc::new(MemorySource::new(8));
    let (now, hour) = (source.clock().now_ms(), 3_600_000);
    let mut all = 0;
    // a record every minute: a statement to now looks at the last hour to be planned, and reads the rest when it runs
    for minute in 0..20 * 60 {
        for shard in source.shard_ids() {
            let record = format!("{{\"n\":{minute},\"word\":\"w{}\"}}", minute % 5);
            source.put_as(&shard, Some("key"), Some(now - 20 * hour + minute * hour / 60), record.as_bytes());
            all += record.len() + "key".len();
        }
    }
    let cluster = Cluster::new(2, source).await;
    let most = all * 6 / 10;
    let error = cluster.first().rows(&format!("/*+ max_bytes='{most}' */ {SQL}")).await.unwrap_err();
    assert_eq!(error.category(), ErrorCategory::ResourceExhausted, "{error}");
    assert!(error.to_string().contains(&most.to_string()), "{error}");
    let rows = cluster.first().rows(&format!("/*+ max_bytes='{all}' */ {SQL}")).await.unwrap();
    assert_eq!(rows.len(), 5);
}
