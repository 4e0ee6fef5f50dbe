//! Tables about the server itself: `kinesis.system.…`.
//!
//! Each table is a file: a type that is a [`SystemTable`], named in [`TABLES`]. Rows are made when a plan scans the table.

mod catalog_errors;
mod checkpoints;
mod columns;
mod iterations;
mod nodes;
mod offloads;
mod promises;
mod queries;
mod scan_errors;
mod segments;
mod shards;
mod streams;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use catalog::CatalogSnapshot;
use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::{MemTable, Session as PlanSession, TableProvider};
use datafusion::common::Result as DfResult;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use shard_reader::checkpoints::{CheckpointStore, Consumer};
use shard_reader::{Readers, StreamReader};

use super::access::Grants;
use super::error::EngineError;
use super::nodes::Nodes;
use super::offloads::Offloads;
use super::promises::BrokenPromises;
use super::queries::Queries;
use super::scan_errors::ScanErrors;

/// Name of the schema.
pub(super) const SCHEMA: &str = "system";

/// The tables in it, in name order.
pub(super) static TABLES: &[&dyn SystemTable] = &[
    &catalog_errors::CatalogErrors,
    &checkpoints::Checkpoints,
    &iterations::Iterations,
    &nodes::NodesTable,
    &offloads::OffloadsTable,
    &promises::Promises,
    &queries::QueriesTable,
    &scan_errors::ScanErrorsTable,
    &segments::Segments,
    &shards::Shards,
    &streams::Streams,
];

/// A table about the server.
#[async_trait]
pub(super) trait SystemTable: fmt::Debug + Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// What its rows are.
    fn comment(&self) -> &'static str;
    /// Its columns.
    fn fields(&self) -> Vec<Field>;
    /// Its rows, in columns, as of now.
    async fn columns(&self, facts: &Facts) -> Result<Vec<ArrayRef>, EngineError>;

    /// Its columns, as a schema.
    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.fields()))
    }
}

/// The table of that name.
pub(super) fn find(name: &str) -> Option<&'static dyn SystemTable> {
    TABLES.iter().copied().find(|table| table.name() == name)
}

/// What the tables are made of.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) catalog: Arc<CatalogSnapshot>,
    pub(super) readers: Arc<Readers>,
    pub(super) promises: Arc<BrokenPromises>,
    pub(super) queries: Arc<Queries>,
    pub(super) errors: Arc<ScanErrors>,
    pub(super) checkpoints: Arc<dyn CheckpointStore>,
    pub(super) nodes: Arc<dyn Nodes>,
    pub(super) offloads: Option<Arc<dyn Offloads>>,
    /// Of who asks: the tables show no more than it may see.
    pub(super) grants: Grants,
}

impl Facts {
    /// Streams that who asks may know of.
    fn streams(&self) -> Vec<Arc<StreamReader>> {
        let mut streams = self.readers.streams();
        streams.retain(|stream| self.grants.sees_stream(stream.name(), stream.arn(), &self.catalog));
        streams
    }

    /// Whether who asks may know of a consumer.
    fn sees(&self, consumer: &Consumer) -> bool {
        self.grants.sees_checkpoint(consumer.name.as_str())
    }
}

/// A system table, for one statement.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) table: &'static dyn SystemTable,
    pub(super) facts: Arc<Facts>,
}

#[async_trait]
impl TableProvider for Provider {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn PlanSession,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let schema = self.table.schema();
        let columns = self.table.columns(&self.facts).await.map_err(EngineError::into_datafusion)?;
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
        MemTable::try_new(schema, vec![vec![batch]])?
            .scan(state, projection, filters, limit)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_in_name_order_and_described() {
        assert!(TABLES.is_sorted_by_key(|table| table.name()));
        for table in TABLES {
            assert!(!table.comment().is_empty(), "{}", table.name());
            assert!(find(table.name()).is_some());
        }
    }
}
