//! Compaction and cleaning of tables of plain files.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::Schema;
use chrono::Utc;
use object_store::path::Path;
use shard_reader::checkpoints::IterationNumber;

use super::model::{Change, FORM, Manifest};
use super::table::ManifestLake;
use crate::names::{FileName, raw_path};
use crate::together::{COMPACTION_GRACE, PUT_TOGETHER, Together, groups};
use crate::{Cleaned, Compacted, LakeError, LakeErrorKind, WrittenFile};

/// Manifests and checkpoints stay so long at least: a writer that was stopped for a while must not find a number free that was taken.
const MANIFEST_GRACE: Duration = Duration::from_hours(7 * 24);

/// Puts neighbouring small files of a partition together, one manifest for each file that comes of it.
pub(super) async fn compact(lake: &ManifestLake) -> Result<Compacted, LakeError> {
    let mut compacted = Compacted::default();
    let Some(state) = lake.log.read(None).await? else {
        return Ok(compacted);
    };
    let damaged = |message: String| lake.log.store.error(LakeErrorKind::Damaged, message);
    let schema = state.schema.arrow().map_err(damaged)?;
    let in_file = schema.fields().iter().filter(|field| !state.partitioned_by.contains(field.name()));
    let together = Together {
        store: &lake.log.store,
        job: &lake.log.job,
        format: state.stored_as,
        schema: Arc::new(Schema::new(in_file.cloned().collect::<Vec<_>>())),
        last: state.mark.iteration,
    };
    for group in groups(&state.files, state.stored_as, lake.writer.target_file_bytes) {
        let file = together.file(&group).await?;
        let removed = group.len() as u64;
        replace(lake, &group, file).await?;
        compacted.removed += removed;
        compacted.added += 1;
    }
    Ok(compacted)
}

/// Commits the replacement, on top of whatever was published meanwhile.
async fn replace(lake: &ManifestLake, group: &[WrittenFile], file: WrittenFile) -> Result<(), LakeError> {
    let conflict = |message: &str| lake.log.store.error(LakeErrorKind::Conflict, message);
    let remove: Vec<String> = group.iter().map(|file| file.path.clone()).collect();
    for _ in 0..10 {
        let state = lake.log.read(None).await?.ok_or_else(|| conflict("the table is gone"))?;
        if state.files.iter().any(|known| known.path == file.path) {
            // The reply to an earlier attempt was lost.
            return Ok(());
        }
        if !remove.iter().all(|path| state.files.iter().any(|known| &known.path == path)) {
            return Err(conflict("somebody else put the same files together"));
        }
        let manifest = Manifest {
            form: FORM,
            number: state.number + 1,
            at_ms: Utc::now().timestamp_millis(),
            change: Change::Compaction,
            mark: state.mark.clone(),
            stored_as: state.stored_as,
            schema: state.schema.clone(),
            partitioned_by: state.partitioned_by.clone(),
            add: vec![file.clone()],
            remove: remove.clone(),
        };
        if lake.log.commit(Some(state), manifest).await?.is_some() {
            return Ok(());
        }
    }
    Err(conflict("others publish all the time"))
}

/// Removes what nobody reads any more: files that this job wrote and that are not in the table, unless they left it less than `min_age` ago.
///
/// A file of an iteration that may still be published is never touched, however old: the next attempt may find it there and publish it.
pub(super) async fn clean(lake: &ManifestLake, open: IterationNumber, min_age: Duration) -> Result<Cleaned, LakeError> {
    let store = &lake.log.store;
    // Listed first: what is written or published after this is not in it.
    let listed = store.list(None, None).await?;
    let mut cleaned = Cleaned::default();
    let Some(state) = lake.log.read(None).await? else {
        return Ok(cleaned);
    };
    let before = crate::age::before(min_age);
    let recent = state
        .left
        .iter()
        .filter(|file| file.at_ms >= before.timestamp_millis())
        .map(|file| raw_path(&file.path));
    let kept: HashSet<Path> = state.files.iter().map(|file| raw_path(&file.path)).chain(recent).collect();
    let last = state.mark.iteration;
    let put_together_before = crate::age::before(min_age.max(COMPACTION_GRACE));
    let known_as_left: HashSet<Path> = state.left.iter().map(|file| raw_path(&file.path)).collect();
    for meta in listed {
        let Some(name) = FileName::parse(&meta.location) else { continue };
        if name.job != lake.log.job || name.iteration > last || name.iteration >= open || kept.contains(&meta.location) {
            continue;
        }
        let may_come = name.attempt.starts_with(PUT_TOGETHER) && !known_as_left.contains(&meta.location);
        if may_come && meta.last_modified >= put_together_before {
            continue;
        }
        if store.delete(&meta.location).await? {
            cleaned.files += 1;
            cleaned.bytes += meta.size;
        }
    }
    lake.log.forget(crate::age::before(min_age.max(MANIFEST_GRACE))).await?;
    Ok(cleaned)
}
