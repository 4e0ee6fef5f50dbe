//! `CALL kinesis.system.procedure(…)`.

use datafusion::sql::sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident};

use super::super::error::EngineError;
use super::parse::literal;

/// A call: arguments are texts, with their names where they were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// Name of the procedure, without its schema.
    pub(crate) procedure: String,
    /// Its arguments, as written.
    pub(crate) arguments: Vec<(Option<String>, String)>,
}

pub(super) fn parse(function: &Function) -> Result<Call, EngineError> {
    let name = function.name.to_string().to_ascii_lowercase().replace('"', "");
    let bare = name.strip_prefix("kinesis.").unwrap_or(&name);
    let procedure = bare.strip_prefix("system.").unwrap_or(bare).to_owned();
    let list = match &function.args {
        FunctionArguments::List(list) => list.args.as_slice(),
        FunctionArguments::None => &[],
        FunctionArguments::Subquery(_) => return Err(EngineError::Invalid(format!("CALL {name}: the arguments are literals"))),
    };
    let argument = |argument: &FunctionArg| -> Result<(Option<String>, String), EngineError> {
        let value = |value: &FunctionArgExpr| match value {
            FunctionArgExpr::Expr(value) => literal(value),
            other => Err(EngineError::Invalid(format!(
                "CALL {name}: `{other}` is no argument; write a text in quotes"
            ))),
        };
        match argument {
            FunctionArg::Unnamed(unnamed) => Ok((None, value(unnamed)?)),
            FunctionArg::Named {
                name: Ident { value: named, .. },
                arg,
                ..
            } => Ok((Some(named.to_ascii_lowercase()), value(arg)?)),
            FunctionArg::ExprNamed {
                name: Expr::Identifier(named),
                arg,
                ..
            } => Ok((Some(named.value.to_ascii_lowercase()), value(arg)?)),
            FunctionArg::ExprNamed { .. } => Err(EngineError::Invalid(format!("CALL {name}: `{argument}` is no argument"))),
        }
    };
    Ok(Call {
        procedure,
        arguments: list.iter().map(argument).collect::<Result<_, _>>()?,
    })
}
