//! Statements that consume their stream again and again, where somebody else than the store knows how far they have come.
//!
//! A job writes what an iteration holds to a place of its own, and publishes it there together with the iteration's number and ends. That publication is
//! the truth: a checkpoint that is behind it, gone or reset is brought to it, and never the other way. So whoever opens the next iteration says first what
//! is published.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use catalog::{TableDefinition, TableName};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use shard_reader::checkpoints::{
    Base, CheckpointErrorKind, CheckpointName, Commit, Consumer, Ends, Head, Iteration, IterationNumber, IterationStart, OwnerToken,
};
use shard_reader::{Snapshot, StreamReader};
use tokio::time::Instant;
use uuid::Uuid;

use super::super::access::Right;
use super::super::error::EngineError;
use super::super::explain;
use super::super::history::{HistoryTerms, own_columns};
use super::super::options::OptionValues;
use super::super::pin;
use super::super::plan::{Asker, Engine, Tables};
use super::super::sql::{STREAM_SCHEMA, StatementKind, parse};
use super::super::statement_options::StatementOptions;
use super::super::table::StreamTable;
use super::deliver::leaves_rows_out;
use super::open::ConsumerAt;
use super::positions::StreamPositions;

/// What the names of jobs' checkpoints begin with: no statement consumes by one.
pub const JOB_CHECKPOINTS: &str = "offload/";

/// Somebody else may change a head between reading and writing it so often before that is an error.
const ATTEMPTS: usize = 10;

/// A statement of a job, and for whom it is run.
#[derive(Debug, Clone, PartialEq)]
pub struct JobStatement {
    /// Who made the job: it reads what he may read.
    pub principal: String,
    /// The query.
    pub sql: String,
    /// What it is planned with; `start` and `iteration_max` among it.
    pub options: OptionValues,
    /// Its checkpoint.
    pub checkpoint: CheckpointName,
}

/// A job's statement that can be run.
#[derive(Debug)]
pub struct JobPlan {
    pub(super) job: JobStatement,
    pub(super) options: StatementOptions,
    pub(super) table: TableName,
    pub(super) definition: Arc<TableDefinition>,
    pub(super) reader: Arc<StreamReader>,
    schema: SchemaRef,
    own_columns: Result<BTreeSet<String>, String>,
}

impl JobPlan {
    /// The table that it reads.
    pub fn table(&self) -> &TableName {
        &self.table
    }

    /// Schema of its rows.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// ARN of its stream.
    pub fn stream(&self) -> &str {
        self.reader.arn()
    }

    /// When the stream was created, ms since the epoch: which incarnation it is.
    pub fn created_ms(&self) -> i64 {
        self.reader.identity().created_ms
    }

    /// Now, as the stream's clock has it (ms since the epoch).
    pub fn now_ms(&self) -> i64 {
        self.reader.now_ms()
    }

    /// What its rows are to the table, of which they may be the history.
    ///
    /// # Errors
    /// Why they are other rows than the table's.
    pub fn history_terms(&self) -> Result<HistoryTerms, String> {
        Ok(HistoryTerms {
            columns: self.own_columns.clone()?,
            bad_records: self.options.bad_records.unwrap_or(self.definition.bad_records),
            kpl_aggregation: self.options.kpl_aggregation,
            kpl_dedup: self.options.kpl_dedup,
        })
    }

    /// The consumer that it is.
    pub fn consumer(&self) -> Consumer {
        Consumer {
            name: self.job.checkpoint.clone(),
            stream: self.reader.arn().into(),
        }
    }
}

/// What came of opening an iteration.
#[derive(Debug)]
pub enum JobOpening {
    /// There is nothing to do now.
    Nothing,
    /// It is open, and its range is fixed.
    Open(Box<JobIteration>),
    /// The checkpoint is not where the publication is said to be: look at the publication once more, for others may have published meanwhile.
    Differs,
}

/// An open iteration of a job: its range is fixed, whoever runs it and however often.
#[derive(Debug, Clone)]
pub struct JobIteration {
    /// Its number in the checkpoint store.
    pub number: IterationNumber,
    /// Where each shard stands after it.
    pub ends: Ends,
    /// When it was opened, ms since the epoch: `now()` of its statement.
    pub opened_ms: i64,
    /// There may be more behind it already.
    pub has_more: bool,
    pub(super) snapshot: Snapshot,
    pub(super) owner: OwnerToken,
}

