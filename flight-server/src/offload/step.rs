//! One iteration of a job.
//!
//! ```text
//! published?   the truth: which iteration the lake has, and where each shard stands after it
//! open         the checkpoint is brought there; the next range is fixed in the store
//! files        written, seen by nobody
//! bad records  written beside the table
//! publication  files, number and ends in one act                   <- from here on it is done
//! commit       the checkpoint follows
//! ```
//!
//! Killed between any two of these, the next step begins at the top, and finds what is left to do.

use std::sync::{Arc, Weak};

use arrow::datatypes::SchemaRef;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use futures::StreamExt;
use lake::{LakeErrorKind, Mark};
use parking_lot::Mutex;
use shard_reader::checkpoints::IterationNumber;

use super::bad_records;
use super::complete::Partitions;
use super::definition::JobDefinition;
use super::error::OffloadError;
use super::lakes::{Lakes, OpenLake};
use super::locations;
use crate::engine::{Engine, EngineError, JobIteration, JobOpening, JobPlan, Places};

/// So many batches are decoded while those before them are written.
const BATCHES_AHEAD: usize = 2;
/// How often a step looks at what is published before it gives way to others.
const LOOKS: usize = 4;

/// What a step did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stepped {
    /// Number of the iteration.
    pub iteration: u64,
    /// Rows published.
    pub rows: u64,
    /// Files published.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bad records of the iteration.
    pub bad_records: u64,
    /// Every record that arrived up to then is published (ms since the epoch).
    pub watermark_ms: Option<i64>,
    /// The newest partition of time that is complete now, if one came to be.
    pub complete: Option<String>,
    /// There may be more to do at once.
    pub has_more: bool,
}

/// Runs the steps of a job, by one process. Whoever else does the same is no danger.
#[derive(Debug)]
pub(super) struct Stepper {
    pub(super) engine: Weak<Engine>,
    pub(super) lakes: Arc<dyn Lakes>,
    pub(super) locations: Arc<Places>,
    pub(super) definition: Arc<JobDefinition>,
    /// The table as it was opened last, and for which columns.
    open: Option<(SchemaRef, OpenLake)>,
    /// Partitions of time, if the job says which are.
    partitions: Option<Partitions>,
}

impl Stepper {
    pub(super) fn new(engine: Weak<Engine>, lakes: Arc<dyn Lakes>, locations: Arc<Places>, definition: Arc<JobDefinition>) -> Self {
        Self {
            engine,
            lakes,
            locations,
            definition,
            open: None,
            partitions: None,
        }
    }

    pub(super) fn engine(&self) -> Result<Arc<Engine>, OffloadError> {
        let engine = self.engine.upgrade();
        engine.ok_or_else(|| OffloadError::Unavailable("the server stops".into()))
    }

    /// Plans the statement, and opens the table of its rows.
    pub(super) async fn open(&mut self, engine: &Engine) -> Result<(JobPlan, OpenLake), OffloadError> {
        let definition = &self.definition;
        locations::check(&self.locations, &definition.location)?;
        let plan = Box::pin(engine.plan_job(&definition.statement()?)).await?;
        if *plan.table() != definition.table_name() {
            return Err(OffloadError::FailedPrecondition(format!(
                "offload `{}` was made over table {}, and its query reads {} now",
                definition.offload,
                definition.table_name(),
                plan.table()
            )));
        }
        definition.check_columns(&plan)?;
        if let Some((schema, lake)) = &self.open
            && schema == plan.schema()
        {
            return Ok((plan, lake.clone()));
        }
        let lake = self.lakes.open(definition.spec(&plan)?).await?;
        self.open = Some((Arc::clone(plan.schema()), lake.clone()));
        Ok((plan, lake))
    }

    /// One step; `None`: there is nothing to do now.
    ///
    /// # Errors
    /// Then nothing is lost: the next step does what is left.
    pub(super) async fn step(&mut self) -> Result<Option<Stepped>, OffloadError> {
        let stepped = self.try_step().await;
        if stepped.is_err() {
            // what is known of the table may be what failed
            self.open = None;
            self.partitions = None;
        }
        stepped
    }

    async fn try_step(&mut self) -> Result<Option<Stepped>, OffloadError> {
        let engine = self.engine()?;
        let (plan, lake) = self.open(&engine).await?;
        let mut published = lake.table.published().await?.map(|published| published.mark);
        if let Some(mark) = &published {
            check_stream(&self.definition, &plan, mark)?;
        }
        let options = self.definition.typed_options()?;
        if self.partitions.is_none()
            && let Some(rule) = options.completeness()
        {
            let mut partitions = Partitions::open(&lake, self.definition.offload.as_str(), rule).await?;
            if let Some(mark) = &published {
                // what the last publication made complete, should nobody have said so
                partitions.complete(&lake, mark).await?;
            }
            self.partitions = Some(partitions);
        }
        let idle_ms = i64::try_from(options.heartbeat.as_millis()).unwrap_or(i64::MAX);
        let mut certain = false;
        for _ in 0..LOOKS {
            let ends = published.as_ref().map(|mark| &mark.ends);
            match Box::pin(engine.open_job_iteration(&plan, ends, idle_ms, certain)).await? {
                JobOpening::Nothing => return Ok(None),
                JobOpening::Open(iteration) => {
                    let number = published.map_or(IterationNumber::FIRST, |mark| mark.iteration.next());
                    return self.publish(&engine, &plan, &lake, number, *iteration).await.map(Some);
                }
                JobOpening::Differs => {
                    let now = lake.table.published().await?.map(|published| published.mark);
                    certain = now == published;
                    published = now;
                }
            }
        }
        Err(OffloadError::Outrun(format!(
            "offload `{}`: others publish all the time",
            self.definition.offload
        )))
    }

