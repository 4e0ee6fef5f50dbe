//! The rights of the one who asks.

use std::sync::Arc;

use catalog::{CatalogSnapshot, TableName};

use super::super::error::EngineError;
use super::super::sql::STREAM_SCHEMA;
use super::rules::{Access, Right};

/// The rights of one principal.
#[derive(Debug, Clone)]
pub(in super::super) struct Grants {
    access: Arc<Access>,
    principal: String,
}

impl Grants {
    pub(in super::super) fn new(access: &Arc<Access>, principal: &str) -> Self {
        Self {
            access: Arc::clone(access),
            principal: principal.to_owned(),
        }
    }

    /// Whose they are.
    pub(in super::super) fn principal(&self) -> &str {
        &self.principal
    }

    /// Whether the principal looks after the server.
    pub(in super::super) fn is_admin(&self) -> bool {
        self.access.is_admin(&self.principal)
    }

    /// Whether it may read the table; `stream` is what the table is over. A table of `kinesis_stream` is its stream.
    pub(in super::super) fn reads(&self, table: &TableName, stream: Option<&str>) -> bool {
        if table.schema == STREAM_SCHEMA {
            return stream.is_some_and(|stream| self.access.has_stream(&self.principal, Right::Read, stream));
        }
        self.access.has_table(&self.principal, Right::Read, table)
    }

    /// See [`Self::reads`].
    pub(in super::super) fn check_read(&self, table: &TableName, stream: Option<&str>) -> Result<(), EngineError> {
        match stream {
            Some(stream) if table.schema == STREAM_SCHEMA => self.access.stream(&self.principal, Right::Read, stream),
            _ => self.access.table(&self.principal, Right::Read, table),
        }
    }

    /// Whether it may know of a stream that is or was read: it may read a table over it, or the stream itself.
    pub(in super::super) fn sees_stream(&self, name: &str, arn: &str, catalog: &CatalogSnapshot) -> bool {
        let named = |stream: &str| self.access.has_stream(&self.principal, Right::Read, stream);
        let mut tables = catalog.tables.iter();
        self.is_admin()
            || named(name)
            || named(arn)
            || tables.any(|(table, definition)| (definition.stream == name || definition.stream == arn) && self.reads(table, None))
    }

    /// Whether it may know how far a checkpoint is.
    pub(in super::super) fn sees_checkpoint(&self, name: &str) -> bool {
        self.access.has_checkpoint(&self.principal, Right::Read, name)
    }
}
