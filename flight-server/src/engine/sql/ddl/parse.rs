//! From tokens to a statement about definitions.

use catalog::StoredAs;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::super::super::error::EngineError;
use super::cursor::{Cursor, is_word, quoted_text};
use super::{CreateTable, DdlColumn, DdlStatement, Literal};

/// The statement, if it is one about definitions.
pub(in super::super) fn parse(tokens: &[TokenWithSpan]) -> Result<Option<DdlStatement>, EngineError> {
    let mut cursor = Cursor::new(tokens);
    let statement = if cursor.take_words(&["CREATE", "EXTERNAL", "TABLE"]) {
        DdlStatement::Create(create(&mut cursor, false)?)
    } else if cursor.take_words(&["CREATE", "OR", "REPLACE", "EXTERNAL", "TABLE"]) {
        DdlStatement::Create(create(&mut cursor, true)?)
    } else if cursor.take_words(&["DROP", "TABLE"]) {
        let if_exists = cursor.take_words(&["IF", "EXISTS"]);
        DdlStatement::Drop {
            name: cursor.name()?,
            if_exists,
        }
    } else if cursor.take_words(&["ALTER", "TABLE"]) {
        add_column(&mut cursor)?
    } else if cursor.take_words(&["SHOW", "CREATE", "TABLE"]) || cursor.take_words(&["SHOW", "CREATE", "VIEW"]) {
        DdlStatement::ShowCreate(cursor.name()?)
    } else if cursor.take_words(&["DESCRIBE"]) || cursor.take_words(&["DESC"]) {
        cursor.take_words(&["TABLE"]);
        // EXPLAIN goes by this name too.
        match cursor.name() {
            Ok(name) if cursor.expect_end().is_ok() => return Ok(Some(DdlStatement::Describe(name))),
            _ => return Ok(None),
        }
    } else {
        return Ok(None);
    };
    cursor.expect_end()?;
    Ok(Some(statement))
}

fn create(cursor: &mut Cursor<'_>, or_replace: bool) -> Result<CreateTable, EngineError> {
    let if_not_exists = cursor.take_words(&["IF", "NOT", "EXISTS"]);
    if if_not_exists && or_replace {
        return Err(EngineError::Invalid("OR REPLACE and IF NOT EXISTS exclude each other".into()));
    }
    let name = cursor.name()?;
    let columns = match cursor.take(&Token::LParen) {
        true => Some(columns(cursor)?),
        false => None,
    };
    let (mut stored, mut location, mut options) = (None, None, Vec::new());
    let mut partitioned_by = None;
    loop {
        if cursor.take_words(&["STORED", "AS"]) {
            let format = cursor.word("KINESIS")?;
            let over_stream = format.value.eq_ignore_ascii_case("kinesis");
            let over_files = StoredAs::of_word(&format.value);
            if !over_stream && over_files.is_none() {
                return Err(EngineError::NotSupported(format!(
                    "STORED AS {} is not supported: tables are over streams, STORED AS KINESIS, or over files, STORED AS PARQUET, CSV, JSON or DELTA; the format of a stream's records is an option, such as OPTIONS (format 'json')",
                    format.value
                )));
            }
            stored = Some(over_files);
        } else if partitioned_by.is_none() && cursor.take_words(&["PARTITIONED", "BY"]) {
            partitioned_by = Some(names(cursor)?);
        } else if cursor.take_words(&["LOCATION"]) {
            location = Some(cursor.text("'kinesis://stream-or-arn'")?);
        } else if cursor.take_words(&["COMMENT"]) {
            options.push(("comment".to_owned(), Literal::Text(cursor.text("a comment in quotes")?)));
        } else if cursor.take_words(&["OPTIONS"]) {
            options.extend(parse_options(cursor)?);
        } else {
            break;
        }
    }
    match location {
        Some(location) => {
            let stored_as = stored.ok_or_else(|| cursor.unexpected("STORED AS KINESIS, PARQUET, CSV, JSON or DELTA"))?;
            if stored_as.is_none() && partitioned_by.is_some() {
                return Err(EngineError::Invalid(
                    "PARTITIONED BY is for files in folders; a stream's shards are not named by values".into(),
                ));
            }
            Ok(CreateTable {
                name,
                if_not_exists,
                or_replace,
                columns,
                stored_as,
                location,
                partitioned_by: partitioned_by.unwrap_or_default(),
                options,
            })
        }
        None => Err(cursor.unexpected("LOCATION 'kinesis://stream-or-arn'")),
    }
}

/// Names of columns in parentheses.
fn names(cursor: &mut Cursor<'_>) -> Result<Vec<String>, EngineError> {
    cursor.expect(&Token::LParen)?;
    let mut names = Vec::new();
    loop {
        let word = cursor.word("the name of a column")?;
        names.push(match word.quote_style {
            Some(_) => word.value.clone(),
            None => word.value.to_ascii_lowercase(),
        });
        if cursor.take(&Token::RParen) {
            return Ok(names);
        }
        if !cursor.take(&Token::Comma) {
            return Err(cursor.unexpected("`,` or `)` after a column"));
        }
    }
}

