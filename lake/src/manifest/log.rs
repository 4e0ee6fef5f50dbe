//! Reads and commits manifests.

use std::time::Duration;

use chrono::Utc;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectMeta;
use object_store::path::Path;
use serde::de::DeserializeOwned;

use super::model::{FORM, Manifest, State};
use crate::names::job_directory;
use crate::store::{Creation, TableStore};
use crate::{JobName, LakeError, LakeErrorKind};

/// How often manifests are read whose listing makes no sense.
const LISTING_ATTEMPTS: u32 = 5;
/// Pause before they are read again.
const LISTING_PAUSE: Duration = Duration::from_millis(20);
/// Manifests between two checkpoints.
const CHECKPOINT_INTERVAL: u64 = 20;
/// Manifests that are read at the same time.
const AT_ONCE: usize = 8;

/// The manifests of a job.
#[derive(Clone, Debug)]
pub(super) struct ManifestLog {
    pub(super) store: TableStore,
    pub(super) job: JobName,
}

impl ManifestLog {
    /// The table now, or after a manifest; `None`: nothing is published yet.
    pub(super) async fn read(&self, version: Option<u64>) -> Result<Option<State>, LakeError> {
        let mut attempts = 1;
        loop {
            match self.read_once(version).await {
                // A directory that is listed while manifests come may show a later one and miss one before it. Object storage never lists so.
                Err(error) if error.kind == LakeErrorKind::Damaged && attempts < LISTING_ATTEMPTS => {
                    tracing::debug!(table = self.store.location(), %error, "the manifests are read again");
                    tokio::time::sleep(LISTING_PAUSE).await;
                    attempts += 1;
                }
                read => return read,
            }
        }
    }

    async fn read_once(&self, version: Option<u64>) -> Result<Option<State>, LakeError> {
        let last = version.unwrap_or(u64::MAX);
        let checkpoint = self
            .numbers("checkpoints", 0)
            .await?
            .into_iter()
            .map(|(number, _)| number)
            .filter(|number| *number <= last)
            .max();
        let mut state: Option<State> = match checkpoint {
            None => None,
            Some(number) => Some(self.file("checkpoints", number).await?),
        };
        if let Some(state) = &state
            && state.form > FORM
        {
            return Err(self.damaged(format_args!(
                "checkpoint {} has form {}: a newer version of the program wrote it",
                state.number, state.form
            )));
        }
        let mut numbers: Vec<u64> = self
            .numbers("manifests", checkpoint.unwrap_or(0))
            .await?
            .into_iter()
            .map(|(number, _)| number)
            .filter(|number| *number <= last)
            .collect();
        numbers.sort_unstable();
        let mut manifests = futures::stream::iter(numbers)
            .map(|number| self.file::<Manifest>("manifests", number))
            .buffered(AT_ONCE);
        while let Some(manifest) = manifests.try_next().await? {
            state = Some(State::after(state, manifest).map_err(|message| self.damaged(message))?);
        }
        match (version, &state) {
            (Some(version), found) if found.as_ref().map(|state| state.number) != Some(version) => {
                Err(self.damaged(format_args!("there is no version {version}, or it was cleaned away")))
            }
            _ => Ok(state),
        }
    }

    /// Makes a manifest the next one; `None`: somebody else was first.
    pub(super) async fn commit(&self, before: Option<State>, manifest: Manifest) -> Result<Option<State>, LakeError> {
        let path = self.path("manifests", manifest.number);
        let bytes = serde_json::to_vec(&manifest).map_err(|error| self.damaged("a manifest has no form as JSON").caused_by(error))?;
        let state = State::after(before, manifest).map_err(|message| self.damaged(message))?;
        match self.store.create(&path, bytes.into()).await? {
            Creation::Found => return Ok(None),
            Creation::Created => {}
        }
        if state.number.is_multiple_of(CHECKPOINT_INTERVAL)
            && let Err(error) = self.checkpoint(&state).await
        {
            // It only saves readers some calls, and the next one is due soon.
            tracing::warn!(table = self.store.location(), number = state.number, %error, "no checkpoint of the manifests was written");
        }
        Ok(Some(state))
    }

    async fn checkpoint(&self, state: &State) -> Result<(), LakeError> {
        let bytes = serde_json::to_vec(state).map_err(|error| self.damaged("a checkpoint has no form as JSON").caused_by(error))?;
        self.store.create(&self.path("checkpoints", state.number), bytes.into()).await?;
        Ok(())
    }

    /// Removes manifests and checkpoints that only snapshots from before a time need.
    ///
    /// The newest checkpoint from before that time stays, and all that comes after it.
    pub(super) async fn forget(&self, before: chrono::DateTime<Utc>) -> Result<(), LakeError> {
        let checkpoints = self.numbers("checkpoints", 0).await?;
        let old = checkpoints
            .iter()
            .filter(|(_, meta)| meta.last_modified < before)
            .map(|(number, _)| *number)
            .max();
        let Some(kept) = old else { return Ok(()) };
        for (number, meta) in checkpoints {
            if number < kept {
                self.store.delete(&meta.location).await?;
            }
        }
        for (number, meta) in self.numbers("manifests", 0).await? {
            if number <= kept && meta.last_modified < before {
                self.store.delete(&meta.location).await?;
            }
        }
        Ok(())
    }

    fn path(&self, what: &str, number: u64) -> Path {
        job_directory(&self.job, what).join(format!("{number:020}.json"))
    }

    /// Files of a kind whose numbers come after one.
    async fn numbers(&self, what: &str, after: u64) -> Result<Vec<(u64, ObjectMeta)>, LakeError> {
        let directory = job_directory(&self.job, what);
        let found = self.store.list(Some(&directory), Some(&self.path(what, after))).await?;
        let number = |meta: &ObjectMeta| meta.location.filename()?.strip_suffix(".json")?.parse().ok();
        Ok(found
            .into_iter()
            .filter_map(|meta| number(&meta).map(|number| (number, meta)))
            .collect())
    }

    async fn file<T: DeserializeOwned>(&self, what: &str, number: u64) -> Result<T, LakeError> {
        let path = self.path(what, number);
        let bytes = self.store.read(&path).await?;
        let bytes = bytes.ok_or_else(|| self.damaged(format_args!("{path} is missing")))?;
        serde_json::from_slice(&bytes).map_err(|error| self.damaged(format_args!("{path}: {error}")).caused_by(error))
    }

    fn damaged(&self, message: impl std::fmt::Display) -> LakeError {
        self.store.error(LakeErrorKind::Damaged, message)
    }
}
