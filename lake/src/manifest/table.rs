//! What can be done with a table of plain files.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;
use datafusion::execution::SendableRecordBatchStream;
use shard_reader::checkpoints::IterationNumber;

use super::log::ManifestLog;
use super::model::{Change, FORM, Manifest, State, StoredSchema};
use super::scan::FileTable;
use super::upkeep;
use crate::columns::{Columns, grown};
use crate::store::TableStore;
use crate::write::FileWriter;
use crate::{Cleaned, Compacted, LakeError, LakeErrorKind, LakeSnapshot, LakeSpec, LakeTable, Mark, Published, WrittenFile};

/// How often a publication is begun anew because another manifest came first.
const PUBLISH_ATTEMPTS: usize = 10;

/// A table of plain files.
#[derive(Clone, Debug)]
pub(crate) struct ManifestLake {
    pub(super) log: ManifestLog,
    pub(super) writer: FileWriter,
    partitioned_by: Vec<String>,
}

impl ManifestLake {
    pub(crate) fn new(spec: &LakeSpec, store: TableStore) -> Result<Self, LakeError> {
        let columns = Arc::new(Columns::new(spec)?);
        Ok(Self {
            log: ManifestLog {
                store: store.clone(),
                job: spec.job.clone(),
            },
            writer: FileWriter {
                store,
                columns,
                format: spec.format,
                job: spec.job.clone(),
                target_file_bytes: spec.target_file_bytes,
            },
            partitioned_by: spec.partitioned_by.clone(),
        })
    }

    /// Columns of the table with those of the rows.
    fn schema(&self, before: Option<&State>) -> Result<StoredSchema, LakeError> {
        let unsupported = |message: String| self.log.store.error(LakeErrorKind::Unsupported, message);
        let rows = self.writer.columns.table();
        let Some(before) = before else {
            return StoredSchema::of(rows).map_err(unsupported);
        };
        if before.stored_as != self.writer.format {
            return Err(unsupported(
                "the table is kept in files of another format: offload to another location".into(),
            ));
        }
        if before.partitioned_by != self.partitioned_by {
            return Err(unsupported(format!(
                "the table is partitioned by ({}): a table cannot be partitioned anew",
                before.partitioned_by.join(", ")
            )));
        }
        let there = before.schema.arrow().map_err(unsupported)?;
        let schema = grown(&there, rows).map_err(unsupported)?;
        StoredSchema::of(&schema).map_err(unsupported)
    }

    fn published_in(state: &State) -> Published {
        Published {
            mark: state.mark.clone(),
            version: state.number,
            already: true,
        }
    }
}

#[async_trait]
impl LakeTable for ManifestLake {
    async fn published(&self) -> Result<Option<Published>, LakeError> {
        Ok(self.log.read(None).await?.as_ref().map(Self::published_in))
    }

    async fn write(&self, iteration: IterationNumber, rows: SendableRecordBatchStream) -> Result<Vec<WrittenFile>, LakeError> {
        self.writer.write(iteration, rows).await
    }

    async fn publish(&self, mark: &Mark, files: &[WrittenFile]) -> Result<Published, LakeError> {
        for _ in 0..PUBLISH_ATTEMPTS {
            let before = self.log.read(None).await?;
            if let Some(state) = &before
                && state.mark.iteration >= mark.iteration
            {
                return Ok(Self::published_in(state));
            }
            let manifest = Manifest {
                form: FORM,
                number: before.as_ref().map_or(0, |state| state.number) + 1,
                at_ms: Utc::now().timestamp_millis(),
                change: Change::Publication,
                mark: mark.clone(),
                stored_as: self.writer.format,
                schema: self.schema(before.as_ref())?,
                partitioned_by: self.partitioned_by.clone(),
                add: files.to_vec(),
                remove: Vec::new(),
            };
            if let Some(state) = self.log.commit(before, manifest).await? {
                return Ok(Published {
                    already: false,
                    ..Self::published_in(&state)
                });
            }
        }
        Err(self.log.store.error(
            LakeErrorKind::Conflict,
            format_args!("iteration {} was not published: others publish all the time", mark.iteration),
        ))
    }

    async fn clean(&self, open: IterationNumber, min_age: Duration) -> Result<Cleaned, LakeError> {
        upkeep::clean(self, open, min_age).await
    }

    async fn compact(&self) -> Result<Compacted, LakeError> {
        upkeep::compact(self).await
    }

    async fn snapshot(&self, version: Option<u64>) -> Result<LakeSnapshot, LakeError> {
        let state = self.log.read(version).await?;
        let state = state.ok_or_else(|| self.log.store.error(LakeErrorKind::Damaged, "nothing is published yet"))?;
        let table = FileTable::new(&self.log.store, &state).map_err(|message| self.log.store.error(LakeErrorKind::Damaged, message))?;
        Ok(LakeSnapshot {
            version: state.number,
            mark: Some(state.mark),
            files: state.files.len() as u64,
            bytes: state.files.iter().map(|file| file.bytes).sum(),
            table: Arc::new(table),
        })
    }
}
