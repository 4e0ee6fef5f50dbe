//! Whether rows fit the table that is there.

use arrow::datatypes::Schema;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::transaction::CommitData;
use deltalake::kernel::{Action, Metadata, MetadataExt, Protocol, StructField, StructType, new_metadata};
use deltalake::logstore::CommitOrBytes;
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::{DeltaTable, DeltaTableError};
use url::Url;
use uuid::Uuid;

use super::log::DeltaLog;
use crate::columns::Columns;
use crate::{LakeError, LakeErrorKind};

/// A checkpoint of the log every so many commits: a reader reads it and the commits after it, one call each.
const CHECKPOINT_INTERVAL: &str = "20";

/// Makes the table, unless somebody else just has.
pub(super) async fn create(log: &DeltaLog, columns: &Columns) -> Result<(), LakeError> {
    let failed = |error| log.error("creating the table", error);
    let schema = kernel_schema(columns.table()).map_err(failed)?;
    let partition_columns = columns.partition_fields().map(|field| field.name().clone());
    let configuration = [("delta.checkpointInterval", CHECKPOINT_INTERVAL)];
    let metadata = new_metadata(&schema, partition_columns, configuration).map_err(|error| failed(error.into()))?;
    // The lowest versions that there are: no table feature is asked of a reader or of another writer.
    let protocol: Protocol =
        serde_json::from_value(serde_json::json!({"minReaderVersion": 1, "minWriterVersion": 2})).map_err(|error| failed(error.into()))?;
    let location = Url::parse(log.store.location()).map_err(|error| {
        log.store
            .error(LakeErrorKind::Unsupported, "the location is no URL")
            .caused_by(error)
    })?;
    let operation = DeltaOperation::Create {
        mode: SaveMode::ErrorIfExists,
        location,
        protocol: protocol.clone(),
        metadata: metadata.clone(),
    };
    let actions = vec![Action::Protocol(protocol), Action::Metadata(metadata)];
    let commit = CommitData::new(actions, operation, Default::default(), Vec::new());
    let bytes = commit.get_bytes().map_err(|error| failed(error.into()))?;
    // Written directly: deltalake's own way would, when it comes second, add a second definition to the table of the first.
    let written = log.logs.write_commit_entry(0, CommitOrBytes::LogBytes(bytes), Uuid::new_v4()).await;
    match written.map_err(DeltaTableError::from) {
        Ok(()) | Err(DeltaTableError::VersionAlreadyExists(_)) => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// The table's definition with the columns that it has not yet; `None`: it has them all.
pub(super) fn evolved(log: &DeltaLog, table: &DeltaTable, columns: &Columns) -> Result<Option<(Metadata, Vec<StructField>)>, LakeError> {
    let unsupported = |message: String| log.store.error(LakeErrorKind::Unsupported, message);
    let failed = |error| log.error("reading the table's definition", error);
    let state = table.snapshot().map_err(failed)?;
    let metadata = state.metadata();
    let configuration = metadata.configuration();
    let refused = |key: &&String| {
        key.starts_with("delta.constraints.")
            || (key.as_str() == "delta.columnMapping.mode" && configuration.get(*key).is_some_and(|mode| mode != "none"))
    };
    if let Some(key) = configuration.keys().find(refused) {
        return Err(unsupported(format!(
            "the table has {key}, which this program cannot keep: offload to another location"
        )));
    }
    if !metadata
        .partition_columns()
        .iter()
        .eq(columns.partition_fields().map(|field| field.name()))
    {
        return Err(unsupported(format!(
            "the table is partitioned by ({}): a table cannot be partitioned anew",
            metadata.partition_columns().join(", ")
        )));
    }
    let there = state.schema();
    let ours = kernel_schema(columns.table()).map_err(failed)?;
    let mut new = Vec::new();
    for field in ours.fields() {
        match there.fields().find(|known| known.name().eq_ignore_ascii_case(field.name())) {
            None => new.push(field.clone()),
            Some(known) if known.name() != field.name() => {
                return Err(unsupported(format!(
                    "the table has the column {:?}, the rows have {:?}: names that differ in case alone are one name in a Delta table",
                    known.name(),
                    field.name()
                )));
            }
            Some(known) if known.data_type() != field.data_type() => {
                return Err(unsupported(format!(
                    "column {:?} is {} in the table and {} in the rows: cast it, or offload to another location",
                    field.name(),
                    known.data_type(),
                    field.data_type()
                )));
            }
            Some(_) => {}
        }
    }
    for known in there.fields() {
        let rule = ["delta.invariants", "delta.generationExpression", "delta.identity.start"]
            .into_iter()
            .find(|key| known.metadata().contains_key(*key));
        if let Some(rule) = rule {
            return Err(unsupported(format!(
                "column {:?} of the table has {rule}, which this program cannot keep",
                known.name()
            )));
        }
        if !known.is_nullable() {
            return Err(unsupported(format!(
                "column {:?} of the table is NOT NULL, and rows may have NULL there",
                known.name()
            )));
        }
    }
    if new.is_empty() {
        return Ok(None);
    }
    let fields = there.fields().cloned().chain(new.iter().cloned());
    let schema = StructType::try_new(fields).map_err(|error| failed(error.into()))?;
    let metadata = metadata.clone().with_schema(&schema).map_err(|error| failed(error.into()))?;
    Ok(Some((metadata, new)))
}

fn kernel_schema(schema: &Schema) -> Result<StructType, DeltaTableError> {
    Ok(schema.try_into_kernel()?)
}
