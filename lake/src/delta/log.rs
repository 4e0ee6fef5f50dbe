//! A Delta table's log, in a store that was handed in.

use std::sync::Arc;
use std::time::Duration;

use deltalake::kernel::transaction::{CommitConflictError, TransactionError};
use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake::{DeltaTable, DeltaTableError};
use serde_json::Value;
use sha2::{Digest, Sha256};
use shard_reader::checkpoints::IterationNumber;
use url::Url;

use crate::store::{TableStore, store_error_kind};
use crate::{JobName, LakeError, LakeErrorKind, Mark};

/// How often a log is read whose listing makes no sense.
const LISTING_ATTEMPTS: u32 = 5;
/// Pause before it is read again.
const LISTING_PAUSE: Duration = Duration::from_millis(20);
/// Key of a publication in `commitInfo`.
pub(super) const COMMIT_KEY: &str = "shardflight";

/// Log of a table.
#[derive(Clone)]
pub(super) struct DeltaLog {
    pub(super) store: TableStore,
    pub(super) logs: LogStoreRef,
}

impl DeltaLog {
    pub(super) fn new(store: TableStore) -> Result<Self, LakeError> {
        // The store's root is the table. The host keeps tables apart that one session reads: stores are registered by scheme and host.
        let digest: String = Sha256::digest(store.location().as_bytes())
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let url = Url::parse(&format!("shardflight-delta://{digest}/"))
            .map_err(|error| store.error(LakeErrorKind::Unsupported, "no URL of a table").caused_by(error))?;
        let root = Arc::clone(store.root());
        let logs = default_logstore(Arc::clone(&root), root, &url, &StorageConfig::default());
        Ok(Self { store, logs })
    }

    /// The table now or at a version; `None`: there is none yet.
    pub(super) async fn load(&self, version: Option<u64>) -> Result<Option<DeltaTable>, LakeError> {
        let there = self.logs.is_delta_table_location().await;
        if !there.map_err(|error| self.error("looking for a table", error))? {
            return Ok(None);
        }
        let mut attempts = 1;
        loop {
            let mut table = DeltaTable::new(Arc::clone(&self.logs));
            let loaded = match version {
                None => table.load().await,
                Some(version) => table.load_version(version).await,
            };
            match loaded {
                Ok(()) => return Ok(Some(table)),
                Err(error) if attempts < LISTING_ATTEMPTS && may_be_listing(&error) => {
                    tracing::debug!(table = self.store.location(), %error, "the log is read again");
                    tokio::time::sleep(LISTING_PAUSE).await;
                    attempts += 1;
                }
                Err(error) => return Err(self.error("reading the log", error)),
            }
        }
    }

    /// The iteration that a job published last, and the version of the table.
    pub(super) async fn iteration(&self, table: &DeltaTable, job: &JobName) -> Result<Option<IterationNumber>, LakeError> {
        let state = table.snapshot().map_err(|error| self.error("reading the log", error))?;
        let number = state
            .transaction_version(self.logs.as_ref(), job.as_str())
            .await
            .map_err(|error| self.error("reading the log", error))?;
        match number {
            None => Ok(None),
            Some(number) => txn_iteration(number).map(Some).ok_or_else(|| {
                self.store
                    .error(LakeErrorKind::Damaged, format_args!("txn of {job} has the version {number}"))
            }),
        }
    }

    /// The mark in the newest commit of an iteration that the log still has, from a version backwards.
    pub(super) async fn mark_in_commits(&self, from: u64, job: &JobName, iteration: IterationNumber) -> Result<Option<Mark>, LakeError> {
        for version in (0..=from).rev() {
            let entry = self.logs.read_commit_entry(version).await;
            let Some(entry) = entry.map_err(|error| self.error("reading a commit", error))? else {
                return Ok(None);
            };
            for line in entry.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let action: Value = serde_json::from_slice(line).map_err(|error| {
                    self.store
                        .error(LakeErrorKind::Damaged, format_args!("commit {version}: {error}"))
                        .caused_by(error)
                })?;
                let found = &action["commitInfo"][COMMIT_KEY];
                if found["job"].as_str() != Some(job.as_str()) {
                    continue;
                }
                let mark: Mark = serde_json::from_value(found["mark"].clone()).map_err(|error| {
                    self.store
                        .error(LakeErrorKind::Damaged, format_args!("commit {version}: {error}"))
                        .caused_by(error)
                })?;
                if mark.iteration == iteration {
                    return Ok(Some(mark));
                }
            }
        }
        Ok(None)
    }

    pub(super) fn error(&self, doing: &str, error: DeltaTableError) -> LakeError {
        let kind = delta_error_kind(&error);
        self.store.error(kind, format_args!("{doing}: {error}")).caused_by(error)
    }
}

/// Version of `txn` for an iteration: one more, for readers may take 0 for none.
pub(super) fn txn_version(iteration: IterationNumber) -> Option<i64> {
    i64::try_from(iteration.0).ok()?.checked_add(1)
}

fn txn_iteration(version: i64) -> Option<IterationNumber> {
    u64::try_from(version).ok()?.checked_sub(1).map(IterationNumber)
}

/// Whether an error may come of a directory that was listed while a commit came: the listing had a later one and missed it. Object storage never lists so.
pub(super) fn may_be_listing(error: &DeltaTableError) -> bool {
    store_error(error).is_none()
        && (delta_error_kind(error) == LakeErrorKind::Unavailable || matches!(error, DeltaTableError::InvalidVersion(_)))
}

/// The category of an error of deltalake. It wraps errors of stores in several ways, and turns some into text.
pub(super) fn delta_error_kind(error: &DeltaTableError) -> LakeErrorKind {
    if let Some(store) = store_error(error) {
        return store_error_kind(store);
    }
    match error {
        DeltaTableError::Transaction { source } => match source {
            TransactionError::CommitConflict(
                CommitConflictError::UnsupportedWriterVersion(_) | CommitConflictError::UnsupportedReaderVersion(_),
            )
            | TransactionError::DeltaTableAppendOnly
            | TransactionError::UnsupportedTableFeatures(_)
            | TransactionError::TableFeaturesRequired(_) => LakeErrorKind::Unsupported,
            TransactionError::CommitConflict(CommitConflictError::CorruptedState { .. }) => LakeErrorKind::Damaged,
            TransactionError::VersionAlreadyExists(_) | TransactionError::CommitConflict(_) | TransactionError::MaxCommitAttempts(_) => {
                LakeErrorKind::Conflict
            }
            _ => LakeErrorKind::Unavailable,
        },
        DeltaTableError::VersionAlreadyExists(_) | DeltaTableError::VersionMismatch(..) => LakeErrorKind::Conflict,
        DeltaTableError::SchemaMismatch { .. } | DeltaTableError::UnsupportedColumnMapping { .. } => LakeErrorKind::Unsupported,
        // Not Parquet and Arrow: a store that fails while rows are read comes as such an error, in words alone.
        DeltaTableError::InvalidJsonLog { .. }
        | DeltaTableError::InvalidStatsJson { .. }
        | DeltaTableError::InvalidVersion(_)
        | DeltaTableError::InvalidData { .. }
        | DeltaTableError::NotATable(_)
        | DeltaTableError::NoSchema
        | DeltaTableError::MetadataError(_)
        | DeltaTableError::PartitionError { .. } => LakeErrorKind::Damaged,
        _ => LakeErrorKind::Unavailable,
    }
}

fn store_error(error: &DeltaTableError) -> Option<&object_store::Error> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(store) = error.downcast_ref::<object_store::Error>() {
            return Some(store);
        }
        cause = error.source();
    }
    None
}
