//! Statements about offload jobs.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::super::super::error::EngineError;
use super::super::follow::byte;
use super::Literal;
use super::cursor::Cursor;
use super::parse::parse_options;

/// Longest text of a job's query.
const LONGEST_QUERY: usize = 16 << 10;

/// `SHOW OFFLOADS` is this query.
const SHOW: &str = "SELECT * FROM kinesis.system.offloads ORDER BY name";

/// `CREATE OFFLOAD`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateOffload {
    /// Name of the job.
    pub name: String,
    /// Nothing happens where the job exists.
    pub if_not_exists: bool,
    /// A job of the name is replaced.
    pub or_replace: bool,
    /// Columns by whose values files lie in folders, outermost first.
    pub partitioned_by: Vec<String>,
    /// As written: `delta`, `parquet`, `orc`, in lower case.
    pub format: String,
    /// `s3://BUCKET/PREFIX` or `file:///DIRECTORY`.
    pub location: String,
    /// Further options, in lower case, with their values as text.
    pub options: Vec<(String, String)>,
    /// The query, as written.
    pub query: String,
}

/// A statement about offload jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OffloadStatement {
    /// `CREATE [OR REPLACE] OFFLOAD [IF NOT EXISTS] name [PARTITIONED BY (…)] STORED AS format LOCATION '…' [OPTIONS (…)] AS SELECT …`
    Create(CreateOffload),
    /// `ALTER OFFLOAD name PAUSE`, `ALTER OFFLOAD name RESUME`
    Pause {
        /// Name of the job.
        name: String,
        /// It rests from now on, or goes on.
        paused: bool,
    },
    /// `DROP OFFLOAD [IF EXISTS] name`
    Drop {
        /// Name of the job.
        name: String,
        /// Nothing happens where there is no such job.
        if_exists: bool,
    },
}

/// The query that `SHOW OFFLOADS` stands for, if the statement is that.
pub(in super::super) fn shown(tokens: &[TokenWithSpan]) -> Option<&'static str> {
    let mut cursor = Cursor::new(tokens);
    (cursor.take_words(&["SHOW", "OFFLOADS"]) && cursor.expect_end().is_ok()).then_some(SHOW)
}

/// The statement, if it is one about offload jobs.
pub(in super::super) fn parse(sql: &str, tokens: &[TokenWithSpan]) -> Result<Option<OffloadStatement>, EngineError> {
    let mut cursor = Cursor::new(tokens);
    let statement = if cursor.take_words(&["CREATE", "OFFLOAD"]) {
        return create(sql, &mut cursor, false).map(|create| Some(OffloadStatement::Create(create)));
    } else if cursor.take_words(&["CREATE", "OR", "REPLACE", "OFFLOAD"]) {
        return create(sql, &mut cursor, true).map(|create| Some(OffloadStatement::Create(create)));
    } else if cursor.take_words(&["ALTER", "OFFLOAD"]) {
        let name = name(&mut cursor)?;
        let paused = cursor.take_words(&["PAUSE"]);
        if !paused && !cursor.take_words(&["RESUME"]) {
            return Err(cursor.unexpected("PAUSE or RESUME"));
        }
        OffloadStatement::Pause { name, paused }
    } else if cursor.take_words(&["DROP", "OFFLOAD"]) {
        let if_exists = cursor.take_words(&["IF", "EXISTS"]);
        OffloadStatement::Drop {
            name: name(&mut cursor)?,
            if_exists,
        }
    } else {
        return Ok(None);
    };
    cursor.expect_end()?;
    Ok(Some(statement))
}

fn name(cursor: &mut Cursor<'_>) -> Result<String, EngineError> {
    let word = cursor.word("the name of an offload")?;
    Ok(match word.quote_style {
        Some(_) => word.value.clone(),
        None => word.value.to_ascii_lowercase(),
    })
}

