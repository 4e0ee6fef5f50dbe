//! Reads a version of a Delta table.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use deltalake::delta_datafusion::{DeltaScanConfig, DeltaScanNext};
use deltalake::kernel::EagerSnapshot;
use object_store::ObjectStore;
use url::Url;

/// deltalake's scan, for any session: it brings the table's store along. Its columns have plain types, and nothing can be inserted.
#[derive(Debug)]
pub(super) struct DeltaTableScan {
    scan: DeltaScanNext,
    url: Url,
    store: Arc<dyn ObjectStore>,
}

impl DeltaTableScan {
    pub(super) fn new(snapshot: EagerSnapshot, url: Url, store: Arc<dyn ObjectStore>) -> Result<Self> {
        let config = DeltaScanConfig {
            wrap_partition_values: false,
            schema_force_view_types: false,
            // Files and row groups are skipped by statistics; the rest is left to the filter above, which is right in every case.
            enable_parquet_pushdown: false,
            ..DeltaScanConfig::new()
        };
        Ok(Self {
            scan: DeltaScanNext::new(snapshot, config)?,
            url,
            store,
        })
    }
}

#[async_trait]
impl TableProvider for DeltaTableScan {
    fn schema(&self) -> SchemaRef {
        self.scan.schema()
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
        session.runtime_env().register_object_store(&self.url, Arc::clone(&self.store));
        self.scan.scan(session, projection, filters, limit).await
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.scan.supports_filters_pushdown(filters)
    }
}
