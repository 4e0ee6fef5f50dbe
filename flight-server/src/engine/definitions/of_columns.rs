//! The definition of a table over a stream that was made for it.

use catalog::{DEFAULT_SCHEMA, Existing, TableDefinition, TableName};
use serde_yaml::{Mapping, Value};

use super::super::error::EngineError;
use super::super::plan::Engine;
use super::super::sql::DdlColumn;
use super::document;

impl Engine {
    /// The definition, checked, as far as statements may define tables and name the stream: records are JSON, a key for each column.
    pub(in super::super) fn definition_of_columns(
        &self,
        name: &TableName,
        stream: &str,
        columns: &[DdlColumn],
    ) -> Result<Mapping, EngineError> {
        let rules = &self.config().definitions;
        rules.check_change()?;
        rules.check_stream(stream, false, &self.catalog().current())?;
        let mut document = Mapping::new();
        document.insert("table".into(), name.table.as_str().into());
        document.insert("schema".into(), name.schema.as_str().into());
        document.insert("stream".into(), stream.into());
        let columns = columns.iter().map(|column| document::column(column).map(Value::from));
        let columns: Vec<Value> = columns.collect::<Result<_, _>>()?;
        document.insert("columns".into(), columns.into());
        TableDefinition::from_yaml_in(&document::to_yaml(&document)?, DEFAULT_SCHEMA)
            .map_err(|error| EngineError::Invalid(format!("the definition is not valid: {}", error.message)))?;
        Ok(document)
    }

    /// Keeps a new definition in the catalog.
    pub(in super::super) async fn keep_definition(&self, document: &Mapping) -> Result<(), EngineError> {
        self.put(document, Existing::Refuse).await
    }
}
