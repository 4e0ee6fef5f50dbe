//! What can be done with a Delta table.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;
use datafusion::execution::SendableRecordBatchStream;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Add, Transaction};
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::{DeltaTable, DeltaTableError};
use serde_json::json;
use shard_reader::checkpoints::IterationNumber;

use super::log::{COMMIT_KEY, DeltaLog, delta_error_kind, may_be_listing, txn_version};
use super::scan::DeltaTableScan;
use super::{schema, upkeep};
use crate::columns::Columns;
use crate::marks::MarkFile;
use crate::store::TableStore;
use crate::write::FileWriter;
use crate::{Cleaned, Compacted, LakeError, LakeErrorKind, LakeSnapshot, LakeSpec, LakeTable, Mark, Published, WrittenFile};

/// How often a publication is begun anew because somebody else committed what it must know of.
const PUBLISH_ATTEMPTS: usize = 5;

/// A Delta table.
#[derive(Clone)]
pub(crate) struct DeltaLake {
    pub(super) log: DeltaLog,
    pub(super) writer: FileWriter,
}

impl fmt::Debug for DeltaLake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeltaLake({} of {})", self.log.store.location(), self.writer.job)
    }
}

impl DeltaLake {
    pub(crate) fn new(spec: &LakeSpec, store: TableStore) -> Result<Self, LakeError> {
        let columns = Arc::new(Columns::new(spec)?);
        Ok(Self {
            log: DeltaLog::new(store.clone())?,
            writer: FileWriter {
                store,
                columns,
                format: spec.format,
                job: spec.job.clone(),
                target_file_bytes: spec.target_file_bytes,
            },
        })
    }

    /// The mark of an iteration that a version of the table says is published.
    pub(super) async fn mark(&self, version: u64, iteration: IterationNumber) -> Result<Mark, LakeError> {
        let job = &self.writer.job;
        let mut written = MarkFile::of_iteration(&self.log.store, job, iteration).await?;
        if written.len() == 1
            && let Some(file) = written.pop()
        {
            return Ok(file.mark);
        }
        let mark = self.log.mark_in_commits(version, job, iteration).await?;
        mark.ok_or_else(|| {
            self.log.store.error(
                LakeErrorKind::Damaged,
                format_args!(
                    "iteration {iteration} of {job} is published, but where it ends is not known: {} files of marks, and no commit that says",
                    written.len()
                ),
            )
        })
    }

    pub(super) async fn published_in(&self, table: &DeltaTable) -> Result<Option<Published>, LakeError> {
        let Some(iteration) = self.log.iteration(table, &self.writer.job).await? else {
            return Ok(None);
        };
        let version = self.version(table)?;
        Ok(Some(Published {
            mark: self.mark(version, iteration).await?,
            version,
            already: true,
        }))
    }

    pub(super) fn version(&self, table: &DeltaTable) -> Result<u64, LakeError> {
        table
            .version()
            .ok_or_else(|| self.log.store.error(LakeErrorKind::Damaged, "a table without a version"))
    }

