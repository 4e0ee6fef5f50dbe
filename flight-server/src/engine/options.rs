//! The one registry of session and statement options.
//!
//! A name `x_y` is `SET kinesis.x_y` in SQL, `x_y` as a Flight session option, and the header `x-shardflight-x-y`.

use std::collections::BTreeMap;

use catalog::Start;
use serde::{Deserialize, Serialize};
use shard_reader::checkpoints::CheckpointName;

use super::option_aliases;
use super::option_text::{IterationMax, bad_records, boolean, byte_size, choice, duration, list};
use super::parts::endpoint_count;
use super::scan::ArrivalSlack;
use super::statement_options::Freshness;

/// The value of an option that is set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum OptionValue {
    /// Text.
    Text(String),
    /// Integer.
    Int(i64),
    /// Floating point.
    Float(f64),
    /// Boolean.
    Bool(bool),
    /// List of texts.
    List(Vec<String>),
}

impl OptionValue {
    /// As `SHOW` prints it.
    pub fn to_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Int(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Bool(flag) => flag.to_string(),
            Self::List(items) => serde_json::Value::from(items.clone()).to_string(),
        }
    }
}

/// Options that are set, by name. Values have been checked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, OptionValue>")]
pub struct OptionValues(BTreeMap<String, OptionValue>);

impl TryFrom<BTreeMap<String, OptionValue>> for OptionValues {
    type Error = OptionError;

    /// What another version set, and this one does not know, is not left out in silence: rows may depend on it.
    fn try_from(values: BTreeMap<String, OptionValue>) -> Result<Self, OptionError> {
        for (name, value) in &values {
            check_option(name, value)?;
        }
        Ok(Self(values))
    }
}

impl OptionValues {
    /// The value, if set.
    pub fn get(&self, name: &str) -> Option<&OptionValue> {
        self.0.get(name)
    }

    /// Sets a checked value (see [`parse_option`], [`check_option`]).
    pub fn insert(&mut self, name: &'static str, value: OptionValue) {
        self.0.insert(name.to_owned(), value);
    }

    /// Forgets a value.
    pub fn remove(&mut self, name: &str) -> Option<OptionValue> {
        self.0.remove(name)
    }

    /// All that is set, in name order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &OptionValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Nothing set?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These values, and where one is not set, `lower`'s.
    #[must_use]
    pub fn over(&self, lower: &Self) -> Self {
        let mut merged = lower.clone();
        merged.0.extend(self.0.clone());
        merged
    }
}

/// Why an option is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// There is no such option.
    #[error("unknown option `{name}`{}", suggestion.map(|s| format!("; did you mean `{s}`?")).unwrap_or_default())]
    UnknownName {
        /// As given.
        name: String,
        /// The nearest name there is.
        suggestion: Option<&'static str>,
    },
    /// The value does not fit.
    #[error("option `{name}`: {reason}")]
    InvalidValue {
        /// The option.
        name: &'static str,
        /// What it takes.
        reason: String,
    },
    /// An option of an old connector that has no meaning here.
    #[error("option `{name}`: {reason}")]
    Retired {
        /// The option.
        name: &'static str,
        /// What is there instead.
        reason: &'static str,
    },
}

/// One option.
#[derive(Debug, Clone, Copy)]
pub struct OptionSpec {
    /// Name, `x_y`.
    pub name: &'static str,
    /// What `SHOW` prints when it is not set.
    pub default: &'static str,
    /// What it does.
    pub doc: &'static str,
    parse: fn(&str) -> Result<OptionValue, String>,
}

/// Largest default of bytes that one statement may read from Kinesis.
pub(super) const DEFAULT_MAX_BYTES: u64 = 20 << 30;

