//! `COPY (SELECT …) TO 'location'`, `COPY table TO 'location'`.

use datafusion::sql::parser::{CopyToSource, CopyToStatement, DFParserBuilder, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::{Statement, Value};
use datafusion::sql::sqlparser::dialect::GenericDialect;

use super::super::error::EngineError;
use super::parse::StatementKind;

/// Where COPY puts its rows, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CopyTarget {
    /// `s3://…`
    pub(crate) location: String,
    /// Format; `None` = as the location ends.
    pub(crate) stored_as: Option<String>,
    /// Columns whose values become folders.
    pub(crate) partitioned_by: Vec<String>,
    /// Options of the format.
    pub(crate) options: Vec<(String, String)>,
}

pub(super) fn parse(copy: CopyToStatement) -> Result<StatementKind, EngineError> {
    let source = match copy.source {
        CopyToSource::Query(query) => DfStatement::Statement(Box::new(Statement::Query(query))),
        CopyToSource::Relation(name) => {
            let dialect = GenericDialect {};
            let sql = format!("SELECT * FROM {name}");
            let mut statements = DFParserBuilder::new(sql.as_str())
                .with_dialect(&dialect)
                .build()?
                .parse_statements()?;
            statements
                .pop_front()
                .ok_or_else(|| EngineError::Internal("a query of one table is no statement".into()))?
        }
    };
    let option = |(key, value): (String, Value)| match value {
        Value::Boolean(flag) => Ok((key, flag.to_string())),
        Value::Number(digits, _) => Ok((key, digits)),
        other => other
            .into_string()
            .map(|text| (key.clone(), text))
            .ok_or_else(|| EngineError::Invalid(format!("COPY: option `{key}` takes a text, a number, true or false"))),
    };
    Ok(StatementKind::Copy {
        target: CopyTarget {
            location: copy.target,
            stored_as: copy.stored_as,
            partitioned_by: copy.partitioned_by,
            options: copy.options.into_iter().map(option).collect::<Result<_, _>>()?,
        },
        source: Box::new(source),
    })
}
