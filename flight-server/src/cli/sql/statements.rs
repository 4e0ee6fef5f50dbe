//! Text becomes statements, cut at the semicolons that separate them.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace};

/// What a text holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statements<'a> {
    /// Statements that a semicolon ends.
    pub(super) ended: Vec<&'a str>,
    /// What follows the last semicolon, unless that is only space and comments.
    pub(super) rest: Option<&'a str>,
}

/// Cuts `text`. An error names line and column of a quote or comment that is never closed.
pub(super) fn split(text: &str) -> Result<Statements<'_>, String> {
    let mut tokens = Vec::new();
    Tokenizer::new(&GenericDialect {}, text)
        .with_unescape(false)
        .tokenize_with_location_into_buf(&mut tokens)
        .map_err(|error| {
            format!(
                "{} at line {}, column {}",
                error.message, error.location.line, error.location.column
            )
        })?;
    let mut places = Places::new(text);
    let mut statements = Statements {
        ended: Vec::new(),
        rest: None,
    };
    let mut start = None;
    let mut end = 0;
    for TokenWithSpan { token, span } in &tokens {
        match token {
            Token::SemiColon => {
                if let Some(start) = start.take() {
                    statements.ended.push(&text[start..end]);
                }
            }
            Token::EOF => {}
            // A hint at a statement's head is a comment to the tokenizer, and is the statement's.
            Token::Whitespace(Whitespace::MultiLineComment(comment)) if comment.starts_with('+') => {
                start.get_or_insert(places.byte(span.start));
            }
            Token::Whitespace(_) => {}
            _ => {
                start.get_or_insert(places.byte(span.start));
                end = places.byte(span.end);
            }
        }
    }
    statements.rest = start.map(|start| text[start..].trim_end());
    Ok(statements)
}

/// Lines and columns (both from 1, columns in characters) as byte offsets; asked for in rising order.
struct Places<'a> {
    rest: std::str::CharIndices<'a>,
    length: usize,
    line: u64,
    column: u64,
}

impl<'a> Places<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: text.char_indices(),
            length: text.len(),
            line: 1,
            column: 1,
        }
    }

    fn byte(&mut self, at: Location) -> usize {
        loop {
            if (self.line, self.column) >= (at.line, at.column) {
                return self.rest.offset();
            }
            match self.rest.next() {
                Some((_, '\n')) => (self.line, self.column) = (self.line + 1, 1),
                Some(_) => self.column += 1,
                None => return self.length,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<&str> {
        let statements = split(text).unwrap();
        statements.ended.into_iter().chain(statements.rest).collect()
    }

    #[test]
    fn semicolons_separate_only_where_they_stand_alone() {
        assert_eq!(all("select 1; select 2"), ["select 1", "select 2"]);
        assert_eq!(
            all("select ';' as \"a;b\"; -- c;\n/* d; */ select 'it''s;'"),
            ["select ';' as \"a;b\"", "select 'it''s;'"]
        );
        assert_eq!(all(";;\n ; -- nothing\n"), Vec::<&str>::new());
        assert_eq!(all("select 'é;ü', 1 ;\n\n  select 'ß';"), ["select 'é;ü', 1", "select 'ß'"]);
        assert_eq!(
            all("select 1 /* inside */ + 2 -- after\n;select 3"),
            ["select 1 /* inside */ + 2", "select 3"]
        );
    }

    #[test]
    fn a_hint_belongs_to_its_statement() {
        assert_eq!(
            all("select 1; /*+ start='-1h' */ select 2; select 3"),
            ["select 1", "/*+ start='-1h' */ select 2", "select 3"]
        );
    }

    #[test]
    fn what_is_not_ended_is_known() {
        assert_eq!(
            split("select 1; select").unwrap(),
            Statements {
                ended: vec!["select 1"],
                rest: Some("select")
            }
        );
        assert_eq!(
            split("select 1;").unwrap(),
            Statements {
                ended: vec!["select 1"],
                rest: None
            }
        );
        assert_eq!(split("").unwrap(), Statements { ended: vec![], rest: None });
        assert!(split("select 'open").unwrap_err().contains("line 1, column 8"));
        assert!(split("/* open").is_err());
    }
}
