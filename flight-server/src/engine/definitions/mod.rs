//! Statements about table definitions. They run when they are planned, once; what they change is in the catalog's files before they are done.

mod allowed;
mod describe;
mod document;
mod infer;
mod of_columns;

use std::sync::Arc;

use catalog::{CatalogSnapshot, CatalogWriteError, Definition, Existing, TableDefinition, TableName};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::ast::ObjectName;
use serde_yaml::{Mapping, Value};

use super::access::Right;
use super::api::DoneResult;
use super::commands;
use super::error::EngineError;
use super::files;
use super::plan::Engine;
use super::sql::{CATALOG, CreateTable, DdlColumn, DdlStatement, table_of};
use super::statement_options::StatementOptions;
use super::system;

pub use allowed::{AllowedStreams, DefinitionRules};
pub(super) use describe::{described, shown};
pub(crate) use document::placeholder;
pub(super) use document::{identifier, quoted, value};
pub(super) use infer::InferredStreams;
pub use infer::{DEFAULT_SAMPLE, Proposal};

const LOCATION: &str = "kinesis://";

/// Schema of the statement's rows; `None` if it changes something instead.
pub(super) fn schema(statement: &DdlStatement) -> Option<SchemaRef> {
    match statement {
        DdlStatement::Create(_) | DdlStatement::Drop { .. } | DdlStatement::AddColumn { .. } => None,
        DdlStatement::ShowCreate(_) => Some(describe::statement_schema()),
        DdlStatement::Describe(_) => Some(describe::description_schema()),
    }
}

impl Engine {
    /// Runs a statement about definitions.
    pub(super) async fn run_definition(
        &self,
        principal: &str,
        options: &StatementOptions,
        statement: &DdlStatement,
    ) -> Result<DoneResult, EngineError> {
        let within = |name: &ObjectName| table_name(name, &options.schema);
        // Asked before the catalog is: the answer does not tell whether there is such a table.
        let named = |name: &ObjectName, right: Right| {
            let name = within(name)?;
            let of_server = name.schema == system::SCHEMA && system::find(&name.table).is_some();
            if right != Right::Read || !of_server {
                self.access().table(principal, right, &name)?;
            }
            Ok::<_, EngineError>(name)
        };
        match statement {
            DdlStatement::Create(create) => self.create_table(principal, named(&create.name, Right::Admin)?, create).await?,
            DdlStatement::Drop { name, if_exists } => self.drop_table(&named(name, Right::Admin)?, *if_exists).await?,
            DdlStatement::AddColumn {
                name,
                column,
                if_not_exists,
            } => self.add_column(&named(name, Right::Admin)?, column, *if_not_exists).await?,
            DdlStatement::ShowCreate(name) => {
                let name = named(name, Right::Read)?;
                let definition = match self.defined_table(&name)? {
                    Definition::Files(table) => return shown(files::statement(&table)),
                    Definition::Stream(definition) => definition,
                };
                return describe::statement(&definition, &document::of(&definition, self.catalog().yaml_of(&name))?);
            }
            DdlStatement::Describe(name) => {
                let name = named(name, Right::Read)?;
                return match describe::system_table(&name) {
                    Some(described) => described,
                    None => match self.defined_table(&name)? {
                        Definition::Stream(definition) => describe::definition(&definition),
                        Definition::Files(table) => describe::files(&table),
                    },
                };
            }
        }
        Ok(commands::nothing())
    }

    /// The definition of a table over a stream, as it is now.
    fn defined(&self, name: &TableName) -> Result<Arc<TableDefinition>, EngineError> {
        match self.defined_table(name)? {
            Definition::Stream(definition) => Ok(definition),
            Definition::Files(_) => Err(EngineError::NotSupported(format!(
                "table `{CATALOG}.{name}` is over files: CREATE OR REPLACE EXTERNAL TABLE gives it other columns"
            ))),
        }
    }

    fn defined_table(&self, name: &TableName) -> Result<Definition, EngineError> {
        match self.catalog().current().get(name) {
            Some(definition) => Ok(definition),
            None => Err(EngineError::NotFound(format!("table `{CATALOG}.{name}` not found"))),
        }
    }

    async fn create_table(&self, principal: &str, name: TableName, create: &CreateTable) -> Result<(), EngineError> {
        let rules = &self.config().definitions;
        rules.check_change()?;
        let known = self.catalog().refreshed().await;
        if known.has(&name) {
            if create.if_not_exists {
                return Ok(());
            }
            if !create.or_replace {
                return Err(EngineError::Exists(format!(
                    "table `{CATALOG}.{name}` exists; CREATE OR REPLACE EXTERNAL TABLE replaces it"
                )));
            }
        }
        let document = match create.stored_as {
            Some(format) => self.files_document(&name, create, format).await?,
            None => self.stream_document(principal, &name, create, &known).await?,
        };
        let existing = if create.or_replace { Existing::Replace } else { Existing::Refuse };
        self.put(&document, existing).await.or_else(|error| match error {
            // Another was faster.
            EngineError::Exists(_) if create.if_not_exists => Ok(()),
            error => Err(error),
        })
    }

