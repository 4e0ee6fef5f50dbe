//! All jobs of a server: made, paused, removed, shown.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use catalog::TableName;
use parking_lot::Mutex;
use shard_reader::checkpoints::{Consumer, Head};
use tokio::sync::Notify;
use uuid::Uuid;

use super::definition::{JobDefinition, format_name, format_of};
use super::error::OffloadError;
use super::files::{JobFiles, Listed};
use super::lakes::Lakes;
use super::locations;
use super::state::JobState;
use super::step::{Stepper, check_stream};
use crate::engine::{CreateOffload, Engine, EngineError, History, JobMaker, Nodes, OffloadState, Offloads, PinnedHistory, Places, Right};

/// What jobs run with.
#[derive(Debug)]
pub struct JobsConfig {
    /// Where they are kept.
    pub files: JobFiles,
    /// How their tables are reached.
    pub lakes: Arc<dyn Lakes>,
    /// Where they may write.
    pub locations: Places,
    /// The servers that share the work.
    pub nodes: Arc<dyn Nodes>,
    /// How often their files are looked at.
    pub refresh: Duration,
}

/// The jobs of a process.
#[derive(Debug)]
pub struct Jobs {
    pub(super) engine: Weak<Engine>,
    pub(super) files: JobFiles,
    pub(super) lakes: Arc<dyn Lakes>,
    pub(super) locations: Arc<Places>,
    pub(super) nodes: Arc<dyn Nodes>,
    pub(super) refresh: Duration,
    pub(super) known: Mutex<BTreeMap<String, Job>>,
    /// One change, or look at the files, at a time.
    turn: tokio::sync::Mutex<()>,
    /// Something changed: the supervisor looks again.
    pub(super) changed: Notify,
}

/// A job that is known.
#[derive(Debug)]
pub(super) struct Job {
    /// Or why its file cannot be used.
    pub(super) definition: Result<Arc<JobDefinition>, String>,
    pub(super) state: JobState,
}

impl Jobs {
    /// Nothing is looked at yet.
    pub fn new(engine: &Arc<Engine>, config: JobsConfig) -> Arc<Self> {
        Arc::new(Self {
            engine: Arc::downgrade(engine),
            files: config.files,
            lakes: config.lakes,
            locations: Arc::new(config.locations),
            nodes: config.nodes,
            refresh: config.refresh,
            known: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            changed: Notify::new(),
        })
    }

    pub(super) fn stepper(&self, definition: Arc<JobDefinition>) -> Stepper {
        Stepper::new(
            Weak::clone(&self.engine),
            Arc::clone(&self.lakes),
            Arc::clone(&self.locations),
            definition,
        )
    }

    pub(super) fn engine(&self) -> Result<Arc<Engine>, OffloadError> {
        let engine = self.engine.upgrade();
        engine.ok_or_else(|| OffloadError::Unavailable("the server stops".into()))
    }

    /// Looks at the files.
    pub(super) async fn look(&self) -> Result<(), OffloadError> {
        let _turn = self.turn.lock().await;
        self.look_now().await
    }

    async fn look_now(&self) -> Result<(), OffloadError> {
        let listed = self.files.list().await?;
        self.apply(listed);
        Ok(())
    }

    fn apply(&self, listed: Listed) {
        let mut known = self.known.lock();
        known.retain(|name, _| {
            let stays = listed.contains_key(name);
            if !stays {
                tracing::info!(offload = name, "offload removed");
            }
            stays
        });
        for (name, found) in listed {
            let job = known.get_mut(&name);
            let same = match (&job, &found) {
                (Some(job), Ok(found)) => job.definition.as_ref().is_ok_and(|known| **known == *found),
                (Some(job), Err(found)) => job.definition.as_ref().is_err_and(|known| known == found),
                (None, _) => false,
            };
            if same {
                continue;
            }
            match &found {
                Ok(definition) => tracing::info!(
                    offload = name,
                    location = definition.location,
                    paused = definition.paused,
                    "offload known"
                ),
                Err(error) => tracing::warn!(offload = name, error, "the file of an offload cannot be used"),
            }
            let definition = found.map(Arc::new);
            match job {
                Some(job) => {
                    job.definition = definition;
                    job.state.due = None;
                }
                None => {
                    let state = JobState::default();
                    known.insert(name, Job { definition, state });
                }
            }
        }
    }

