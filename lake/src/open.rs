//! A table by what is said of it.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;

use crate::delta::DeltaLake;
use crate::manifest::ManifestLake;
use crate::store::TableStore;
use crate::{LakeError, LakeFormat, LakeSpec, LakeTable};

/// The table of a job in a store, below a prefix (see `shard_reader::connect_object_store`). Makes no call; a table that is missing is made by its first
/// publication.
///
/// # Errors
/// [`crate::LakeErrorKind::Unsupported`]: the columns have no form in this format, or cannot be partitioned by; the message names the column.
pub fn open(spec: &LakeSpec, store: Arc<dyn ObjectStore>, prefix: Path) -> Result<Arc<dyn LakeTable>, LakeError> {
    let store = TableStore::new(&spec.location, store, prefix);
    match spec.format {
        LakeFormat::Delta => Ok(Arc::new(DeltaLake::new(spec, store)?)),
        LakeFormat::Parquet | LakeFormat::Orc => Ok(Arc::new(ManifestLake::new(spec, store)?)),
    }
}
