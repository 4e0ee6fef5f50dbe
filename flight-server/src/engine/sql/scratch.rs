//! Statements about scratch tables and views: `CREATE TABLE`, `CREATE VIEW`, `DROP VIEW`, `TRUNCATE`, `DELETE FROM` without WHERE.
//!
//! `CREATE TABLE t (a bigint, …)` is `CREATE TABLE t AS` a query that gives these columns and no rows, so both go the same way.

use std::collections::BTreeSet;

use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::helpers::stmt_create_table::CreateTableBuilder;
use datafusion::sql::sqlparser::ast::{
    CastKind, ColumnDef, ColumnOption, CreateTable, CreateTableOptions, CreateView, Delete, Expr, FromTable, Ident, ObjectName, ObjectType,
    OnCommit, Query, Select, SelectItem, SetExpr, Statement, TableFactor, Truncate, Value,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::super::error::EngineError;
use super::follow::byte;
use super::literals;
use super::parse::{StatementKind, parse};
use super::relations::normalized;
use super::stream_function::StreamCall;

/// Longest text of a view: it travels in the tickets of statements that name the view.
const LONGEST_VIEW: usize = 16 << 10;

/// A statement about scratch tables and views.
#[derive(Debug)]
pub(crate) enum ScratchStatement {
    /// `CREATE [OR REPLACE] [TEMPORARY] TABLE [IF NOT EXISTS] name (columns)` or `… AS query`
    CreateTable(CreateScratch),
    /// `CREATE [OR REPLACE] VIEW [IF NOT EXISTS] name [(columns)] AS query`
    CreateView {
        /// Name as written.
        name: ObjectName,
        /// A view of the name is replaced.
        or_replace: bool,
        /// Nothing happens where it exists.
        if_not_exists: bool,
        /// Names of its columns; empty = as the query has them.
        columns: Vec<String>,
        /// The query, as written.
        text: String,
    },
    /// `DROP VIEW [IF EXISTS] name`
    DropView {
        /// Name as written.
        name: ObjectName,
        /// Nothing happens where there is none.
        if_exists: bool,
    },
    /// `TRUNCATE [TABLE] name`, `DELETE FROM name`
    Empty(ObjectName),
}

/// What a table is made of.
#[derive(Debug)]
pub(crate) struct CreateScratch {
    /// Name as written.
    pub(crate) name: ObjectName,
    /// A table of the name is replaced.
    pub(crate) or_replace: bool,
    /// Nothing happens where it exists.
    pub(crate) if_not_exists: bool,
    /// Gives its columns, and its first rows.
    pub(crate) source: Box<DfStatement>,
    /// Columns that are never NULL.
    pub(crate) not_null: BTreeSet<String>,
    /// It is made of a query's rows.
    pub(crate) has_rows: bool,
}

/// The query of a view, parsed.
#[derive(Debug, Clone)]
pub(crate) struct ViewQuery {
    /// Schema of the names in it that have none.
    pub(crate) schema: String,
    /// Names of its columns; empty = as the query has them.
    pub(crate) columns: Vec<String>,
    /// The query.
    pub(crate) query: Box<Query>,
    /// Every word in it.
    pub(crate) words: BTreeSet<String>,
    /// Streams that it names by `kinesis_stream('…')`.
    pub(crate) streams: BTreeSet<StreamCall>,
}

impl ViewQuery {
    /// Parses a view's text.
    pub(crate) fn parse(text: &str, schema: &str, columns: &[String]) -> Result<Self, EngineError> {
        let refuse =
            || EngineError::Invalid("a view is made of a query: CREATE VIEW name AS SELECT …; options stand where it is used".into());
        let parsed = parse(text)?;
        if parsed.follow || !parsed.hint.is_empty() {
            return Err(refuse());
        }
        let words = parsed.words().clone();
        let StatementKind::Query(statement) = parsed.kind else {
            return Err(refuse());
        };
        let DfStatement::Statement(mut statement) = *statement else {
            return Err(refuse());
        };
        literals::pad_sequence_numbers(&mut statement);
        let Statement::Query(query) = *statement else {
            return Err(refuse());
        };
        Ok(Self {
            schema: schema.to_owned(),
            columns: columns.to_vec(),
            query,
            words,
            streams: parsed.streams,
        })
    }
}

/// `CREATE TABLE`, which makes a scratch table.
pub(super) fn create_table(create: CreateTable) -> Result<StatementKind, EngineError> {
    let plain = CreateTableBuilder::new(create.name.clone())
        .or_replace(create.or_replace)
        .temporary(create.temporary)
        .if_not_exists(create.if_not_exists)
        .columns(create.columns.clone())
        .query(create.query.clone())
        .on_commit(create.on_commit.filter(|then| *then == OnCommit::PreserveRows))
        .hive_formats(create.hive_formats.clone().filter(|formats| *formats == Default::default()))
        .build();
    if create != plain {
        return Err(EngineError::NotSupported(
            "CREATE TABLE name (column type, …) and CREATE TABLE name AS SELECT … make a scratch table, without keys, constraints or options; \
             a table over a stream is made by CREATE EXTERNAL TABLE name (…) STORED AS KINESIS LOCATION 'kinesis://stream'"
                .into(),
        ));
    }
    exclusive(create.or_replace, create.if_not_exists)?;
    let (query, has_rows, not_null) = match (create.query, create.columns.is_empty()) {
        (Some(query), true) => (query, true, BTreeSet::new()),
        (None, false) => {
            let not_null = not_null(&create.columns)?;
            (no_rows(create.columns)?, false, not_null)
        }
        _ => {
            return Err(EngineError::Invalid(
                "CREATE TABLE takes columns with their types, or AS SELECT …, and not both".into(),
            ));
        }
    };
    Ok(StatementKind::Scratch(ScratchStatement::CreateTable(CreateScratch {
        name: create.name,
        or_replace: create.or_replace,
        if_not_exists: create.if_not_exists,
        source: Box::new(DfStatement::Statement(Box::new(Statement::Query(query)))),
        not_null,
        has_rows,
    })))
}

fn exclusive(or_replace: bool, if_not_exists: bool) -> Result<(), EngineError> {
    match or_replace && if_not_exists {
        true => Err(EngineError::Invalid("OR REPLACE and IF NOT EXISTS exclude each other".into())),
        false => Ok(()),
    }
}

fn not_null(columns: &[ColumnDef]) -> Result<BTreeSet<String>, EngineError> {
    let mut found = BTreeSet::new();
    for column in columns {
        for option in &column.options {
            match &option.option {
                ColumnOption::Null | ColumnOption::Comment(_) => {}
                ColumnOption::NotNull => {
                    found.insert(normalized(&column.name));
                }
                other => {
                    return Err(EngineError::NotSupported(format!(
                        "column `{}`: `{other}` is not supported: columns of scratch tables have a type, and may be NOT NULL",
                        column.name
                    )));
                }
            }
        }
    }
    Ok(found)
}

/// A query with these columns and no rows.
fn no_rows(columns: Vec<ColumnDef>) -> Result<Box<Query>, EngineError> {
    let parsed = Parser::parse_sql(&GenericDialect {}, "SELECT 1 WHERE false").map_err(|error| EngineError::Internal(error.to_string()))?;
    let Some(Statement::Query(mut query)) = parsed.into_iter().next() else {
        return Err(EngineError::Internal("a query that is none".into()));
    };
    if let SetExpr::Select(select) = query.body.as_mut() {
        let select: &mut Select = select;
        let item = |column: ColumnDef| SelectItem::ExprWithAlias {
            alias: Ident::with_quote('"', normalized(&column.name)),
            expr: Expr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(Expr::Value(Value::Null.into())),
                data_type: column.data_type,
                array: false,
                format: None,
            },
        };
        select.projection = columns.into_iter().map(item).collect();
    }
    Ok(query)
}

