//! ORC files of a table, read file by file.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::{StreamExt, TryStreamExt};

use super::prune::KnownFile;
use super::scan::FileTable;
use crate::LakeFormat;
use crate::names::raw_path;
use crate::read::read_rows;
use crate::store::TableStore;

pub(super) fn plan(
    table: &FileTable,
    session: &dyn Session,
    projection: &[usize],
    files: Vec<KnownFile>,
    limit: Option<usize>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = Arc::new(table.schema.project(projection)?);
    let groups = session.config_options().execution.target_partitions.clamp(1, files.len().max(1));
    let mut parts: Vec<Vec<KnownFile>> = vec![Vec::new(); groups];
    for (index, file) in files.into_iter().enumerate() {
        parts[index % groups].push(file);
    }
    let part = |files| -> Arc<dyn PartitionStream> {
        Arc::new(OrcFiles {
            store: table.store.clone(),
            partitioned_by: table.partitioned_by.clone(),
            schema: Arc::clone(&schema),
            files,
        })
    };
    let parts = parts.into_iter().map(part).collect();
    Ok(Arc::new(StreamingTableExec::try_new(
        Arc::clone(&schema),
        parts,
        None,
        [],
        false,
        limit,
    )?))
}

/// Some of a table's files.
#[derive(Clone, Debug)]
struct OrcFiles {
    store: TableStore,
    partitioned_by: Vec<String>,
    schema: SchemaRef,
    files: Vec<KnownFile>,
}

impl OrcFiles {
    async fn file(&self, file: &KnownFile) -> Result<Vec<RecordBatch>> {
        let failed = |error: crate::LakeError| DataFusionError::External(Box::new(error));
        let bytes = self.store.read(&raw_path(&file.path)).await.map_err(failed)?;
        let bytes = bytes.ok_or_else(|| {
            let missing = format!("{} is missing: it was cleaned away, or removed by hand", file.path);
            failed(self.store.error(crate::LakeErrorKind::Damaged, missing))
        })?;
        let in_file = self
            .schema
            .fields()
            .iter()
            .filter(|field| !self.partitioned_by.contains(field.name()));
        let wanted = Arc::new(Schema::new(in_file.cloned().collect::<Vec<_>>()));
        let batches = read_rows(LakeFormat::Orc, bytes, &wanted).map_err(DataFusionError::External)?;
        batches.iter().map(|batch| self.with_partition(batch, file)).collect()
    }

    fn with_partition(&self, batch: &RecordBatch, file: &KnownFile) -> Result<RecordBatch> {
        let column = |name: &String| -> Result<ArrayRef> {
            match self.partitioned_by.iter().position(|column| column == name) {
                Some(index) => file.partition[index].to_array_of_size(batch.num_rows()),
                None => Ok(Arc::clone(batch.column(batch.schema().index_of(name)?))),
            }
        };
        let columns: Result<Vec<ArrayRef>> = self.schema.fields().iter().map(|field| column(field.name())).collect();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns?, &options)?)
    }
}

impl PartitionStream for OrcFiles {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let files = self.clone();
        let batches = futures::stream::iter(self.files.clone())
            .then(move |file| {
                let files = files.clone();
                async move { files.file(&file).await }
            })
            .map_ok(|batches| futures::stream::iter(batches.into_iter().map(Ok)))
            .try_flatten();
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}
