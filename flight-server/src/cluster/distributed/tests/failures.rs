//! Nodes that are gone, and errors that nodes meet.

use super::super::spreading::Spreading;
use super::*;
use crate::engine::ErrorCategory;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_gone_is_done_without() {
    let mut cluster = Cluster::with_rows(3, 12, 600).await;
    let sql = "select word, count(*), sum(n) from t group by word";
    let expected = Lone::new(&cluster.source).rows(sql).await.unwrap();
    // nobody was told that it is gone: the first statement finds out, and is begun again
    let mut gone = cluster.members.pop().unwrap();
    gone.stop.cancel();
    while gone.serving.join_next().await.is_some() {}
    assert_eq!(cluster.first().rows(sql).await.unwrap(), expected);
    let known = cluster.members[0].peers.placement();
    assert!(!known.nodes().contains(&gone.node), "it gets no more work: {known:?}");
    assert_eq!(cluster.first().rows(sql).await.unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_back_gets_work_again() {
    let cluster = Cluster::with_rows(2, 8, 100).await;
    let peers = &cluster.members[0].peers;
    let other = &cluster.members[1].node;
    peers.lost(other.url.as_str());
    assert_eq!(peers.placement().nodes(), [cluster.members[0].node.clone()]);
    assert_eq!(cluster.first().rows("select count(*) from t").await.unwrap(), ["100"]);
    peers.ask().await;
    assert!(peers.placement().nodes().contains(other));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_of_tasks_keep_their_category_and_words() {
    let cluster = Cluster::with_rows(2, 8, 100).await;
    for id in cluster.source.shard_ids() {
        cluster.source.put(&id, "key", b"no json").unwrap();
    }
    for sql in [
        "/*+ bad_records='fail' */ select word, count(*) from t group by word",
        "select word, sum(n / (n - n)) from t group by word",
    ] {
        let here = Lone::new(&cluster.source).rows(sql).await.unwrap_err();
        let there = cluster.first().rows(sql).await.unwrap_err();
        assert_eq!(
            (there.category(), here.category()),
            (ErrorCategory::InvalidArgument, ErrorCategory::InvalidArgument),
            "{there}"
        );
        let kind = |error: &EngineError| error.to_string().split_once("bad record").map(|(_, reason)| reason.to_owned());
        assert_eq!(kind(&there), kind(&here), "{there}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_version_gets_no_part_of_a_plan() {
    let cluster = Cluster::with_rows(2, 8, 100).await;
    let other = Lone::new(&cluster.source);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = Node {
        url: Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap(),
    };
    let known = others(&node, &[]);
    let old = worker(&other.engine, Channels::new(credential(TOKEN), None), &known).with_version("0.0.1");
    let (stop, mut serving) = (CancellationToken::new(), JoinSet::new());
    serve(listener, part::routes(old), stop, &mut serving);
    let own = &cluster.members[0];
    let nodes = vec![cluster.members[1].node.clone(), node.clone()];
    let peers = Peers::new(
        Arc::new(Members::new(own.node.clone(), nodes)),
        Channels::new(credential(TOKEN), None),
    );
    peers.ask().await;
    assert_eq!(peers.placement().nodes().len(), 2, "{:?}", peers.placement());
    let asked = Lone::new(&cluster.source);
    let known = others(&own.node, &[]);
    asked.engine.set_distribution(Spreading::new(
        Arc::clone(&peers),
        known,
        Arc::clone(&asked.engine.workplace().slots),
    ));
    assert_eq!(asked.rows("select count(*) from t").await.unwrap(), ["100"]);
    assert!(other.engine.readers().streams().is_empty(), "it read nothing");
}
