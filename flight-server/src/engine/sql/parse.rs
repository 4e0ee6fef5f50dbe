//! Decides, in one place, what kind of statement a text is.

use std::collections::BTreeSet;

use datafusion::arrow::array::RecordBatch;
use datafusion::config::Dialect;
use datafusion::sql::parser::{DFParserBuilder, ResetStatement, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::{Expr, Set, Statement, UnaryOperator, Value};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::super::error::EngineError;
use super::super::options::OptionValues;
use super::super::parameters::Parameters;
use super::call::{self, Call};
use super::copy::{self, CopyTarget};
use super::ddl::{self, DdlStatement, OffloadStatement};
use super::insert::{self, InsertTarget};
use super::placeholders::Placeholders;
use super::scratch::{self, CreateScratch, ScratchStatement, ViewQuery};
use super::stream_function::StreamCall;
use super::wildcard::{Lookup, Rewriter};
use super::{arrows, follow, hint, literals, refuse, shown, stream_function};

/// The dialect is pinned: others accept `FOR SYSTEM_TIME AS OF` and silently ignore it.
pub(crate) const DIALECT: Dialect = Dialect::Generic;

/// Depth of nesting at which parsing stops with an error.
const RECURSION_LIMIT: usize = 50;

/// A statement, parsed.
#[derive(Debug)]
pub(crate) struct ParsedStatement {
    /// Options of its hint.
    pub(crate) hint: OptionValues,
    /// What it is.
    pub(crate) kind: StatementKind,
    /// `FOLLOW` stood before it: it reads on forever.
    pub(crate) follow: bool,
    /// Streams that it names by `kinesis_stream('…')`.
    pub(crate) streams: BTreeSet<StreamCall>,
    /// How many values its placeholders want, and the values once they are bound.
    pub(crate) parameters: Parameters,
    /// Every word in it, in lower case unless quoted: what it may mention.
    words: BTreeSet<String>,
}

/// What a statement is.
#[derive(Debug)]
pub(crate) enum StatementKind {
    /// Gives rows from tables.
    Query(Box<DfStatement>),
    /// Sets an option of the session.
    Set {
        /// Name as written.
        name: String,
        /// Value as text.
        value: String,
    },
    /// Forgets an option of the session, or all.
    Reset {
        /// Name as written; `None` = all.
        name: Option<String>,
    },
    /// Shows an option of the session, or all.
    Show {
        /// Name as written; `None` = all.
        name: Option<String>,
    },
    /// Is about table definitions.
    Definition(DdlStatement),
    /// Is about offload jobs.
    Offload(OffloadStatement),
    /// Begins or ends a transaction.
    Transaction(TransactionStatement),
    /// Calls a procedure of the server.
    Call(Call),
    /// Is about scratch tables and views.
    Scratch(ScratchStatement),
    /// Puts rows into files.
    Copy {
        /// Where.
        target: CopyTarget,
        /// The query that gives them.
        source: Box<DfStatement>,
    },
    /// Puts rows into a table.
    Insert {
        /// Where.
        target: InsertTarget,
        /// The query that gives them.
        source: Box<DfStatement>,
    },
}

/// A statement about the session's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransactionStatement {
    /// `BEGIN`.
    Begin,
    /// `COMMIT`.
    Commit,
    /// `ROLLBACK`.
    Rollback,
}

/// Longest text of a statement: its parts are kept in handles, tickets and system tables.
const LONGEST: usize = 1 << 20;

