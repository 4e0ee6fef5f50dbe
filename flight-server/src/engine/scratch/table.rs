//! Scratch tables and views, for the query engine.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session as PlanSession, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result as DfResult, Statistics, internal_err, project_schema};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::stream;

use super::super::error::EngineError;
use super::contents::Version;
use super::view::View;

/// A table, at one version.
#[derive(Debug)]
pub(in super::super) struct ScratchTable {
    name: String,
    version: Arc<Version>,
}

impl ScratchTable {
    pub(in super::super) fn new(name: &str, version: &Arc<Version>) -> Self {
        Self {
            name: name.to_owned(),
            version: Arc::clone(version),
        }
    }
}

#[async_trait]
impl TableProvider for ScratchTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.version.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        state: &dyn PlanSession,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let partitions = state.config().target_partitions().min(self.version.pieces.len()).max(1);
        let schema = project_schema(&self.version.schema, projection)?;
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Arc::new(ScratchScanExec {
            name: self.name.clone(),
            version: Arc::clone(&self.version),
            projection: projection.cloned(),
            schema,
            partitions,
            properties: Arc::new(properties),
        }))
    }
}

/// Reads a version. Each partition has a run of its pieces.
#[derive(Debug)]
struct ScratchScanExec {
    name: String,
    version: Arc<Version>,
    projection: Option<Vec<usize>>,
    schema: SchemaRef,
    partitions: usize,
    properties: Arc<PlanProperties>,
}

impl ScratchScanExec {
    fn run(&self, partition: usize) -> std::ops::Range<usize> {
        let all = self.version.pieces.len();
        all * partition / self.partitions..all * (partition + 1) / self.partitions
    }
}

impl DisplayAs for ScratchScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(
            f,
            "ScratchScanExec: table={}.{}, version={}, rows={}, columns=[{}]",
            super::SCHEMA,
            self.name,
            self.version.number,
            self.version.rows(),
            columns.join(", ")
        )
    }
}

impl ExecutionPlan for ScratchScanExec {
    fn name(&self) -> &'static str {
        "ScratchScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> DfResult<Arc<dyn ExecutionPlan>> {
        match children.is_empty() {
            true => Ok(self),
            false => internal_err!("ScratchScanExec has no children"),
        }
    }

    fn partition_statistics(&self, partition: Option<usize>) -> DfResult<Arc<Statistics>> {
        let pieces = match partition {
            Some(partition) => &self.version.pieces[self.run(partition)],
            None => &self.version.pieces[..],
        };
        let mut statistics = Statistics::new_unknown(&self.schema);
        statistics.num_rows = Precision::Exact(pieces.iter().map(|piece| piece.batch.num_rows()).sum());
        Ok(Arc::new(statistics))
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        if partition >= self.partitions {
            return internal_err!("ScratchScanExec has no partition {partition}");
        }
        let (version, projection) = (Arc::clone(&self.version), self.projection.clone());
        let batch = move |index: usize| -> DfResult<RecordBatch> {
            let batch = &version.pieces[index].batch;
            match &projection {
                Some(columns) => Ok(batch.project(columns)?),
                None => Ok(batch.clone()),
            }
        };
        let rows = stream::iter(self.run(partition).map(batch));
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows)))
    }
}

/// A view, for those who list tables and columns. Where a statement names it, its query stands instead.
#[derive(Debug)]
pub(in super::super) struct ViewEntry(pub(in super::super) Arc<View>);

#[async_trait]
impl TableProvider for ViewEntry {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0.fields)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn get_table_definition(&self) -> Option<&str> {
        Some(&self.0.text)
    }

    async fn scan(&self, _: &dyn PlanSession, _: Option<&Vec<usize>>, _: &[Expr], _: Option<usize>) -> DfResult<Arc<dyn ExecutionPlan>> {
        Err(EngineError::Internal("a view is scanned".into()).into_datafusion())
    }
}
