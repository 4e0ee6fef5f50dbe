//! The options of one statement, typed.

use std::time::Duration;

use catalog::{BadRecords, Start};
use serde::{Deserialize, Serialize};
use shard_reader::OnGap;
use shard_reader::checkpoints::{CheckpointName, IterationNumber};

use super::option_text::{IterationMax, bad_records, byte_size, duration};
use super::options::{DEFAULT_MAX_BYTES, OptionError, OptionValue, OptionValues, arrival_slack};
use super::parts::DEFAULT_MAX_ENDPOINTS;
use super::scan::ArrivalSlack;

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
    pub(super) fn parse(text: &str) -> Result<Self, String> {
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum KplDedup {
    /// They are rows like any other.
    #[default]
    None,
    /// They are left out as a whole, as KCL does.
    HashRange,
}

/// Whether a named checkpoint is only looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CheckpointMode {
    /// It gives a start, and is never written.
    #[default]
    Observe,
    /// Reading in a transaction opens its next iteration, and COMMIT moves it.
    Consume,
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
    /// Rows are written into aggregates.
    pub kpl_aggregation: bool,
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
    /// Keep dictionaries in results.
    pub dictionaries: bool,
    /// Columns of results are numbers, booleans, timestamps and text alone.
    pub flat_types: bool,
    /// Endpoints of a result at most.
    pub max_endpoints: usize,
    /// Time zone of SQL functions.
    pub time_zone: Option<String>,
    /// Schema of unqualified names.
    pub schema: String,
    /// The checkpoint of the session or statement.
    pub checkpoint: Option<CheckpointName>,
    /// Whether reading may move it.
    pub checkpoint_mode: CheckpointMode,
    /// Whether a statement outside of transactions moves it once it was delivered.
    pub commit_on_read: bool,
    /// Tables whose streams are consumed; `None`: not said.
    pub checkpoint_tables: Option<Vec<String>>,
    /// A kept iteration that is read again.
    pub iteration: Option<IterationNumber>,
    /// The most that one iteration takes in.
    pub iteration_max: Option<IterationMax>,
    /// Whether COMMIT wants every endpoint delivered.
    pub commit_partial: bool,
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
            kpl_aggregation: flag("kpl_aggregation", false),
            string_views: flag("string_views", false),
            dictionaries: flag("dictionaries", false),
            flat_types: flag("flat_types", false),
            max_endpoints: match values.get("max_endpoints") {
                Some(OptionValue::Int(number)) => usize::try_from(*number).unwrap_or(DEFAULT_MAX_ENDPOINTS),
                _ => DEFAULT_MAX_ENDPOINTS,
            },
            time_zone: text("time_zone"),
            schema: text("schema").unwrap_or_else(|| "default".to_owned()),
            checkpoint: text("checkpoint_name")
                .map(|value| {
                    value
                        .parse::<CheckpointName>()
                        .map_err(|error| invalid("checkpoint_name")(error.to_string()))
                })
                .transpose()?,
            checkpoint_mode: match text("checkpoint_mode").as_deref() {
                Some("consume") => CheckpointMode::Consume,
                // whoever wants the checkpoint to move by reading wants to consume, unless he says otherwise
                None if flag("commit_on_read", false) => CheckpointMode::Consume,
                _ => CheckpointMode::Observe,
            },
            commit_on_read: flag("commit_on_read", false),
            checkpoint_tables: match values.get("checkpoint_tables") {
                Some(OptionValue::List(tables)) if !tables.is_empty() => Some(tables.clone()),
                _ => None,
            },
            iteration: match values.get("iteration") {
                Some(OptionValue::Int(number)) => u64::try_from(*number).ok().map(IterationNumber),
                _ => None,
            },
            iteration_max: text("iteration_max")
                .map(|value| IterationMax::parse(&value).map_err(invalid("iteration_max")))
                .transpose()?,
            commit_partial: flag("commit_partial", false),
        })
    }
}
