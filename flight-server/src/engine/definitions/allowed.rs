//! What statements may do with definitions.

use catalog::CatalogSnapshot;
use regex::Regex;

use super::super::error::EngineError;

/// What statements may do with definitions.
#[derive(Debug, Clone, Default)]
pub struct DefinitionRules {
    /// CREATE, ALTER and DROP are allowed.
    pub changes: bool,
    /// Streams that statements may name beside those that definition files name.
    pub streams: AllowedStreams,
}

/// Streams by name or ARN; `*` stands for any text.
#[derive(Debug, Clone, Default)]
pub struct AllowedStreams(Vec<Regex>);

impl AllowedStreams {
    /// Patterns of names and ARNs. An ARN is allowed by a pattern for ARNs, or by `*`.
    pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, String> {
        let compile = |pattern: S| {
            let pattern = pattern.as_ref();
            let text = format!("^{}$", regex::escape(pattern).replace(r"\*", ".*"));
            Regex::new(&text).map_err(|error| format!("`{pattern}`: {error}"))
        };
        patterns.into_iter().map(compile).collect::<Result<_, _>>().map(Self)
    }

    /// Every stream.
    pub fn all() -> Self {
        Self::new(["*"]).unwrap_or_default()
    }

    fn allows(&self, stream: &str) -> bool {
        self.0.iter().any(|pattern| pattern.is_match(stream))
    }
}

impl DefinitionRules {
    /// Everything: for who has the streams to himself.
    pub fn all() -> Self {
        Self {
            changes: true,
            streams: AllowedStreams::all(),
        }
    }

    /// Whether definitions may be changed by statements.
    pub(super) fn check_change(&self) -> Result<(), EngineError> {
        match self.changes {
            true => Ok(()),
            false => Err(EngineError::Denied(
                "this server's tables are not changed by statements: change their definition files, or set `catalog.ddl: true` in the server's configuration".into(),
            )),
        }
    }

    /// Whether a statement may name the stream. `elsewhere`: it is to be reached otherwise than the server's configuration says.
    pub(in super::super) fn check_stream(&self, stream: &str, elsewhere: bool, catalog: &CatalogSnapshot) -> Result<(), EngineError> {
        let known = || {
            let mut definitions = catalog.tables.values();
            !elsewhere && definitions.any(|definition| definition.stream == stream && definition.kinesis.is_none())
        };
        if self.streams.allows(stream) || known() {
            return Ok(());
        }
        Err(EngineError::Denied(format!(
            "stream {stream} may not be named by statements: only streams of definition files may, and those of `allow.streams` in the server's configuration"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_whole_and_arns_are_apart() {
        let allowed = AllowedStreams::new(["clicks-*", "a.b", "arn:aws:kinesis:*:1:stream/x"]).expect("patterns");
        for stream in ["clicks-", "clicks-eu", "a.b", "arn:aws:kinesis:eu-west-1:1:stream/x"] {
            assert!(allowed.allows(stream), "{stream}");
        }
        for stream in [
            "clicks",
            "my-clicks-eu",
            "axb",
            "x",
            "arn:aws:kinesis:eu-west-1:2:stream/x",
            "arn:aws:kinesis:r:1:stream/clicks-eu",
        ] {
            assert!(!allowed.allows(stream), "{stream}");
        }
        assert!(AllowedStreams::all().allows("arn:aws:kinesis:r:1:stream/y"));
        assert!(!AllowedStreams::default().allows(""));
    }
}
