//! `INSERT INTO t [(columns)] SELECT … | VALUES …`.

use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{Expr, Insert, ObjectName, SetExpr, Statement, TableObject, Value};

use super::super::error::EngineError;
use super::parse::StatementKind;
use super::relations::parts;

/// Where INSERT puts its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InsertTarget {
    /// The table, as written.
    pub(crate) table: ObjectName,
    /// Its columns in the order of the rows; `None` = all.
    pub(crate) columns: Option<Vec<String>>,
}

pub(super) fn parse(insert: Insert) -> Result<StatementKind, EngineError> {
    let refuse = |what: &str| {
        Err(EngineError::NotSupported(format!(
            "INSERT {what} is not supported; write INSERT INTO t (columns) SELECT … or VALUES …"
        )))
    };
    if insert.overwrite || insert.replace_into || insert.or.is_some() || insert.ignore {
        return refuse("that replaces records, or leaves some out, cannot be done to a stream, and");
    }
    if insert.on.is_some() {
        return refuse("ON CONFLICT");
    }
    if insert.returning.is_some() || insert.output.is_some() {
        return refuse("… RETURNING");
    }
    if insert.partitioned.is_some() || !insert.after_columns.is_empty() || !insert.assignments.is_empty() || insert.format_clause.is_some()
    {
        return refuse("of this form");
    }
    let TableObject::TableName(table) = insert.table else {
        return refuse("into a function or a query");
    };
    let Some(source) = insert.source else {
        return refuse("without rows");
    };
    let columns = insert.columns.iter().map(|name| match parts(name).as_deref() {
        Some([column]) => Ok(column.clone()),
        _ => Err(EngineError::Invalid(format!("`{name}` is not the name of a column"))),
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    Ok(StatementKind::Insert {
        target: InsertTarget {
            table,
            columns: (!columns.is_empty()).then_some(columns),
        },
        source: Box::new(DfStatement::Statement(Box::new(Statement::Query(source)))),
    })
}

/// Which parameter each column is, from 0, if the source is one row of them: drivers send many rows of values so.
pub(super) fn parameter_columns(source: &DfStatement) -> Option<Vec<usize>> {
    let DfStatement::Statement(statement) = source else { return None };
    let Statement::Query(query) = statement.as_ref() else { return None };
    if query.with.is_some() || query.order_by.is_some() || query.limit_clause.is_some() || query.fetch.is_some() {
        return None;
    }
    let SetExpr::Values(values) = query.body.as_ref() else {
        return None;
    };
    let [row] = values.rows.as_slice() else { return None };
    let column = |expr: &Expr| match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => name.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1),
            _ => None,
        },
        _ => None,
    };
    row.content.iter().map(column).collect()
}
