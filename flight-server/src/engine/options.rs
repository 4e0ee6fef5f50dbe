//! The one registry of session and statement options.
//!
//! A name `x_y` is `SET kinesis.x_y` in SQL, `x_y` as a Flight session option, and the header `x-shardflight-x-y`.

use std::collections::BTreeMap;
use std::time::Duration;

use catalog::{BadRecords, Start};
use serde::{Deserialize, Serialize};
use shard_reader::OnGap;

use super::option_text::{bad_records, boolean, byte_size, choice, duration};
use super::scan::ArrivalSlack;

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
pub struct OptionValues(BTreeMap<String, OptionValue>);

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
        name: "endpoints",
        default: "auto",
        doc: "auto, shard or single: how many Flight endpoints a result has",
        parse: |text| choice(text, &["auto", "shard", "single"]),
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
        OptionValue::List(_) => Err(OptionError::InvalidValue {
            name: find(name)?.name,
            reason: "takes no list".into(),
        }),
        scalar => parse_option(name, &scalar.to_text()),
    }
}

/// The option's entry.
pub(super) fn find(name: &str) -> Result<&'static OptionSpec, OptionError> {
    let lower = name.to_ascii_lowercase();
    let bare = lower.strip_prefix("kinesis.").unwrap_or(&lower);
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

fn arrival_slack(text: &str) -> Result<ArrivalSlack, String> {
    if text.eq_ignore_ascii_case("unbounded") {
        return Ok(ArrivalSlack::UNBOUNDED);
    }
    duration(&text.to_ascii_lowercase())
        .map(ArrivalSlack::of)
        .ok_or_else(|| format!("`{text}` is neither a duration such as 30s nor unbounded"))
}

/// How fresh a statement's end must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Complete to the moment the statement arrived.
    Latest,
    /// What is known now.
    Cached,
    /// A tip that old will do.
    Within(Duration),
}

impl Freshness {
    fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "latest" => Ok(Self::Latest),
            "cached" => Ok(Self::Cached),
            other => duration(other)
                .map(Self::Within)
                .ok_or_else(|| format!("`{text}` is neither latest, cached nor a duration such as 30s")),
        }
    }
}

/// What happens at `max_bytes` and `max_seconds`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnLimit {
    /// The statement fails.
    #[default]
    Fail,
    /// The rows so far are given, then an error that says what is missing.
    Partial,
}

/// What happens to KPL aggregates of which a user record's hash key lies outside the range of the shard that holds them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KplDedup {
    /// They are rows like any other.
    #[default]
    None,
    /// They are left out as a whole, as KCL does.
    HashRange,
}

/// The options of one statement, typed. What is `None` is the table's to say.
#[derive(Debug, Clone, PartialEq)]
pub struct StatementOptions {
    /// How far out of order arrival times may be.
    pub arrival_slack: ArrivalSlack,
    /// Start of reading.
    pub start: Option<Start>,
    /// Freshness of the end.
    pub freshness: Freshness,
    /// What bad records do.
    pub bad_records: Option<BadRecords>,
    /// What happens to aggregates in a shard that is not theirs.
    pub kpl_dedup: KplDedup,
    /// Hidden columns absent from `SELECT *`.
    pub hide_internal_columns: bool,
    /// Bytes that may be read from Kinesis.
    pub max_bytes: u64,
    /// Seconds that reading may take.
    pub max_seconds: Option<u64>,
    /// What happens at these limits.
    pub on_limit: OnLimit,
    /// What expired records do.
    pub on_gap: OnGap,
    /// Timestamps of results in ns.
    pub timestamp_ns: bool,
    /// Keep view types in results.
    pub string_views: bool,
    /// Time zone of SQL functions.
    pub time_zone: Option<String>,
    /// Schema of unqualified names.
    pub schema: String,
}

impl StatementOptions {
    /// Typed options from checked values.
    pub fn resolve(values: &OptionValues) -> Result<Self, OptionError> {
        let text = |name: &'static str| -> Option<String> { values.get(name).map(OptionValue::to_text) };
        let invalid = |name: &'static str| move |reason: String| OptionError::InvalidValue { name, reason };
        let flag = |name: &'static str, default: bool| values.get(name).map_or(default, |value| *value == OptionValue::Bool(true));
        Ok(Self {
            arrival_slack: text("arrival_slack").map_or(Ok(ArrivalSlack::default()), |value| {
                arrival_slack(&value).map_err(invalid("arrival_slack"))
            })?,
            start: text("start")
                .map(|value| value.parse::<Start>().map_err(invalid("start")))
                .transpose()?,
            freshness: text("freshness").map_or(Ok(Freshness::Latest), |value| {
                Freshness::parse(&value).map_err(invalid("freshness"))
            })?,
            bad_records: text("bad_records")
                .map(|value| bad_records(&value).map_err(invalid("bad_records")))
                .transpose()?,
            kpl_dedup: match text("kpl_dedup").as_deref() {
                Some("hash_range") => KplDedup::HashRange,
                _ => KplDedup::None,
            },
            hide_internal_columns: flag("hide_internal_columns", true),
            max_bytes: text("max_bytes").map_or(Ok(DEFAULT_MAX_BYTES), |value| byte_size(&value).map_err(invalid("max_bytes")))?,
            max_seconds: match values.get("max_seconds") {
                Some(OptionValue::Int(seconds)) => u64::try_from(*seconds).ok(),
                _ => None,
            },
            on_limit: match text("on_limit").as_deref() {
                Some("partial") => OnLimit::Partial,
                _ => OnLimit::Fail,
            },
            on_gap: if text("on_gap").is_some_and(|mode| mode == "warn") {
                OnGap::Warn
            } else {
                OnGap::Fail
            },
            timestamp_ns: text("timestamp_unit").is_none_or(|unit| unit == "ns"),
            string_views: flag("string_views", false),
            time_zone: text("time_zone"),
            schema: text("schema").unwrap_or_else(|| "default".to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
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
