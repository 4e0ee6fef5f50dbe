//! Placeholders of a statement: `?`, numbered from left to right, or `$1`, `$2`, …

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Statement, Value, visit_expressions_mut};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::super::error::EngineError;

/// Highest number of a placeholder: numbers are texts of anybody's, and each has a place.
const MOST: usize = 1000;

/// The placeholders of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Placeholders {
    /// There are none.
    None,
    /// `?`, where they stand.
    Questions(Vec<Location>),
    /// `$n`, the highest of them.
    Numbers(usize),
}

impl Placeholders {
    /// Those among the statement's tokens.
    pub(super) fn of(tokens: &[TokenWithSpan]) -> Result<Self, EngineError> {
        let mut found = Self::None;
        for token in tokens {
            let Token::Placeholder(text) = &token.token else { continue };
            let at = token.span.start;
            let wrong = |why: &str| EngineError::Invalid(format!("SQL error: `{text}` {why}, at line {}, column {}", at.line, at.column));
            if text == "?" {
                match &mut found {
                    Self::Questions(places) if places.len() < MOST => places.push(at),
                    Self::Questions(_) => return Err(wrong(&format!("is one placeholder more than the {MOST} there may be"))),
                    Self::None => found = Self::Questions(vec![at]),
                    Self::Numbers(_) => return Err(wrong("stands beside `$1`: a statement has placeholders of one kind")),
                }
                continue;
            }
            let number = text
                .strip_prefix('$')
                .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
            let Some(number) = number else {
                return Err(wrong("is no placeholder: write `?`, or `$1`, `$2`, …"));
            };
            let number = number.parse().ok().filter(|number| (1..=MOST).contains(number));
            let number: usize = number.ok_or_else(|| wrong(&format!("is no placeholder: they are numbered from 1 to {MOST}")))?;
            found = match found {
                Self::None => Self::Numbers(number),
                Self::Numbers(highest) => Self::Numbers(highest.max(number)),
                Self::Questions(_) => return Err(wrong("stands beside `?`: a statement has placeholders of one kind")),
            };
        }
        Ok(found)
    }

    /// How many values they want.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Questions(places) => places.len(),
            Self::Numbers(highest) => *highest,
        }
    }

    /// Gives each `?` its number. They are told apart by where they stand in the text, whatever order the parser has them in.
    pub(super) fn number(&self, statement: &mut Statement) -> Result<(), EngineError> {
        let Self::Questions(places) = self else { return Ok(()) };
        let mut numbered = 0;
        let _: ControlFlow<()> = visit_expressions_mut(statement, |expr| {
            if let Expr::Value(value) = expr
                && matches!(&value.value, Value::Placeholder(text) if text == "?")
                && let Some(index) = places.iter().position(|place| *place == value.span.start)
            {
                value.value = Value::Placeholder(format!("${}", index + 1));
                numbered += 1;
            }
            ControlFlow::Continue(())
        });
        if numbered == places.len() {
            return Ok(());
        }
        Err(EngineError::Invalid("SQL error: a `?` stands where no value may be".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::*;

    fn of(sql: &str) -> Result<Placeholders, EngineError> {
        Placeholders::of(&Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().expect("tokens"))
    }

    fn numbered(sql: &str) -> String {
        let mut statement = Parser::parse_sql(&GenericDialect {}, sql).expect("parses").remove(0);
        of(sql).expect("placeholders").number(&mut statement).expect("numbered");
        statement.to_string()
    }

    #[test]
    fn questions_are_numbered_as_they_are_written() {
        for (sql, expected) in [
            (
                "SELECT ? FROM t WHERE a = ? AND b IN (?, ?)",
                "SELECT $1 FROM t WHERE a = $2 AND b IN ($3, $4)",
            ),
            (
                "SELECT a FROM t ORDER BY a LIMIT ? OFFSET ?",
                "SELECT a FROM t ORDER BY a LIMIT $1 OFFSET $2",
            ),
            (
                "SELECT (SELECT max(x) FROM u WHERE y = ?), ? FROM (SELECT a FROM t WHERE a > ?) AS t JOIN u ON u.k = ? GROUP BY f(?) HAVING count(*) > ?",
                "SELECT (SELECT max(x) FROM u WHERE y = $1), $2 FROM (SELECT a FROM t WHERE a > $3) AS t JOIN u ON u.k = $4 GROUP BY f($5) HAVING count(*) > $6",
            ),
            (
                "WITH w AS (SELECT ? AS a) SELECT '?', \"?\", CASE WHEN a = ? THEN ? ELSE ? END FROM w -- ?",
                "WITH w AS (SELECT $1 AS a) SELECT '?', \"?\", CASE WHEN a = $2 THEN $3 ELSE $4 END FROM w",
            ),
            (
                "INSERT INTO t (a, b) VALUES (?, ?), (?, ?)",
                "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4)",
            ),
        ] {
            assert_eq!(numbered(sql), expected);
        }
    }

    #[test]
    fn numbers_count_to_the_highest() {
        for (sql, count) in [("select 1", 0), ("select $2, $1, $2", 2), ("select $7", 7), ("select ?, ?", 2)] {
            assert_eq!(of(sql).expect(sql).count(), count, "{sql}");
        }
    }

    #[test]
    fn what_is_no_placeholder_is_refused() {
        for (sql, why) in [
            ("select ?, $1", "one kind, at line 1, column 11"),
            ("select $1,\n ?", "one kind, at line 2, column 2"),
            ("select $0", "numbered from 1"),
            ("select $1001", "numbered from 1"),
            ("select $99999999999999999999999", "numbered from 1"),
            ("select $name", "is no placeholder"),
            ("select ?1", "is no placeholder"),
        ] {
            let error = of(sql).expect_err(sql).to_string();
            assert!(error.contains(why), "{sql}: {error}");
        }
        assert!(of(&format!("select {}", vec!["?"; 1001].join(","))).is_err());
    }
}