fn add_column(cursor: &mut Cursor<'_>) -> Result<DdlStatement, EngineError> {
    let name = cursor.name()?;
    if !cursor.take_words(&["ADD"]) {
        return Err(EngineError::NotSupported(
            "of ALTER TABLE there is ADD COLUMN; for other changes CREATE OR REPLACE EXTERNAL TABLE, or edit the definition's file".into(),
        ));
    }
    cursor.take_words(&["COLUMN"]);
    let if_not_exists = cursor.take_words(&["IF", "NOT", "EXISTS"]);
    Ok(DdlStatement::AddColumn {
        name,
        column: column(cursor)?,
        if_not_exists,
    })
}

/// After the opening parenthesis.
fn columns(cursor: &mut Cursor<'_>) -> Result<Vec<DdlColumn>, EngineError> {
    let mut columns = Vec::new();
    loop {
        columns.push(column(cursor)?);
        if cursor.take(&Token::RParen) {
            return Ok(columns);
        }
        if !cursor.take(&Token::Comma) {
            return Err(cursor.unexpected("`,` or `)` after a column"));
        }
    }
}

fn column(cursor: &mut Cursor<'_>) -> Result<DdlColumn, EngineError> {
    let word = cursor.word("the name of a column")?;
    let name = match word.quote_style {
        Some(_) => word.value.clone(),
        None => word.value.to_ascii_lowercase(),
    };
    let column_type = column_type(cursor)?;
    let mut keys = Vec::new();
    loop {
        if cursor.take_words(&["NOT", "NULL"]) {
            return Err(EngineError::NotSupported(format!(
                "column `{name}`: NOT NULL is not supported: a record may lack any field"
            )));
        } else if cursor.take_words(&["NULL"]) {
        } else if cursor.take_words(&["HIDDEN"]) {
            keys.push(("hidden".to_owned(), Literal::Boolean(true)));
        } else if starts_key(cursor) {
            let key = cursor.word("a key")?.value.to_ascii_lowercase();
            keys.push((key, cursor.literal()?));
        } else {
            return Ok(DdlColumn { name, column_type, keys });
        }
    }
}

/// A word with a text or a number behind it.
fn starts_key(cursor: &Cursor<'_>) -> bool {
    let value = |token: &Token| quoted_text(token).is_some() || matches!(token, Token::Number(..));
    matches!(cursor.peek(0), Some(Token::Word(_))) && cursor.peek(1).is_some_and(value)
}

/// The tokens of a type, up to a comma or parenthesis that is not its own, or the first key after it.
fn column_type(cursor: &mut Cursor<'_>) -> Result<String, EngineError> {
    let mut text = String::new();
    let mut depth = 0_usize;
    while let Some(token) = cursor.peek(0) {
        let is_key = starts_key(cursor) || is_word(token, "HIDDEN") || is_word(token, "NOT") || is_word(token, "NULL");
        match token {
            Token::Comma | Token::RParen if depth == 0 => break,
            Token::SemiColon => break,
            _ if depth == 0 && !text.is_empty() && is_key => break,
            Token::LParen | Token::Lt => depth += 1,
            Token::RParen | Token::Gt => depth = depth.saturating_sub(1),
            Token::ShiftRight => depth = depth.saturating_sub(2),
            Token::Word(_) | Token::Number(..) | Token::Comma | Token::Colon => {}
            _ => return Err(cursor.unexpected("a type")),
        }
        let in_word = |c: char| c.is_alphanumeric() || c == '_' || c == '"';
        let shown = token.to_string();
        if text.ends_with(',') || (text.ends_with(in_word) || text.ends_with(')')) && shown.starts_with(in_word) {
            text.push(' ');
        }
        text.push_str(&shown);
        cursor.next();
    }
    match text.is_empty() {
        true => Err(cursor.unexpected("a type")),
        false => Ok(text),
    }
}

pub(super) fn parse_options(cursor: &mut Cursor<'_>) -> Result<Vec<(String, Literal)>, EngineError> {
    cursor.expect(&Token::LParen)?;
    let mut options = Vec::new();
    while !cursor.take(&Token::RParen) {
        let key = match cursor.peek(0).and_then(quoted_text) {
            Some(_) => cursor.text("the name of an option")?,
            None => {
                let mut key = cursor.word("the name of an option")?.value.clone();
                while cursor.take(&Token::Period) {
                    key = format!("{key}.{}", cursor.word("the name of an option")?.value);
                }
                key
            }
        };
        cursor.take(&Token::Eq);
        options.push((key.to_ascii_lowercase(), cursor.literal()?));
        if !cursor.take(&Token::Comma) && cursor.peek(0) != Some(&Token::RParen) {
            return Err(cursor.unexpected("`,` or `)` after an option"));
        }
    }
    Ok(options)
}