    /// The job of that name, as it is kept now.
    pub(super) fn definition(&self, name: &str) -> Result<Arc<JobDefinition>, OffloadError> {
        let known = self.known.lock();
        match known.get(name).map(|job| &job.definition) {
            Some(Ok(definition)) => Ok(Arc::clone(definition)),
            Some(Err(message)) => Err(OffloadError::File {
                file: format!("offloads/{name}.yaml"),
                message: message.clone(),
            }),
            None => Err(OffloadError::Unknown(name.to_owned())),
        }
    }

    /// The node that runs a job; `None` where there is but one.
    pub(super) fn owner(&self, name: &str) -> Option<String> {
        self.nodes.owner("offload jobs", &name.into())
    }

    pub(super) fn is_own(&self, name: &str) -> bool {
        let Some(owner) = self.owner(name) else { return true };
        self.nodes
            .nodes()
            .iter()
            .any(|node| node.own && node.node.as_deref() == Some(owner.as_str()))
    }

    async fn try_create(&self, maker: &JobMaker, create: &CreateOffload) -> Result<(), OffloadError> {
        let job: lake::JobName = create
            .name
            .parse()
            .map_err(|error: lake::JobNameError| OffloadError::Invalid(error.to_string()))?;
        let _turn = self.turn.lock().await;
        self.look_now().await?;
        let before = self.known.lock().get(&create.name).map(|job| job.definition.clone());
        if before.is_some() && create.if_not_exists {
            return Ok(());
        }
        if before.is_some() && !create.or_replace {
            return Err(OffloadError::Engine(EngineError::Exists(format!(
                "offload `{job}` exists; CREATE OR REPLACE OFFLOAD replaces it"
            ))));
        }
        let before = match before {
            None => None,
            Some(Ok(before)) => Some(before),
            Some(Err(_)) => Some(self.definition(&create.name)?),
        };
        let mut definition = JobDefinition {
            offload: job,
            id: before.as_ref().map_or_else(new_id, |before| before.id.clone()),
            table_schema: String::new(),
            table: String::new(),
            format: format_of(&create.format)?,
            location: locations::check(&self.locations, &create.location)?,
            partitioned_by: create.partitioned_by.clone(),
            query: create.query.clone(),
            schema: maker.schema.clone(),
            time_zone: maker.time_zone.clone(),
            principal: maker.principal.clone(),
            paused: before.as_ref().is_some_and(|before| before.paused),
            options: create.options.iter().cloned().collect(),
        };
        if definition.options.len() != create.options.len() {
            return Err(OffloadError::Invalid("an option is given twice".into()));
        }
        definition.typed_options()?;
        if let Some(before) = &before {
            self.check_right(&maker.principal, before)?;
            if (before.format, &before.location, &before.partitioned_by)
                != (definition.format, &definition.location, &definition.partitioned_by)
            {
                return Err(OffloadError::Invalid(format!(
                    "offload `{}` writes {} to {} by other partitions: format, location and partitions stay; DROP OFFLOAD and CREATE OFFLOAD make another table",
                    before.offload,
                    format_name(before.format),
                    before.location
                )));
            }
        }
        self.check_apart(&definition)?;
        let engine = self.engine()?;
        let plan = Box::pin(engine.plan_job(&definition.statement()?)).await?;
        if let Some(before) = &before
            && before.table_name() != *plan.table()
        {
            return Err(OffloadError::Invalid(format!(
                "offload `{}` is over table {}: another table has another offload",
                before.offload,
                before.table_name()
            )));
        }
        definition.table_schema.clone_from(&plan.table().schema);
        definition.table.clone_from(&plan.table().table);
        definition.check_columns(&plan)?;
        let lake = self.lakes.open(definition.spec(&plan)?).await?;
        if let Some(published) = lake.table.published().await? {
            check_stream(&definition, &plan, &published.mark)?;
            tracing::info!(offload = %definition.offload, iteration = published.mark.iteration.0, "goes on where its table is");
        }
        match before {
            Some(_) => self.files.replace(&definition).await?,
            None if self.files.create(&definition).await? => {}
            // another was faster
            None if create.if_not_exists => {}
            None => {
                return Err(OffloadError::Engine(EngineError::Exists(format!(
                    "offload `{}` exists",
                    definition.offload
                ))));
            }
        }
        self.look_now().await
    }

