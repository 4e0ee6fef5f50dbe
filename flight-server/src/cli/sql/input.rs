//! What a line at the prompt asks for.

use std::time::Duration;

use super::statements;

/// One thing to do.
#[derive(Debug, PartialEq)]
pub(super) enum Input {
    /// Run these.
    Statements(Vec<String>),
    /// `\d`, `\dt`: list tables.
    Tables,
    /// `\d t`: a table's columns.
    Describe(String),
    /// `\timing`: show times, or not.
    Timing,
    /// `\watch N`: run the last statement every so often, until Ctrl-C.
    Watch(Duration),
    /// `\?`
    Help,
    /// `\q`
    Quit,
    /// Nothing.
    Nothing,
}

/// The commands, as `\?` shows them.
pub(super) const HELP: &str = "\
STATEMENT;      run it; it may stand on several lines
\\d, \\dt         list tables
\\d TABLE        columns of a table
\\timing         show times, or not
\\watch [SEC]    run the last statement again every SEC seconds (2), until Ctrl-C
\\?              this
\\q              quit (Ctrl-D too)
";

/// What `text`, which is complete, asks for. The error is a sentence.
pub(super) fn parse(text: &str) -> Result<Input, String> {
    let text = text.trim();
    let Some(command) = text.strip_prefix('\\') else {
        let found = statements::split(text)?;
        let statements: Vec<_> = found.ended.into_iter().chain(found.rest).map(ToOwned::to_owned).collect();
        return Ok(if statements.is_empty() {
            Input::Nothing
        } else {
            Input::Statements(statements)
        });
    };
    let (name, argument) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    let argument = argument.trim().trim_end_matches(';').trim_end();
    match (name.trim_end_matches(';'), argument) {
        ("d" | "dt", "") => Ok(Input::Tables),
        ("d", table) => Ok(Input::Describe(table.to_owned())),
        ("timing", "") => Ok(Input::Timing),
        ("watch", "") => Ok(Input::Watch(Duration::from_secs(2))),
        ("watch", seconds) => match seconds
            .parse::<f64>()
            .ok()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        {
            Some(interval) if !interval.is_zero() => Ok(Input::Watch(interval)),
            _ => Err(format!("\\watch takes a number of seconds above 0, not `{seconds}`")),
        },
        ("?", "") => Ok(Input::Help),
        ("q", "") => Ok(Input::Quit),
        (name, _) => Err(format!("\\{name}: no such command, or not with that argument; \\? lists them")),
    }
}

/// Whether `text` can be run, or goes on on the next line.
pub(super) fn is_complete(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || text.starts_with('\\') || statements::split(text).is_ok_and(|found| found.rest.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands() {
        assert_eq!(parse("\\d"), Ok(Input::Tables));
        assert_eq!(parse("\\dt"), Ok(Input::Tables));
        assert_eq!(
            parse(" \\d kinesis.default.nasahttp; "),
            Ok(Input::Describe("kinesis.default.nasahttp".to_owned()))
        );
        assert_eq!(parse("\\timing"), Ok(Input::Timing));
        assert_eq!(parse("\\watch"), Ok(Input::Watch(Duration::from_secs(2))));
        assert_eq!(parse("\\watch 0.5"), Ok(Input::Watch(Duration::from_millis(500))));
        assert_eq!(parse("\\q;"), Ok(Input::Quit));
        assert_eq!(parse("\\?"), Ok(Input::Help));
        for refused in [
            "\\watch 0",
            "\\watch -1",
            "\\watch soon",
            "\\watch 1e300",
            "\\x",
            "\\timing on",
            "\\",
        ] {
            assert!(parse(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn statements_run_when_their_semicolon_stands() {
        assert_eq!(
            parse("select 1; select 2;"),
            Ok(Input::Statements(vec!["select 1".to_owned(), "select 2".to_owned()]))
        );
        assert_eq!(parse("-- nothing"), Ok(Input::Nothing));
        for complete in ["", "select 1;", "\\d", "select ';';", "-- remark", "select 1; -- done"] {
            assert!(is_complete(complete), "{complete}");
        }
        for open in ["select 1", "select ';", "select 1; select", "/* ;"] {
            assert!(!is_complete(open), "{open}");
        }
    }
}