impl Engine {
    /// Plans a job's statement without running it.
    ///
    /// # Errors
    /// If it is no query over exactly one table of a stream that takes all of the stream's rows in, or its principal may not read or offload the table.
    pub async fn plan_job(&self, job: &JobStatement) -> Result<JobPlan, EngineError> {
        let invalid = |why: &str| EngineError::Invalid(format!("an offload's statement {why}"));
        let parsed = parse(&job.sql)?;
        if !matches!(parsed.kind, StatementKind::Query(_)) {
            return Err(invalid("is a query: SELECT … FROM table"));
        }
        if parsed.follow {
            return Err(invalid("runs again and again by itself; leave FOLLOW out"));
        }
        if !parsed.hint.is_empty() {
            return Err(invalid("has no hint: options stand in OPTIONS (…)"));
        }
        let parsed = parsed.bound(None)?;
        if !parsed.streams.is_empty() {
            return Err(invalid("reads a table: make one over the stream with CREATE EXTERNAL TABLE"));
        }
        let asker = Asker {
            query_id: Uuid::now_v7().to_string(),
            principal: job.principal.clone(),
        };
        let statement = self.statement(parsed, &job.options, Tables::Streams, asker).await?;
        if explain::explained(&statement.plan).is_some() {
            return Err(invalid("is a query, and EXPLAIN shows one"));
        }
        let others = reads_other_tables(&statement.plan)?;
        let [table] = statement.named.as_slice() else {
            return Err(invalid("names exactly one table over a stream"));
        };
        if others || statement.tables.len() != 1 || table.name().schema == STREAM_SCHEMA {
            return Err(invalid("reads one table over a stream, and nothing beside it"));
        }
        if leaves_rows_out(&statement.plan, false) {
            return Err(invalid("takes all rows of an iteration: LIMIT would leave some out for good"));
        }
        self.access().table(&job.principal, Right::Offload, table.name())?;
        Ok(JobPlan {
            job: job.clone(),
            table: table.name().clone(),
            definition: Arc::clone(table.definition()),
            reader: table.reader().await?,
            schema: statement.schema,
            own_columns: own_columns(&statement.plan),
            options: statement.options,
        })
    }

    /// Opens the next iteration of a job behind what is `published`, or takes the open one over. There is nothing to do if there is no record behind what is
    /// published, and that was said less than `idle_ms` ago. A checkpoint that is elsewhere is brought to the publication only if it is `certain` of late.
    ///
    /// # Errors
    /// FAILED_PRECONDITION if the stream was created anew, if records have expired unread, or if iterations were committed of which nothing is published.
    pub async fn open_job_iteration(
        &self,
        plan: &JobPlan,
        published: Option<&Ends>,
        idle_ms: i64,
        certain: bool,
    ) -> Result<JobOpening, EngineError> {
        let options = &plan.options;
        let consumer = plan.consumer();
        let at = ConsumerAt {
            consumers: self.consumers(),
            positions: StreamPositions {
                whose: consumer.to_string(),
                reader: Arc::clone(&plan.reader),
                arrived: Instant::now(),
                freshness: pin::freshness(options),
                on_gap: options.on_gap,
                ways_on: "Go on behind the gap with on_gap 'warn' among the options of the offload",
            },
            consumer,
            start: Some(options.start.unwrap_or(plan.definition.start)),
            max: options.iteration_max,
        };
        let owner = OwnerToken(Uuid::new_v4().to_string().into());
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match at.try_job(&owner, published, idle_ms, certain).await {
                Ok(Turn::Again) => {}
                Ok(Turn::Done(opening)) => return Ok(opening),
                Err(EngineError::Checkpoint(error)) if error.kind == CheckpointErrorKind::Conflict => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.map_or_else(
            || EngineError::Unavailable(format!("{}: others keep changing it", at.consumer)),
            EngineError::Checkpoint,
        ))
    }