static SPECS: &[OptionSpec] = &[
    OptionSpec {
        name: "arrival_slack",
        default: "10s",
        doc: "how far out of order arrival times may be, or unbounded: conditions on _message_timestamp decide what is read with so much to spare",
        parse: |text| arrival_slack(text).map(|_| OptionValue::Text(text.to_ascii_lowercase())),
    },
    OptionSpec {
        name: "bad_records",
        default: "the table's",
        doc: "null_row, skip or fail",
        parse: |text| bad_records(text).map(|_| OptionValue::Text(text.to_ascii_lowercase())),
    },
    OptionSpec {
        name: "catalog",
        default: "kinesis",
        doc: "the current catalog; there is one",
        parse: |text| {
            if text == "kinesis" {
                Ok(OptionValue::Text(text.to_owned()))
            } else {
                Err(format!("there is no catalog `{text}`; the catalog is `kinesis`"))
            }
        },
    },
    OptionSpec {
        name: "checkpoint_mode",
        default: "observe",
        doc: "observe: the checkpoint gives a start and is never written; consume: a transaction opens its next iteration, and COMMIT moves it",
        parse: |text| choice(text, &["observe", "consume"]),
    },
    OptionSpec {
        name: "checkpoint_name",
        default: "none",
        doc: "the consumer whose checkpoint statements start at",
        parse: |text| {
            let name = text.parse::<CheckpointName>().map_err(|error| error.to_string())?;
            Ok(OptionValue::Text(name.to_string()))
        },
    },
    OptionSpec {
        name: "checkpoint_tables",
        default: "the one that is read",
        doc: "tables whose streams are consumed, where a transaction reads several: a list",
        parse: list,
    },
    OptionSpec {
        name: "commit_on_read",
        default: "false",
        doc: "true: outside of transactions, the checkpoint moves when all endpoints of a statement were delivered to the end",
        parse: boolean,
    },
    OptionSpec {
        name: "commit_partial",
        default: "false",
        doc: "true: COMMIT moves the checkpoint though endpoints of the transaction were not delivered to the end",
        parse: boolean,
    },
    OptionSpec {
        name: "dictionaries",
        default: "false",
        doc: "true keeps dictionary-encoded columns in results",
        parse: boolean,
    },
    OptionSpec {
        name: "endpoints",
        default: "auto",
        doc: "auto, shard or single: how many Flight endpoints a result has",
        parse: |text| choice(text, &["auto", "shard", "single"]),
    },
    OptionSpec {
        name: "flat_types",
        default: "false",
        doc: "true: results of numbers, booleans, timestamps and text alone, for clients that know no other types",
        parse: boolean,
    },
    OptionSpec {
        name: "freshness",
        default: "latest",
        doc: "latest, cached, or how old a shard's known tip may be ('30s')",
        parse: |text| Freshness::parse(text).map(|_| OptionValue::Text(text.to_ascii_lowercase())),
    },
    OptionSpec {
        name: "hide_internal_columns",
        default: "true",
        doc: "false shows the hidden columns in SELECT *",
        parse: boolean,
    },
    OptionSpec {
        name: "iteration",
        default: "the next",
        doc: "a kept iteration of the checkpoint, which is read again",
        parse: |text| match text.parse::<i64>() {
            Ok(number) if number >= 0 => Ok(OptionValue::Int(number)),
            _ => Err(format!("`{text}` is no number of an iteration")),
        },
    },
    OptionSpec {
        name: "iteration_max",
        default: "none",
        doc: "the most that one iteration takes in: bytes ('1GB'), or a stretch of arrival time ('1h')",
        parse: |text| IterationMax::parse(text).map(|_| OptionValue::Text(text.to_owned())),
    },
    OptionSpec {
        name: "kpl_aggregation",
        default: "false",
        doc: "true: INSERT and ingest put rows into aggregates of the Kinesis Producer Library",
        parse: boolean,
    },
    OptionSpec {
        name: "kpl_dedup",
        default: "none",
        doc: "hash_range leaves out KPL aggregates of which a user record belongs to another shard",
        parse: |text| choice(text, &["none", "hash_range"]),
    },
    OptionSpec {
        name: "max_bytes",
        default: "20GiB",
        doc: "bytes that one statement may read from Kinesis",
        parse: |text| byte_size(text).map(|_| OptionValue::Text(text.to_owned())),
    },
    OptionSpec {
        name: "max_endpoints",
        default: "32",
        doc: "the most endpoints that a result has; with more shards, neighbours share one",
        parse: endpoint_count,
    },
    OptionSpec {
        name: "max_seconds",
        default: "none",
        doc: "seconds that one statement may spend reading",
        parse: |text| match text.parse::<i64>() {
            Ok(seconds) if seconds > 0 => Ok(OptionValue::Int(seconds)),
            _ => Err(format!("`{text}` is not a positive number of seconds")),
        },
    },
    OptionSpec {
        name: "on_gap",
        default: "fail",
        doc: "fail or warn: whether a statement goes on behind records that expired unread",
        parse: |text| choice(text, &["fail", "warn"]),
    },
    OptionSpec {
        name: "on_limit",
        default: "fail",
        doc: "at max_bytes or max_seconds: fail, or partial: the rows so far, then status OUT_OF_RANGE",
        parse: |text| choice(text, &["fail", "partial"]),
    },
    OptionSpec {
        name: "partition_key",
        default: "the table's",
        doc: "the column whose values become partition keys of records that INSERT and ingest write",
        parse: |text| match text.is_empty() {
            true => Err("the name of a column is not empty".into()),
            false => Ok(OptionValue::Text(text.to_owned())),
        },
    },
    OptionSpec {
        name: "schema",
        default: "default",
        doc: "the schema of unqualified table names",
        parse: |text| {
            if text.is_empty() {
                Err("a schema name is not empty".into())
            } else {
                Ok(OptionValue::Text(text.to_owned()))
            }
        },
    },
    OptionSpec {
        name: "start",
        default: "the table's",
        doc: "where reading starts: trim_horizon, latest, an age ('-1h') or a time",
        parse: |text| text.parse::<Start>().map(|_| OptionValue::Text(text.to_owned())),
    },
    OptionSpec {
        name: "string_views",
        default: "false",
        doc: "true keeps Utf8View and BinaryView columns in results",
        parse: boolean,
    },
    OptionSpec {
        name: "time_zone",
        default: "UTC",
        doc: "time zone of SQL's date and time functions",
        parse: |text| {
            text.parse::<datafusion::arrow::array::timezone::Tz>()
                .map(|_| OptionValue::Text(text.to_owned()))
                .map_err(|error| error.to_string())
        },
    },
    OptionSpec {
        name: "timestamp_unit",
        default: "ns",
        doc: "ns: timestamps of results in nanoseconds; declared: in the unit of the definition",
        parse: |text| choice(text, &["ns", "declared"]),
    },
];

