//! A table with a history: what the lake has, and what the stream has behind it.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::compute::can_cast_types;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::catalog::{Session as PlanSession, TableProvider};
use datafusion::common::{Column, Result as DfResult, TableReference};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableType, cast};
use datafusion::physical_plan::ExecutionPlan;

use super::super::error::EngineError;
use super::super::hidden::HiddenColumn;
use super::super::statement_options::StatementOptions;
use super::super::table::StreamTable;
use super::model::History;

/// What the lake is called in plans.
const LAKE: &str = "lake";
/// What the stream is called there.
const STREAM: &str = "stream";

/// A table that a statement sees as the union of lake and stream. The query engine takes the union in place of the table, so that filters, projections
/// and limits reach both.
#[derive(Debug)]
pub(in super::super) struct HybridTable {
    stream: Arc<StreamTable>,
    union: LogicalPlan,
    schema: SchemaRef,
}

impl HybridTable {
    /// `alone`: no other table of the statement can be meant by a hidden column that it names.
    ///
    /// # Errors
    /// If a column of the stream is not in the lake, or is another one there.
    pub(in super::super) fn new(
        stream: Arc<StreamTable>,
        history: &History,
        options: &StatementOptions,
        alone: bool,
    ) -> Result<Self, EngineError> {
        history.check_terms(&stream, options)?;
        let lake_schema = history.rows.schema();
        let (mut of_lake, mut of_stream) = (Vec::new(), Vec::new());
        for field in stream.full_schema().fields() {
            let name = field.name();
            let Some(known) = known(history, &lake_schema, name) else {
                if !alone && stream.is_hidden(name) {
                    continue;
                }
                return Err(EngineError::FailedPrecondition(format!(
                    "table {}: column `{name}` is not in the table's history: offload `{}` does not write it, or has not yet",
                    stream.name(),
                    history.pinned.offload
                )));
            };
            of_lake.push(column(&stream, history, known, field.data_type())?);
            of_stream.push(Expr::Column(Column::new(Some(TableReference::bare(STREAM)), name)));
        }
        let lake = LogicalPlanBuilder::scan(TableReference::bare(LAKE), provider_as_source(Arc::clone(&history.rows)), None)?
            .project(of_lake)?
            .build()?;
        let provider: Arc<dyn TableProvider> = Arc::<StreamTable>::clone(&stream);
        let behind = LogicalPlanBuilder::scan(TableReference::bare(STREAM), provider_as_source(provider), None)?
            .project(of_stream)?
            .build()?;
        let union = LogicalPlanBuilder::from(lake).union(behind)?.build()?;
        let schema = Arc::new(union.schema().as_arrow().clone());
        Ok(Self { stream, union, schema })
    }
}

/// A column of the lake that is the table's. One that counts the records of a range counts those of the job's.
fn known<'a>(history: &History, lake: &'a Schema, name: &str) -> Option<&'a Field> {
    let is_own = history.terms.columns.contains(name) && name != HiddenColumn::SegmentCount.name();
    lake.field_with_name(name).ok().filter(|_| is_own)
}

/// A column of the lake, as the stream's.
fn column(stream: &StreamTable, history: &History, known: &Field, data_type: &DataType) -> Result<Expr, EngineError> {
    let name = known.name();
    let value = Expr::Column(Column::new(Some(TableReference::bare(LAKE)), name));
    let value = if known.data_type() == data_type {
        value
    } else if can_cast_types(known.data_type(), data_type) {
        cast(value, data_type.clone())
    } else {
        return Err(EngineError::FailedPrecondition(format!(
            "table {}: column `{name}` is {} in the table's history, offload `{}`, and cannot become {data_type}",
            stream.name(),
            known.data_type(),
            history.pinned.offload
        )));
    };
    Ok(value.alias(name))
}

#[async_trait]
impl TableProvider for HybridTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        Some(Cow::Borrowed(&self.union))
    }

    async fn scan(&self, _: &dyn PlanSession, _: Option<&Vec<usize>>, _: &[Expr], _: Option<usize>) -> DfResult<Arc<dyn ExecutionPlan>> {
        let name = self.stream.name();
        Err(EngineError::Internal(format!("table {name} is scanned as a whole, and not as lake and stream")).into_datafusion())
    }
}
