//! Rules, and what they come to for one principal.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use catalog::{DEFAULT_SCHEMA, TableName};

use super::super::error::EngineError;
use super::patterns::Patterns;

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Read rows of tables; start at checkpoints without moving them.
    Read,
    /// Read rows and move checkpoints.
    Consume,
    /// Put rows into tables.
    Write,
    /// Copy tables into a lake.
    Offload,
    /// All of these, and change definitions; with `*` for tables, look after the server.
    Admin,
}

impl Right {
    /// Whether who has this one has the other, too.
    fn covers(self, other: Self) -> bool {
        self == other || self == Self::Admin || (self == Self::Consume && other == Self::Read)
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Consume => "consume",
            Self::Write => "write",
            Self::Offload => "offload",
            Self::Admin => "admin",
        })
    }
}

/// What a principal may use at most; `None` = as much as anybody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PrincipalLimits {
    /// Statements at once.
    pub max_concurrent: Option<usize>,
    /// Bytes that a statement may read from Kinesis.
    pub max_bytes: Option<u64>,
    /// A statement's time.
    pub max_time: Option<Duration>,
    /// Sessions at once.
    pub max_sessions: Option<usize>,
}

/// Some rights of some principals.
#[derive(Debug, Clone)]
pub struct AccessRule {
    principals: Patterns,
    tables: Patterns,
    checkpoints: Patterns,
    streams: Patterns,
    locations: Patterns,
    may: BTreeSet<Right>,
    limits: PrincipalLimits,
}

impl AccessRule {
    /// For principals of a pattern, on nothing yet.
    ///
    /// # Errors
    /// A sentence, if the pattern cannot be used.
    pub fn new(principal: &str, may: impl IntoIterator<Item = Right>) -> Result<Self, String> {
        Ok(Self {
            principals: Patterns::new([principal])?,
            tables: Patterns::default(),
            checkpoints: Patterns::default(),
            streams: Patterns::default(),
            locations: Patterns::default(),
            may: may.into_iter().collect(),
            limits: PrincipalLimits::default(),
        })
    }

    /// On tables `schema.table`; one without schema is of the schema `default`, and `*` is every table.
    ///
    /// # Errors
    /// A sentence, if a pattern cannot be used.
    pub fn on_tables<S: AsRef<str>>(self, tables: impl IntoIterator<Item = S>) -> Result<Self, String> {
        let whole = |table: S| match table.as_ref() {
            "*" => "*".to_owned(),
            table if table.contains('.') => table
                .strip_prefix("kinesis.")
                .filter(|rest| rest.contains('.'))
                .unwrap_or(table)
                .to_owned(),
            table => format!("{DEFAULT_SCHEMA}.{table}"),
        };
        Ok(Self {
            tables: Patterns::new(tables.into_iter().map(whole))?,
            ..self
        })
    }

    /// On checkpoints.
    ///
    /// # Errors
    /// A sentence, if a pattern cannot be used.
    pub fn on_checkpoints<S: AsRef<str>>(self, checkpoints: impl IntoIterator<Item = S>) -> Result<Self, String> {
        Ok(Self {
            checkpoints: Patterns::new(checkpoints)?,
            ..self
        })
    }

    /// On streams without a table, by name or ARN.
    ///
    /// # Errors
    /// A sentence, if a pattern cannot be used.
    pub fn on_streams<S: AsRef<str>>(self, streams: impl IntoIterator<Item = S>) -> Result<Self, String> {
        Ok(Self {
            streams: Patterns::new(streams)?,
            ..self
        })
    }

    /// On locations of files, as `s3://bucket/exports/*`.
    ///
    /// # Errors
    /// A sentence, if a pattern cannot be used.
    pub fn on_locations<S: AsRef<str>>(self, locations: impl IntoIterator<Item = S>) -> Result<Self, String> {
        Ok(Self {
            locations: Patterns::new(locations)?,
            ..self
        })
    }

    /// Within limits.
    pub fn within(self, limits: PrincipalLimits) -> Self {
        Self { limits, ..self }
    }

    fn gives(&self, right: Right) -> bool {
        self.may.iter().any(|had| had.covers(right))
    }
}

/// The rights of all principals.
#[derive(Debug, Clone)]
pub struct Access {
    /// `None`: there are no rules, everybody may do everything.
    rules: Option<Vec<AccessRule>>,
}

