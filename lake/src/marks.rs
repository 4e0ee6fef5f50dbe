//! Marks of publications, as files beside a Delta table's rows.
//!
//! A Delta log keeps which iteration a job published last (`txn`) in its checkpoints, but no `commitInfo`, and it is cleaned of old commits. `domainMetadata`
//! would be kept, but needs a writer feature that many writers lack, so that they could not write to the table any more. So each mark lies in a file that is
//! written before the commit: `_shardflight/JOB/marks/ITERATION-DIGEST.json`. Its name holds a digest of it, so that two who try to publish the same iteration
//! with different marks do not overwrite each other's; which of them holds is then read from the commit.

use bytes::Bytes;
use object_store::ObjectMeta;
use object_store::path::Path;
use sha2::{Digest, Sha256};
use shard_reader::checkpoints::IterationNumber;

use crate::names::job_directory;
use crate::store::TableStore;
use crate::{JobName, LakeError, LakeErrorKind, Mark};

/// The file of a mark, and what is in it.
#[derive(Clone, Debug)]
pub(crate) struct MarkFile {
    pub(crate) path: Path,
    pub(crate) mark: Mark,
}

impl MarkFile {
    fn of(store: &TableStore, job: &JobName, mark: &Mark) -> Result<(Self, Bytes), LakeError> {
        let bytes = serde_json::to_vec(mark).map_err(|error| {
            store
                .error(LakeErrorKind::Unsupported, "a mark has no form as JSON")
                .caused_by(error)
        })?;
        let digest: String = Sha256::digest(&bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let path = job_directory(job, "marks").join(format!("{:020}-{digest}.json", mark.iteration.0));
        let file = Self { path, mark: mark.clone() };
        Ok((file, bytes.into()))
    }

    /// Writes a mark; it holds once the commit with its iteration is there.
    pub(crate) async fn write(store: &TableStore, job: &JobName, mark: &Mark) -> Result<Self, LakeError> {
        let (file, bytes) = Self::of(store, job, mark)?;
        store.create(&file.path, bytes).await?;
        Ok(file)
    }

    /// Marks that were written for an iteration: one, unless several tried to publish it differently.
    pub(crate) async fn of_iteration(store: &TableStore, job: &JobName, iteration: IterationNumber) -> Result<Vec<Self>, LakeError> {
        let directory = job_directory(job, "marks");
        let prefix = format!("{:020}", iteration.0);
        let mut found = Vec::new();
        for meta in store.list(Some(&directory), Some(&directory.clone().join(prefix.as_str()))).await? {
            if !meta.location.filename().is_some_and(|name| name.starts_with(&prefix)) {
                continue;
            }
            let Some(bytes) = store.read(&meta.location).await? else { continue };
            let mark = serde_json::from_slice(&bytes).map_err(|error| {
                store
                    .error(LakeErrorKind::Damaged, format_args!("{}: {error}", meta.location))
                    .caused_by(error)
            })?;
            found.push(Self { path: meta.location, mark });
        }
        Ok(found)
    }

    /// All that there are, with the iteration of each.
    pub(crate) async fn all(store: &TableStore, job: &JobName) -> Result<Vec<(IterationNumber, ObjectMeta)>, LakeError> {
        let found = store.list(Some(&job_directory(job, "marks")), None).await?;
        let iteration = |meta: &ObjectMeta| meta.location.filename()?.split_once('-')?.0.parse().ok().map(IterationNumber);
        Ok(found
            .into_iter()
            .filter_map(|meta| iteration(&meta).map(|number| (number, meta)))
            .collect())
    }
}
