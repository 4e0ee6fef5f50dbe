//! Delta tables of others: what their log says at a version.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::{FileTable, StoredAs, TableName};
use datafusion::arrow::compute::can_cast_types;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::common::{Column, TableReference};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};
use lake::{DeltaVersion, delta_version};
use object_store::ObjectStore;

use super::super::error::EngineError;
use super::access::{FileAccess, Opened, Purpose};
use super::inside::InsideStore;
use super::place::Place;
use super::table::FilesTable;

/// What the table of the log is called in plans.
const DELTA: &str = "delta";

/// A Delta table at a version, with the columns of its definition.
#[derive(Debug)]
pub(super) struct DeltaTable {
    pub(super) version: u64,
    /// The query engine takes it in place of the table, so that filters, projections and limits reach the log.
    pub(super) plan: LogicalPlan,
    pub(super) schema: SchemaRef,
}

impl DeltaTable {
    pub(super) async fn open(definition: &FileTable, access: &FileAccess, version: Option<u64>) -> Result<Self, EngineError> {
        let place = Place::of_statement(&definition.location)?;
        let opened = access.open(&place, Purpose::Read).await?;
        let DeltaVersion { version, table } = at(&definition.name, &place, opened, version).await?;
        let known = table.schema();
        let schema = definition.arrow_schema();
        let columns = schema.fields().iter().map(|field| column(definition, version, &known, field));
        let columns = columns.collect::<Result<Vec<Expr>, EngineError>>()?;
        let plan = LogicalPlanBuilder::scan(TableReference::bare(DELTA), provider_as_source(table), None)?
            .project(columns)?
            .build()?;
        Ok(Self {
            version,
            schema: Arc::new(plan.schema().as_arrow().clone()),
            plan,
        })
    }
}

/// A column of the log's table, as the definition's.
fn column(definition: &FileTable, version: u64, known: &Schema, field: &Field) -> Result<Expr, EngineError> {
    let (name, wanted) = (field.name(), field.data_type());
    let wrong = |why: String| {
        Err(EngineError::FailedPrecondition(format!(
            "table {}, version {version} of {}: {why}",
            definition.name, definition.location
        )))
    };
    let Ok(found) = known.field_with_name(name) else {
        let names: Vec<&str> = known.fields().iter().map(|field| field.name().as_str()).collect();
        return wrong(format!("there is no column `{name}`; there is {}", names.join(", ")));
    };
    let value = Expr::Column(Column::new(Some(TableReference::bare(DELTA)), name));
    let value = if found.data_type() == wanted {
        value
    } else if can_cast_types(found.data_type(), wanted) {
        cast(value, wanted.clone())
    } else {
        return wrong(format!(
            "column `{name}` is {} there, and cannot become {wanted}",
            found.data_type()
        ));
    };
    Ok(value.alias(name))
}

/// The table of the log at a place.
pub(super) async fn at(name: &TableName, place: &Place, opened: Opened, version: Option<u64>) -> Result<DeltaVersion, EngineError> {
    let location = place.to_string();
    let root = opened.root.clone();
    let store: Arc<dyn ObjectStore> = InsideStore::of(opened);
    let found = delta_version(&location, store, root, version).await?;
    found.ok_or_else(|| EngineError::NotFound(format!("table {name}: no Delta table is at {place}")))
}

/// Tables over files, those that are Delta tables opened: at the version of a ticket, or now.
pub(in super::super) async fn opened(files: BTreeMap<TableName, FilesTable>) -> Result<BTreeMap<TableName, FilesTable>, EngineError> {
    let mut opened = BTreeMap::new();
    for (name, table) in files {
        let table = match table.definition().stored_as {
            StoredAs::Delta => table.open().await?,
            StoredAs::Parquet | StoredAs::Csv | StoredAs::Json => table,
        };
        opened.insert(name, table);
    }
    Ok(opened)
}
