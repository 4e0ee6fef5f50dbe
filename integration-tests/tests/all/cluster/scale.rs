//! What several nodes take of a stream together: no more than one would.

use std::collections::BTreeMap;

use integration_tests::http;
use integration_tests::scale::{BURST, Load, SHARDS, Stage, Watched, overlap};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_nodes_take_of_a_stream_what_one_would() {
    let load = Load {
        records: 3_200,
        padding: 1_000,
    };
    let stage = Stage::new("cluster-scale", 4, load).await.unwrap();
    let mut watched = Watched::default();
    // cold at the first, then at all of them, again and again and at the same time
    watched.during(&stage, stage.ask(0)).await.unwrap();
    for _ in 0..3 {
        let all = futures::future::try_join_all((0..4).map(|node| stage.ask(node)));
        watched.during(&stage, all).await.unwrap();
    }
    let taken = stage.taken(None).unwrap();
    assert_eq!(taken.errors, 0, "nothing was refused");
    let (bytes, records) = (taken.bytes as f64 / stage.bytes as f64, taken.records as f64 / load.records as f64);
    assert!(
        (1.0..=1.1).contains(&bytes) && (1.0..=1.1).contains(&records),
        "{taken:?} of {} bytes",
        stage.bytes
    );
    let nodes = stage.of_nodes().unwrap();
    // a node that did not answer for seconds, on a machine that is busy with other things, may have cost a second read
    let twice = overlap(&nodes);
    assert!(twice.len() <= SHARDS as usize / 10, "read by more than one node: {twice:?}");
    let (beyond, _) = watched.most(&twice);
    assert!(beyond <= BURST, "a shard had {beyond} calls beyond its budget");
    assert!(
        nodes.iter().all(|node| node.values().any(|(calls, _)| *calls > 0)),
        "each node has a part: {nodes:?}"
    );
    let sum: u64 = nodes.iter().flat_map(BTreeMap::values).map(|(_, bytes)| bytes).sum();
    assert_eq!(sum, taken.bytes);
    let metrics = http::get(&stage.cluster.nodes[0].http, "/metrics").unwrap();
    for line in ["shardflight_cluster_members 4", "shardflight_cluster_live 4"] {
        assert!(metrics.lines().any(|found| found == line), "no {line} in\n{metrics}");
    }
}
