//! The hint at a statement's head: `/*+ start='-1h', freshness='cached' */ select …`.

use super::super::error::EngineError;
use super::super::options::{OptionValues, parse_option};

/// Splits a hint off. The rest keeps its length and lines, so that positions in error messages stay right.
pub(super) fn split(sql: &str) -> Result<(OptionValues, String), EngineError> {
    let mut values = OptionValues::default();
    let head = sql.trim_start();
    let Some(inside) = head.strip_prefix("/*+") else {
        return Ok((values, sql.to_owned()));
    };
    let Some((hint, rest)) = inside.split_once("*/") else {
        return Err(EngineError::Invalid(
            "the hint `/*+` at the statement's head is not closed by `*/`".into(),
        ));
    };
    for (name, text) in assignments(hint)? {
        let (name, value) = parse_option(name, &text)?;
        values.insert(name, value);
    }
    let blanked: String = sql[..sql.len() - rest.len()]
        .chars()
        .map(|c| if c == '\n' { '\n' } else { ' ' })
        .collect();
    Ok((values, blanked + rest))
}

fn assignments(hint: &str) -> Result<Vec<(&str, String)>, EngineError> {
    let mut found = Vec::new();
    let mut rest = hint.trim();
    while !rest.is_empty() {
        let Some((name, after)) = rest.split_once('=') else {
            return Err(malformed(rest));
        };
        let after = after.trim_start();
        let (value, tail) = if let Some(quoted) = after.strip_prefix('\'') {
            take_quoted(quoted).ok_or_else(|| malformed(rest))?
        } else {
            let end = after.find(',').unwrap_or(after.len());
            (after[..end].trim().to_owned(), &after[end..])
        };
        found.push((name.trim(), value));
        let tail = tail.trim_start();
        rest = match tail.strip_prefix(',') {
            Some(next) => next.trim(),
            None if tail.is_empty() => tail,
            None => return Err(malformed(tail)),
        };
    }
    Ok(found)
}

/// The text up to the closing quote (a doubled quote is one quote), and what follows.
fn take_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '\'' {
            value.push(c);
        } else if chars.next_if(|(_, next)| *next == '\'').is_some() {
            value.push('\'');
        } else {
            return Some((value, &text[at + 1..]));
        }
    }
    None
}

fn malformed(near: &str) -> EngineError {
    EngineError::Invalid(format!(
        "the hint is a list of name='value', separated by commas; this is not: `{}`",
        near.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_read_and_blanked() {
        let (values, rest) = split("/*+ start='-1h',\n freshness = cached */ select 1").expect("a hint");
        assert_eq!(values.get("start").map(|v| v.to_text()), Some("-1h".into()));
        assert_eq!(values.get("freshness").map(|v| v.to_text()), Some("cached".into()));
        assert_eq!(rest.trim_start(), "select 1");
        assert_eq!(rest.matches('\n').count(), 1);
    }

    #[test]
    fn what_is_no_hint_stays() {
        assert_eq!(split("select /*+ x='1' */ 1").expect("not at the head").1, "select /*+ x='1' */ 1");
        assert_eq!(split("/* plain */ select 1").expect("a comment").1, "/* plain */ select 1");
    }

    #[test]
    fn mistakes_are_errors() {
        for sql in [
            "/*+ start */ select 1",
            "/*+ strat='-1h' */ select 1",
            "/*+ start='-1h' select 1",
            "/*+ start='-1h' freshness='cached' */ select 1",
        ] {
            assert!(split(sql).is_err(), "{sql}");
        }
    }
}
