//! Metadata commands: catalogs, schemas, tables, types, keys.
//!
//! A metadata command is its own ticket, and GetFlightInfo builds the same batch that DoGet sends, so their schemas are one.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::error::FlightError;
use arrow_flight::sql::{Command, CommandGetDbSchemas, CommandGetTableTypes, CommandGetTables};
use tonic::Status;

use super::backend::Backend;
use super::column_metadata::described;
use super::{sql_info, status, stream, xdbc};
use crate::engine::{Principal, Session, TableEntry, TableKind, option_specs};

/// The rows that a metadata command asks for; `None` if it is no metadata command.
pub(crate) fn batch(
    backend: &dyn Backend,
    principal: &Principal,
    session: Option<&Session>,
    command: &Command,
) -> Option<Result<RecordBatch, Status>> {
    let listed = || backend.tables(principal, session);
    let batch = match command {
        Command::CommandGetCatalogs(command) => {
            let mut builder = command.into_builder();
            builder.append(default_of("catalog"));
            builder.build()
        }
        Command::CommandGetDbSchemas(command) => schemas(&listed(), command.clone()),
        Command::CommandGetTables(command) => return Some(tables(listed(), command.clone())),
        Command::CommandGetTableTypes(command) => table_types(*command),
        Command::CommandGetSqlInfo(command) => sql_info::batch(command.clone(), &backend.words()),
        Command::CommandGetXdbcTypeInfo(command) => xdbc::batch(*command),
        Command::CommandGetPrimaryKeys(_) => Ok(RecordBatch::new_empty(primary_keys())),
        Command::CommandGetExportedKeys(_) | Command::CommandGetImportedKeys(_) | Command::CommandGetCrossReference(_) => {
            Ok(RecordBatch::new_empty(foreign_keys()))
        }
        _ => return None,
    };
    Some(batch.map_err(|error| built(&error)))
}

fn built(error: &FlightError) -> Status {
    status::internal("building metadata", error)
}

/// What an option is when nobody set it: the current catalog and schema.
pub(crate) fn default_of(name: &str) -> &'static str {
    option_specs().iter().find(|spec| spec.name == name).map_or("", |spec| spec.default)
}

fn schemas(tables: &[TableEntry], command: CommandGetDbSchemas) -> Result<RecordBatch, FlightError> {
    // The default schema is there before its first table is.
    let mut names: BTreeSet<&str> = tables.iter().map(|table| table.schema.as_str()).collect();
    names.insert(default_of("schema"));
    let mut builder = command.into_builder();
    for name in names {
        builder.append(default_of("catalog"), name);
    }
    builder.build()
}

fn tables(listed: Vec<TableEntry>, command: CommandGetTables) -> Result<RecordBatch, Status> {
    let mut builder = command.into_builder();
    for table in listed {
        // As the rows of `SELECT *` will travel.
        let schema = stream::plain_schema(&table.arrow_schema)?;
        let schema = described(&schema, default_of("catalog"), &table.schema, &table.name);
        builder
            .append(default_of("catalog"), &table.schema, &table.name, table_type(table.kind), &schema)
            .map_err(|error| built(&error))?;
    }
    builder.build().map_err(|error| built(&error))
}

fn table_types(command: CommandGetTableTypes) -> Result<RecordBatch, FlightError> {
    let mut builder = command.into_builder();
    for kind in [
        TableKind::BaseTable,
        TableKind::SystemTable,
        TableKind::ScratchTable,
        TableKind::View,
    ] {
        builder.append(table_type(kind));
    }
    builder.build()
}

fn table_type(kind: TableKind) -> &'static str {
    match kind {
        // The name that Grafana filters by.
        TableKind::BaseTable => "BASE TABLE",
        TableKind::SystemTable => "SYSTEM TABLE",
        TableKind::ScratchTable => "LOCAL TEMPORARY",
        TableKind::View => "VIEW",
    }
}

/// Columns of GetPrimaryKeys, in the order of the Arrow implementations. A stream has no keys.
fn primary_keys() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("key_name", DataType::Utf8, true),
    ]))
}

/// Columns of GetImportedKeys, GetExportedKeys and GetCrossReference.
fn foreign_keys() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("pk_catalog_name", DataType::Utf8, true),
        Field::new("pk_db_schema_name", DataType::Utf8, true),
        Field::new("pk_table_name", DataType::Utf8, false),
        Field::new("pk_column_name", DataType::Utf8, false),
        Field::new("fk_catalog_name", DataType::Utf8, true),
        Field::new("fk_db_schema_name", DataType::Utf8, true),
        Field::new("fk_table_name", DataType::Utf8, false),
        Field::new("fk_column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("fk_key_name", DataType::Utf8, true),
        Field::new("pk_key_name", DataType::Utf8, true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}