    /// `number`: the one that follows on what is published. Whoever else goes on from there publishes under the same, and the lake takes one of them.
    async fn publish(
        &mut self,
        engine: &Arc<Engine>,
        plan: &JobPlan,
        lake: &OpenLake,
        number: IterationNumber,
        iteration: JobIteration,
    ) -> Result<Stepped, OffloadError> {
        let job = self.definition.offload.clone();
        let rows = Box::pin(engine.job_rows(plan, &iteration)).await?;
        let judged = rows.judged();
        let mut bad_records = 0;
        if judged.is_none() {
            let bad = Box::pin(engine.job_bad_records(plan, &iteration)).await?;
            bad_records = bad_records::keep(lake, job.as_str(), number, bad).await?;
        }
        let failure: Arc<Mutex<Option<EngineError>>> = Arc::default();
        let failed = Arc::clone(&failure);
        let rows = rows.batches.map(move |batch| {
            batch.map_err(|error| {
                failed.lock().get_or_insert_with(|| error.clone());
                error.into_datafusion()
            })
        });
        let mut ahead = RecordBatchReceiverStreamBuilder::new(Arc::clone(plan.schema()), BATCHES_AHEAD);
        let batches = ahead.tx();
        ahead.spawn(async move {
            let mut rows = std::pin::pin!(rows);
            while let Some(batch) = rows.next().await {
                let ends = batch.is_err();
                // who writes has failed if nobody takes it
                if batches.send(batch).await.is_err() || ends {
                    break;
                }
            }
            Ok(())
        });
        let written = lake.table.write(number, ahead.build()).await;
        let files = written.map_err(|error| match (error.kind, failure.lock().take()) {
            (LakeErrorKind::Rows, Some(error)) => OffloadError::Engine(error),
            _ => OffloadError::Lake(error),
        })?;
        if judged.is_some_and(|judged| judged.get() > 0) {
            let bad = Box::pin(engine.job_bad_records(plan, &iteration)).await?;
            bad_records = bad_records::keep(lake, job.as_str(), number, bad).await?;
        }
        let mark = Mark {
            iteration: number,
            stream: plan.stream().to_owned(),
            created_ms: Some(plan.created_ms()),
            ends: iteration.ends.clone(),
        };
        if let Some(partitions) = &mut self.partitions {
            partitions.will_have(lake, &files).await?;
        }
        let published = lake.table.publish(&mark, &files).await?;
        if published.mark != mark {
            return Err(OffloadError::Outrun(format!(
                "offload `{job}`: iteration {} was done by somebody else, who has published {}",
                mark.iteration, published.mark.iteration
            )));
        }
        engine.commit_job_iteration(plan, &iteration).await?;
        let complete = match &mut self.partitions {
            Some(partitions) => partitions.complete(lake, &mark).await?,
            None => None,
        };
        Ok(Stepped {
            iteration: number.0,
            rows: files.iter().map(|file| file.rows).sum(),
            files: files.len() as u64,
            bytes: files.iter().map(|file| file.bytes).sum(),
            bad_records,
            watermark_ms: iteration.ends.as_of_ms,
            complete,
            has_more: iteration.has_more,
        })
    }

    /// Puts small files together, and removes what no publication names.
    pub(super) async fn maintain(&mut self) -> Result<(), OffloadError> {
        let engine = self.engine()?;
        let (_, lake) = self.open(&engine).await?;
        let Some(published) = lake.table.published().await? else {
            return Ok(());
        };
        let compacted = lake.table.compact().await?;
        let cleaned = lake.table.clean(published.mark.iteration.next(), KEEP_LEFT_OVER).await?;
        tracing::info!(offload = %self.definition.offload, ?compacted, ?cleaned, "lake maintained");
        Ok(())
    }
}

/// Files that no publication names stay that long: who was slow, and readers of an old version, have them still.
const KEEP_LEFT_OVER: std::time::Duration = std::time::Duration::from_secs(7 * 86_400);

/// Whether what is published is of the stream that is there now.
pub(super) fn check_stream(definition: &JobDefinition, plan: &JobPlan, mark: &Mark) -> Result<(), OffloadError> {
    let other = |what: &str| {
        Err(OffloadError::FailedPrecondition(format!(
            "offload `{}`: {what}, so nothing is added to {}: DROP OFFLOAD, and CREATE OFFLOAD with another LOCATION",
            definition.offload, definition.location
        )))
    };
    if mark.stream != plan.stream() {
        return other(&format!(
            "what is published there is of stream {}, and the table reads {} now",
            mark.stream,
            plan.stream()
        ));
    }
    if mark.created_ms.is_some_and(|created| created != plan.created_ms()) {
        return other("the stream was deleted and created anew since it was offloaded");
    }
    Ok(())
}