impl Access {
    /// Everybody may do everything: for who has the server to himself.
    pub fn everything() -> Self {
        Self { rules: None }
    }

    /// What the rules give, and nothing else.
    pub fn new(rules: Vec<AccessRule>) -> Self {
        Self { rules: Some(rules) }
    }

    /// Whether the principal has a right on a table.
    ///
    /// # Errors
    /// [`EngineError::Denied`], the same whether the table is there or not.
    pub fn table(&self, principal: &str, right: Right, table: &TableName) -> Result<(), EngineError> {
        if self.has_table(principal, right, table) {
            return Ok(());
        }
        Err(denied(principal, right, &format!("table `kinesis.{table}`")))
    }

    /// Whether it has, as an answer: for lists.
    pub fn has_table(&self, principal: &str, right: Right, table: &TableName) -> bool {
        self.is_given(principal, right, |rule| rule.tables.matches(&table.to_string()))
    }

    /// Whether the principal has a right on a stream that it names itself, by name or ARN.
    ///
    /// # Errors
    /// [`EngineError::Denied`].
    pub fn stream(&self, principal: &str, right: Right, stream: &str) -> Result<(), EngineError> {
        if self.has_stream(principal, right, stream) {
            return Ok(());
        }
        Err(denied(principal, right, &format!("stream `{stream}`")))
    }

    /// Whether it has, as an answer.
    pub fn has_stream(&self, principal: &str, right: Right, stream: &str) -> bool {
        self.is_given(principal, right, |rule| rule.streams.matches(stream))
    }

    /// Whether the principal has a right on a location of files.
    ///
    /// # Errors
    /// [`EngineError::Denied`].
    pub fn location(&self, principal: &str, right: Right, location: &str) -> Result<(), EngineError> {
        if self.is_given(principal, right, |rule| rule.locations.matches(location)) {
            return Ok(());
        }
        Err(denied(principal, right, location))
    }

    /// Whether the principal has a right on a checkpoint.
    ///
    /// # Errors
    /// [`EngineError::Denied`].
    pub fn checkpoint(&self, principal: &str, right: Right, name: &str) -> Result<(), EngineError> {
        if self.has_checkpoint(principal, right, name) {
            return Ok(());
        }
        Err(denied(principal, right, &format!("checkpoint `{name}`")))
    }

    /// Whether it has, as an answer.
    pub fn has_checkpoint(&self, principal: &str, right: Right, name: &str) -> bool {
        self.is_given(principal, right, |rule| rule.checkpoints.matches(name))
    }

    /// Whether the principal looks after the server: `admin` on all tables.
    ///
    /// # Errors
    /// [`EngineError::Denied`].
    pub fn admin(&self, principal: &str) -> Result<(), EngineError> {
        if self.is_admin(principal) {
            return Ok(());
        }
        Err(denied(principal, Right::Admin, "the server"))
    }

    /// Whether it does, as an answer.
    pub fn is_admin(&self, principal: &str) -> bool {
        self.is_given(principal, Right::Admin, |rule| rule.tables.has_all())
    }

    /// The smallest limits of all rules for the principal.
    pub fn limits(&self, principal: &str) -> PrincipalLimits {
        let mut limits = PrincipalLimits::default();
        for rule in self.rules_of(principal) {
            limits.max_concurrent = least(limits.max_concurrent, rule.limits.max_concurrent);
            limits.max_bytes = least(limits.max_bytes, rule.limits.max_bytes);
            limits.max_time = least(limits.max_time, rule.limits.max_time);
            limits.max_sessions = least(limits.max_sessions, rule.limits.max_sessions);
        }
        limits
    }

    fn is_given(&self, principal: &str, right: Right, on: impl Fn(&AccessRule) -> bool) -> bool {
        self.rules.is_none() || self.rules_of(principal).any(|rule| rule.gives(right) && on(rule))
    }

    fn rules_of<'a>(&'a self, principal: &'a str) -> impl Iterator<Item = &'a AccessRule> {
        self.rules.iter().flatten().filter(|rule| rule.principals.matches(principal))
    }
}

fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn denied(principal: &str, right: Right, on: &str) -> EngineError {
    EngineError::Denied(format!("principal `{principal}` has no right to {} {on}", verb(right)))
}

