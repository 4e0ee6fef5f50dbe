//! DESCRIBE and SHOW CREATE TABLE.

use std::sync::Arc;

use catalog::{FileTable, TableDefinition, TableName};
use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde_yaml::Mapping;
use uuid::Uuid;

use super::super::api::DoneResult;
use super::super::error::EngineError;
use super::super::system;
use super::document;

/// Schema of `SHOW CREATE TABLE`.
pub(super) fn statement_schema() -> SchemaRef {
    texts(&["Create Table"])
}

/// Schema of `DESCRIBE`.
pub(super) fn description_schema() -> SchemaRef {
    texts(&["column_name", "data_type", "is_nullable", "comment"])
}

fn texts(names: &[&str]) -> SchemaRef {
    Arc::new(Schema::new(
        names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect::<Vec<_>>(),
    ))
}

pub(super) fn statement(definition: &TableDefinition, document: &Mapping) -> Result<DoneResult, EngineError> {
    shown(document::statement(definition, document)?)
}

/// The result of `SHOW CREATE TABLE`.
pub(in super::super) fn shown(text: String) -> Result<DoneResult, EngineError> {
    let text: ArrayRef = Arc::new(StringArray::from(vec![text]));
    done(statement_schema(), vec![text])
}

/// The result of `DESCRIBE`: names, types, whether they may be NULL.
pub(in super::super) fn described(columns: impl Iterator<Item = (String, String, &'static str)>) -> Result<DoneResult, EngineError> {
    let columns: Vec<(String, String, &str)> = columns.collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(columns.iter().map(|(name, ..)| Some(name.as_str())).collect::<StringArray>()),
        Arc::new(
            columns
                .iter()
                .map(|(_, data_type, _)| Some(data_type.as_str()))
                .collect::<StringArray>(),
        ),
        Arc::new(columns.iter().map(|(_, _, nullable)| Some(*nullable)).collect::<StringArray>()),
        Arc::new(columns.iter().map(|_| None::<&str>).collect::<StringArray>()),
    ];
    done(description_schema(), columns)
}

/// The visible columns, with the types that definitions write.
pub(super) fn definition(definition: &TableDefinition) -> Result<DoneResult, EngineError> {
    let visible = || definition.columns.iter().filter(|column| !column.hidden);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(visible().map(|column| Some(column.name.as_str())).collect::<StringArray>()),
        Arc::new(
            visible()
                .map(|column| Some(column.column_type.to_string()))
                .collect::<StringArray>(),
        ),
        Arc::new(visible().map(|_| Some("YES")).collect::<StringArray>()),
        Arc::new(visible().map(|column| column.comment.as_deref()).collect::<StringArray>()),
    ];
    done(description_schema(), columns)
}

/// The columns of a table over files.
pub(super) fn files(table: &FileTable) -> Result<DoneResult, EngineError> {
    let columns = || table.columns.iter();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(columns().map(|column| Some(column.name.as_str())).collect::<StringArray>()),
        Arc::new(
            columns()
                .map(|column| Some(column.column_type.to_string()))
                .collect::<StringArray>(),
        ),
        Arc::new(columns().map(|_| Some("YES")).collect::<StringArray>()),
        Arc::new(columns().map(|column| column.comment.as_deref()).collect::<StringArray>()),
    ];
    done(description_schema(), columns)
}

/// A table about the server; `None` if there is none of that name.
pub(super) fn system_table(name: &TableName) -> Option<Result<DoneResult, EngineError>> {
    let table = system::find(&name.table).filter(|_| name.schema == system::SCHEMA)?;
    let fields = table.fields();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(fields.iter().map(|field| Some(field.name().as_str())).collect::<StringArray>()),
        Arc::new(
            fields
                .iter()
                .map(|field| Some(type_name(field.data_type())))
                .collect::<StringArray>(),
        ),
        Arc::new(fields.iter().map(|_| Some("YES")).collect::<StringArray>()),
        Arc::new(fields.iter().map(|_| None::<&str>).collect::<StringArray>()),
    ];
    Some(done(description_schema(), columns))
}

fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "varchar".into(),
        DataType::Binary => "varbinary".into(),
        DataType::Boolean => "boolean".into(),
        DataType::Int64 => "bigint".into(),
        DataType::Float64 => "double".into(),
        DataType::Timestamp(TimeUnit::Millisecond, None) => "timestamp(ms)".into(),
        other => other.to_string(),
    }
}

fn done(schema: SchemaRef, columns: Vec<ArrayRef>) -> Result<DoneResult, EngineError> {
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(|error| EngineError::Internal(error.to_string()))?;
    Ok(DoneResult {
        affected: None,
        query_id: Uuid::now_v7().to_string(),
        schema,
        batches: vec![batch],
    })
}
