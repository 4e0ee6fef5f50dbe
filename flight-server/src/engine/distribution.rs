//! Plans that run on several nodes. The engine knows of other nodes only what this trait says.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::common::Result as DfResult;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use shard_reader::PinElsewhere;
use tokio::task::JoinSet;

use super::error::EngineError;
use super::execute::Batches;
use super::facts::ExecutionFacts;
use super::facts_elsewhere::FactsElsewhere;
use super::functions;
use super::pins_elsewhere::SharedStream;
use super::plan::{Engine, Statement};
use super::scan::Workplace;
use super::statement_options::OnLimit;

/// How often a statement of which no row was sent yet is begun again because a node was lost.
const ATTEMPTS: usize = 3;

/// A plan that is spread over nodes.
#[derive(Debug)]
pub struct Spread {
    /// The plan, of one partition.
    pub plan: Arc<dyn ExecutionPlan>,
    /// With what it runs.
    pub context: Arc<TaskContext>,
    /// The nodes that have a part in it, by their addresses.
    pub nodes: Vec<String>,
}

/// The other nodes, as far as plans are concerned.
#[async_trait]
pub trait Distribution: fmt::Debug + Send + Sync {
    /// Spreads a plan over nodes; `None` if it runs here alone. What its tasks read is said to `facts`.
    async fn spread(&self, plan: Arc<dyn ExecutionPlan>, state: &SessionState, facts: Arc<FactsElsewhere>) -> DfResult<Option<Spread>>;

    /// For people: which part of the plan runs where.
    fn explained(&self, spread: &Spread) -> String;

    /// Waits until each node of a plan lets tasks of the statement run. From then on `facts` is told what they read; dropping the tasks that tell gives
    /// the slots back.
    ///
    /// # Errors
    /// A node is lost, or has too many statements that wait.
    async fn admitted(&self, spread: &Spread, statement: &str, facts: &Arc<FactsElsewhere>) -> Result<JoinSet<()>, EngineError>;

    /// A node was lost: it gets no work until it answers again.
    fn lost(&self, node: &str);

    /// Who pins shards of a stream: the nodes that would scan them now.
    fn pins(&self, stream: SharedStream) -> Arc<dyn PinElsewhere>;

    /// Whether clients are told which node reads an endpoint.
    fn names_locations(&self) -> bool;
}

impl Engine {
    /// From now on plans are spread over nodes.
    pub fn set_distribution(&self, distribution: Arc<dyn Distribution>) {
        // a second one is a defect, and changes nothing
        if self.distribution.set(distribution).is_err() {
            tracing::error!("the cluster of this process was set twice");
        }
    }

    /// The node's own readers, for scans that others planned.
    pub(crate) fn workplace(&self) -> Arc<Workplace> {
        Arc::new(Workplace {
            readers: Arc::clone(self.readers()),
            sources: Arc::clone(self.sources()),
            errors: Arc::clone(self.errors()),
            promises: Arc::clone(self.promises()),
            slots: Arc::clone(&self.task_slots),
        })
    }

    /// Memory and spill of this node.
    pub(crate) fn shared_runtime(&self) -> Arc<datafusion::execution::runtime_env::RuntimeEnv> {
        Arc::clone(self.runtime())
    }

    /// Over which nodes a statement may be spread. What ends early at a limit on reading must know for sure how far each scan came.
    pub(super) fn distribution_of(&self, statement: &Statement, whole: bool) -> Option<&Arc<dyn Distribution>> {
        let plain = !statement.follow && statement.runs == 1 && statement.options.on_limit == OnLimit::Fail;
        self.distribution.get().filter(|_| whole && plain)
    }

    /// The rows of a plan. `whole`: they are the whole answer, and not one endpoint's of several.
    pub(super) fn rows(&self, physical: Arc<dyn ExecutionPlan>, statement: &Statement, whole: bool) -> Result<Batches, EngineError> {
        let Some(distribution) = self.distribution_of(statement, whole) else {
            let rows = execute_stream(physical, statement.state.task_ctx())?;
            return Ok(rows.map_err(EngineError::from).boxed());
        };
        let attempts = Attempts {
            distribution: Arc::clone(distribution),
            logical: statement.plan.clone(),
            state: statement.state.clone(),
            facts: Arc::clone(&statement.facts),
        };
        Ok(stream::once(attempts.begun(physical)).try_flatten().boxed())
    }
}

