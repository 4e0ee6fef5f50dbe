//! Parquet files of a table, read by DataFusion's own scan.

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_plan::ExecutionPlan;
use object_store::ObjectMeta;
use sha2::{Digest, Sha256};

use super::prune::KnownFile;
use super::scan::FileTable;
use crate::names::raw_path;

pub(super) fn plan(
    table: &FileTable,
    session: &dyn Session,
    projection: &[usize],
    files: Vec<KnownFile>,
    filters: &[Expr],
    limit: Option<usize>,
) -> Result<Arc<dyn ExecutionPlan>> {
    // The host keeps tables apart that one session reads: stores are registered by scheme and host.
    let digest: String = Sha256::digest(table.store.location().as_bytes())
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let url = ObjectStoreUrl::parse(format!("shardflight-files://{digest}"))?;
    session
        .runtime_env()
        .register_object_store(url.as_ref(), Arc::clone(table.store.root()));

    let in_files: Vec<usize> = table.file_columns().collect();
    let file_schema = Arc::new(table.schema.project(&in_files)?);
    let partition_fields = table
        .partitioned_by
        .iter()
        .map(|name| Ok(Arc::new(table.schema.field_with_name(name)?.clone())))
        .collect::<Result<Vec<FieldRef>>>()?;
    let schema = TableSchema::builder(file_schema)
        .with_table_partition_cols(partition_fields)
        .build();
    let mut source = ParquetSource::new(schema.clone());
    if let Some(filter) = conjunction(filters.iter().cloned()) {
        let columns = DFSchema::try_from(Arc::clone(schema.table_schema()))?;
        source = source.with_predicate(session.create_physical_expr(filter, &columns)?);
    }
    let scan_columns = table.scan_columns();
    let numbered = |index: &usize| {
        let place = scan_columns.iter().position(|column| column == index);
        place.ok_or_else(|| DataFusionError::Internal(format!("column {index} is neither in the files nor of the partitions")))
    };
    let projection = projection.iter().map(numbered).collect::<Result<Vec<usize>>>()?;
    let last_modified = chrono::DateTime::<chrono::Utc>::MIN_UTC;
    let files = files.into_iter().map(|file| {
        // A file with this name has these bytes and no others, ever: there is no time or tag to be compared.
        let meta = ObjectMeta {
            location: raw_path(&file.path),
            last_modified,
            size: file.bytes,
            e_tag: None,
            version: None,
        };
        PartitionedFile::new_from_meta(meta).with_partition_values(file.partition)
    });
    let partitions = session.config_options().execution.target_partitions;
    let groups = FileGroup::new(files.collect()).split_files(partitions);
    let config = FileScanConfigBuilder::new(url, Arc::new(source))
        .with_file_groups(groups)
        .with_projection_indices(Some(projection))?
        .with_limit(limit)
        .build();
    Ok(DataSourceExec::from_data_source(config))
}
