//! A Delta table as it was at a version, whoever wrote it.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use deltalake::DeltaTableError;
use object_store::ObjectStore;
use object_store::path::Path;

use super::log::DeltaLog;
use super::scan::DeltaTableScan;
use crate::store::TableStore;
use crate::{LakeError, LakeErrorKind};

/// A Delta table at one version.
#[derive(Clone, Debug)]
pub struct DeltaVersion {
    /// The version.
    pub version: u64,
    /// Scans it; filters on partitions and statistics skip files.
    pub table: Arc<dyn TableProvider>,
}

/// The Delta table in a store, below a prefix, now or at a version; `None`: there is none. Files that its log names by URLs of other places are not read.
///
/// # Errors
/// [`LakeErrorKind::Damaged`] if there is no such version; otherwise what the store or the log says.
pub async fn delta_version(
    location: &str,
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    version: Option<u64>,
) -> Result<Option<DeltaVersion>, LakeError> {
    let log = DeltaLog::new(TableStore::new(location, store, prefix))?;
    let Some(table) = log.load(version).await? else {
        return Ok(None);
    };
    let failed = |error| log.error("reading the log", error);
    let version = table
        .version()
        .ok_or_else(|| log.store.error(LakeErrorKind::Damaged, "a table without a version"))?;
    let state = table.snapshot().map_err(failed)?;
    let scan = DeltaTableScan::new(state.snapshot().clone(), log.logs.root_url().clone(), Arc::clone(log.store.root()))
        .map_err(|error| failed(DeltaTableError::from(error)))?;
    Ok(Some(DeltaVersion {
        version,
        table: Arc::new(scan),
    }))
}
