//! DROP TABLE, DESCRIBE and SHOW CREATE of scratch tables and views; and what metadata calls list.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};

use super::super::access::Right;
use super::super::api::{DoneResult, TableEntry, TableKind};
use super::super::commands;
use super::super::definitions::{described, shown};
use super::super::error::EngineError;
use super::super::insert::type_name;
use super::super::plan::Engine;
use super::super::session::{Principal, Session};
use super::super::sql::{CATALOG, DdlStatement, table_of};
use super::super::statement_options::StatementOptions;
use super::SCHEMA;
use super::contents::Thing;

impl Engine {
    /// Runs a statement about a table, if that is a scratch table or view.
    pub(in super::super) fn run_scratch_definition(
        &self,
        session: &Session,
        options: &StatementOptions,
        statement: &DdlStatement,
    ) -> Result<Option<DoneResult>, EngineError> {
        let contents = self.scratch().seen(session.principal(), Some(session));
        let (name, is_drop) = match statement {
            DdlStatement::Create(create) => (&create.name, false),
            DdlStatement::Drop { name, .. } => (name, true),
            DdlStatement::AddColumn { name, .. } | DdlStatement::ShowCreate(name) | DdlStatement::Describe(name) => (name, false),
        };
        let full = table_of(name, &options.schema)?;
        if let DdlStatement::Create(_) = statement {
            return match full {
                Some((schema, _)) if schema == SCHEMA => Err(EngineError::Invalid(format!(
                    "schema `{SCHEMA}` is for tables in memory and views; a table over a stream is in another one"
                ))),
                _ => Ok(None),
            };
        }
        let known = self.scratch_named(session, &contents, name, &options.schema)?;
        if let DdlStatement::Drop { if_exists, .. } = statement
            && is_drop
        {
            let of_scratch = known.is_some() || full.as_ref().is_some_and(|(schema, _)| schema == SCHEMA);
            // Nobody needs a right to have nothing done.
            let is_nothing = || {
                full.clone().is_some_and(|(schema, table)| {
                    let name = catalog::TableName { schema, table };
                    let may = self.access().has_table(&session.principal().0, Right::Admin, &name);
                    *if_exists && !may && !self.sees_table(&session.principal().0, &name)
                })
            };
            if of_scratch || is_nothing() {
                self.drop_scratch(session, name, &options.schema, *if_exists, false)?;
                return Ok(Some(commands::nothing()));
            }
            return Ok(None);
        }
        let Some((known, thing)) = known.and_then(|known| contents.things.get(&known).map(|thing| (known, thing))) else {
            return Ok(None);
        };
        let fields = match thing {
            Thing::Table(table) => &table.version.schema,
            Thing::View(view) => &view.fields,
        };
        match statement {
            DdlStatement::Describe(_) => described(fields.fields().iter().map(|field| {
                let nullable = if field.is_nullable() { "YES" } else { "NO" };
                (field.name().clone(), sql_type(field.data_type()), nullable)
            }))
            .map(Some),
            DdlStatement::ShowCreate(_) => shown(statement_of(&known, thing)).map(Some),
            _ => Err(EngineError::NotSupported(
                "scratch tables have no ALTER TABLE: CREATE OR REPLACE TABLE t AS SELECT … FROM t makes them anew".into(),
            )),
        }
    }

    /// The scratch tables and views that are listed for who asks.
    pub(in super::super) fn scratch_entries(&self, principal: &Principal, session: Option<&Session>) -> Vec<TableEntry> {
        let contents = self.scratch().seen(principal, session);
        let entry = |(name, thing): (&String, &Thing)| {
            let (kind, arrow_schema): (TableKind, &SchemaRef) = match thing {
                Thing::Table(table) => (TableKind::ScratchTable, &table.version.schema),
                Thing::View(view) => (TableKind::View, &view.fields),
            };
            TableEntry {
                schema: SCHEMA.into(),
                name: name.clone(),
                kind,
                arrow_schema: Arc::clone(arrow_schema),
                comment: None,
            }
        };
        contents.things.iter().map(entry).collect()
    }
}

fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    match plain {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

fn statement_of(name: &str, thing: &Thing) -> String {
    let full = format!("{CATALOG}.{SCHEMA}.{}", quoted(name));
    match thing {
        Thing::Table(table) => {
            let column = |field: &Arc<Field>| {
                let not_null = if field.is_nullable() { "" } else { " NOT NULL" };
                format!("  {} {}{not_null}", quoted(field.name()), sql_type(field.data_type()))
            };
            let columns: Vec<String> = table.version.schema.fields().iter().map(column).collect();
            format!("CREATE TABLE {full} (\n{}\n)", columns.join(",\n"))
        }
        Thing::View(view) => {
            let columns: Vec<String> = view.query.columns.iter().map(|column| quoted(column)).collect();
            let columns = match columns.is_empty() {
                true => String::new(),
                false => format!(" ({})", columns.join(", ")),
            };
            format!("CREATE VIEW {full}{columns} AS {}", view.text)
        }
    }
}

/// A type as CREATE TABLE takes it; nested ones as definitions write them.
fn sql_type(data_type: &DataType) -> String {
    let digits = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    };
    match data_type {
        DataType::UInt8 => "tinyint unsigned".into(),
        DataType::UInt16 => "smallint unsigned".into(),
        DataType::UInt32 => "integer unsigned".into(),
        DataType::UInt64 => "bigint unsigned".into(),
        DataType::Binary => "bytea".into(),
        DataType::Time32(_) | DataType::Time64(_) => "time".into(),
        DataType::Timestamp(unit, None) => format!("timestamp({})", digits(unit)),
        DataType::Timestamp(unit, Some(_)) => format!("timestamp({}) with time zone", digits(unit)),
        other => type_name(other).unwrap_or_else(|other| other),
    }
}