    /// What the iteration holds is published: the checkpoint follows.
    ///
    /// # Errors
    /// ABORTED if somebody else has the iteration by now; whoever opens the next one sets it right.
    pub async fn commit_job_iteration(&self, plan: &JobPlan, iteration: &JobIteration) -> Result<(), EngineError> {
        let commits = [Commit {
            consumer: plan.consumer(),
            number: iteration.number,
            owner: iteration.owner.clone(),
        }];
        let consumers = self.consumers();
        match consumers.store.commit(&commits).await {
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

/// Whether a plan scans anything but tables over streams.
fn reads_other_tables(plan: &LogicalPlan) -> Result<bool, EngineError> {
    let mut others = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let provider = source_as_provider(&scan.source)?;
            others |= StreamTable::of(provider.as_ref()).is_none();
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(others)
}

/// What an attempt to open an iteration came to.
enum Turn {
    /// The checkpoint was brought to what is published; look again.
    Again,
    Done(JobOpening),
}

impl ConsumerAt<'_> {
    async fn try_job(&self, owner: &OwnerToken, published: Option<&Ends>, idle_ms: i64, certain: bool) -> Result<Turn, EngineError> {
        let Some(head) = self.head().await? else {
            let base = match published {
                Some(published) => self.base_of(published),
                None => self.stated_base().await?,
            };
            self.set_base(None, &base).await?;
            return Ok(Turn::Again);
        };
        match published {
            Some(published) => {
                if let Some(turn) = self.follow(&head, published, owner, certain).await? {
                    return Ok(turn);
                }
            }
            None => {
                if let Some((number, ..)) = &head.committed {
                    if !certain {
                        return Ok(Turn::Done(JobOpening::Differs));
                    }
                    return Err(EngineError::FailedPrecondition(format!(
                        "{}: iteration {number} was committed, and nothing of this job is published at its location: was the table removed? DROP OFFLOAD and CREATE OFFLOAD begin anew",
                        self.consumer
                    )));
                }
            }
        }
        let previous = self.starts_at(head.start).await?.ok_or_else(|| {
            EngineError::FailedPrecondition(format!("{}: where the next iteration starts is no longer kept", self.consumer))
        })?;
        if let Some(open) = &head.open {
            let iteration = self.kept(&head, open.number).await?;
            let snapshot = self.snapshot(&iteration, &previous).await?;
            self.store().take_over(&self.consumer, head.version, owner).await?;
            return Ok(self.job_iteration(iteration, &previous, snapshot, owner, true));
        }
        let opening = self.opened(&head, &previous).await?;
        let iteration = opening.iteration;
        let since = previous.as_of_ms.zip(iteration.ends.as_of_ms);
        let said_lately = published.is_some() && since.is_some_and(|(said, now)| now.saturating_sub(said) < idle_ms);
        if opening.is_empty && said_lately {
            return Ok(Turn::Done(JobOpening::Nothing));
        }
        let snapshot = self.snapshot(&iteration, &previous).await?;
        self.store().open(&self.consumer, head.version, &iteration, owner).await?;
        self.consumers.opened.fetch_add(1, Ordering::Relaxed);
        Ok(self.job_iteration(iteration, &previous, snapshot, owner, opening.is_bounded))
    }

    /// Brings the checkpoint to what is published; `None` if it is there.
    ///
    /// Numbers do not count here, ends do: what is published is told by where it ends.
    async fn follow(&self, head: &Head, published: &Ends, owner: &OwnerToken, certain: bool) -> Result<Option<Turn>, EngineError> {
        if self.starts_at(head.start).await?.as_ref() == Some(published) {
            return Ok(None);
        }
        if let Some(open) = &head.open
            && self
                .store()
                .iteration(&self.consumer, open.number)
                .await?
                .is_some_and(|iteration| iteration.ends == *published)
        {
            // killed, or outrun, between publication and commit
            self.store().take_over(&self.consumer, head.version, owner).await?;
            let commit = Commit {
                consumer: self.consumer.clone(),
                number: open.number,
                owner: owner.clone(),
            };
            self.store().commit(&[commit]).await?;
            self.consumers.committed.fetch_add(1, Ordering::Relaxed);
            return Ok(Some(Turn::Again));
        }
        if !certain {
            return Ok(Some(Turn::Done(JobOpening::Differs)));
        }
        tracing::warn!(consumer = %self.consumer, next = head.next.0, "the checkpoint is not where the publication is, and is brought there");
        self.set_base(Some(head.version), &self.base_of(published)).await?;
        Ok(Some(Turn::Again))
    }

    fn base_of(&self, published: &Ends) -> Base {
        Base {
            ends: published.clone(),
            stated: "published".to_owned(),
            at_ms: self.positions.reader.now_ms(),
        }
    }

    async fn set_base(&self, seen: Option<u64>, base: &Base) -> Result<(), EngineError> {
        self.store()
            .set_base(&self.consumer, self.identity(), seen, base, "offload")
            .await?;
        Ok(())
    }

    /// The ends that an iteration follows on; `None` if they are no longer kept.
    async fn starts_at(&self, start: IterationStart) -> Result<Option<Ends>, EngineError> {
        Ok(match start {
            IterationStart::Base(number) => self.store().base(&self.consumer, number).await?.map(|base| base.ends),
            IterationStart::After(number) => self.store().iteration(&self.consumer, number).await?.map(|before| before.ends),
        })
    }

    fn job_iteration(&self, iteration: Iteration, previous: &Ends, snapshot: Snapshot, owner: &OwnerToken, has_more: bool) -> Turn {
        self.consumers.saw_open(&self.consumer, iteration.number, previous, &iteration.ends);
        Turn::Done(JobOpening::Open(Box::new(JobIteration {
            number: iteration.number,
            ends: iteration.ends,
            opened_ms: iteration.opened_ms,
            has_more,
            snapshot,
            owner: owner.clone(),
        })))
    }
}