/// `CREATE VIEW`. Its text is [`view_text`].
pub(super) fn create_view(create: CreateView) -> Result<StatementKind, EngineError> {
    let is_plain = !create.or_alter
        && !create.materialized
        && !create.secure
        && create.options == CreateTableOptions::None
        && create.cluster_by.is_empty()
        && !create.with_no_schema_binding
        && !create.copy_grants
        && create.to.is_none()
        && create.params.is_none()
        && create
            .columns
            .iter()
            .all(|column| column.data_type.is_none() && column.options.is_none());
    if !is_plain {
        return Err(EngineError::NotSupported(
            "CREATE VIEW of this form is not supported; write CREATE [OR REPLACE] VIEW name [(columns)] AS SELECT …".into(),
        ));
    }
    exclusive(create.or_replace, create.if_not_exists)?;
    Ok(StatementKind::Scratch(ScratchStatement::CreateView {
        name: create.name,
        or_replace: create.or_replace,
        if_not_exists: create.if_not_exists,
        columns: create.columns.iter().map(|column| normalized(&column.name)).collect(),
        text: create.query.to_string(),
    }))
}

/// What stands after AS, as it was written.
pub(super) fn view_text(sql: &str, tokens: &[TokenWithSpan]) -> Result<String, EngineError> {
    let mut depth = 0_usize;
    for token in tokens {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::Word(word) if depth == 0 && word.quote_style.is_none() && word.value.eq_ignore_ascii_case("as") => {
                let text = sql.get(byte(sql, token.span.end)..).ok_or_else(no_query)?;
                let text = text.trim().trim_end_matches(';').trim_end().to_owned();
                if text.len() > LONGEST_VIEW {
                    return Err(EngineError::Invalid(format!(
                        "the view's query is longer than {LONGEST_VIEW} bytes"
                    )));
                }
                return Ok(text);
            }
            _ => {}
        }
    }
    Err(no_query())
}