fn create(sql: &str, cursor: &mut Cursor<'_>, or_replace: bool) -> Result<CreateOffload, EngineError> {
    let if_not_exists = cursor.take_words(&["IF", "NOT", "EXISTS"]);
    if if_not_exists && or_replace {
        return Err(EngineError::Invalid("OR REPLACE and IF NOT EXISTS exclude each other".into()));
    }
    let name = name(cursor)?;
    let (mut partitioned_by, mut format, mut location, mut options) = (Vec::new(), None, None, Vec::new());
    let query = loop {
        if cursor.take_words(&["PARTITIONED", "BY"]) {
            partitioned_by.extend(columns(cursor)?);
        } else if cursor.take_words(&["STORED", "AS"]) {
            format = Some(cursor.word("DELTA, PARQUET or ORC")?.value.to_ascii_lowercase());
        } else if cursor.take_words(&["LOCATION"]) {
            location = Some(cursor.text("'s3://bucket/prefix'")?);
        } else if cursor.take_words(&["OPTIONS"]) {
            options.extend(parse_options(cursor)?.into_iter().map(|(key, value)| (key, text(value))));
        } else if cursor.take_words(&["AS"]) {
            break query(sql, cursor)?;
        } else {
            return Err(cursor.unexpected("PARTITIONED BY, STORED AS, LOCATION, OPTIONS or AS SELECT"));
        }
    };
    match (format, location) {
        (Some(format), Some(location)) => Ok(CreateOffload {
            name,
            if_not_exists,
            or_replace,
            partitioned_by,
            format,
            location,
            options,
            query,
        }),
        (None, _) => Err(EngineError::Invalid("SQL error: STORED AS DELTA, PARQUET or ORC is missing".into())),
        (_, None) => Err(EngineError::Invalid("SQL error: LOCATION 's3://bucket/prefix' is missing".into())),
    }
}

fn columns(cursor: &mut Cursor<'_>) -> Result<Vec<String>, EngineError> {
    cursor.expect(&Token::LParen)?;
    let mut columns = Vec::new();
    loop {
        let word = cursor.word("the name of a column")?;
        columns.push(match word.quote_style {
            Some(_) => word.value.clone(),
            None => word.value.to_ascii_lowercase(),
        });
        if cursor.take(&Token::RParen) {
            return Ok(columns);
        }
        cursor.expect(&Token::Comma)?;
    }
}

fn text(value: Literal) -> String {
    match value {
        Literal::Text(text) | Literal::Number(text) => text,
        Literal::Boolean(flag) => flag.to_string(),
    }
}

/// What stands after AS, as it was written.
fn query(sql: &str, cursor: &Cursor<'_>) -> Result<String, EngineError> {
    let Some(start) = cursor.location() else {
        return Err(cursor.unexpected("SELECT"));
    };
    let text = sql.get(byte(sql, start)..).unwrap_or_default();
    let text = text.trim().trim_end_matches(';').trim_end().to_owned();
    if text.len() > LONGEST_QUERY {
        return Err(EngineError::Invalid(format!(
            "the offload's query is longer than {LONGEST_QUERY} bytes"
        )));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::super::super::{StatementKind, parse};
    use super::*;

    fn statement(sql: &str) -> OffloadStatement {
        match parse(sql).unwrap().kind {
            StatementKind::Offload(statement) => statement,
            other => panic!("{sql}: {other:?}"),
        }
    }

    #[test]
    fn a_job_is_read_as_it_is_written() {
        let sql = "create offload Clicks_Lake partitioned by (day, \"Land\")\n stored as delta location 's3://b/p' \
                   options (every '60s', target_file = '128MB', iteration_max 5)\nas SELECT *, 'as; x' AS \"Land\" FROM clicks WHERE word <> ';' ;";
        let text = |text: &str| text.to_owned();
        let expected = CreateOffload {
            name: text("clicks_lake"),
            if_not_exists: false,
            or_replace: false,
            partitioned_by: vec![text("day"), text("Land")],
            format: text("delta"),
            location: text("s3://b/p"),
            options: vec![
                (text("every"), text("60s")),
                (text("target_file"), text("128MB")),
                (text("iteration_max"), text("5")),
            ],
            query: text("SELECT *, 'as; x' AS \"Land\" FROM clicks WHERE word <> ';'"),
        };
        assert_eq!(statement(sql), OffloadStatement::Create(expected));
        let drop = OffloadStatement::Drop {
            name: text("x"),
            if_exists: true,
        };
        assert_eq!(statement("drop offload if exists X;"), drop);
        for (word, paused) in [("pause", true), ("RESUME", false)] {
            let pause = OffloadStatement::Pause { name: text("x"), paused };
            assert_eq!(statement(&format!("alter offload x {word}")), pause);
        }
        assert!(matches!(parse("show offloads").unwrap().kind, StatementKind::Query(_)));
    }

    #[test]
    fn what_is_missing_is_named() {
        for (sql, missing) in [
            ("create offload x location 's3://b/p' as select 1", "STORED AS"),
            ("create offload x stored as delta as select 1", "LOCATION"),
            ("create offload x stored as delta location 's3://b/p'", "AS SELECT"),
            ("create offload x stored as delta location 's3://b/p' as", "SELECT"),
            ("alter offload x stop", "PAUSE"),
            (
                "create or replace offload if not exists x stored as delta location 's3://b' as select 1",
                "exclude",
            ),
            ("create offload x stored as delta location 's3://b' as select ?", "parameters"),
        ] {
            let error = parse(sql).unwrap_err().to_string();
            assert!(error.contains(missing), "{sql}: {error}");
        }
    }
}
