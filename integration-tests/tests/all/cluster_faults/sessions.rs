//! Sessions, and the scratch tables in them, whose node is gone.

use super::*;

const STAGED: &str = "create table staged as select n from many where n < 7";
const COUNT: &str = "select count(*) as n from staged";
const ENDED_WITHIN: Duration = Duration::from_secs(60);

async fn count(client: &mut Client) -> i64 {
    let answer = client.query(COUNT).await.unwrap();
    let batch = answer.batches.iter().find(|batch| batch.num_rows() > 0).unwrap();
    batch.column(0).as_primitive::<Int64Type>().value(0)
}

/// What a call ends with that cannot be answered.
async fn refused(client: &mut Client) -> tonic::Status {
    let error = client.plan(COUNT).await.expect_err("its rows are gone");
    status(&error)
}

fn status(error: &anyhow::Error) -> tonic::Status {
    match error.downcast_ref() {
        Some(FlightError::Tonic(status)) => status.as_ref().clone(),
        _ => panic!("{error:#}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_with_scratch_tables_whose_node_is_killed_is_known_to_be_gone() {
    let mut nodes = Nodes::start(3).await;
    let mut home = nodes.client_of(1).await;
    let token = home.log_in().await.unwrap();
    home.plan(STAGED).await.unwrap();
    let mut other = nodes.client_of(0).await;
    other.go_on(token);
    assert_eq!(count(&mut other).await, 7);
    let planned = other.plan(COUNT).await.unwrap();

    let begun = Instant::now();
    nodes.cluster.nodes[1].process.signal("KILL").unwrap();
    // it may be back, as far as others know: then its sessions would be, too
    let lost = refused(&mut other).await;
    assert_eq!(lost.code(), Code::Unavailable, "{lost}");
    assert!(lost.message().contains(&nodes.cluster.addresses[1]), "{lost}");
    assert!(lost.message().contains("retry"), "{lost}");
    assert_in_time(begun.elapsed(), lost.message());
    let lost = status(&other.read(planned.clone()).await.expect_err("its rows are gone"));
    assert_eq!(lost.code(), Code::Unavailable, "{lost}");

    // a new session begins with nothing, at once
    let mut again = nodes.client_of(0).await;
    again.log_in().await.unwrap();
    let unknown = refused(&mut again).await;
    assert_eq!(unknown.code(), Code::NotFound, "{unknown}");
    again.plan(STAGED).await.unwrap();
    assert_eq!(count(&mut again).await, 7);

    // once it is certain that it is gone, another try is of no use
    nodes.restart(1);
    let deadline = Instant::now() + ENDED_WITHIN;
    let ended = loop {
        let status = refused(&mut other).await;
        if status.code() != Code::Unavailable {
            break status;
        }
        assert!(Instant::now() < deadline, "{status}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended}");
    assert!(ended.message().contains("session expired"), "{ended}");
    let ended = status(&again.read(planned).await.expect_err("its rows are gone"));
    assert_eq!(ended.code(), Code::FailedPrecondition, "{ended}");
    assert_eq!(count(&mut again).await, 7);
}
