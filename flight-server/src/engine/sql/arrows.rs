//! `->` and `->>` bind more tightly than comparisons, as in PostgreSQL. The parser's dialect lets them bind less tightly: `a ->> 'k' = 'v'` comes as
//! `a ->> ('k' = 'v')`, which means nothing.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Statement, Value, visit_expressions_mut};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::super::error::EngineError;

/// Turns each comparison that an arrow took for its key, or for its JSON, into one of what the arrow gives. What stands in parentheses stays.
pub(super) fn bind_tightly(statement: &mut Statement) {
    let _: ControlFlow<()> = visit_expressions_mut(statement, |expr| {
        turn(expr);
        ControlFlow::Continue(())
    });
}

/// Refuses PostgreSQL's `?`, `?|` and `?&`: where an operator may stand the parser's dialect has a parameter, and would say no more than that.
pub(super) fn refuse_question(tokens: &[TokenWithSpan]) -> Result<(), EngineError> {
    let mut before: Option<&Token> = None;
    for token in tokens.iter().map(|token| &token.token) {
        let ends_an_operand = match before {
            Some(Token::Word(word)) => word.keyword == Keyword::NoKeyword,
            Some(Token::RParen | Token::RBracket | Token::Number(..) | Token::SingleQuotedString(_) | Token::DoubleQuotedString(_)) => true,
            _ => false,
        };
        match token {
            Token::Whitespace(_) => continue,
            Token::Placeholder(text) if text.starts_with('?') && ends_an_operand => {
                return Err(EngineError::Invalid(
                    "`?` is no operator here: json_contains(x, 'key') tells whether JSON has a key".to_owned(),
                ));
            }
            _ => before = Some(token),
        }
    }
    Ok(())
}

fn turn(expr: &mut Expr) {
    let Expr::BinaryOp { left, op, right } = expr else { return };
    if !matches!(op, BinaryOperator::Arrow | BinaryOperator::LongArrow) {
        return;
    }
    let placeholder = || Expr::Value(Value::Null.into());
    // a = (m -> k), which came as (a = m) -> k
    if let Expr::BinaryOp {
        op: compared, right: json, ..
    } = left.as_mut()
        && is_comparison(compared)
    {
        let arrow = Expr::BinaryOp {
            left: Box::new(std::mem::replace(json.as_mut(), placeholder())),
            op: op.clone(),
            right: Box::new(std::mem::replace(right.as_mut(), placeholder())),
        };
        **json = arrow;
        turn(json);
        *expr = std::mem::replace(left.as_mut(), placeholder());
        return;
    }
    // (m -> k) = v, which came as m -> (k = v)
    if let Some(key) = compared(right) {
        let arrow = Expr::BinaryOp {
            left: Box::new(std::mem::replace(left.as_mut(), placeholder())),
            op: op.clone(),
            right: Box::new(std::mem::replace(key, placeholder())),
        };
        *key = arrow;
        turn(key);
        *expr = std::mem::replace(right.as_mut(), placeholder());
    }
}

/// The left side of a comparison.
fn compared(expr: &mut Expr) -> Option<&mut Expr> {
    match expr {
        Expr::BinaryOp { left, op, .. } if is_comparison(op) => Some(left),
        Expr::IsNull(inner)
        | Expr::IsNotNull(inner)
        | Expr::IsTrue(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsNotFalse(inner)
        | Expr::IsUnknown(inner)
        | Expr::IsNotUnknown(inner)
        | Expr::IsDistinctFrom(inner, _)
        | Expr::IsNotDistinctFrom(inner, _) => Some(inner),
        Expr::Like { expr, .. }
        | Expr::ILike { expr, .. }
        | Expr::SimilarTo { expr, .. }
        | Expr::RLike { expr, .. }
        | Expr::Between { expr, .. }
        | Expr::InList { expr, .. }
        | Expr::InSubquery { expr, .. }
        | Expr::InUnnest { expr, .. } => Some(expr),
        _ => None,
    }
}

fn is_comparison(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
            | BinaryOperator::Spaceship
            | BinaryOperator::PGRegexMatch
            | BinaryOperator::PGRegexIMatch
            | BinaryOperator::PGRegexNotMatch
            | BinaryOperator::PGRegexNotIMatch
    )
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::{GenericDialect, PostgreSqlDialect};
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    /// The text with parentheses around each arrow's parts as PostgreSQL's precedence has it, and as we have it.
    fn shapes(condition: &str) -> (String, String) {
        let sql = format!("select 1 from t where {condition}");
        let theirs = Parser::parse_sql(&PostgreSqlDialect {}, &sql).expect("PostgreSQL").remove(0);
        let mut ours = Parser::parse_sql(&GenericDialect {}, &sql).expect("generic").remove(0);
        bind_tightly(&mut ours);
        let shape = |mut statement: Statement| {
            let _: ControlFlow<()> = visit_expressions_mut(&mut statement, |expr| {
                if matches!(
                    expr,
                    Expr::BinaryOp { .. } | Expr::IsNull(_) | Expr::Like { .. } | Expr::InList { .. } | Expr::Between { .. }
                ) {
                    *expr = Expr::Nested(Box::new(expr.clone()));
                }
                ControlFlow::Continue(())
            });
            statement.to_string()
        };
        (shape(ours), shape(theirs))
    }

    #[test]
    fn as_postgresql_binds_them() {
        for condition in [
            "m->>'a' = 'x'",
            "'x' = m->>'a'",
            "m->'a'->>'b' = 'x'",
            "m->>'a' = n->>'b'",
            "m->'a'->>'b' <> n->'c'->>'d' and k > 1 or not m->>'a' = 'b'",
            "m->>'a' is null",
            "m->>'a' in ('x', n->>'b')",
            "m->>'a' like '%x%'",
            "m->>'a' between 'a' and 'b'",
            "m->>('a' = 'b') and (m->>'a') = 'x'",
            "f(m->>'a' = 'x') = (m->'k' < 5)",
        ] {
            let (ours, theirs) = shapes(condition);
            assert_eq!(ours, theirs, "{condition}");
        }
    }

    #[test]
    fn a_question_is_refused_with_a_sentence() {
        for (condition, is_refused) in [
            ("m ? 'a'", true),
            ("(m -> 'b')?'a'", true),
            ("m ?| array['a']", true),
            ("m[1] ?& array['a']", true),
            ("m = ?", false),
            ("m in (?, ?2)", false),
            ("m like ?", false),
            ("m = '?' and not ?", false),
        ] {
            let sql = format!("select 1 from t where {condition}");
            let tokens = datafusion::sql::sqlparser::tokenizer::Tokenizer::new(&GenericDialect {}, &sql)
                .tokenize_with_location()
                .expect("tokens");
            assert_eq!(refuse_question(&tokens).is_err(), is_refused, "{condition}");
        }
    }
}
