//! Nodes and clients that are slow, and not lost.

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use tonic::transport::Channel;

use super::*;

/// As long as a starved node may stand still.
const STARVED: Duration = Duration::from_secs(2);
/// A machine that is busy adds to that time what nobody can tell from it, so once is enough. Who gives nodes up too soon does so each time.
const TRIES: usize = 5;

/// A client takes a batch in such a time.
const DRIP: Duration = Duration::from_millis(700);
/// A client that holds little itself: what waits for it waits on the nodes.
const WINDOW: u32 = 64 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stands_still_for_two_seconds_is_not_given_up() {
    let nodes = Nodes::start(2).await;
    let victim = &nodes.cluster.nodes[1].process;
    for _ in 0..TRIES {
        let mut rows = nodes.client().await.stream(PAIRS).await.unwrap();
        let mut count = first_with_rows(&mut rows).await.num_rows();
        let begun = Instant::now();
        victim.signal("STOP").unwrap();
        tokio::time::sleep(STARVED).await;
        victim.signal("CONT").unwrap();
        let stood = begun.elapsed();
        let ended = loop {
            match rows.try_next().await {
                Ok(Some(batch)) => count += batch.num_rows(),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        match ended {
            Ok(()) => return assert_eq!(i64::try_from(count).unwrap(), RECORDS * RECORDS),
            Err(error) => println!("given up after it stood still for {stood:?}: {error}"),
        }
        nodes.together().await;
    }
    panic!("given up each time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_slowly_is_told_as_soon() {
    let nodes = Nodes::start(2).await;
    let channel = Channel::from_shared(format!("http://{}", nodes.cluster.nodes[0].flight))
        .unwrap()
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    let service = FlightServiceClient::new(channel.connect().await.unwrap());
    let mut client = FlightSqlServiceClient::new_from_inner(service);
    client.set_header("x-shardflight-endpoints", "single");
    let mut info = client.execute(PAIRS.to_owned(), None).await.unwrap();
    let mut rows = client.do_get(info.endpoint.remove(0).ticket.unwrap()).await.unwrap();
    first_with_rows(&mut rows).await;
    let begun = Instant::now();
    nodes.cluster.nodes[1].process.signal("STOP").unwrap();
    let error = loop {
        tokio::time::sleep(DRIP).await;
        match rows.try_next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the statement ended as if nothing had happened"),
            Err(error) => break error,
        }
    };
    assert_lost(&error, begun.elapsed(), &nodes.cluster.addresses[1]);
}