    /// One attempt to publish; it begins with what is published, so that another may follow whatever became of it.
    async fn try_publish(&self, mark: &Mark, files: &[WrittenFile]) -> Result<Attempt, LakeError> {
        let log = &self.log;
        let Some(table) = log.load(None).await? else {
            schema::create(log, &self.writer.columns).await?;
            return Ok(Attempt::Again(None));
        };
        if let Some(iteration) = log.iteration(&table, &self.writer.job).await?
            && iteration >= mark.iteration
            && let Some(published) = self.published_in(&table).await?
        {
            return Ok(Attempt::Done(published));
        }
        let version = txn_version(mark.iteration).ok_or_else(|| {
            log.store.error(
                LakeErrorKind::Unsupported,
                format_args!("iteration {} is too large", mark.iteration),
            )
        })?;
        let evolved = schema::evolved(log, &table, &self.writer.columns)?;
        MarkFile::write(&log.store, &self.writer.job, mark).await?;

        let now = Utc::now().timestamp_millis();
        let mut actions: Vec<Action> = evolved.into_iter().map(|(metadata, _)| Action::Metadata(metadata)).collect();
        for file in files {
            actions.push(Action::Add(self.add(file, now)?));
        }
        let partition_by: Vec<String> = self.writer.columns.partition_fields().map(|field| field.name().clone()).collect();
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: (!partition_by.is_empty()).then_some(partition_by),
            predicate: None,
        };
        let carried = json!({"job": self.writer.job.as_str(), "mark": mark});
        let properties = CommitProperties::default()
            .with_metadata([(COMMIT_KEY.to_owned(), carried)])
            .with_application_transaction(Transaction::new_with_last_update(self.writer.job.as_str(), version, Some(now)));
        let state = table.snapshot().map_err(|error| log.error("reading the log", error))?;
        let commit = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(state), Arc::clone(&log.logs), operation);
        let committed = match commit.into_prepared_commit_future().await {
            Ok(prepared) => prepared.await,
            Err(error) => Err(error),
        };
        match committed {
            Ok(committed) => {
                let version = committed.version;
                // A checkpoint of the log that fails takes nothing back: a later one is written.
                if let Err(error) = committed.await {
                    tracing::warn!(table = log.store.location(), version, %error, "the Delta log was not checkpointed");
                }
                Ok(Attempt::Done(Published {
                    mark: mark.clone(),
                    version,
                    already: false,
                }))
            }
            Err(error) if may_be_listing(&error) || delta_error_kind(&error) == LakeErrorKind::Conflict => {
                Ok(Attempt::Again(Some(log.error("committing", error))))
            }
            Err(error) => Err(log.error("committing", error)),
        }
    }

    pub(super) fn add(&self, file: &WrittenFile, now: i64) -> Result<Add, LakeError> {
        let size = i64::try_from(file.bytes).map_err(|error| {
            self.log
                .store
                .error(LakeErrorKind::Unsupported, format_args!("{} is too large", file.path))
                .caused_by(error)
        })?;
        // To Delta an empty text is NULL: said as what every reader makes of it.
        let value = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        Ok(Add {
            path: file.path.clone(),
            partition_values: file.partition.iter().map(|(name, text)| (name.clone(), value(text))).collect(),
            size,
            modification_time: now,
            data_change: true,
            stats: file.stats.clone(),
            ..Add::default()
        })
    }
}

/// What became of an attempt to publish.
enum Attempt {
    Done(Published),
    /// The table is another by now, or was listed while it changed.
    Again(Option<LakeError>),
}

#[async_trait]
impl LakeTable for DeltaLake {
    async fn published(&self) -> Result<Option<Published>, LakeError> {
        match self.log.load(None).await? {
            None => Ok(None),
            Some(table) => self.published_in(&table).await,
        }
    }

    async fn write(&self, iteration: IterationNumber, rows: SendableRecordBatchStream) -> Result<Vec<WrittenFile>, LakeError> {
        self.writer.write(iteration, rows).await
    }

    async fn publish(&self, mark: &Mark, files: &[WrittenFile]) -> Result<Published, LakeError> {
        let mut last = None;
        for _ in 0..PUBLISH_ATTEMPTS {
            match self.try_publish(mark, files).await? {
                Attempt::Done(published) => return Ok(published),
                Attempt::Again(error) => last = error,
            }
        }
        let message = format_args!(
            "iteration {} was not published: others commit to the table all the time",
            mark.iteration
        );
        let conflict = self.log.store.error(LakeErrorKind::Conflict, message);
        Err(match last {
            Some(error) => conflict.caused_by(error),
            None => conflict,
        })
    }

    async fn clean(&self, open: IterationNumber, min_age: Duration) -> Result<Cleaned, LakeError> {
        upkeep::clean(self, open, min_age).await
    }

    async fn compact(&self) -> Result<Compacted, LakeError> {
        upkeep::compact(self).await
    }

    async fn snapshot(&self, version: Option<u64>) -> Result<LakeSnapshot, LakeError> {
        let log = &self.log;
        let failed = |error| log.error("reading the log", error);
        let table = log
            .load(version)
            .await?
            .ok_or_else(|| log.store.error(LakeErrorKind::Damaged, "there is no table yet"))?;
        let version = self.version(&table)?;
        let mark = match log.iteration(&table, &self.writer.job).await? {
            None => None,
            Some(iteration) => Some(self.mark(version, iteration).await?),
        };
        let state = table.snapshot().map_err(failed)?;
        let (mut files, mut bytes) = (0, 0);
        for file in state.log_data().iter() {
            files += 1;
            bytes += u64::try_from(file.size()).unwrap_or_default();
        }
        let scan = DeltaTableScan::new(state.snapshot().clone(), log.logs.root_url().clone(), Arc::clone(log.store.root()))
            .map_err(|error| failed(DeltaTableError::from(error)))?;
        Ok(LakeSnapshot {
            version,
            mark,
            files,
            bytes,
            table: Arc::new(scan),
        })
    }
}
