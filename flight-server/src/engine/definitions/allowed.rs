//! What statements may do with definitions.

use super::super::access::Patterns;
use super::super::error::EngineError;
use super::super::sql::Literal;
use catalog::CatalogSnapshot;

/// What statements may do with definitions.
#[derive(Debug, Clone, Default)]
pub struct DefinitionRules {
    /// CREATE, ALTER and DROP are allowed.
    pub changes: bool,
    /// Streams that statements may name beside those that definition files name.
    pub streams: AllowedStreams,
    /// ARNs of roles by which definitions made by statements may reach their streams; `*` stands for any text.
    pub roles: Patterns,
}

/// Streams by name or ARN; `*` stands for any text.
#[derive(Debug, Clone, Default)]
pub struct AllowedStreams(Patterns);

impl AllowedStreams {
    /// Patterns of names and ARNs. An ARN is allowed by a pattern for ARNs, or by `*`.
    pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, String> {
        Patterns::new(patterns).map(Self)
    }

    /// Every stream.
    pub fn all() -> Self {
        Self::new(["*"]).unwrap_or_default()
    }

    fn allows(&self, stream: &str) -> bool {
        self.0.matches(stream)
    }
}

impl DefinitionRules {
    /// Everything: for who has the streams to himself.
    pub fn all() -> Self {
        Self {
            changes: true,
            streams: AllowedStreams::all(),
            roles: Patterns::default(),
        }
    }

    /// Whether definitions may be changed by statements.
    pub(in super::super) fn check_change(&self) -> Result<(), EngineError> {
        match self.changes {
            true => Ok(()),
            false => Err(EngineError::Denied(
                "this server's tables are not changed by statements: change their definition files, or set `catalog.ddl: true` in the server's configuration".into(),
            )),
        }
    }

    /// Whether a statement may say so of how a stream is reached.
    pub(super) fn check_reach(&self, key: &str, value: &Literal) -> Result<(), EngineError> {
        match (key, value) {
            ("kinesis.region", _) => Ok(()),
            ("kinesis.external_id", _) if !self.roles.is_empty() => Ok(()),
            ("kinesis.role_arn", Literal::Text(role)) if self.roles.matches(role) => Ok(()),
            ("kinesis.role_arn", _) => Err(EngineError::Denied(format!(
                "option `{key}`: only roles of `allow.roles` in the server's configuration may be named by statements"
            ))),
            _ => Err(EngineError::Denied(format!(
                "option `{key}`: endpoints and identities are not given by statements, they belong into a definition file"
            ))),
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
