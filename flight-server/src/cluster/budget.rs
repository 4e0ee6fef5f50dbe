//! Nodes that do not yet agree on who owns a shard may both read it. So for a minute after the members changed, each reads at half its pace, and two
//! together at what one may.

use std::sync::Arc;
use std::time::Duration;

use shard_reader::Pace;

use super::members::Members;

/// As long as nodes may disagree, with a margin.
const CAREFUL: Duration = Duration::from_secs(60);
const HALF: f64 = 0.5;

/// Sets the pace, until it is dropped.
pub(crate) async fn keep(members: Arc<Members>, pace: Pace) {
    let mut changes = members.changes();
    // Sent by `members`, which is held here, so it never closes.
    while changes.changed().await.is_ok() {
        pace.set(HALF);
        while let Ok(Ok(())) = tokio::time::timeout(CAREFUL, changes.changed()).await {}
        pace.set(1.0);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tokio::time::sleep;
    use url::Url;

    use super::*;
    use crate::cluster::Node;

    fn node(port: u16) -> Node {
        Node {
            url: Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn half_the_pace_for_a_minute_after_the_last_change() {
        let (members, pace) = (Arc::new(Members::new(node(1), vec![])), Pace::default());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(keep(Arc::clone(&members), pace.clone()));
        sleep(Duration::from_secs(100)).await;
        assert_eq!(pace.get(), 1.0);
        members.set(BTreeSet::from([node(2)]));
        sleep(Duration::from_secs(59)).await;
        assert_eq!(pace.get(), 0.5);
        members.set(BTreeSet::new());
        sleep(Duration::from_secs(59)).await;
        assert_eq!(pace.get(), 0.5);
        sleep(Duration::from_secs(2)).await;
        assert_eq!(pace.get(), 1.0);
        members.set(BTreeSet::from([node(2)]));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(pace.get(), 0.5);
    }
}