    /// Two jobs in one folder would take each other's files for their own.
    fn check_apart(&self, definition: &JobDefinition) -> Result<(), OffloadError> {
        let known = self.known.lock();
        let others = known.values().filter_map(|job| job.definition.as_ref().ok());
        for other in others.filter(|other| other.offload != definition.offload) {
            // what is no location is written to by nobody
            if matches!(locations::are_near(&other.location, &definition.location), Ok(true)) {
                return Err(OffloadError::Invalid(format!(
                    "LOCATION `{}`: offload `{}` writes to {}, and folders of offloads do not lie in each other",
                    definition.location, other.offload, other.location
                )));
            }
        }
        Ok(())
    }

    fn check_right(&self, principal: &str, definition: &JobDefinition) -> Result<(), OffloadError> {
        let engine = self.engine()?;
        Ok(engine.access().table(principal, Right::Offload, &definition.table_name())?)
    }

    async fn try_pause(&self, principal: &str, name: &str, paused: bool) -> Result<(), OffloadError> {
        let _turn = self.turn.lock().await;
        self.look_now().await?;
        let mut definition = self.named(principal, name)?.as_ref().clone();
        self.check_right(principal, &definition)?;
        if definition.paused == paused {
            return Ok(());
        }
        definition.paused = paused;
        self.files.replace(&definition).await?;
        self.look_now().await
    }

