//! Walks the tokens of a statement.

use datafusion::sql::sqlparser::ast::{Ident, ObjectName, ObjectNamePart};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Word};

use super::super::super::error::EngineError;
use super::Literal;

pub(super) struct Cursor<'t> {
    tokens: Vec<&'t TokenWithSpan>,
    at: usize,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(tokens: &'t [TokenWithSpan]) -> Self {
        let meaningful = tokens
            .iter()
            .filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
        Self {
            tokens: meaningful.collect(),
            at: 0,
        }
    }

    pub(super) fn peek(&self, ahead: usize) -> Option<&'t Token> {
        self.tokens.get(self.at + ahead).map(|token| &token.token)
    }

    pub(super) fn next(&mut self) -> Option<&'t Token> {
        let token = self.peek(0);
        self.at += usize::from(token.is_some());
        token
    }

    /// Whether the token so far ahead is this unquoted word.
    pub(super) fn is_word(&self, ahead: usize, word: &str) -> bool {
        self.peek(ahead).is_some_and(|token| is_word(token, word))
    }

    /// Takes these words if all stand here.
    pub(super) fn take_words(&mut self, words: &[&str]) -> bool {
        let all = words.iter().enumerate().all(|(ahead, word)| self.is_word(ahead, word));
        if all {
            self.at += words.len();
        }
        all
    }

    pub(super) fn take(&mut self, wanted: &Token) -> bool {
        let here = self.peek(0) == Some(wanted);
        self.at += usize::from(here);
        here
    }

    pub(super) fn expect(&mut self, wanted: &Token) -> Result<(), EngineError> {
        match self.take(wanted) {
            true => Ok(()),
            false => Err(self.unexpected(&format!("`{wanted}`"))),
        }
    }

    /// The end of the statement, with or without a semicolon.
    pub(super) fn expect_end(&mut self) -> Result<(), EngineError> {
        while self.take(&Token::SemiColon) {}
        match self.peek(0) {
            None => Ok(()),
            Some(_) => Err(self.unexpected("the end of the statement")),
        }
    }

    /// The word that stands here.
    pub(super) fn word(&mut self, what: &str) -> Result<&'t Word, EngineError> {
        match self.peek(0) {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(word)
            }
            _ => Err(self.unexpected(what)),
        }
    }

    /// A table's name, with up to two names before it.
    pub(super) fn name(&mut self) -> Result<ObjectName, EngineError> {
        let mut parts = Vec::new();
        loop {
            let word = self.word("the name of a table")?;
            let ident = match word.quote_style {
                Some(quote) => Ident::with_quote(quote, word.value.clone()),
                None => Ident::new(word.value.clone()),
            };
            parts.push(ObjectNamePart::Identifier(ident));
            if !self.take(&Token::Period) {
                return Ok(ObjectName(parts));
            }
        }
    }

    pub(super) fn text(&mut self, what: &str) -> Result<String, EngineError> {
        match self.peek(0).and_then(quoted_text) {
            Some(text) => {
                self.at += 1;
                Ok(text.to_owned())
            }
            None => Err(self.unexpected(what)),
        }
    }

    /// A text in quotes, a number, or a word.
    pub(super) fn literal(&mut self) -> Result<Literal, EngineError> {
        let negative = self.take(&Token::Minus);
        let literal = match self.peek(0) {
            Some(Token::Number(digits, _)) => Literal::Number(format!("{}{digits}", if negative { "-" } else { "" })),
            Some(token) if !negative && quoted_text(token).is_some() => Literal::Text(quoted_text(token).unwrap_or_default().to_owned()),
            Some(Token::Word(word)) if !negative && word.quote_style.is_none() => match word.value.to_ascii_lowercase().as_str() {
                "true" => Literal::Boolean(true),
                "false" => Literal::Boolean(false),
                _ => Literal::Text(word.value.clone()),
            },
            _ => return Err(self.unexpected("a text in quotes, a number, true or false")),
        };
        self.at += 1;
        Ok(literal)
    }

    /// Where the next token stands; `None` at the end.
    pub(super) fn location(&self) -> Option<Location> {
        self.tokens.get(self.at).map(|token| token.span.start)
    }

    pub(super) fn unexpected(&self, wanted: &str) -> EngineError {
        let (found, place) = match self.tokens.get(self.at) {
            Some(token) => (
                format!("`{}`", token.token),
                format!(" at line {}, column {}", token.span.start.line, token.span.start.column),
            ),
            None => ("the end of the statement".to_owned(), String::new()),
        };
        EngineError::Invalid(format!("SQL error: expected {wanted}, found {found}{place}"))
    }
}

pub(super) fn quoted_text(token: &Token) -> Option<&str> {
    match token {
        Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => Some(text),
        _ => None,
    }
}

pub(super) fn is_word(token: &Token, wanted: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted))
}
