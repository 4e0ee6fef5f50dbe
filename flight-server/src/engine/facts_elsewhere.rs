//! What was read on other nodes, on its way into the facts of the statement.

use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::error::EngineError;
use super::facts::{ExecutionFacts, ScanFact};

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
}
