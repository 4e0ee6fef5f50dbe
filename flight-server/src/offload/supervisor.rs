//! Runs the jobs that are due, and that are this node's.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::definition::JobDefinition;
use super::error::OffloadError;
use super::jobs::{Job, Jobs, now_ms};
use super::step::Stepped;

/// Jobs that run at once: each holds the bytes of two files.
const AT_ONCE: usize = 4;
/// A file that cannot be used, or a store that cannot be listed, is looked at again after this.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

impl Jobs {
    /// Runs jobs until the end. What is under way then is dropped where it stands: the next step does what is left.
    pub async fn keep(self: Arc<Self>, stop: &CancellationToken) {
        let mut running: JoinSet<()> = JoinSet::new();
        let mut names: HashMap<Id, String> = HashMap::new();
        let mut look_at = Instant::now();
        loop {
            if look_at <= Instant::now() {
                look_at = Instant::now() + self.refresh;
                if let Some(Err(error)) = stop.run_until_cancelled(self.look()).await {
                    tracing::warn!(%error, "the files of offloads cannot be looked at");
                    look_at = Instant::now() + LOOK_AGAIN.max(self.refresh);
                }
            }
            while running.len() < AT_ONCE
                && let Some((name, definition)) = self.next_due()
            {
                let (jobs, stop) = (Arc::clone(&self), stop.clone());
                let task = running.spawn(async move {
                    stop.run_until_cancelled(Box::pin(jobs.run_job(definition))).await;
                });
                names.insert(task.id(), name);
            }
            let wake = self.next_wake(running.len() < AT_ONCE).map_or(look_at, |due| due.min(look_at));
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep_until(wake) => {}
                () = self.changed.notified() => {}
                Some(ended) = running.join_next_with_id() => {
                    let id = match &ended {
                        Ok((id, ())) => *id,
                        Err(error) => error.id(),
                    };
                    if let (Some(name), Err(error)) = (names.remove(&id), ended) {
                        self.broke_down(&name, &error.to_string());
                    }
                }
            }
        }
        running.shutdown().await;
    }

    /// A job that is to be run now; it counts as running from then on.
    fn next_due(&self) -> Option<(String, Arc<JobDefinition>)> {
        let now = Instant::now();
        let mut known = self.known.lock();
        let due = known
            .iter_mut()
            .find(|(name, job)| !job.state.running && job.state.due.is_none_or(|due| due <= now) && is_active(job) && self.is_own(name));
        let (name, job) = due?;
        let definition = Arc::clone(job.definition.as_ref().ok()?);
        job.state.running = true;
        Some((name.clone(), definition))
    }

    /// When the next one is due.
    fn next_wake(&self, has_room: bool) -> Option<Instant> {
        let known = self.known.lock();
        let resting = known
            .iter()
            .filter(|(name, job)| has_room && !job.state.running && is_active(job) && self.is_own(name));
        resting.filter_map(|(_, job)| job.state.due).min()
    }

    fn broke_down(&self, name: &str, error: &str) {
        tracing::error!(offload = name, error, "an offload broke down");
        if let Some(job) = self.known.lock().get_mut(name) {
            job.state.running = false;
            job.state.errors += 1;
            job.state.last_error = Some(error.to_owned());
            job.state.failed_ms = Some(now_ms());
            job.state.due = Some(Instant::now() + LOOK_AGAIN);
        }
    }

    /// Steps until all is done, something fails, or the job is no longer this one.
    async fn run_job(&self, definition: Arc<JobDefinition>) {
        let name = definition.offload.as_str();
        let every = definition.typed_options().map_or(LOOK_AGAIN, |options| options.every);
        let mut stepper = self.stepper(Arc::clone(&definition));
        let wait = loop {
            let outcome = stepper.step().await;
            match self.record(name, &outcome, every) {
                Some(wait) => break wait,
                None if self.goes_on(name, &definition) => {}
                None => break every,
            }
        };
        let wait_until = Instant::now() + wait;
        if self.is_maintenance_due(name, &definition)
            && let Err(error) = stepper.maintain().await
        {
            tracing::warn!(offload = name, %error, "the lake could not be maintained");
        }
        if let Some(job) = self.known.lock().get_mut(name) {
            job.state.running = false;
            // a job that was changed meanwhile is due at once
            let same = job.definition.as_ref().is_ok_and(|known| Arc::ptr_eq(known, &definition));
            job.state.due = same.then_some(wait_until);
        }
        self.changed.notify_one();
    }

    /// Takes an outcome down. How long to wait if it failed.
    fn record(&self, name: &str, outcome: &Result<Option<Stepped>, OffloadError>, every: Duration) -> Option<Duration> {
        let mut known = self.known.lock();
        let Some(job) = known.get_mut(name) else {
            return Some(every);
        };
        match outcome {
            Ok(Some(stepped)) => {
                job.state.stepped(stepped);
                tracing::info!(
                    offload = name,
                    iteration = stepped.iteration,
                    rows = stepped.rows,
                    files = stepped.files,
                    bytes = stepped.bytes,
                    bad_records = stepped.bad_records,
                    "published"
                );
                (!stepped.has_more).then_some(every)
            }
            Ok(None) => {
                job.state.went_right();
                Some(every)
            }
            Err(error) => {
                let wait = job.state.failed(error, every, now_ms());
                let wait_ms = wait.as_millis() as u64;
                if matches!(error, OffloadError::Outrun(_)) {
                    tracing::info!(offload = name, %error, wait_ms, "an offload is run by others, too");
                } else {
                    tracing::warn!(offload = name, %error, retriable = error.is_retriable(), wait_ms, "an offload does not go on");
                }
                Some(wait)
            }
        }
    }

    fn goes_on(&self, name: &str, definition: &Arc<JobDefinition>) -> bool {
        let known = self.known.lock();
        let same = known
            .get(name)
            .is_some_and(|job| is_active(job) && job.definition.as_ref().is_ok_and(|known| Arc::ptr_eq(known, definition)));
        same && self.is_own(name)
    }

    /// Whether it is time to maintain the job's table; it counts as done from then on.
    fn is_maintenance_due(&self, name: &str, definition: &JobDefinition) -> bool {
        let Some(every) = definition.typed_options().ok().and_then(|options| options.maintain) else {
            return false;
        };
        let mut known = self.known.lock();
        let Some(job) = known.get_mut(name) else { return false };
        let now = Instant::now();
        let since = *job.state.maintained.get_or_insert(now);
        let due = now.duration_since(since) >= every;
        if due {
            job.state.maintained = Some(now);
        }
        due
    }
}

fn is_active(job: &Job) -> bool {
    job.definition.as_ref().is_ok_and(|definition| !definition.paused)
}

impl Jobs {
    /// Runs a job until it has caught up, whoever else runs it; what each step did is told. A paused job runs, too.
    ///
    /// # Errors
    /// What does not pass by itself, and what does not pass after some attempts.
    pub async fn run_once(&self, name: &str, mut told: impl FnMut(&Stepped)) -> Result<(), OffloadError> {
        self.look().await?;
        let definition = self.definition(name)?;
        let mut stepper = self.stepper(definition);
        let mut failures = 0;
        loop {
            match stepper.step().await {
                Ok(Some(stepped)) => {
                    failures = 0;
                    told(&stepped);
                    if !stepped.has_more {
                        return Ok(());
                    }
                }
                Ok(None) => return Ok(()),
                Err(error) if error.is_retriable() && failures < MOST_FAILURES => {
                    failures += 1;
                    tracing::warn!(offload = name, %error, "trying again");
                    tokio::time::sleep(Duration::from_millis(500) * failures).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// In a row, of a command.
const MOST_FAILURES: u32 = 5;