    async fn stream_document(
        &self,
        principal: &str,
        name: &TableName,
        create: &CreateTable,
        known: &CatalogSnapshot,
    ) -> Result<Mapping, EngineError> {
        let rules = &self.config().definitions;
        let stream = create.location.strip_prefix(LOCATION).ok_or_else(|| {
            EngineError::Invalid(format!(
                "LOCATION `{}`: write `{LOCATION}` and the stream's name or ARN",
                create.location
            ))
        })?;
        let mut document = Mapping::new();
        document.insert("table".into(), name.table.as_str().into());
        document.insert("schema".into(), name.schema.as_str().into());
        document.insert("stream".into(), stream.into());
        let of_kinesis = |key: &str| key == "kinesis" || key.starts_with("kinesis.");
        let mut options = create.options.iter();
        options.try_for_each(|(key, value)| if of_kinesis(key) { rules.check_reach(key, value) } else { Ok(()) })?;
        let elsewhere = create.options.iter().any(|(key, _)| of_kinesis(key));
        document::set_all(&mut document, &create.options)?;
        rules.check_stream(stream, elsewhere, known)?;
        self.check_mapped_stream(principal, stream)?;
        match &create.columns {
            Some(columns) => {
                let columns = columns.iter().map(|column| document::column(column).map(Value::from));
                let columns: Vec<Value> = columns.collect::<Result<_, _>>()?;
                document.insert("columns".into(), columns.into());
            }
            None => self.infer_into(principal, &mut document, DEFAULT_SAMPLE).await?,
        }
        Ok(document)
    }

    async fn drop_table(&self, name: &TableName, if_exists: bool) -> Result<(), EngineError> {
        self.config().definitions.check_change()?;
        match self.catalog().remove(name).await {
            Err(CatalogWriteError::Missing(_)) if if_exists => Ok(()),
            Err(error) => Err(write_error(error)),
            Ok(_) => Ok(()),
        }
    }

    async fn add_column(&self, name: &TableName, column: &DdlColumn, if_not_exists: bool) -> Result<(), EngineError> {
        self.config().definitions.check_change()?;
        self.catalog().refreshed().await;
        let definition = self.defined(name)?;
        let exists = definition.columns.iter().any(|known| known.name.eq_ignore_ascii_case(&column.name));
        if exists && if_not_exists {
            return Ok(());
        }
        if exists {
            return Err(EngineError::Exists(format!(
                "table `{CATALOG}.{name}` has a column `{}`",
                column.name
            )));
        }
        let mut document = document::of(&definition, self.catalog().yaml_of(name))?;
        let added = document::column(column)?;
        match document.get_mut("columns") {
            Some(Value::Sequence(columns)) => columns.push(added.into()),
            _ => {
                document.insert("columns".into(), vec![Value::from(added)].into());
            }
        }
        self.put(&document, Existing::Replace).await
    }

    async fn put(&self, document: &Mapping, existing: Existing) -> Result<(), EngineError> {
        let text = document::to_yaml(document)?;
        self.catalog().put(&text, existing).await.map(drop).map_err(write_error)
    }
}

/// The table that a statement about definitions names; it need not exist.
fn table_name(name: &ObjectName, schema: &str) -> Result<TableName, EngineError> {
    match table_of(name, schema)? {
        Some((schema, table)) => Ok(TableName {
            schema: schema.to_lowercase(),
            table: table.to_lowercase(),
        }),
        None => Err(EngineError::Invalid(format!("`{name}` is not the name of a table"))),
    }
}

fn write_error(error: CatalogWriteError) -> EngineError {
    match error {
        CatalogWriteError::Exists(name) => EngineError::Exists(format!("table `{CATALOG}.{name}` exists")),
        CatalogWriteError::Missing(name) => EngineError::NotFound(format!("table `{CATALOG}.{name}` not found")),
        CatalogWriteError::Definition(error) => EngineError::Invalid(format!("the definition is not valid: {}", error.message)),
        error @ CatalogWriteError::Occupied(_) => EngineError::FailedPrecondition(error.to_string()),
        error @ (CatalogWriteError::Unlisted(_) | CatalogWriteError::File { .. } | CatalogWriteError::Store { .. }) => {
            EngineError::Unavailable(format!("the catalog cannot be written: {error}"))
        }
    }
}