/// A statement that is begun until it has a row or an error that another node is not to blame for.
struct Attempts {
    distribution: Arc<dyn Distribution>,
    logical: LogicalPlan,
    state: SessionState,
    facts: Arc<ExecutionFacts>,
}

impl Attempts {
    async fn begun(self, mut physical: Arc<dyn ExecutionPlan>) -> Result<Batches, EngineError> {
        for attempt in 1..=ATTEMPTS {
            let elsewhere = Arc::new(FactsElsewhere::default());
            let plan = Arc::clone(&physical);
            let Some(spread) = self.distribution.spread(plan, &self.state, Arc::clone(&elsewhere)).await? else {
                break;
            };
            let admitted = self.distribution.admitted(&spread, self.facts.query_id(), &elsewhere).await;
            let slots = match admitted {
                Err(EngineError::NodeLost { node, message }) if attempt < ATTEMPTS => {
                    tracing::warn!(%node, %message, "beginning a statement without the node");
                    self.distribution.lost(&node);
                    continue;
                }
                admitted => admitted?,
            };
            let most = self.facts.meter().max_bytes();
            let mut rows = execute_stream(spread.plan, spread.context)?;
            let first = tokio::select! {
                biased;
                error = elsewhere.broken(most) => Some(Err(error)),
                first = rows.next() => first.map(|first| first.map_err(EngineError::from)),
            };
            if let Some(Err(EngineError::NodeLost { node, message })) = &first {
                self.distribution.lost(node);
                if attempt < ATTEMPTS {
                    tracing::warn!(%node, %message, "beginning a statement again without the node");
                    drop(rows);
                    // operators may remember what they saw of the rows
                    physical = self.state.query_planner().create_physical_plan(&self.logical, &self.state).await?;
                    continue;
                }
            }
            let distribution = self.distribution;
            let rest = until_broken(rows, Arc::clone(&elsewhere), most, slots).inspect_err(move |error| {
                if let EngineError::NodeLost { node, .. } = error {
                    distribution.lost(node);
                }
            });
            let facts = self.facts;
            let settled = stream::once(async move { elsewhere.settle(&facts) }).filter_map(|settled| async { settled.err().map(Err) });
            return Ok(stream::iter(first).chain(rest).chain(settled).boxed());
        }
        let rows = execute_stream(physical, self.state.task_ctx())?;
        Ok(rows.map_err(EngineError::from).boxed())
    }
}

/// Rows as long as no node is lost and no limit passed; that is told before rows that wait. `slots` are held until the end.
fn until_broken(
    rows: SendableRecordBatchStream,
    elsewhere: Arc<FactsElsewhere>,
    most: u64,
    slots: JoinSet<()>,
) -> impl Stream<Item = Result<RecordBatch, EngineError>> + Send {
    stream::unfold(Some((rows, slots)), move |running| {
        let elsewhere = Arc::clone(&elsewhere);
        async move {
            let (mut rows, slots) = running?;
            tokio::select! {
                biased;
                error = elsewhere.broken(most) => Some((Err(error), None)),
                next = rows.next() => Some((next?.map_err(EngineError::from), Some((rows, slots)))),
            }
        }
    })
}

/// The functions that plans of other nodes can name, as a physical plan knows them.
pub(crate) fn register_functions(state: &mut SessionState) -> DfResult<()> {
    functions::register_physical(state)
}

#[cfg(test)]
mod tests {
    use catalog::TableName;
    use shard_reader::{Position, ScanTotals, StatementMeter};

    use super::super::facts_elsewhere::tests::pin;
    use super::*;

    #[test]
    fn tasks_together_read_no_more_than_the_statement_may() {
        let facts = || ExecutionFacts::new("q".into(), StatementMeter::new(100, None), OnLimit::Fail);
        let table = TableName {
            schema: "default".into(),
            table: "t".into(),
        };
        let pin = pin("shardId-000000000000");
        // each within the limit
        let said = |bytes_read| {
            let task = facts();
            let slot = task.begin(&table, &pin);
            task.done(
                slot,
                Position::TrimHorizon,
                ScanTotals {
                    bytes_read,
                    ..ScanTotals::default()
                },
            );
            task.carried()
        };
        for (first, second, fits) in [(60, 40, true), (60, 41, false)] {
            let elsewhere = FactsElsewhere::default();
            elsewhere.add(&said(first));
            elsewhere.add(&said(second));
            let settled = elsewhere.settle(&facts());
            assert_eq!(settled.is_ok(), fits, "{first} and {second}: {settled:?}");
        }
    }
}
