//! Compaction and cleaning of Delta tables.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::Schema;
use chrono::{DateTime, Utc};
use deltalake::kernel::Action;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::protocol::DeltaOperation;
use futures::TryStreamExt;
use object_store::path::Path;
use shard_reader::checkpoints::IterationNumber;

use super::log::{delta_error_kind, may_be_listing};
use super::table::DeltaLake;
use crate::marks::MarkFile;
use crate::names::{FileName, raw_path};
use crate::together::{COMPACTION_GRACE, PUT_TOGETHER, Together, groups};
use crate::{Cleaned, Compacted, LakeError, LakeErrorKind, LakeFormat, WrittenFile};

/// How often a replacement is tried again because somebody else committed.
const REPLACE_ATTEMPTS: usize = 10;

/// Puts neighbouring small files of a partition together, one commit for each file that comes of it. It names no `txn`.
///
/// Not by deltalake's OPTIMIZE: it takes two commits that replace the same files, and with them every row twice. Here the commit holds only as the one that
/// follows the version in which the files were seen.
pub(super) async fn compact(lake: &DeltaLake) -> Result<Compacted, LakeError> {
    let log = &lake.log;
    let mut compacted = Compacted::default();
    let Some(table) = log.load(None).await? else {
        return Ok(compacted);
    };
    let Some(last) = log.iteration(&table, &lake.writer.job).await? else {
        return Ok(compacted);
    };
    let state = table.snapshot().map_err(|error| log.error("reading the log", error))?;
    let partitioned_by = state.metadata().partition_columns();
    let fields = state.snapshot().arrow_schema();
    let in_file = fields.fields().iter().filter(|field| !partitioned_by.contains(field.name()));
    let together = Together {
        store: &log.store,
        job: &lake.writer.job,
        format: LakeFormat::Delta,
        schema: Arc::new(Schema::new(in_file.cloned().collect::<Vec<_>>())),
        last,
    };
    let mut files: Vec<(i64, WrittenFile)> = Vec::new();
    for view in state.log_data().iter().filter(|view| view.deletion_vector_descriptor().is_none()) {
        // Without its rows' number a file could not be checked.
        let Some(rows) = view.num_records() else { continue };
        let values = view.partition_values_map();
        let value = |name: &String| (name.clone(), values.get(name).cloned().flatten());
        let file = WrittenFile {
            path: view.object_store_path().to_string(),
            bytes: u64::try_from(view.size()).unwrap_or_default(),
            rows: rows as u64,
            partition: partitioned_by.iter().map(value).collect(),
            stats: None,
        };
        files.push((view.modification_time(), file));
    }
    files.sort_by(|(one, first), (other, second)| (one, &first.path).cmp(&(other, &second.path)));
    let files: Vec<WrittenFile> = files.into_iter().map(|(_, file)| file).collect();
    for group in groups(&files, LakeFormat::Delta, lake.writer.target_file_bytes) {
        let file = together.file(&group).await?;
        replace(lake, &group, &file).await?;
        compacted.removed += group.len() as u64;
        compacted.added += 1;
    }
    Ok(compacted)
}

async fn replace(lake: &DeltaLake, group: &[WrittenFile], file: &WrittenFile) -> Result<(), LakeError> {
    let log = &lake.log;
    let failed = |error| log.error("committing", error);
    let conflict = |message: &str| log.store.error(LakeErrorKind::Conflict, message);
    for _ in 0..REPLACE_ATTEMPTS {
        let table = log.load(None).await?.ok_or_else(|| conflict("the table is gone"))?;
        let state = table.snapshot().map_err(failed)?;
        let mut actions = Vec::new();
        let mut there = false;
        for view in state.log_data().iter() {
            let path = view.object_store_path();
            there |= path.as_ref() == file.path;
            if group.iter().any(|old| old.path == path.as_ref()) {
                actions.push(Action::Remove(view.remove_action(false)));
            }
        }
        if there {
            // The reply to an earlier attempt was lost.
            return Ok(());
        }
        if actions.len() != group.len() {
            return Err(conflict("somebody else put the same files together"));
        }
        let mut add = lake.add(file, Utc::now().timestamp_millis())?;
        add.data_change = false;
        actions.push(Action::Add(add));
        let operation = DeltaOperation::Optimize {
            predicate: None,
            target_size: i64::try_from(lake.writer.target_file_bytes).unwrap_or(i64::MAX),
        };
        let commit = CommitBuilder::from(CommitProperties::default().with_max_retries(0))
            .with_actions(actions)
            .build(Some(state), Arc::clone(&log.logs), operation);
        let committed = match commit.into_prepared_commit_future().await {
            Ok(prepared) => prepared.await,
            Err(error) => Err(error),
        };
        match committed {
            Ok(committed) => {
                let version = committed.version;
                if let Err(error) = committed.await {
                    tracing::warn!(table = log.store.location(), version, %error, "the Delta log was not checkpointed");
                }
                return Ok(());
            }
            Err(error) if may_be_listing(&error) || delta_error_kind(&error) == LakeErrorKind::Conflict => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(conflict("others commit to the table all the time"))
}

/// Removes what nobody reads any more: files that this job wrote and that are not in the table, and files that left the table `min_age` ago.
///
/// A file of an iteration that may still be published is never touched, however old: the next attempt may find it there and publish it.
pub(super) async fn clean(lake: &DeltaLake, open: IterationNumber, min_age: Duration) -> Result<Cleaned, LakeError> {
    let log = &lake.log;
    let failed = |error| log.error("reading the log", error);
    // Listed first: what is written or published after this is not in it.
    let listed = log.store.list(None, None).await?;
    let Some(table) = log.load(None).await? else {
        return Ok(Cleaned::default());
    };
    let Some(last) = log.iteration(&table, &lake.writer.job).await? else {
        return Ok(Cleaned::default());
    };
    let before = crate::age::before(min_age);
    let put_together_before = crate::age::before(min_age.max(COMPACTION_GRACE));
    let state = table.snapshot().map_err(failed)?;
    let mut kept: HashSet<Path> = state.log_data().iter().map(|file| file.object_store_path()).collect();
    let mut left = HashSet::new();
    let mut tombstones = state.all_tombstones(log.logs.as_ref());
    while let Some(tombstone) = tombstones.try_next().await.map_err(failed)? {
        let path = raw_path(&tombstone.path());
        let removed = tombstone.deletion_timestamp().and_then(DateTime::from_timestamp_millis);
        if removed.is_some_and(|removed| removed < before) {
            left.insert(path);
        } else {
            kept.insert(path);
        }
    }
    let mut cleaned = Cleaned::default();
    for meta in listed {
        let ours = FileName::parse(&meta.location).is_some_and(|name| {
            let may_come = name.attempt.starts_with(PUT_TOGETHER) && meta.last_modified >= put_together_before;
            name.job == lake.writer.job && name.iteration <= last && name.iteration < open && !may_come
        });
        if kept.contains(&meta.location) || !(ours || left.contains(&meta.location)) {
            continue;
        }
        if log.store.delete(&meta.location).await? {
            cleaned.files += 1;
            cleaned.bytes += meta.size;
        }
    }
    // Of older publications only snapshots know, and those that are older than this may have lost files too.
    for (iteration, meta) in MarkFile::all(&log.store, &lake.writer.job).await? {
        if iteration < last && meta.last_modified < before {
            log.store.delete(&meta.location).await?;
        }
    }
    Ok(cleaned)
}
