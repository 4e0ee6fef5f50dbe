//! Names of relations in a statement, and what they stand for.

use datafusion::sql::sqlparser::ast::{Ident, ObjectName, ObjectNamePart};

use super::super::error::EngineError;

/// The one catalog.
pub(crate) const CATALOG: &str = "kinesis";

/// A name as the query engine resolves it: unquoted parts in lower case.
pub(super) fn normalized(ident: &Ident) -> String {
    if ident.quote_style.is_some() {
        ident.value.clone()
    } else {
        ident.value.to_ascii_lowercase()
    }
}

/// The parts of a relation's name; `None` where a part is a function.
pub(super) fn parts(name: &ObjectName) -> Option<Vec<String>> {
    name.0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(ident) => Some(normalized(ident)),
            ObjectNamePart::Function(_) => None,
        })
        .collect()
}

/// A table's schema and name, with the session's schema where the statement gives none.
pub(crate) fn table_of(name: &ObjectName, current_schema: &str) -> Result<Option<(String, String)>, EngineError> {
    let Some(parts) = parts(name) else { return Ok(None) };
    match parts.as_slice() {
        [table] => Ok(Some((current_schema.to_owned(), table.clone()))),
        [schema, table] => Ok(Some((schema.clone(), table.clone()))),
        [catalog, schema, table] if catalog == CATALOG => Ok(Some((schema.clone(), table.clone()))),
        [catalog, _, _] => Err(EngineError::NotFound(format!(
            "there is no catalog `{catalog}`; the catalog is `{CATALOG}`"
        ))),
        _ => Err(EngineError::Invalid(format!("`{name}` is not the name of a table"))),
    }
}
