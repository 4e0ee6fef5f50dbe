//! Compaction and cleaning of Delta tables.

use std::collections::HashSet;
use std::num::NonZeroU64;
use std::time::Duration;

use chrono::{DateTime, Utc};
use deltalake::parquet::basic::{Compression, ZstdLevel};
use deltalake::parquet::file::properties::WriterProperties;
use futures::TryStreamExt;
use object_store::path::Path;
use shard_reader::checkpoints::IterationNumber;

use super::table::DeltaLake;
use crate::marks::MarkFile;
use crate::names::{FileName, raw_path};
use crate::{Cleaned, Compacted, LakeError, LakeErrorKind};

/// deltalake's OPTIMIZE: one commit that replaces files and changes no rows; it names no `txn`, so that it cannot stand in a publication's way.
pub(super) async fn compact(lake: &DeltaLake) -> Result<Compacted, LakeError> {
    let log = &lake.log;
    let Some(table) = log.load(None).await? else {
        return Ok(Compacted::default());
    };
    let Some(target) = NonZeroU64::new(lake.writer.target_file_bytes) else {
        return Err(log.store.error(LakeErrorKind::Unsupported, "files of 0 bytes"));
    };
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let (_, metrics) = table
        .optimize()
        .with_target_size(target)
        .with_writer_properties(properties)
        .with_max_concurrent_tasks(1)
        .await
        .map_err(|error| log.error("putting files together", error))?;
    Ok(Compacted {
        removed: metrics.num_files_removed,
        added: metrics.num_files_added,
    })
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
    let before = before(min_age);
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
        let ours = FileName::parse(&meta.location)
            .is_some_and(|name| name.job == lake.writer.job && name.iteration <= last && name.iteration < open);
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

/// The time that lies so long ago; a time long before any file if that cannot be said.
fn before(age: Duration) -> DateTime<Utc> {
    chrono::Duration::from_std(age)
        .ok()
        .and_then(|age| Utc::now().checked_sub_signed(age))
        .unwrap_or(DateTime::<Utc>::MIN_UTC)
}
