//! The prompt's helper: completion, and statements over several lines.

use std::collections::BTreeSet;

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

use super::input;
use super::meta::Table;

/// Keywords worth completing: the tokenizer knows hundreds that no query uses.
const KEYWORDS: &[&str] = &[
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "COUNT",
    "CREATE",
    "CROSS",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "RESET",
    "RIGHT",
    "SELECT",
    "SET",
    "SHOW",
    "SUM",
    "TABLE",
    "TABLES",
    "THEN",
    "TIMESTAMP",
    "UNION",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WITH",
];

/// Knows keywords, tables and columns.
#[derive(Debug, Default)]
pub(super) struct Prompt {
    names: BTreeSet<String>,
}

impl Prompt {
    /// Takes the names of these tables and their columns.
    pub(super) fn learn(&mut self, tables: &[Table]) {
        self.names.clear();
        for table in tables {
            self.names.insert(table.name.clone());
            self.names.insert(format!("kinesis.{}.{}", table.schema, table.name));
            self.names.extend(table.columns.fields().iter().map(|field| field.name().clone()));
        }
    }

    fn candidates(&self, word: &str) -> Vec<String> {
        let begins =
            |name: &&str| name.len() >= word.len() && name.is_char_boundary(word.len()) && name[..word.len()].eq_ignore_ascii_case(word);
        let lower = word.chars().any(char::is_lowercase);
        let keyword = |keyword: &str| if lower { keyword.to_lowercase() } else { keyword.to_owned() };
        let names = self.names.iter().map(String::as_str).filter(begins).map(ToOwned::to_owned);
        names.chain(KEYWORDS.iter().copied().filter(begins).map(keyword)).collect()
    }
}

impl Completer for Prompt {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let start = line[..pos]
            .rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '$')))
            .map_or(0, |at| at + line[at..].chars().next().map_or(1, char::len_utf8));
        Ok((
            start,
            if start == pos {
                Vec::new()
            } else {
                self.candidates(&line[start..pos])
            },
        ))
    }
}

impl Validator for Prompt {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if input::is_complete(context.input()) {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

impl Hinter for Prompt {
    type Hint = String;
}

impl Highlighter for Prompt {}
impl Helper for Prompt {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::sql::sqlparser::keywords::ALL_KEYWORDS;

    use super::*;

    #[test]
    fn words_are_completed_in_the_writers_case() {
        let columns = Arc::new(Schema::new(vec![Field::new("code", DataType::Int64, true)]));
        let mut prompt = Prompt::default();
        prompt.learn(&[Table {
            schema: "default".into(),
            name: "nasahttp".into(),
            kind: "BASE TABLE".into(),
            columns,
        }]);
        let history = rustyline::history::DefaultHistory::new();
        let complete = |line: &str| prompt.complete(line, line.len(), &Context::new(&history)).unwrap();
        assert_eq!(complete("sel"), (0, vec!["select".to_owned()]));
        assert_eq!(complete("SEL"), (0, vec!["SELECT".to_owned()]));
        assert_eq!(complete("select co"), (7, vec!["code".to_owned(), "count".to_owned()]));
        assert_eq!(complete("select é, nas"), (11, vec!["nasahttp".to_owned()]));
        assert_eq!(complete("from kinesis.d"), (5, vec!["kinesis.default.nasahttp".to_owned()]));
        assert_eq!(complete("select ").1, Vec::<String>::new());
    }

    #[test]
    fn every_keyword_is_one() {
        for keyword in KEYWORDS {
            assert!(ALL_KEYWORDS.contains(keyword) || matches!(*keyword, "COUNT" | "SUM"), "{keyword}");
        }
    }
}
