//! What a definition file can define.

use std::path::Path;
use std::sync::Arc;

use super::{Beside, DefinitionError, FileTable, TableDefinition, TableName, files};

/// A table over a stream, or one over files.
#[derive(Debug, Clone, PartialEq)]
pub enum Definition {
    /// Over a stream.
    Stream(Arc<TableDefinition>),
    /// Over files.
    Files(Arc<FileTable>),
}

impl Definition {
    /// Its name in SQL.
    pub fn name(&self) -> &TableName {
        match self {
            Self::Stream(table) => &table.name,
            Self::Files(table) => &table.name,
        }
    }

    /// Our YAML spelling of either, of a file in that directory. One with `location` or `stored_as` is over files.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn from_yaml_file(text: &str, default_schema: &str, directory: &Path) -> Result<Self, DefinitionError> {
        Self::from_yaml_beside(text, default_schema, &Beside::new(Some(directory)))
    }

    pub(crate) fn from_yaml_beside(text: &str, default_schema: &str, beside: &Beside) -> Result<Self, DefinitionError> {
        match files::is_meant(text) {
            true => FileTable::from_yaml_in(text, default_schema).map(Self::Files),
            false => TableDefinition::from_yaml_beside(text, default_schema, beside).map(Self::Stream),
        }
    }
}
