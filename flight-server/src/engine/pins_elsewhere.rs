//! Pins among nodes: which statements have their shards pinned by others, and what is pinned here for statements of others.

use std::time::Duration;

use catalog::{KinesisOverrides, TableDefinition};
use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use serde::{Deserialize, Serialize};
use shard_reader::{Freshness, PinRequest, PinsForAnother, ScanStart, ShardToPin, StreamIdentity, StreamReader, recreated};
use tokio::time::Instant;

use super::distribution::Distribution;
use super::error::EngineError;
use super::plan::{Engine, Statement};
use super::scan::Workplace;
use super::table::StreamTable;

/// A stream as one node names it to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedStream {
    kinesis: Option<KinesisOverrides>,
    /// As the definition has it.
    name: String,
    identity: StreamIdentity,
}

impl SharedStream {
    pub(super) fn new(definition: &TableDefinition, reader: &StreamReader) -> Self {
        Self {
            kinesis: definition.kinesis.clone(),
            name: definition.stream.clone(),
            identity: reader.identity().clone(),
        }
    }

    /// Which incarnation it is.
    pub(crate) fn identity(&self) -> &StreamIdentity {
        &self.identity
    }
}

/// Shards that a node is to pin for another's statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PinOrder {
    stream: SharedStream,
    start: ScanStart,
    freshness: Freshness,
    /// How long ago the statement arrived: clocks differ. What the order is on its way makes its arrival later, and so the pins newer, never older.
    age: Duration,
    shards: Vec<ShardToPin>,
}

impl PinOrder {
    /// To be sent now.
    pub(crate) fn new(stream: SharedStream, request: &PinRequest, shards: &[ShardToPin]) -> Self {
        let age = request.arrived.elapsed();
        Self {
            stream,
            start: request.start,
            freshness: request.freshness,
            // one clock may run a little faster than another
            age: age - age / 1000,
            shards: shards.to_vec(),
        }
    }

    /// What came now, in this node's time.
    pub(crate) fn request(&self) -> PinRequest {
        let now = Instant::now();
        PinRequest {
            start: self.start,
            freshness: self.freshness,
            arrived: now.checked_sub(self.age).unwrap_or(now),
        }
    }

    /// Which shards.
    #[cfg(test)]
    pub(crate) fn shards(&self) -> &[ShardToPin] {
        &self.shards
    }

    /// Of which stream.
    pub(crate) fn stream(&self) -> &SharedStream {
        &self.stream
    }
}

impl Workplace {
    /// Pins shards for a statement of another node, for as long as `patience`. What cannot be pinned here is not in the answer.
    ///
    /// # Errors
    /// The stream is another one here, or cannot be reached.
    pub(crate) async fn pins(&self, order: PinOrder, patience: Duration) -> Result<PinsForAnother, EngineError> {
        let (request, until) = (order.request(), Instant::now() + patience);
        let PinOrder { stream, shards, .. } = order;
        let reached = async {
            let (key, source) = self.sources.source(stream.kinesis.as_ref()).await?;
            Ok::<_, EngineError>(self.readers.stream(&key, source, &stream.name).await?)
        };
        let reader = tokio::time::timeout_at(until, reached)
            .await
            .map_err(|_| EngineError::Unavailable(format!("stream {} was not described in time", stream.name)))??;
        if *reader.identity() != stream.identity {
            let both = recreated(&stream.identity, reader.identity());
            return Err(EngineError::FailedPrecondition(format!("stream {}: {both}", reader.name())));
        }
        Ok(reader.pin_for_another(&request, &shards, until).await)
    }
}

impl Engine {
    /// Who pins the shards of a statement, if it is not this node alone: those that will scan them. What is read where it is asked for is pinned there
    /// too, or each shard would be read by two nodes.
    pub(super) fn pinned_among(&self, statement: &Statement, per_shard: bool) -> Option<&dyn Distribution> {
        let distribution = self.distribution_of(statement, true)?.as_ref();
        let elsewhere = if per_shard && falls_apart(&statement.plan) {
            distribution.names_locations()
        } else {
            !stays(&statement.plan)
        };
        elsewhere.then_some(distribution)
    }
}

impl StreamTable {
    fn is_scanned_by(plan: &LogicalPlan) -> bool {
        let LogicalPlan::TableScan(scan) = plan else { return false };
        source_as_provider(&scan.source).is_ok_and(|provider| Self::of(provider.as_ref()).is_some())
    }
}

/// Whether a statement is likely to be read shard by shard, in endpoints of their own.
fn falls_apart(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => {
            plan.inputs().as_slice().iter().all(|input| falls_apart(input))
        }
        LogicalPlan::TableScan(scan) => scan.fetch.is_none() && StreamTable::is_scanned_by(plan),
        _ => false,
    }
}

/// Whether a statement runs where it is asked for because of rows that only that node has.
fn stays(plan: &LogicalPlan) -> bool {
    let mut stays = false;
    let walked = plan.apply_with_subqueries(|node| {
        stays |= match node {
            LogicalPlan::Values(_) => true,
            LogicalPlan::TableScan(_) => !StreamTable::is_scanned_by(node),
            _ => false,
        };
        Ok(if stays {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    });
    stays || walked.is_err()
}
