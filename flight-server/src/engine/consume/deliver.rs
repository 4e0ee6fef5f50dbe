//! Which endpoints of which statements were delivered to their end.

use std::sync::atomic::Ordering;

use datafusion::logical_expr::LogicalPlan;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shard_reader::checkpoints::{CheckpointErrorKind, CheckpointName, Commit, Consumer, IterationNumber, OwnerToken, Run};

use super::super::api::QueryPart;
use super::super::error::EngineError;
use super::super::facts::ExecutionFacts;
use super::super::plan::Engine;

/// Bytes of a statement's text that are kept with its run.
const SQL_KEPT: usize = 120;

/// What a statement consumes: travels in the tickets of its endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consumption {
    /// The iterations that it reads, in the order of their consumers. Its run is written beside the first.
    pub(super) iterations: Vec<(Consumer, IterationNumber)>,
    /// Who opened them.
    pub(super) owner: OwnerToken,
    /// Hash of the statement's text.
    pub(super) statement: String,
    /// It moves the checkpoint when all its endpoints were delivered.
    pub(super) on_read: bool,
    /// Nothing but a filter keeps records out of its rows.
    pub(super) whole: bool,
}

impl Consumption {
    pub(super) fn new(
        iterations: Vec<(Consumer, IterationNumber)>,
        owner: &OwnerToken,
        sql: &str,
        on_read: bool,
        plan: &LogicalPlan,
    ) -> Self {
        let hash = Sha256::digest(sql.trim().as_bytes());
        Self {
            iterations,
            owner: owner.clone(),
            statement: hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect(),
            on_read,
            whole: !leaves_rows_out(plan, false),
        }
    }

    /// The checkpoints that it moves.
    pub(in super::super) fn checkpoints(&self) -> impl Iterator<Item = &CheckpointName> {
        self.iterations.iter().map(|(consumer, _)| &consumer.name)
    }

    /// For `app_metadata`.
    pub(in super::super) fn facts(&self) -> serde_json::Value {
        let iterations = self.iterations.iter().map(|(consumer, number)| {
            serde_json::json!({
                "checkpoint": consumer.name.as_str(),
                "stream": &*consumer.stream,
                "iteration": number.0,
            })
        });
        iterations.collect()
    }
}

/// A limit takes some of the records' rows and leaves others. Above an aggregation it does not: that has taken all of them in.
pub(super) fn leaves_rows_out(plan: &LogicalPlan, limited: bool) -> bool {
    let limited = match plan {
        LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) => false,
        LogicalPlan::Limit(_) => true,
        LogicalPlan::Sort(sort) => limited || sort.fetch.is_some(),
        LogicalPlan::TableScan(scan) => return limited || scan.fetch.is_some(),
        _ => limited,
    };
    plan.inputs().into_iter().any(|input| leaves_rows_out(input, limited))
}

impl Engine {
    /// The statement is planned: from now on COMMIT waits for its endpoints.
    pub(in super::super) async fn begin_run(
        &self,
        consumption: &Consumption,
        query_id: &str,
        sql: &str,
        parts: u32,
    ) -> Result<(), EngineError> {
        let Some((consumer, number)) = consumption.iterations.first() else {
            return Ok(());
        };
        let run = Run {
            query_id: query_id.to_owned(),
            sql: sql.trim()[..sql.trim().floor_char_boundary(SQL_KEPT)].to_owned(),
            parts,
            delivered: std::collections::BTreeSet::new(),
        };
        let store = &self.consumers().store;
        Ok(store
            .begin_run(consumer, *number, &consumption.owner, &consumption.statement, &run)
            .await?)
    }

    /// An endpoint was delivered to its end; with `commit_on_read` the last one moves the checkpoint.
    ///
    /// # Errors
    /// With `commit_on_read`, if the checkpoint cannot be moved: whoever read the rows must not count them as consumed. In a transaction never: COMMIT
    /// is refused then.
    pub(in super::super) async fn delivered(&self, part: &DeliveredPart, facts: &ExecutionFacts) -> Result<(), EngineError> {
        let consumption = &part.consumption;
        let Some((consumer, number)) = consumption.iterations.first() else {
            return Ok(());
        };
        if consumption.on_read && !(consumption.whole && facts.shards().iter().all(|shard| shard.complete)) {
            return Ok(());
        }
        let store = &self.consumers().store;
        let written = store
            .delivered(
                consumer,
                *number,
                &consumption.owner,
                &consumption.statement,
                &part.query_id,
                part.part,
            )
            .await;
        let run = match written {
            Ok(run) => run,
            Err(error) if consumption.on_read => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, %consumer, iteration = number.0, "an endpoint was delivered, and that cannot be written: COMMIT will be refused");
                return Ok(());
            }
        };
        if !consumption.on_read || !run.is_some_and(|run| run.is_delivered()) {
            return Ok(());
        }
        let commits: Vec<Commit> = consumption
            .iterations
            .iter()
            .map(|(consumer, number)| Commit {
                consumer: consumer.clone(),
                number: *number,
                owner: consumption.owner.clone(),
            })
            .collect();
        let consumers = self.consumers();
        match store.commit(&commits).await {
            Ok(_) => {
                consumers.saw_committed(&commits);
                Ok(())
            }
            Err(error) => {
                let counter = match error.kind {
                    CheckpointErrorKind::Conflict => &consumers.conflicts,
                    _ => &consumers.refused,
                };
                counter.fetch_add(1, Ordering::Relaxed);
                Err(error.into())
            }
        }
    }
}

/// An endpoint that is being delivered.
#[derive(Debug)]
pub(in super::super) struct DeliveredPart {
    consumption: Consumption,
    query_id: String,
    part: u32,
}

impl DeliveredPart {
    /// `None` if nothing is consumed by it.
    pub(in super::super) fn of(part: &QueryPart) -> Option<Self> {
        Some(Self {
            consumption: part.consumption.clone()?,
            query_id: part.query_id.clone(),
            part: part.part,
        })
    }
}
