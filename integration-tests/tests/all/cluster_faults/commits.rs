//! Transactions whose endpoints are delivered by several nodes.

use arrow_flight::FlightInfo;
use bytes::Bytes;
use tokio::task::JoinSet;

use super::*;

const CONSUMED: &str = "/*+ checkpoint_name = 'shared', checkpoint_mode = 'consume', start = 'trim_horizon' */ select n from many";

/// A transaction that was begun at a node.
struct Transaction {
    client: Client,
    id: Bytes,
}

impl Transaction {
    async fn begin(nodes: &Nodes, at: usize) -> Self {
        let mut client = Client::connect(nodes.cluster.nodes[at].flight, Mode::PerShard).await.unwrap();
        let id = client.begin().await.unwrap();
        Self { client, id }
    }

    async fn plan(&mut self) -> FlightInfo {
        let info = self.client.plan_in(&self.id, CONSUMED).await.unwrap();
        assert_eq!(info.endpoint.len(), usize::try_from(SHARDS).unwrap());
        info
    }

    /// All rows of its statement, each endpoint by one of these nodes, all at once.
    async fn delivered(&mut self, nodes: &Nodes, by: &[usize]) -> Vec<i64> {
        let info = self.plan().await;
        fetched(nodes, info, by).await
    }

    async fn commit(&mut self) -> anyhow::Result<()> {
        self.client.commit(&self.id).await
    }
}

async fn fetched(nodes: &Nodes, info: FlightInfo, by: &[usize]) -> Vec<i64> {
    let mut fetching = JoinSet::new();
    for (endpoint, node) in info.endpoint.into_iter().zip(by.iter().cycle()) {
        let flight = nodes.cluster.nodes[*node].flight;
        fetching.spawn(async move {
            let mut client = Client::connect(flight, Mode::PerShard).await?;
            let mut rows = client.fetch(endpoint.ticket.unwrap()).await?;
            let mut numbers = Vec::new();
            while let Some(batch) = rows.try_next().await? {
                numbers.extend_from_slice(batch.column(0).as_primitive::<Int64Type>().values());
            }
            anyhow::Ok(numbers)
        });
    }
    let mut numbers = Vec::new();
    while let Some(fetched) = fetching.join_next().await {
        numbers.extend(fetched.unwrap().unwrap());
    }
    numbers.sort_unstable();
    numbers
}

fn assert_refused(error: &anyhow::Error, code: Code) -> String {
    let status = match error.downcast_ref::<FlightError>() {
        Some(FlightError::Tonic(status)) => status.message().to_owned() + &format!(" ({:?})", status.code()),
        _ => match error.downcast_ref::<arrow::error::ArrowError>() {
            Some(error) => error.to_string(),
            None => format!("{error:?}"),
        },
    };
    assert!(status.contains(&format!("{code:?}")), "{code:?}: {status}");
    status
}

fn all(numbers: &[i64], expected: Range<i64>) {
    assert!(
        numbers.iter().copied().eq(expected.clone()),
        "not {expected:?}: {} numbers",
        numbers.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_several_nodes_delivered_is_committed_once_and_only_whole() {
    let mut nodes = Nodes::start(3).await;
    // each of three nodes delivers a third of the endpoints, at the same time
    let mut first = Transaction::begin(&nodes, 0).await;
    all(&first.delivered(&nodes, &[0, 1, 2]).await, 0..RECORDS);
    first.commit().await.unwrap();
    let second = first.commit().await.expect_err("a second commit of the same transaction");
    println!("a second commit: {second:#}");
    let mut next = Transaction::begin(&nodes, 1).await;
    all(&next.delivered(&nodes, &[2, 0]).await, RECORDS..RECORDS);
    next.commit().await.unwrap();

    // an endpoint that nobody delivered
    nodes.stream.put(RECORDS..RECORDS + 200).await;
    let mut partial = Transaction::begin(&nodes, 2).await;
    let whole = partial.plan().await;
    let mut info = whole.clone();
    info.endpoint.remove(7);
    fetched(&nodes, info, &[0, 1, 2]).await;
    let error = partial.commit().await.expect_err("an endpoint is missing");
    let said = assert_refused(&error, Code::FailedPrecondition);
    assert!(said.contains("15 of 16 endpoints"), "{said}");
    let mut again = Transaction::begin(&nodes, 0).await;
    all(&again.delivered(&nodes, &[1, 2]).await, RECORDS..RECORDS + 200);
    again.commit().await.unwrap();

    // a node that delivered is gone when the transaction is committed
    nodes.stream.put(RECORDS + 200..RECORDS + 300).await;
    let mut outlives = Transaction::begin(&nodes, 0).await;
    all(&outlives.delivered(&nodes, &[2, 1]).await, RECORDS + 200..RECORDS + 300);
    nodes.cluster.nodes[2].process.signal("KILL").unwrap();
    outlives.commit().await.unwrap();
    let mut next = Transaction::begin(&nodes, 1).await;
    all(&next.delivered(&nodes, &[0, 1]).await, RECORDS..RECORDS);
    next.commit().await.unwrap();
    nodes.restart(2);

    // the node of the transaction is gone: nothing moved, and the same records come again
    nodes.stream.put(RECORDS + 300..RECORDS + 400).await;
    let mut lost = Transaction::begin(&nodes, 2).await;
    all(&lost.delivered(&nodes, &[0, 1, 2]).await, RECORDS + 300..RECORDS + 400);
    nodes.cluster.nodes[2].process.signal("KILL").unwrap();
    lost.commit().await.expect_err("the node is gone");
    let mut again = Transaction::begin(&nodes, 1).await;
    all(&again.delivered(&nodes, &[0, 1]).await, RECORDS + 300..RECORDS + 400);
    again.commit().await.unwrap();
    let mut last = Transaction::begin(&nodes, 0).await;
    all(&last.delivered(&nodes, &[1, 0]).await, RECORDS..RECORDS);
    last.commit().await.unwrap();
}
