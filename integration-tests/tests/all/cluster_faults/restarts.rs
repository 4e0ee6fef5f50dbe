//! Nodes that end in the middle of statements, and are back at once, later, or elsewhere.

use tokio::task::JoinSet;

use super::*;

const ENDED_WITHIN: Duration = Duration::from_secs(60);
const SEEN_WITHIN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_back_at_once_does_not_pass_for_the_one_that_was_there() {
    let mut nodes = Nodes::start(3).await;
    let mut client = nodes.client().await;
    let mut rows = client.stream(COUNTED).await.unwrap();
    nodes.cluster.nodes[2].process.signal("KILL").unwrap();
    nodes.restart(2);
    assert_counted(&mut rows).await;
    nodes.together().await;
    let mut rows = client.stream(PAIRS).await.unwrap();
    first_with_rows(&mut rows).await;
    let begun = Instant::now();
    nodes.cluster.nodes[2].process.signal("KILL").unwrap();
    // read while the node starts
    let mut reading = JoinSet::new();
    reading.spawn(async move { (error_of(rows).await, begun.elapsed()) });
    nodes.restart(2);
    let (error, took) = reading.join_next().await.unwrap().unwrap();
    assert_lost(&error, took, &nodes.cluster.addresses[2]);
    nodes.answers().await;
    nodes.together().await;
    nodes.answers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stands_still_before_the_first_row_is_done_without() {
    let nodes = Nodes::start(3).await;
    let victim = &nodes.cluster.nodes[1].process;
    let mut client = nodes.client().await;
    let mut rows = client.stream(COUNTED).await.unwrap();
    victim.signal("STOP").unwrap();
    assert_counted(&mut rows).await;
    // as shards and as a whole, with nodes that do not stand still
    nodes.answers_at(2).await;
    victim.signal("CONT").unwrap();
    nodes.together().await;
    nodes.answers().await;
    nodes.answers_at(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_told_to_end_costs_no_rows() {
    let mut nodes = Nodes::start(3).await;
    // no row yet: ended in peace by the node, or begun again without it
    let mut client = nodes.client().await;
    let mut rows = client.stream(COUNTED).await.unwrap();
    nodes.cluster.nodes[2].process.signal("TERM").unwrap();
    assert_counted(&mut rows).await;
    let status = nodes.cluster.nodes[2].process.wait(ENDED_WITHIN).unwrap();
    assert!(status.success(), "{status}\n{}", nodes.cluster.nodes[2].process.output());
    nodes.answers().await;
    nodes.restart(2);
    nodes.together().await;
    // rows on their way: all of them, or a word that some are missing
    let mut rows = client.stream(PAIRS).await.unwrap();
    let mut count = i64::try_from(first_with_rows(&mut rows).await.num_rows()).unwrap();
    nodes.cluster.nodes[2].process.signal("TERM").unwrap();
    loop {
        match rows.try_next().await {
            Ok(Some(batch)) => count += i64::try_from(batch.num_rows()).unwrap(),
            Ok(None) => break assert_eq!(count, RECORDS * RECORDS),
            Err(FlightError::Tonic(status)) => {
                assert_eq!(status.code(), Code::Unavailable, "{status}");
                assert!(status.message().contains(&nodes.cluster.addresses[2]), "{status}");
                break;
            }
            Err(error) => panic!("{error}"),
        }
    }
    let status = nodes.cluster.nodes[2].process.wait(ENDED_WITHIN).unwrap();
    assert!(status.success(), "{status}\n{}", nodes.cluster.nodes[2].process.output());
    nodes.answers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_back_under_another_address_gets_work_there() {
    let mut nodes = Nodes::planned(Place::here(3).unwrap()).await;
    for number in [0, 1] {
        let server = nodes.cluster.start_node(number, &nodes.stream.directory).unwrap();
        nodes.cluster.nodes.push(server);
    }
    nodes.together().await;
    nodes.answers().await;
    let mut gone = nodes.cluster.nodes.pop().unwrap();
    gone.process.signal("KILL").unwrap();
    gone.process.wait(ENDED_WITHIN).unwrap();
    // its files, another address
    let directory = &nodes.stream.directory;
    std::fs::rename(directory.join("node-1"), directory.join("node-2")).unwrap();
    let server = nodes.cluster.start_node(2, directory).unwrap();
    nodes.cluster.nodes.push(server);
    nodes.together().await;
    nodes.answers().await;
    nodes.answers_at(1).await;
    // the one that is gone counts as there until it was silent for a while
    let deadline = Instant::now() + SEEN_WITHIN;
    loop {
        let alive = nodes.alive(0).await;
        let there = |number: usize| alive.iter().any(|node| node.contains(&nodes.cluster.addresses[number]));
        if [0, 1, 2].map(there) == [true, false, true] {
            break;
        }
        assert!(Instant::now() < deadline, "{alive:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
