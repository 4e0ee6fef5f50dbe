//! Files as a table of the query engine, for one statement.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use catalog::{FileTable, StoredAs, TableName};
use datafusion::arrow::array::{Array, BooleanArray, RecordBatch};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::catalog::{Session as PlanSession, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, Result as DfResult, ScalarValue};
use datafusion::datasource::TableType;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::cache::cache_manager::CacheManagerConfig;
use datafusion::execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreUrl};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::logical_expr::{Expr, LogicalPlan, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use uuid::Uuid;

use super::super::error::EngineError;
use super::access::{FileAccess, Purpose};
use super::delta::DeltaTable;
use super::listing::{self, PinnedFile, PinnedFiles};
use super::pinned_store::PinnedStore;
use super::place::Place;

/// The runtime of a statement that names files: memory and spill are the process's, stores and what is remembered of files are the statement's own.
pub(in super::super) fn runtime(of: &RuntimeEnv) -> Result<Arc<RuntimeEnv>, EngineError> {
    let runtime = RuntimeEnvBuilder::from_runtime_env(of)
        .with_cache_manager(CacheManagerConfig::default())
        .with_object_store_registry(Arc::new(DefaultObjectStoreRegistry::new()))
        .build_arc()?;
    runtime.deregister_object_store(ObjectStoreUrl::local_filesystem().as_ref())?;
    Ok(runtime)
}

/// How the files of a definition are read.
pub(super) fn format(table: &FileTable) -> Arc<dyn FileFormat> {
    match table.stored_as {
        // the log of a Delta table says which files count; what they are is this
        StoredAs::Parquet | StoredAs::Delta => Arc::new(ParquetFormat::default().with_force_view_types(false)),
        StoredAs::Json => Arc::new(JsonFormat::default()),
        StoredAs::Csv => {
            let csv = &table.csv;
            let format = CsvFormat::default()
                .with_has_header(csv.header)
                .with_delimiter(csv.delimiter)
                .with_quote(csv.quote)
                .with_escape(csv.escape)
                .with_newlines_in_values(csv.newlines_in_values);
            Arc::new(format)
        }
    }
}

/// Files with a definition, as one statement sees them.
#[derive(Debug, Clone)]
pub(in super::super) struct FilesTable {
    definition: Arc<FileTable>,
    schema: SchemaRef,
    access: Arc<FileAccess>,
    files: Arc<OnceLock<Arc<Vec<PinnedFile>>>>,
    /// Version of a Delta table that a ticket says.
    version: Option<u64>,
    /// A Delta table, once it is opened.
    delta: Option<Arc<DeltaTable>>,
}

impl FilesTable {
    pub(in super::super) fn new(definition: Arc<FileTable>, access: Arc<FileAccess>) -> Self {
        Self {
            schema: definition.arrow_schema(),
            definition,
            access,
            files: Arc::default(),
            version: None,
            delta: None,
        }
    }

    /// As a ticket says it was.
    pub(in super::super) fn pinned(pinned: &PinnedFiles, access: Arc<FileAccess>) -> Self {
        let mut table = Self::new(Arc::clone(&pinned.definition), access);
        table.version = pinned.version;
        if let Some(files) = &pinned.files {
            // just made, so nothing is there
            let _ = table.files.set(Arc::clone(files));
        }
        table
    }

    pub(super) fn definition(&self) -> &FileTable {
        &self.definition
    }

    /// A Delta table is opened before it is planned: its columns, and what its log says of files, are part of the plan.
    pub(super) async fn open(self) -> Result<Self, EngineError> {
        let delta = DeltaTable::open(&self.definition, &self.access, self.version).await?;
        Ok(Self {
            schema: Arc::clone(&delta.schema),
            delta: Some(Arc::new(delta)),
            ..self
        })
    }

    pub(in super::super) fn name(&self) -> &TableName {
        &self.definition.name
    }

    /// What of it a ticket carries.
    pub(in super::super) fn to_pin(&self) -> PinnedFiles {
        PinnedFiles {
            name: self.name().clone(),
            definition: Arc::clone(&self.definition),
            files: self.files.get().map(Arc::clone),
            version: self.delta.as_ref().map(|delta| delta.version),
        }
    }

    fn place(&self) -> Result<Place, EngineError> {
        Place::of_statement(&self.definition.location)
    }

    async fn list(&self) -> Result<(), EngineError> {
        if self.files.get().is_some() {
            return Ok(());
        }
        let place = self.place()?;
        let opened = self.access.open(&place, Purpose::Read).await?;
        let listed = listing::list(&place, &opened, &self.name().to_string()).await?;
        // references to one table share this, and are listed one after the other
        let _ = self.files.set(Arc::new(listed));
        Ok(())
    }

    /// The files, those left out whose folders' values no filter lets through.
    fn kept(&self, state: &dyn PlanSession, filters: &[Expr], files: Vec<PartitionedFile>) -> DfResult<Vec<PartitionedFile>> {
        let folders = &self.schema.fields()[self.definition.in_files()..];
        if folders.is_empty() || files.is_empty() {
            return Ok(files);
        }
        let schema = Arc::new(Schema::new(folders.to_vec()));
        let columns = (0..folders.len()).map(|at| ScalarValue::iter_to_array(files.iter().map(|file| file.partition_values[at].clone())));
        let values = RecordBatch::try_new(Arc::clone(&schema), columns.collect::<DfResult<_>>()?)?;
        let df_schema = DFSchema::try_from(schema)?;
        let mut keep = vec![true; files.len()];
        for filter in filters.iter().filter(|filter| self.is_of_folders(filter)) {
            let physical = state.create_physical_expr(filter.clone(), &df_schema)?;
            let array = physical.evaluate(&values)?.into_array(files.len())?;
            let Some(fits) = array.as_any().downcast_ref::<BooleanArray>() else {
                continue;
            };
            for (at, keep) in keep.iter_mut().enumerate() {
                *keep &= fits.is_valid(at) && fits.value(at);
            }
        }
        Ok(files
            .into_iter()
            .zip(keep)
            .filter_map(|(file, keep)| keep.then_some(file))
            .collect())
    }

    fn is_of_folders(&self, filter: &Expr) -> bool {
        let folders = &self.definition.columns[self.definition.in_files()..];
        let columns = filter.column_refs();
        let named = |name: &str| folders.iter().any(|column| column.name == name);
        !columns.is_empty() && !filter.is_volatile() && columns.iter().all(|column| named(&column.name))
    }
}

#[async_trait]
impl TableProvider for FilesTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        self.delta.as_ref().map(|delta| Cow::Borrowed(&delta.plan))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DfResult<Vec<TableProviderFilterPushDown>> {
        // what lies in files is skipped by the scan, for which the filter above it asks
        let pushdown = |filter: &&Expr| match self.is_of_folders(filter) {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(pushdown).collect())
    }

    async fn scan(
        &self,
        state: &dyn PlanSession,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let name = self.name();
        let pinned = self
            .files
            .get()
            .ok_or_else(|| EngineError::Internal(format!("table {name} is scanned before its files are listed")).into_datafusion())?;
        let place = self.place().map_err(EngineError::into_datafusion)?;
        let opened = self
            .access
            .open(&place, Purpose::Read)
            .await
            .map_err(EngineError::into_datafusion)?;
        let file = |pinned: &PinnedFile| {
            let meta = pinned.meta(&opened.root)?;
            Ok(PartitionedFile::new_from_meta(meta).with_partition_values(pinned.folders(&self.definition)?))
        };
        let files = pinned.iter().map(file).collect::<Result<Vec<_>, EngineError>>();
        let files = self.kept(state, filters, files.map_err(EngineError::into_datafusion)?)?;
        if files.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(self.schema.project(columns)?),
                None => Arc::clone(&self.schema),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let url = ObjectStoreUrl::parse(format!("files://{}", Uuid::new_v4().simple()))?;
        let metas = files.iter().map(|file| file.object_meta.clone());
        let store = PinnedStore::new(Arc::clone(&opened.store), metas, name.to_string());
        state.runtime_env().register_object_store(url.as_ref(), Arc::new(store));
        let (in_files, folders) = self.schema.fields().split_at(self.definition.in_files());
        let schema = TableSchema::builder(Arc::new(Schema::new(in_files.to_vec())))
            .with_table_partition_cols(folders.to_vec())
            .build();
        let format = format(&self.definition);
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let config = FileScanConfigBuilder::new(url, format.file_source(schema))
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        format.create_physical_plan(state, config).await
    }
}

/// Lists the files of every table that the plan scans and that no ticket has pinned.
pub(in super::super) async fn pin(plan: &LogicalPlan) -> Result<(), EngineError> {
    let mut scanned: Vec<FilesTable> = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(table) = provider.downcast_ref::<FilesTable>()
        {
            scanned.push(table.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    for table in scanned {
        table.list().await?;
    }
    Ok(())
}
