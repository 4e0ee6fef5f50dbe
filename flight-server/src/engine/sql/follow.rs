//! `FOLLOW SELECT …`: no dialect knows the word, so it is taken off before the statement is parsed.

use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::super::error::EngineError;

const WORD: &str = "FOLLOW";

/// Whether the statement is to be followed. If so, the word is blanked: positions in error messages stay right.
pub(super) fn split(sql: &mut String, tokens: &[TokenWithSpan]) -> Result<bool, EngineError> {
    let mut rest = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_)));
    let mut head = rest.next();
    if head.is_some_and(|token| is_word(token, "EXPLAIN")) {
        head = rest.next();
        let mut analyzed = false;
        while let Some(option) = head.filter(|token| is_word(token, "ANALYZE") || is_word(token, "VERBOSE")) {
            analyzed |= is_word(option, "ANALYZE");
            head = rest.next();
        }
        if analyzed && head.is_some_and(|token| is_word(token, WORD)) {
            return Err(EngineError::NotSupported(
                "EXPLAIN ANALYZE runs a statement to its end, and one that follows has none; write EXPLAIN FOLLOW, or leave FOLLOW out"
                    .into(),
            ));
        }
    }
    let Some(word) = head.filter(|token| is_word(token, WORD)) else {
        return Ok(false);
    };
    let query = rest
        .next()
        .is_some_and(|next| is_word(next, "SELECT") || is_word(next, "WITH") || next.token == Token::LParen);
    if !query {
        return Err(EngineError::Invalid(format!(
            "SQL error: FOLLOW stands before SELECT or WITH, at line {}, column {}",
            word.span.start.line, word.span.start.column
        )));
    }
    let start = byte(sql, word.span.start);
    sql.replace_range(start..start + WORD.len(), &" ".repeat(WORD.len()));
    Ok(true)
}

fn is_word(token: &TokenWithSpan, text: &str) -> bool {
    matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text))
}

/// Lines and columns count from 1, columns in characters.
pub(super) fn byte(sql: &str, at: Location) -> usize {
    let (mut line, mut column) = (1, 1);
    for (offset, character) in sql.char_indices() {
        if (line, column) >= (at.line, at.column) {
            return offset;
        }
        if character == '\n' {
            (line, column) = (line + 1, 1);
        } else {
            column += 1;
        }
    }
    sql.len()
}
