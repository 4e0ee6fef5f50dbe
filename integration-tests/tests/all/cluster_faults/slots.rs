//! Parts of other nodes' statements: as many run on a node as it says, whoever asks for them and however those end.

use super::*;

const FREE_WITHIN: Duration = Duration::from_secs(60);

/// The second of three nodes has parts of one statement of others, and lets nobody wait.
async fn limited() -> Nodes {
    let mut places = Place::here(3).unwrap();
    places[1].settings = "query: { max_concurrent: 1, queue: 0 }\n".to_owned();
    Nodes::placed(places).await
}

impl Nodes {
    /// A statement that the first node was asked for, and whose rows are on their way; the client does not read on.
    async fn held(&self) -> FlightRecordBatchStream {
        let mut rows = self.client().await.stream(PAIRS).await.unwrap();
        first_with_rows(&mut rows).await;
        rows
    }

    /// The second node has no part left for a statement that the third is asked for: that is refused.
    async fn assert_full(&self) {
        let refused = self.client_of(2).await.query(GROUPED).await.expect_err("no part is left");
        let status = full(&refused).unwrap_or_else(|| panic!("{refused:#}"));
        assert!(status.message().contains(&self.cluster.addresses[1]), "{status}");
    }

    /// Nothing tells when a part is given back; who asks for one sees it.
    async fn wait_until_free(&self) {
        let deadline = Instant::now() + FREE_WITHIN;
        while let Err(error) = self.client_of(2).await.query(GROUPED).await {
            assert!(full(&error).is_some(), "{error:#}");
            assert!(Instant::now() < deadline, "{error:#}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.answers_at(2).await;
    }
}

fn full(error: &anyhow::Error) -> Option<&tonic::Status> {
    match error.downcast_ref() {
        Some(FlightError::Tonic(status)) if status.code() == Code::ResourceExhausted => Some(status),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_has_parts_of_as_many_statements_of_others_as_it_says() {
    let nodes = limited().await;
    let rows = nodes.held().await;
    nodes.assert_full().await;
    // those that it is asked for itself are not among them, nor are nodes full that say nothing
    nodes.answers_at(1).await;
    nodes.assert_full().await;
    drop(rows);
    nodes.wait_until_free().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_of_a_node_that_is_stopped_or_killed_are_given_back() {
    let nodes = limited().await;
    for signal in ["STOP", "KILL"] {
        let rows = nodes.held().await;
        nodes.assert_full().await;
        nodes.cluster.nodes[0].process.signal(signal).unwrap();
        nodes.wait_until_free().await;
        nodes.answers_at(1).await;
        if signal == "STOP" {
            nodes.cluster.nodes[0].process.signal("CONT").unwrap();
            drop(rows);
            nodes.together().await;
        }
    }
}