    /// The job, for who changes it: whether there is one is told to who may know.
    fn named(&self, principal: &str, name: &str) -> Result<Arc<JobDefinition>, OffloadError> {
        match self.definition(name) {
            Ok(definition) if self.check_right(principal, &definition).is_ok() => Ok(definition),
            Ok(_) => Err(OffloadError::Unknown(name.to_owned())),
            Err(error @ OffloadError::File { .. }) => {
                self.engine()?.access().admin(principal)?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    async fn try_remove(&self, principal: &str, name: &str, if_exists: bool) -> Result<(), OffloadError> {
        let _turn = self.turn.lock().await;
        self.look_now().await?;
        let checkpoint = match self.named(principal, name) {
            Ok(definition) => Some(definition.checkpoint()),
            Err(OffloadError::Unknown(_)) if if_exists => return Ok(()),
            // what cannot be read is removed as a file
            Err(OffloadError::File { .. }) => None,
            Err(error) => return Err(error),
        };
        self.files.remove(name).await?;
        self.look_now().await?;
        let Some(checkpoint) = checkpoint else { return Ok(()) };
        let engine = self.engine()?;
        let store = engine.consumers().store();
        for (consumer, _) in store.consumers().await.map_err(EngineError::from)? {
            if consumer.name.as_str() == checkpoint {
                store.delete(&consumer).await.map_err(EngineError::from)?;
            }
        }
        Ok(())
    }

    async fn try_states(&self) -> Result<Vec<OffloadState>, OffloadError> {
        if self.known.lock().is_empty() {
            self.look().await?;
        }
        if self.known.lock().is_empty() {
            return Ok(Vec::new());
        }
        let engine = self.engine()?;
        let store = engine.consumers().store();
        let consumers = store.consumers().await.map_err(EngineError::from)?;
        let mut states: Vec<(OffloadState, Option<String>)> = {
            let known = self.known.lock();
            known.iter().map(|(name, job)| self.shown(name, job)).collect()
        };
        for (state, checkpoint) in &mut states {
            let consumer = checkpoint
                .as_ref()
                .and_then(|name| consumers.iter().find(|(consumer, _)| consumer.name.as_str() == name));
            if let Some((consumer, head)) = consumer {
                complete(&engine, state, consumer, head).await?;
            }
        }
        Ok(states.into_iter().map(|(state, _)| state).collect())
    }

    fn shown(&self, name: &str, job: &Job) -> (OffloadState, Option<String>) {
        let definition = job.definition.as_ref().ok();
        let counted = &job.state;
        let state = OffloadState {
            name: name.to_owned(),
            table: definition.map(|definition| definition.table_name()),
            location: definition.map(|definition| definition.location.clone()),
            format: definition.map(|definition| format_name(definition.format).to_owned()),
            paused: definition.is_some_and(|definition| definition.paused),
            owner: self.owner(name),
            iterations: counted.iterations,
            rows: counted.rows,
            files: counted.files,
            bytes: counted.bytes,
            bad_records: counted.bad_records,
            complete: counted.complete.clone(),
            errors: counted.errors,
            last_error: job.definition.as_ref().err().cloned().or_else(|| counted.last_error.clone()),
            failed_ms: counted.failed_ms,
            ..OffloadState::default()
        };
        (state, definition.map(|definition| definition.checkpoint()))
    }

    /// What `/metrics` shows: of jobs that this process runs, without asking anybody.
    pub fn counted(&self) -> Vec<OffloadState> {
        let known = self.known.lock();
        let own = known.iter().filter(|(name, job)| job.definition.is_ok() && self.is_own(name));
        let shown = own.map(|(name, job)| OffloadState {
            watermark_ms: job.state.watermark_ms,
            lag_ms: job.state.watermark_ms.map(|watermark| now_ms().saturating_sub(watermark).max(0)),
            ..self.shown(name, job).0
        });
        shown.collect()
    }
}

/// What the checkpoint says of a job, whoever runs it.
async fn complete(engine: &Engine, state: &mut OffloadState, consumer: &Consumer, head: &Head) -> Result<(), OffloadError> {
    let Some((number, _, at_ms)) = &head.committed else { return Ok(()) };
    (state.iteration, state.committed_ms) = (Some(number.0), Some(*at_ms));
    let store = engine.consumers().store();
    let iteration = store.iteration(consumer, *number).await.map_err(EngineError::from)?;
    state.watermark_ms = iteration.and_then(|iteration| iteration.ends.as_of_ms);
    state.lag_ms = state.watermark_ms.map(|watermark| now_ms().saturating_sub(watermark).max(0));
    Ok(())
}

fn new_id() -> String {
    let id = Uuid::new_v4().simple().to_string();
    id[..12].to_owned()
}

/// Ms since the epoch.
pub(super) fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

#[async_trait]
impl Offloads for Jobs {
    async fn create(&self, maker: &JobMaker, create: &CreateOffload) -> Result<(), EngineError> {
        Box::pin(self.try_create(maker, create)).await?;
        self.changed.notify_one();
        Ok(())
    }

    async fn pause(&self, principal: &str, name: &str, paused: bool) -> Result<(), EngineError> {
        self.try_pause(principal, name, paused).await?;
        self.changed.notify_one();
        Ok(())
    }

    async fn remove(&self, principal: &str, name: &str, if_exists: bool) -> Result<(), EngineError> {
        self.try_remove(principal, name, if_exists).await?;
        self.changed.notify_one();
        Ok(())
    }

    async fn history(&self, name: &str, table: &TableName, pinned: Option<&PinnedHistory>) -> Result<History, EngineError> {
        Ok(Box::pin(self.try_history(name, table, pinned)).await?)
    }

    async fn states(&self) -> Result<Vec<OffloadState>, EngineError> {
        Ok(self.try_states().await?)
    }
}