fn verb(right: Right) -> &'static str {
    match right {
        Right::Read => "read",
        Right::Consume => "consume with",
        Right::Write => "write to",
        Right::Offload => "offload",
        Right::Admin => "administer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ErrorCategory;

    fn table(name: &str) -> TableName {
        let (schema, table) = name.split_once('.').unwrap();
        TableName {
            schema: schema.into(),
            table: table.into(),
        }
    }

    fn access() -> Access {
        let reads = AccessRule::new("ann", [Right::Read]).unwrap();
        let consumes = AccessRule::new("*@jobs", [Right::Consume]).unwrap();
        let admin = AccessRule::new("root", [Right::Admin]).unwrap();
        let keeps = AccessRule::new("keeper", [Right::Admin]).unwrap();
        Access::new(vec![
            reads.on_tables(["clicks", "kinesis.sales.*"]).unwrap(),
            consumes.on_tables(["*"]).unwrap().on_checkpoints(["job-*"]).unwrap(),
            admin.on_tables(["*"]).unwrap().on_checkpoints(["*"]).unwrap(),
            keeps.on_tables(["sales.*"]).unwrap().on_streams(["sales-*"]).unwrap(),
        ])
    }

    #[test]
    fn no_rule_is_no_right() {
        let access = access();
        for name in ["default.clicks", "sales.x"] {
            assert!(access.table("ann", Right::Read, &table(name)).is_ok(), "{name}");
        }
        for (principal, right, name) in [
            ("ann", Right::Read, "default.other"),
            ("ann", Right::Read, "x.clicks"),
            ("ann", Right::Consume, "default.clicks"),
            ("ann", Right::Write, "default.clicks"),
            ("anna", Right::Read, "default.clicks"),
            ("nobody", Right::Read, "default.clicks"),
            ("a@jobs", Right::Write, "default.clicks"),
            ("keeper", Right::Read, "default.clicks"),
        ] {
            let error = access.table(principal, right, &table(name)).unwrap_err();
            assert_eq!(error.category(), ErrorCategory::PermissionDenied, "{principal} {right} {name}");
        }
        assert_eq!(
            access.table("ann", Right::Read, &table("a.b")).unwrap_err().to_string(),
            "principal `ann` has no right to read table `kinesis.a.b`"
        );
    }

    #[test]
    fn consume_covers_read_and_admin_everything() {
        let access = access();
        for right in [Right::Read, Right::Consume] {
            assert!(access.table("a@jobs", right, &table("x.y")).is_ok());
            assert!(access.checkpoint("a@jobs", right, "job-1").is_ok());
            assert!(access.checkpoint("a@jobs", right, "other").is_err());
            assert!(access.checkpoint("ann", right, "job-1").is_err());
        }
        for right in [Right::Read, Right::Consume, Right::Write, Right::Offload, Right::Admin] {
            assert!(access.table("root", right, &table("x.y")).is_ok());
            assert!(access.table("keeper", right, &table("sales.y")).is_ok());
        }
        assert!(access.admin("root").is_ok());
        assert!(access.admin("keeper").is_err(), "administers some tables, not the server");
        assert!(access.stream("keeper", Right::Read, "sales-eu").is_ok());
        assert!(
            access.stream("root", Right::Read, "sales-eu").is_err(),
            "streams are named one by one"
        );
    }

    #[test]
    fn without_rules_everything_is_allowed() {
        let access = Access::everything();
        assert!(access.table("anonymous", Right::Admin, &table("x.y")).is_ok());
        assert!(access.admin("anonymous").is_ok());
        assert_eq!(access.limits("anonymous"), PrincipalLimits::default());
        assert!(Access::new(Vec::new()).admin("anonymous").is_err());
    }

    #[test]
    fn the_smallest_limit_counts() {
        let rule = |max_bytes, max_concurrent| {
            AccessRule::new("a*", [Right::Read]).unwrap().within(PrincipalLimits {
                max_bytes,
                max_concurrent,
                ..PrincipalLimits::default()
            })
        };
        let access = Access::new(vec![rule(Some(7), None), rule(Some(5), Some(2)), rule(None, Some(3))]);
        let limits = access.limits("ann");
        assert_eq!(
            (limits.max_bytes, limits.max_concurrent, limits.max_sessions),
            (Some(5), Some(2), None)
        );
        assert_eq!(access.limits("bob"), PrincipalLimits::default());
    }
}
