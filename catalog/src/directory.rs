//! A directory of definitions: hot reload, each file on its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::{DefinitionError, TableDefinition, TableName};

/// One file that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogError {
    /// Which file.
    pub file: PathBuf,
    /// Why.
    pub error: DefinitionError,
    /// When this was first seen for the file's present content.
    pub since: SystemTime,
}

/// The catalog at one moment. Cheap to hold: statements keep the one they were planned with.
#[derive(Debug, Clone, Default)]
pub struct CatalogSnapshot {
    /// Usable definitions.
    pub tables: BTreeMap<TableName, Arc<TableDefinition>>,
    /// Files that are not.
    pub errors: Vec<CatalogError>,
}

/// Definitions in a directory (`*.yaml`, `*.yml`, `*.json`; not recursive).
#[derive(Debug)]
pub struct DirectoryCatalog {}

impl DirectoryCatalog {
    /// Nothing is read yet. A directory that is missing is an empty catalog.
    pub fn new(_path: impl Into<PathBuf>, _default_schema: impl Into<String>) -> Self {
        unimplemented!()
    }

    /// Re-reads what changed (by modification time and length), and returns the present state. A file that was good and became bad is reported
    /// and its last good definition is dropped; the others stay.
    pub fn refresh(&self) -> Arc<CatalogSnapshot> {
        unimplemented!()
    }

    /// The state of the last refresh; empty before the first.
    pub fn current(&self) -> Arc<CatalogSnapshot> {
        unimplemented!()
    }
}
