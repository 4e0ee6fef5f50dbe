//! What a definition promises about the records of its stream, so that statements can read less. Nobody checks a promise before relying on it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cursor::Cursor;
use super::node::Problem;
use super::start::parse_age;
use super::{ColumnDefinition, ColumnType};

/// What decides which shard a record goes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Partitioning {
    /// Not known: an explicit hash key, an aggregate that carries others' records, or the service's own distribution may have put a record anywhere.
    #[default]
    Unknown,
    /// The MD5 of each record's partition key and nothing else: no explicit hash keys, no aggregation, no automatic distribution.
    PartitionKey,
}

/// How far the time in a record lies from its arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventTime {
    /// Index of the column that holds the time of the event: a timestamp, or a date, which stands for its whole day in UTC.
    pub column: usize,
    /// A record arrives at most so long before the time that it carries (clocks of producers that are fast).
    pub early: Duration,
    /// A record arrives at most so long after the time that it carries.
    pub late: Duration,
}

pub(super) const PARTITIONINGS: &[(&str, Partitioning)] =
    &[("unknown", Partitioning::Unknown), ("partition_key", Partitioning::PartitionKey)];

const EVENT_TIME_KEYS: &[&str] = &["column", "early", "late"];

/// `{ column: at, early: 5m, late: 1h }`; all three are needed, since what they say is a promise.
pub(super) fn event_time(place: &Cursor<'_>, columns: &[ColumnDefinition]) -> Result<EventTime, Problem> {
    place.check_keys(EVENT_TIME_KEYS, &[])?;
    let name = place.require("column")?;
    let wanted = name.non_empty_text()?;
    let column = columns
        .iter()
        .position(|column| column.name.eq_ignore_ascii_case(wanted))
        .ok_or_else(|| name.keyed_problem(format!("there is no column `{wanted}`")))?;
    match columns[column].column_type {
        ColumnType::Timestamp(_) | ColumnType::TimestampWithZone(_) | ColumnType::Date => {}
        ref other => return Err(name.keyed_problem(format!("`{wanted}` is a {other}: the time of an event is a timestamp or a date"))),
    }
    Ok(EventTime {
        column,
        early: distance(&place.require("early")?)?,
        late: distance(&place.require("late")?)?,
    })
}

fn distance(place: &Cursor<'_>) -> Result<Duration, Problem> {
    let text = place.text()?.trim();
    parse_age(text).ok_or_else(|| place.keyed_problem(format!("`{text}` is not a duration: write for example 0s, 30s, 15m, 24h or 1h30m")))
}