/// Parses one statement.
pub(crate) fn parse(sql: &str) -> Result<ParsedStatement, EngineError> {
    if sql.len() > LONGEST {
        return Err(EngineError::Invalid(format!("the statement is longer than {LONGEST} bytes")));
    }
    let (hint, mut sql) = hint::split(sql)?;
    let dialect = GenericDialect {};
    let tokens = Tokenizer::new(&dialect, &sql).tokenize_with_location().map_err(|error| {
        EngineError::Invalid(format!(
            "SQL error: {} at line {}, column {}",
            error.message, error.location.line, error.location.column
        ))
    })?;
    if let Some(query) = ddl::shown_offloads(&tokens) {
        return parse(query);
    }
    arrows::refuse_question(&tokens)?;
    let placeholders = Placeholders::of(&tokens)?;
    let parameters = Parameters::wanted(placeholders.count());
    let follow = follow::split(&mut sql, &tokens)?;
    let words = tokens
        .iter()
        .filter_map(|token| match &token.token {
            Token::Word(word) if word.quote_style.is_some() => Some(word.value.clone()),
            Token::Word(word) => Some(word.value.to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    let offload = ddl::parse_offload(&sql, &tokens).map(|statement| statement.map(StatementKind::Offload));
    let definition = match offload {
        Ok(None) => ddl::parse(&tokens).map(|statement| statement.map(StatementKind::Definition)),
        offload => offload,
    };
    if !matches!(definition, Ok(None)) {
        refuse_placeholders(&placeholders)?;
    }
    if let Some(kind) = definition? {
        return Ok(ParsedStatement {
            hint,
            kind,
            follow: false,
            streams: BTreeSet::new(),
            parameters,
            words,
        });
    }
    let mut statements = DFParserBuilder::new(sql.as_str())
        .with_dialect(&dialect)
        .with_recursion_limit(RECURSION_LIMIT)
        .build()?
        .parse_statements()?;
    let mut statement = match (statements.pop_front(), statements.len()) {
        (Some(statement), 0) => statement,
        (None, _) => return Err(EngineError::Invalid("the statement is empty".into())),
        (Some(_), _) => return Err(EngineError::Invalid("one statement at a time, please".into())),
    };
    if let Some(statement) = innermost(&mut statement) {
        placeholders.number(statement)?;
    }
    let kind = kind_of(statement);
    if !matches!(
        kind,
        Ok(StatementKind::Query(_) | StatementKind::Insert { .. } | StatementKind::Scratch(ScratchStatement::CreateTable(_)))
            | Err(EngineError::NotSupported(_))
    ) {
        refuse_placeholders(&placeholders)?;
    }
    let mut kind = kind?;
    let mut streams = BTreeSet::new();
    match &mut kind {
        StatementKind::Query(query)
        | StatementKind::Insert { source: query, .. }
        | StatementKind::Copy { source: query, .. }
        | StatementKind::Scratch(ScratchStatement::CreateTable(CreateScratch { source: query, .. })) => {
            if let Some(query) = innermost(query) {
                arrows::bind_tightly(query);
                streams = stream_function::replace(query)?;
            }
        }
        StatementKind::Scratch(ScratchStatement::CreateView { text, .. }) => *text = scratch::view_text(&sql, &tokens)?,
        _ => {}
    }
    Ok(ParsedStatement {
        hint,
        kind,
        follow,
        streams,
        parameters,
        words,
    })
}

/// What sets an option, calls a procedure or is about a definition is written with its values.
fn refuse_placeholders(placeholders: &Placeholders) -> Result<(), EngineError> {
    if placeholders.count() == 0 {
        return Ok(());
    }
    Err(EngineError::Invalid(
        "only queries, INSERT and CREATE TABLE … AS take parameters; write the values into the statement".to_owned(),
    ))
}

impl ParsedStatement {
    /// Whether the statement may mention a column of that name.
    pub(crate) fn mentions(&self, column: &str) -> bool {
        self.words.contains(column)
    }

    /// With values in the place of its placeholders; `None` if there are none.
    pub(crate) fn bound(mut self, rows: Option<RecordBatch>) -> Result<Self, EngineError> {
        self.parameters.bind(rows)?;
        let is_plain = match &self.kind {
            StatementKind::Query(query) => !matches!(**query, DfStatement::Explain(_)) && !self.follow,
            StatementKind::Insert { .. } => true,
            _ => false,
        };
        if self.parameters.rows() > 1 && !is_plain {
            return Err(EngineError::Invalid(
                "EXPLAIN, FOLLOW and CREATE TABLE take one row of parameters".to_owned(),
            ));
        }
        Ok(self)
    }

    /// With these values, or with its placeholders where there are none yet.
    pub(crate) fn described(self, rows: Option<RecordBatch>) -> Result<Self, EngineError> {
        match rows {
            Some(rows) => self.bound(Some(rows)),
            None => Ok(self),
        }
    }

    /// Whether it asks which tables there are, without naming one.
    pub(crate) fn lists_tables(&self) -> bool {
        match &self.kind {
            StatementKind::Query(statement) => {
                matches!(statement.as_ref(), DfStatement::Statement(inner) if !matches!(inner.as_ref(), Statement::Query(_)))
            }
            _ => false,
        }
    }

    /// See [`Self::mentions`].
    pub(crate) fn words(&self) -> &BTreeSet<String> {
        &self.words
    }

    /// Of `INSERT … VALUES` with one row of placeholders and nothing else: which parameter each column is, from 0.
    pub(crate) fn parameter_columns(&self) -> Option<Vec<usize>> {
        match &self.kind {
            StatementKind::Insert { source, .. } => insert::parameter_columns(source),
            _ => None,
        }
    }

    /// Of INSERT and COPY, and of CREATE TABLE for a scratch table, the query that gives its rows; any other statement itself.
    pub(crate) fn into_rows(mut self) -> Self {
        if let StatementKind::Insert { source, .. }
        | StatementKind::Copy { source, .. }
        | StatementKind::Scratch(ScratchStatement::CreateTable(CreateScratch { source, .. })) = self.kind
        {
            self.kind = StatementKind::Query(source);
        }
        self
    }

    /// What a view that the statement names mentions, the statement mentions.
    pub(crate) fn mention(&mut self, view: &ViewQuery) {
        self.words.extend(view.words.iter().cloned());
        self.streams.extend(view.streams.iter().cloned());
    }

    /// Finds the tables, puts the queries of views in their places, and makes wildcards skip the hidden columns that `lookup` names.
    pub(crate) fn rewrite<'a>(&mut self, current_schema: &str, lookup: &'a mut Lookup<'a>) -> Result<(), EngineError> {
        let StatementKind::Query(statement) = &mut self.kind else {
            return Ok(());
        };
        if let Some(name) = shown::columns_of(statement) {
            return shown::qualify(name, current_schema, lookup);
        }
        let mut rewriter = Rewriter::new(current_schema, lookup);
        rewrite(statement, &mut rewriter)
    }
}

/// The statement, or what it explains.
fn innermost(statement: &mut DfStatement) -> Option<&mut Statement> {
    match statement {
        DfStatement::Explain(explain) => innermost(&mut explain.statement),
        DfStatement::Statement(inner) => Some(inner),
        _ => None,
    }
}

fn rewrite(statement: &mut DfStatement, rewriter: &mut Rewriter<'_>) -> Result<(), EngineError> {
    match statement {
        DfStatement::Explain(explain) => rewrite(&mut explain.statement, rewriter),
        DfStatement::Statement(inner) => {
            literals::pad_sequence_numbers(inner);
            rewrite_sql(inner, rewriter)
        }
        _ => Ok(()),
    }
}

fn rewrite_sql(statement: &mut Statement, rewriter: &mut Rewriter<'_>) -> Result<(), EngineError> {
    match statement {
        Statement::Query(query) => rewriter.query(query, &[]),
        Statement::Explain { statement, .. } => rewrite_sql(statement, rewriter),
        _ => Ok(()),
    }
}

fn kind_of(statement: DfStatement) -> Result<StatementKind, EngineError> {
    match statement {
        DfStatement::CopyTo(copy) => copy::parse(copy),
        DfStatement::CreateExternalTable(_) => Err(EngineError::NotSupported(
            "CREATE UNBOUNDED, TEMPORARY and the like are not supported: write CREATE EXTERNAL TABLE name (…) STORED AS KINESIS LOCATION 'kinesis://stream'".into(),
        )),
        DfStatement::Reset(ResetStatement::Variable(name)) => {
            let name = name.to_string();
            let all = name.eq_ignore_ascii_case("all") || name.eq_ignore_ascii_case("kinesis.all");
            if all {
                Ok(StatementKind::Reset { name: None })
            } else {
                Ok(StatementKind::Reset {
                    name: Some(own_option(&name)?),
                })
            }
        }
        DfStatement::Explain(mut explain) => match kind_of(*explain.statement.clone())? {
            StatementKind::Insert { .. } if explain.options.analyze => Err(EngineError::NotSupported(
                "EXPLAIN ANALYZE would write the rows; EXPLAIN shows the plan and writes nothing".into(),
            )),
            // It shows how the rows are read.
            StatementKind::Insert { source, .. } => {
                explain.statement = source;
                Ok(StatementKind::Query(Box::new(DfStatement::Explain(explain))))
            }
            StatementKind::Query(_) => Ok(StatementKind::Query(Box::new(DfStatement::Explain(explain)))),
            _ => Err(EngineError::NotSupported("EXPLAIN explains queries and INSERT".into())),
        },
        DfStatement::Statement(inner) => sql_kind(*inner),
    }
}

fn sql_kind(statement: Statement) -> Result<StatementKind, EngineError> {
    match statement {
        Statement::Set(set) => set_kind(set),
        Statement::ShowVariable { variable } => {
            let name = variable.iter().map(|ident| ident.value.as_str()).collect::<Vec<_>>().join(".");
            match name.to_ascii_lowercase().as_str() {
                "all" | "kinesis" | "kinesis.all" => Ok(StatementKind::Show { name: None }),
                _ => Ok(StatementKind::Show {
                    name: Some(own_option(&name)?),
                }),
            }
        }
        query @ (Statement::Query(_)
        | Statement::ShowTables { .. }
        | Statement::ShowColumns { .. }
        | Statement::ShowFunctions { .. }
        | Statement::ExplainTable { .. }) => Ok(StatementKind::Query(Box::new(DfStatement::Statement(Box::new(query))))),
        Statement::Insert(statement) => insert::parse(statement),
        Statement::CreateTable(create) => scratch::create_table(create),
        Statement::CreateView(create) => scratch::create_view(create),
        Statement::Drop {
            object_type,
            if_exists,
            names,
            ..
        } => scratch::drop_object(object_type, if_exists, &names),
        Statement::Truncate(statement) => scratch::truncate(&statement),
        Statement::Delete(statement) => scratch::delete(&statement),
        Statement::Call(function) => Ok(StatementKind::Call(call::parse(&function)?)),
        Statement::StartTransaction { .. } => Ok(StatementKind::Transaction(TransactionStatement::Begin)),
        Statement::Commit { chain: false, .. } => Ok(StatementKind::Transaction(TransactionStatement::Commit)),
        Statement::Rollback {
            chain: false,
            savepoint: None,
        } => Ok(StatementKind::Transaction(TransactionStatement::Rollback)),
        other => Err(EngineError::NotSupported(refuse::reason(&other))),
    }
}

fn set_kind(set: Set) -> Result<StatementKind, EngineError> {
    match set {
        Set::SingleAssignment { variable, values, .. } => {
            let name = own_option(&variable.to_string())?;
            match values.as_slice() {
                [value] => Ok(StatementKind::Set {
                    name,
                    value: literal(value)?,
                }),
                _ => Err(EngineError::Invalid(format!("`SET {variable}` takes one value"))),
            }
        }
        Set::SetTimeZone { value, .. } => Ok(StatementKind::Set {
            name: "time_zone".into(),
            value: literal(&value)?,
        }),
        _ => Err(EngineError::NotSupported(
            "this form of SET is not supported; write SET kinesis.name = 'value'".into(),
        )),
    }
}

/// Options of the query engine and the dialect are nobody's to change from SQL: they would reach past the session's own statements.
fn own_option(name: &str) -> Result<String, EngineError> {
    let lower = name.to_ascii_lowercase().replace('"', "");
    if lower.starts_with("datafusion.") {
        return Err(EngineError::NotSupported(format!(
            "`{name}` is a setting of the engine, not of a session; the options are those of SHOW ALL"
        )));
    }
    match lower.as_str() {
        "timezone" | "time.zone" | "time zone" => Ok("time_zone".into()),
        _ => Ok(lower),
    }
}

pub(super) fn literal(value: &Expr) -> Result<String, EngineError> {
    match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) | Value::Number(text, _) => Ok(text.clone()),
            Value::Boolean(flag) => Ok(flag.to_string()),
            other => Err(EngineError::Invalid(format!("`{other}` is not a value of an option"))),
        },
        Expr::Identifier(ident) => Ok(ident.value.clone()),
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => Ok(format!("-{}", literal(expr)?)),
        other => Err(EngineError::Invalid(format!(
            "`{other}` is not a value of an option; write a text in quotes"
        ))),
    }
}