/// All options there are, in name order.
pub fn option_specs() -> &'static [OptionSpec] {
    SPECS
}

/// Checks an option given as text. `kinesis.` in front of the name is optional.
pub fn parse_option(name: &str, text: &str) -> Result<(&'static str, OptionValue), OptionError> {
    let spec = find(name)?;
    match (spec.parse)(text.trim()) {
        Ok(value) => Ok((spec.name, value)),
        Err(reason) => Err(OptionError::InvalidValue { name: spec.name, reason }),
    }
}

/// Checks an option given as a value.
pub fn check_option(name: &str, value: &OptionValue) -> Result<(&'static str, OptionValue), OptionError> {
    match value {
        OptionValue::List(_) if find(name)?.name == "checkpoint_tables" => Ok((find(name)?.name, value.clone())),
        OptionValue::List(_) => Err(OptionError::InvalidValue {
            name: find(name)?.name,
            reason: "takes no list".into(),
        }),
        scalar => parse_option(name, &scalar.to_text()),
    }
}

/// The option's entry. Names that the old connectors used are found too.
pub(super) fn find(name: &str) -> Result<&'static OptionSpec, OptionError> {
    let lower = name.to_ascii_lowercase();
    let bare = lower.strip_prefix("kinesis.").unwrap_or(&lower);
    let bare = option_aliases::current_name(bare)?;
    SPECS.iter().find(|spec| spec.name == bare).ok_or_else(|| OptionError::UnknownName {
        name: name.to_owned(),
        suggestion: SPECS
            .iter()
            .map(|spec| (strsim::jaro_winkler(spec.name, bare), spec.name))
            .filter(|(score, _)| *score > 0.8)
            .max_by(|left, right| left.0.total_cmp(&right.0))
            .map(|(_, name)| name),
    })
}

pub(super) fn arrival_slack(text: &str) -> Result<ArrivalSlack, String> {
    if text.eq_ignore_ascii_case("unbounded") {
        return Ok(ArrivalSlack::UNBOUNDED);
    }
    duration(&text.to_ascii_lowercase())
        .map(ArrivalSlack::of)
        .ok_or_else(|| format!("`{text}` is neither a duration such as 30s nor unbounded"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn names_are_found_with_and_without_prefix_and_suggested() {
        assert_eq!(
            parse_option("kinesis.endpoints", "SHARD"),
            Ok(("endpoints", OptionValue::Text("shard".into())))
        );
        let error = parse_option("freshnes", "latest").expect_err("a typo");
        assert_eq!(error.to_string(), "unknown option `freshnes`; did you mean `freshness`?");
        assert_eq!(parse_option("zzz", "1").expect_err("unknown").to_string(), "unknown option `zzz`");
    }

    #[test]
    fn every_spec_is_in_name_order() {
        assert!(SPECS.is_sorted_by_key(|spec| spec.name));
    }

    #[test]
    fn values_are_checked() {
        for (name, text) in [
            ("max_bytes", "20 apples"),
            ("freshness", "soon"),
            ("max_seconds", "-1"),
            ("time_zone", "Mars/Base"),
            ("catalog", "other"),
            ("arrival_slack", "some"),
        ] {
            assert!(
                matches!(parse_option(name, text), Err(OptionError::InvalidValue { .. })),
                "{name}={text}"
            );
        }
        assert_eq!(byte_size("20GiB"), Ok(21_474_836_480));
        assert_eq!(byte_size("500MB"), Ok(500_000_000));
        assert_eq!(Freshness::parse("30s"), Ok(Freshness::Within(Duration::from_secs(30))));
    }

    #[test]
    fn upper_layers_win() {
        let mut lower = OptionValues::default();
        lower.insert("start", OptionValue::Text("latest".into()));
        lower.insert("string_views", OptionValue::Bool(true));
        let mut upper = OptionValues::default();
        upper.insert("start", OptionValue::Text("trim_horizon".into()));
        let merged = upper.over(&lower);
        assert_eq!(merged.get("start"), Some(&OptionValue::Text("trim_horizon".into())));
        assert_eq!(merged.get("string_views"), Some(&OptionValue::Bool(true)));
    }
}
