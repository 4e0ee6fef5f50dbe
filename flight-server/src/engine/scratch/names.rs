//! Which names stand for scratch tables and views.
//!
//! A name without a schema is one of the current schema, else of scratch; where both have it, it is an error, so that no table ever takes the place of another
//! unseen.

use catalog::TableName;
use datafusion::sql::sqlparser::ast::ObjectName;

use super::super::access::Right;
use super::super::error::EngineError;
use super::super::plan::Engine;
use super::super::session::Session;
use super::super::sql::{CATALOG, table_of};
use super::super::system;
use super::SCHEMA;
use super::contents::Contents;

/// What is said of a name that stands for two things.
pub(in super::super) fn ambiguous(name: &TableName) -> EngineError {
    EngineError::Invalid(format!(
        "`{}` is both `{CATALOG}.{name}` and `{CATALOG}.{SCHEMA}.{}`: write it with its schema",
        name.table, name.table
    ))
}

fn resolved(name: &ObjectName, schema: &str) -> Result<TableName, EngineError> {
    match table_of(name, schema)? {
        Some((schema, table)) => Ok(TableName { schema, table }),
        None => Err(EngineError::Invalid(format!("`{name}` is not the name of a table"))),
    }
}

impl Engine {
    /// Whether somebody may know of a table that is not a scratch one.
    pub(super) fn sees_table(&self, principal: &str, name: &TableName) -> bool {
        let of_server = name.schema == system::SCHEMA && system::find(&name.table).is_some();
        of_server || self.catalog().current().has(name) && self.access().has_table(principal, Right::Read, name)
    }

    /// The scratch table or view that a name stands for; `None` if it stands for something else.
    pub(super) fn scratch_named(
        &self,
        session: &Session,
        contents: &Contents,
        name: &ObjectName,
        schema: &str,
    ) -> Result<Option<String>, EngineError> {
        let full = resolved(name, schema)?;
        if !contents.has(&full.table) {
            return Ok(None);
        }
        if full.schema == SCHEMA {
            return Ok(Some(full.table));
        }
        if name.0.len() > 1 {
            return Ok(None);
        }
        match self.sees_table(&session.principal().0, &full) {
            true => Err(ambiguous(&full)),
            false => Ok(Some(full.table)),
        }
    }

    /// The name of a table or view that is to be made.
    pub(super) fn new_scratch_name(&self, session: &Session, name: &ObjectName, schema: &str) -> Result<String, EngineError> {
        let full = resolved(name, schema)?;
        if name.0.len() > 1 && full.schema != SCHEMA {
            return Err(EngineError::NotSupported(format!(
                "`{CATALOG}.{full}` cannot be made by this statement: in schema {} tables are over streams, made by CREATE EXTERNAL TABLE name (…) STORED AS KINESIS \
                 LOCATION 'kinesis://stream'; tables in memory and views are made in schema {SCHEMA}: write `{}` or `{SCHEMA}.{}`",
                full.schema, full.table, full.table
            )));
        }
        self.check_unseen(session, &full.table, schema)?;
        Ok(full.table)
    }

    /// A name without a schema must go on to stand for what it stood for.
    pub(super) fn check_unseen(&self, session: &Session, table: &str, current: &str) -> Result<(), EngineError> {
        for schema in [current, catalog::DEFAULT_SCHEMA, SCHEMA] {
            let known = TableName {
                schema: schema.to_owned(),
                table: table.to_owned(),
            };
            if self.sees_table(&session.principal().0, &known) {
                return Err(EngineError::Exists(format!(
                    "there is a table `{CATALOG}.{known}`; a scratch table or view of the same name could be taken for it: choose another name"
                )));
            }
        }
        Ok(())
    }

    /// What is said of a scratch table that is not there.
    pub(super) fn no_scratch(&self, name: &ObjectName) -> EngineError {
        EngineError::NotFound(format!("there is no scratch table or view `{name}` in this session"))
    }
}
