//! `FROM kinesis_stream('name-or-arn', format => 'csv')`: a stream without a definition.
//!
//! Where the function stands, a table of a schema of its own takes its place, named as the stream. Its definition is found beside the catalog.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, ObjectNamePart, Statement, TableAlias, TableFactor, Value, VisitMut, VisitorMut,
};

use super::super::error::EngineError;
use super::relations::parts;

/// Name of the function, and of its rows where the statement gives no alias.
const FUNCTION: &str = "kinesis_stream";

/// Schema of the tables that stand for streams. No definition has it: schemas of definitions have no upper case.
pub(crate) const STREAM_SCHEMA: &str = "STREAMS";

/// Puts tables in the place of the function, and gives the streams that it names.
pub(super) fn replace(statement: &mut Statement) -> Result<BTreeSet<StreamCall>, EngineError> {
    let mut replacer = Replacer::default();
    match statement.visit(&mut replacer) {
        ControlFlow::Continue(()) => Ok(replacer.streams),
        ControlFlow::Break(error) => Err(error),
    }
}

#[derive(Default)]
struct Replacer {
    streams: BTreeSet<StreamCall>,
}

impl VisitorMut for Replacer {
    type Break = EngineError;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<EngineError> {
        let TableFactor::Table { name, args, alias, .. } = factor else {
            return ControlFlow::Continue(());
        };
        let Some(arguments) = args.as_ref().filter(|_| is_function(name)) else {
            return ControlFlow::Continue(());
        };
        let Some(stream) = StreamCall::of(&arguments.args) else {
            return ControlFlow::Break(malformed());
        };
        let quoted = |text: &str| ObjectNamePart::Identifier(Ident::with_quote('"', text));
        *name = ObjectName(vec![quoted(STREAM_SCHEMA), quoted(&stream.table())]);
        *args = None;
        alias.get_or_insert_with(|| TableAlias {
            explicit: true,
            name: Ident::new(FUNCTION),
            columns: Vec::new(),
            at: None,
        });
        self.streams.insert(stream);
        ControlFlow::Continue(())
    }
}

/// What a call of the function names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StreamCall {
    /// The stream's name or ARN.
    pub(crate) stream: String,
    /// What a definition would say as its `format`, as YAML; without it records are JSON.
    pub(crate) format: Option<String>,
}

impl StreamCall {
    fn of(arguments: &[FunctionArg]) -> Option<Self> {
        let (stream, format) = match arguments {
            [FunctionArg::Unnamed(stream)] => (stream, None),
            [FunctionArg::Unnamed(stream), FunctionArg::Named { name, arg, .. }] if name.value.eq_ignore_ascii_case("format") => {
                (stream, Some(text(arg)?))
            }
            _ => return None,
        };
        Some(Self {
            stream: text(stream)?,
            format,
        })
    }

    /// The name of the table that stands for it.
    pub(crate) fn table(&self) -> String {
        match &self.format {
            None => self.stream.clone(),
            // No name of a stream holds a blank.
            Some(format) => format!("{} {format}", self.stream),
        }
    }
}

fn text(argument: &FunctionArgExpr) -> Option<String> {
    match argument {
        FunctionArgExpr::Expr(Expr::Value(value)) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn is_function(name: &ObjectName) -> bool {
    matches!(parts(name).as_deref(), Some([name]) if name == FUNCTION)
}

fn malformed() -> EngineError {
    EngineError::Invalid(format!(
        "{FUNCTION} takes a text, the stream's name or ARN, and at most another, its records' format: FROM {FUNCTION}('name', format => 'csv')"
    ))
}