fn no_query() -> EngineError {
    EngineError::Internal("a view without a query".into())
}

/// `DROP VIEW`.
pub(super) fn drop_object(object_type: ObjectType, if_exists: bool, names: &[ObjectName]) -> Result<StatementKind, EngineError> {
    match (object_type, names) {
        (ObjectType::View, [name]) => Ok(StatementKind::Scratch(ScratchStatement::DropView {
            name: name.clone(),
            if_exists,
        })),
        (ObjectType::View, _) => Err(EngineError::NotSupported("DROP VIEW drops one view at a time".into())),
        _ => Err(EngineError::NotSupported("of DROP there are DROP TABLE and DROP VIEW".into())),
    }
}

const NO_CHANGES: &str = "records of a stream cannot be changed or deleted; of scratch tables all rows can be: DELETE FROM t without WHERE, TRUNCATE t, \
                          or CREATE OR REPLACE TABLE t AS SELECT … FROM t for some";

/// `TRUNCATE`.
pub(super) fn truncate(truncate: &Truncate) -> Result<StatementKind, EngineError> {
    match truncate.table_names.as_slice() {
        [table] if truncate.partitions.is_none() && !truncate.if_exists && truncate.on_cluster.is_none() => {
            Ok(StatementKind::Scratch(ScratchStatement::Empty(table.name.clone())))
        }
        _ => Err(EngineError::NotSupported(NO_CHANGES.into())),
    }
}

/// `DELETE FROM t`.
pub(super) fn delete(delete: &Delete) -> Result<StatementKind, EngineError> {
    let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
    let all = delete.tables.is_empty()
        && delete.using.is_none()
        && delete.selection.is_none()
        && delete.returning.is_none()
        && delete.output.is_none()
        && delete.order_by.is_empty()
        && delete.limit.is_none();
    match from.as_slice() {
        [table] if all && table.joins.is_empty() => match &table.relation {
            TableFactor::Table { name, args: None, .. } => Ok(StatementKind::Scratch(ScratchStatement::Empty(name.clone()))),
            _ => Err(EngineError::NotSupported(NO_CHANGES.into())),
        },
        _ => Err(EngineError::NotSupported(NO_CHANGES.into())),
    }
}
