//! What was read on other nodes, on its way into the facts of the statement.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use datafusion::common::DataFusionError;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::carried;
use super::error::{EngineError, ErrorCategory};
use super::facts::{ExecutionFacts, ScanFact};

/// What is heard of the tasks of a statement.
#[derive(Debug, Default)]
pub struct FactsElsewhere {
    /// What they have read, as they say it: text that only the engine understands.
    said: Mutex<Vec<String>>,
    /// A node that a task ran on is lost, and why.
    lost: watch::Sender<Option<(String, String)>>,
    /// Bytes that they have read from Kinesis so far, by node.
    read: watch::Sender<BTreeMap<String, u64>>,
}

impl FactsElsewhere {
    /// A task has ended, and says so.
    pub fn add(&self, said: &str) {
        self.said.lock().push(said.to_owned());
    }

    /// A task's node speaks no more. The rows that came from it before may be many, so that its end among them would be met late.
    pub fn failed(&self, error: &DataFusionError) {
        if let Some(EngineError::NodeLost { node, message }) = carried::found(error) {
            self.lost.send_replace(Some((node, message)));
        }
    }

    /// So many bytes were read at a node so far.
    pub fn read_at(&self, node: &str, bytes: u64) {
        self.read
            .send_if_modified(|read| read.insert(node.to_owned(), bytes) != Some(bytes));
    }

    /// As soon as a node is lost, or all nodes together have read more than the statement may.
    pub(super) async fn broken(&self, most: u64) -> EngineError {
        tokio::select! {
            biased;
            error = self.lost() => error,
            error = self.over(most) => error,
        }
    }

    async fn over(&self, most: u64) -> EngineError {
        let mut read = self.read.subscribe();
        let sum = |read: &BTreeMap<String, u64>| read.values().fold(0_u64, |sum, bytes| sum.saturating_add(*bytes));
        let over = read.wait_for(|read| sum(read) > most).await.ok().map(|read| sum(&read));
        match over {
            Some(read) => over_limit(read, most),
            // the sender is this one's own, so it is never gone
            None => std::future::pending().await,
        }
    }

    async fn lost(&self) -> EngineError {
        let mut lost = self.lost.subscribe();
        let known = lost.wait_for(Option::is_some).await.ok().and_then(|known| known.clone());
        match known {
            Some((node, message)) => EngineError::NodeLost { node, message },
            // the sender is this one's own, so it is never gone
            None => std::future::pending().await,
        }
    }

    pub(super) fn settle(&self, facts: &ExecutionFacts) -> Result<(), EngineError> {
        let said = std::mem::take(&mut *self.said.lock());
        said.iter().try_for_each(|said| facts.add_carried(said))?;
        // each task stopped at the limit for itself
        let (read, most) = (facts.meter().bytes_read(), facts.meter().max_bytes());
        if read > most {
            return Err(over_limit(read, most));
        }
        Ok(())
    }
}

fn over_limit(read: u64, most: u64) -> EngineError {
    EngineError::OverLimit {
        category: ErrorCategory::ResourceExhausted,
        message: format!("the statement read {read} bytes from Kinesis on all its nodes, and max_bytes is {most}"),
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Carried {
    scans: Vec<ScanFact>,
    outside_event_time: u64,
}

impl ExecutionFacts {
    /// As text, for the node that asked.
    pub(super) fn carried(&self) -> String {
        let carried = Carried {
            scans: self.scans.lock().clone(),
            outside_event_time: self.outside_event_time.load(Ordering::Relaxed),
        };
        // an error as text is none that the other node understands, and so an error there
        serde_json::to_string(&carried).unwrap_or_else(|error| error.to_string())
    }

    /// Adds what another node, or another task of this one, has read.
    pub(super) fn add_carried(&self, text: &str) -> Result<(), EngineError> {
        let carried: Carried = serde_json::from_str(text)
            .map_err(|error| EngineError::Internal(format!("what another node has read cannot be understood: {error}")))?;
        self.outside_event_time.fetch_add(carried.outside_event_time, Ordering::Relaxed);
        for scan in &carried.scans {
            self.meter.add_elsewhere(&scan.totals);
        }
        self.scans.lock().extend(carried.scans);
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use catalog::TableName;
    use futures::FutureExt;
    use shard_reader::{Position, ScanTotals, ShardPin, ShardRange, StatementMeter, TipKind};

    use super::*;
    use crate::engine::statement_options::OnLimit;

    fn facts() -> Arc<ExecutionFacts> {
        ExecutionFacts::new("q".into(), StatementMeter::new(1 << 30, None), OnLimit::Fail)
    }

    pub(in crate::engine) fn pin(shard: &str) -> ShardPin {
        ShardPin {
            range: ShardRange {
                shard: shard.into(),
                start: Position::TrimHorizon,
                end: Position::TrimHorizon,
            },
            shard_start: None,
            shard_end: None,
            hash_range: None,
            tip: TipKind::Reached,
            bytes_cached: 0,
        }
    }

    #[test]
    fn scans_of_several_nodes_are_one_statement() {
        let table = TableName {
            schema: "default".into(),
            table: "t".into(),
        };
        let here = facts();
        for (shard, bytes, ended) in [("shardId-000000000000", 100, true), ("shardId-000000000001", 30, false)] {
            let node = facts();
            let slot = node.begin(&table, &pin(shard));
            let totals = ScanTotals {
                records: bytes / 10,
                bytes_cached: bytes,
                bytes_read: 2 * bytes,
                calls: 3,
            };
            if ended {
                node.done(slot, Position::TrimHorizon, totals);
            }
            here.add_carried(&node.carried()).expect("facts");
        }
        let said = here.to_json();
        assert_eq!(said["shards"][0]["complete"], true);
        assert_eq!(
            (&said["shards"][1]["complete"], &said["shards"][1]["reason"]),
            (&false.into(), &"limit".into())
        );
        assert_eq!(
            (&said["bytes_cached"], &said["bytes_read"], &said["calls"]),
            (&100.into(), &200.into(), &3.into())
        );
        assert!(here.add_carried("{}").is_err());
    }

    #[tokio::test]
    async fn all_nodes_together_are_over_the_limit_while_they_read() {
        let elsewhere = FactsElsewhere::default();
        elsewhere.read_at("a", 60);
        elsewhere.read_at("b", 40);
        assert!(elsewhere.broken(100).now_or_never().is_none());
        elsewhere.read_at("a", 61);
        let error = elsewhere.broken(100).await;
        assert_eq!(error.category(), ErrorCategory::ResourceExhausted);
        assert!(error.to_string().contains("101 bytes"), "{error}");
    }
}
