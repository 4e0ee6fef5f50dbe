//! A version of a table of plain files, for DataFusion.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use super::model::State;
use super::prune::{KnownFile, prune};
use super::{orc_scan, parquet_scan};
use crate::LakeFormat;
use crate::partition;
use crate::stats::FileStats;
use crate::store::TableStore;

/// The files of a version.
#[derive(Clone, Debug)]
pub(super) struct FileTable {
    pub(super) store: TableStore,
    pub(super) format: LakeFormat,
    /// All columns, in the table's order.
    pub(super) schema: SchemaRef,
    pub(super) partitioned_by: Vec<String>,
    pub(super) files: Vec<KnownFile>,
}

impl FileTable {
    pub(super) fn new(store: &TableStore, state: &State) -> Result<Self, String> {
        let schema = state.schema.arrow()?;
        let known = |file: &crate::WrittenFile| -> Result<KnownFile, String> {
            let value = |name: &String| {
                let field = schema.field_with_name(name).map_err(|error| error.to_string())?;
                let text = file
                    .partition
                    .iter()
                    .find(|(column, _)| column == name)
                    .and_then(|(_, value)| value.as_deref());
                partition::value(text, field.data_type()).map_err(|error| format!("{}: partition {name:?}: {error}", file.path))
            };
            let stats = match &file.stats {
                None => FileStats::default(),
                Some(stats) => serde_json::from_str(stats).map_err(|error| format!("{}: statistics: {error}", file.path))?,
            };
            Ok(KnownFile {
                path: file.path.clone(),
                bytes: file.bytes,
                partition: state.partitioned_by.iter().map(value).collect::<Result<_, String>>()?,
                stats: FileStats {
                    num_records: file.rows,
                    ..stats
                },
            })
        };
        Ok(Self {
            store: store.clone(),
            format: state.stored_as,
            files: state.files.iter().map(known).collect::<Result<_, String>>()?,
            partitioned_by: state.partitioned_by.clone(),
            schema,
        })
    }

    /// Columns that lie in the files.
    pub(super) fn file_columns(&self) -> impl Iterator<Item = usize> {
        let in_file = |index: &usize| !self.partitioned_by.contains(self.schema.field(*index).name());
        (0..self.schema.fields().len()).filter(in_file)
    }

    /// The table's columns as a scan numbers them: those in the files first, then those of the partitions.
    pub(super) fn scan_columns(&self) -> Vec<usize> {
        let partition = |name: &String| self.schema.index_of(name).ok();
        self.file_columns()
            .chain(self.partitioned_by.iter().filter_map(partition))
            .collect()
    }
}

#[async_trait]
impl TableProvider for FileTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let predicate = match conjunction(filters.iter().cloned()) {
            None => None,
            Some(filter) => {
                let columns = DFSchema::try_from(Arc::clone(&self.schema))?;
                Some(session.create_physical_expr(filter, &columns)?)
            }
        };
        let files = prune(&self.files, &self.schema, &self.partitioned_by, predicate.as_ref())?;
        // A limit holds for rows that pass the filters, which are only looked at above this.
        let limit = limit.filter(|_| filters.is_empty());
        let projection = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        if files.is_empty() {
            return Ok(Arc::new(EmptyExec::new(Arc::new(self.schema.project(&projection)?))));
        }
        match self.format {
            LakeFormat::Orc => orc_scan::plan(self, session, &projection, files, limit),
            LakeFormat::Delta | LakeFormat::Parquet => parquet_scan::plan(self, session, &projection, files, filters, limit),
        }
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}
