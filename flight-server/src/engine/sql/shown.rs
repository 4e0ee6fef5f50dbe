//! SHOW COLUMNS of a name without a schema that stands for a scratch table or view.

use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName, ObjectNamePart, Statement};

use super::super::error::EngineError;
use super::super::scratch;
use super::relations::table_of;
use super::wildcard::{Lookup, Named};

/// The table whose columns a statement shows.
pub(super) fn columns_of(statement: &mut DfStatement) -> Option<&mut ObjectName> {
    match statement {
        DfStatement::Statement(inner) => match inner.as_mut() {
            Statement::ShowColumns { show_options, .. } => show_options.show_in.as_mut()?.parent_name.as_mut(),
            _ => None,
        },
        _ => None,
    }
}

/// Writes the schema to it, where it is not the current one; an error where there is no such table.
pub(super) fn qualify(name: &mut ObjectName, current_schema: &str, lookup: &mut Lookup<'_>) -> Result<(), EngineError> {
    let Some((schema, table)) = table_of(name, current_schema)? else {
        return Ok(());
    };
    let is_qualified = name.0.len() > 1;
    let elsewhere = match lookup(&schema, &table, is_qualified)? {
        Named::Elsewhere { schema } => Some(schema),
        Named::View(_) if !is_qualified => Some(scratch::SCHEMA.to_owned()),
        Named::View(_) | Named::Table(_) => None,
    };
    if let Some(schema) = elsewhere {
        name.0.insert(0, ObjectNamePart::Identifier(Ident::new(schema)));
    }
    Ok(())
}
