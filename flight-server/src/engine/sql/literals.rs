//! Sequence numbers in a statement are padded as `_shard_sequence_id` is, so that comparing them as text compares them as numbers.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName, Statement, Value, visit_expressions_mut,
};

use super::super::hidden::HiddenColumn;

/// Digits of `_shard_sequence_id`.
const DIGITS: usize = 57;

/// Pads every number or text of digits that is compared with `_shard_sequence_id`.
pub(super) fn pad_sequence_numbers(statement: &mut Statement) {
    let _: ControlFlow<()> = visit_expressions_mut(statement, |expr| {
        match expr {
            Expr::BinaryOp { left, op, right } if is_comparison(op) => {
                if is_sequence(left) {
                    pad(right);
                } else if is_sequence(right) {
                    pad(left);
                }
            }
            Expr::Between { expr, low, high, .. } if is_sequence(expr) => {
                pad(low);
                pad(high);
            }
            Expr::InList { expr, list, .. } if is_sequence(expr) => list.iter_mut().for_each(pad),
            _ => {}
        }
        ControlFlow::Continue(())
    });
}

fn padded_when_bound(placeholder: Expr) -> Expr {
    let text = Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(placeholder),
        data_type: DataType::Varchar(None),
        array: false,
        format: None,
    };
    let literal = |value: Value| Expr::Value(value.into());
    let arguments = [
        text,
        literal(Value::Number(DIGITS.to_string(), false)),
        literal(Value::SingleQuotedString("0".to_owned())),
    ];
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new("lpad")]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments
                .map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)))
                .to_vec(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

fn is_comparison(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Eq | BinaryOperator::NotEq | BinaryOperator::Lt | BinaryOperator::LtEq | BinaryOperator::Gt | BinaryOperator::GtEq
    )
}

fn is_sequence(expr: &Expr) -> bool {
    let ident = match expr {
        Expr::Identifier(ident) => Some(ident),
        Expr::CompoundIdentifier(parts) => parts.last(),
        Expr::Nested(inner) => return is_sequence(inner),
        _ => None,
    };
    ident.is_some_and(|ident| ident.value.eq_ignore_ascii_case(HiddenColumn::ShardSequenceId.name()))
}

fn pad(expr: &mut Expr) {
    let value = match expr {
        Expr::Value(value) => value,
        Expr::Nested(inner) => return pad(inner),
        _ => return,
    };
    let digits = match &value.value {
        Value::Number(text, _) | Value::SingleQuotedString(text) => text,
        // a parameter is padded once it has its value
        Value::Placeholder(_) => {
            *expr = padded_when_bound(expr.clone());
            return;
        }
        _ => return,
    };
    if !digits.is_empty() && digits.len() <= DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        value.value = Value::SingleQuotedString(format!("{digits:0>DIGITS$}"));
    }
}
