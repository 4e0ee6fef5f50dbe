//! Small files put together to one.

use std::time::Duration;

use arrow::datatypes::SchemaRef;
use shard_reader::checkpoints::IterationNumber;

use crate::encode::{EncodeError, Encoder, Origin};
use crate::names::{FileName, raw_path};
use crate::read::read_rows;
use crate::stats::StatsBuilder;
use crate::store::TableStore;
use crate::{JobName, LakeError, LakeErrorKind, LakeFormat, WrittenFile};

/// Begins the attempt in the name of a file that was put together: no hexadecimal digit, so that no other attempt looks like it.
pub(crate) const PUT_TOGETHER: char = 'z';
/// A file that was put together and that is in no table is left alone so long: its commit may be about to be written.
pub(crate) const COMPACTION_GRACE: Duration = Duration::from_hours(24);
/// ORC files are put together up to this part of the target: their rows take some times as much memory.
const ORC_PART: u64 = 8;

/// Files that make one: of one partition, one after the other, each less than half of what they may be together.
pub(crate) fn groups(files: &[WrittenFile], format: LakeFormat, target: u64) -> Vec<Vec<WrittenFile>> {
    let whole = match format {
        LakeFormat::Orc => target / ORC_PART,
        LakeFormat::Delta | LakeFormat::Parquet => target,
    };
    let mut open: Vec<(u64, Vec<WrittenFile>)> = Vec::new();
    let mut done = Vec::new();
    for file in files {
        let index = open.iter().position(|(_, files)| files[0].partition == file.partition);
        let small = file.bytes < whole / 2;
        let fits = small && index.is_some_and(|index| open[index].0 + file.bytes <= whole);
        if let Some(index) = index.filter(|_| !fits) {
            done.push(open.swap_remove(index).1);
        }
        if !small {
            continue;
        }
        match index.filter(|_| fits) {
            Some(index) => {
                open[index].0 += file.bytes;
                open[index].1.push(file.clone());
            }
            None => open.push((file.bytes, vec![file.clone()])),
        }
    }
    done.extend(open.into_iter().map(|(_, files)| files));
    done.retain(|files| files.len() > 1);
    done
}

/// What files of a table are made of.
#[derive(Debug)]
pub(crate) struct Together<'a> {
    pub(crate) store: &'a TableStore,
    pub(crate) job: &'a JobName,
    pub(crate) format: LakeFormat,
    /// Columns in the files.
    pub(crate) schema: SchemaRef,
    /// The iteration that is published.
    pub(crate) last: IterationNumber,
}

impl Together<'_> {
    /// A new file with the rows of these, in their order; no reader sees it yet.
    pub(crate) async fn file(&self, group: &[WrittenFile]) -> Result<WrittenFile, LakeError> {
        let store = self.store;
        let damaged = |error: EncodeError| store.error(LakeErrorKind::Damaged, format_args!("files cannot be put together: {error}"));
        let origin = Origin {
            job: self.job.clone(),
            iteration: None,
        };
        let mut encoder = Encoder::new(self.format, &self.schema, &origin).map_err(damaged)?;
        let mut stats = StatsBuilder::new(SchemaRef::clone(&self.schema));
        for file in group {
            let bytes = store.read(&raw_path(&file.path)).await?;
            let bytes = bytes.ok_or_else(|| store.error(LakeErrorKind::Damaged, format_args!("{} is missing", file.path)))?;
            let batches = read_rows(self.format, bytes, &self.schema).map_err(damaged)?;
            let rows: u64 = batches.iter().map(|batch| batch.num_rows() as u64).sum();
            if rows != file.rows {
                return Err(store.error(
                    LakeErrorKind::Damaged,
                    format_args!("{} has {rows} rows, and the table says {}", file.path, file.rows),
                ));
            }
            for batch in batches {
                encoder.write(&batch).map_err(damaged)?;
                stats.add(&batch);
            }
        }
        let encoded = encoder.finish().map_err(damaged)?;
        let stats = stats.finish();
        let iteration = group
            .iter()
            .filter_map(|file| FileName::parse(&raw_path(&file.path)))
            .map(|name| name.iteration)
            .max();
        let name = FileName {
            job: self.job.clone(),
            iteration: iteration.unwrap_or(self.last),
            ordinal: 0,
            attempt: format!("{PUT_TOGETHER}{}", &uuid::Uuid::new_v4().simple().to_string()[..16]),
        };
        let path = name.path(&crate::partition::folder(&group[0].partition), self.format);
        let bytes = encoded.bytes.len() as u64;
        store.create(&path, encoded.bytes).await?;
        Ok(WrittenFile {
            path: path.to_string(),
            bytes,
            rows: stats.num_records,
            partition: group[0].partition.clone(),
            stats: Some(serde_json::to_string(&stats).map_err(|error| damaged(error.into()))?),
        })
    }
}
