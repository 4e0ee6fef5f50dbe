//! Names, numbers and positions of consumers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::source::shared_text;
use crate::{Position, ShardId, StreamIdentity};

/// Longest name of a checkpoint, in bytes: with an ARN it fits into a DynamoDB key (2,048 bytes).
const LONGEST_NAME: usize = 255;

/// The name of a consumer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CheckpointName(#[serde(with = "shared_text")] Arc<str>);

/// Why a text is no name of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of a checkpoint: 1 to {LONGEST_NAME} bytes, without control characters and without spaces at its ends")]
pub struct CheckpointNameError(String);

impl CheckpointName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CheckpointName {
    type Err = CheckpointNameError;

    fn from_str(text: &str) -> Result<Self, CheckpointNameError> {
        let right = (1..=LONGEST_NAME).contains(&text.len()) && !text.chars().any(char::is_control) && text.trim() == text;
        right
            .then(|| Self(text.into()))
            .ok_or_else(|| CheckpointNameError(text.chars().take(LONGEST_NAME).collect()))
    }
}

impl fmt::Display for CheckpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A named consumer of a stream. The stream's incarnation is in the head, so that one that was created anew is noticed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consumer {
    /// Name of the checkpoint.
    pub name: CheckpointName,
    /// ARN of the stream (its name, where a service gives none).
    #[serde(with = "shared_text")]
    pub stream: Arc<str>,
}

impl fmt::Display for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "checkpoint `{}` of stream {}", self.name, self.stream)
    }
}

/// Number of an iteration; the first is 0. Never used twice by one consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IterationNumber(pub u64);

impl IterationNumber {
    /// The first.
    pub const FIRST: Self = Self(0);

    /// The one after.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for IterationNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who holds an open iteration: a fencing token, new for each transaction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OwnerToken(#[serde(with = "shared_text")] pub Arc<str>);

impl fmt::Display for OwnerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far a shard is consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardEnd {
    /// Records before this point are consumed.
    pub position: Position,
    /// The shard was closed, and this is its end. The time when that was seen, ms since the epoch.
    pub closed_ms: Option<i64>,
}

/// How far every shard of a stream is consumed. A shard that is not named begins at the trim horizon: it came later.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ends {
    /// Every record behind the ends arrived after this time (ms since the epoch). `None`: not known.
    pub as_of_ms: Option<i64>,
    /// How long the stream kept records when the ends were pinned (ms).
    pub retention_ms: i64,
    /// By shard.
    pub shards: BTreeMap<ShardId, ShardEnd>,
}

impl Ends {
    /// Up to this time (ms since the epoch) no record behind the ends can have expired, given how long the stream keeps records now (ms). `None`: not
    /// known.
    pub fn kept_until_ms(&self, retention_ms: i64) -> Option<i64> {
        let kept = self.retention_ms.min(retention_ms);
        self.as_of_ms.map(|as_of| as_of.saturating_add(kept))
    }
}

/// Positions that a consumer was told to start at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// The positions.
    pub ends: Ends,
    /// What was said: `trim_horizon`, `latest`, a time, `iteration:N`, `import`.
    pub stated: String,
    /// When, ms since the epoch.
    pub at_ms: i64,
}

/// Where an iteration starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IterationStart {
    /// At the base that is stored under this number.
    Base(IterationNumber),
    /// At the end of this iteration.
    After(IterationNumber),
}

/// What became of an iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IterationState {
    /// Its range is fixed, and not consumed.
    Open,
    /// Consumed.
    Committed,
    /// Given up: its records belong to the next one.
    Abandoned,
}

impl IterationState {
    /// As the system tables show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Committed => "committed",
            Self::Abandoned => "abandoned",
        }
    }
}

/// An iteration, as it is stored: written once when it is opened. Its state follows from the head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Iteration {
    /// Number.
    pub number: IterationNumber,
    /// Where it starts.
    pub start: IterationStart,
    /// Incarnation of the stream: its creation time, ms since the epoch.
    pub created_ms: i64,
    /// When it was opened, ms since the epoch.
    pub opened_ms: i64,
    /// Starts of shards that do not start at their previous end: those that came later, at their first record, and those whose previous end had
    /// expired with nothing behind it.
    pub starts: BTreeMap<ShardId, Position>,
    /// How far it goes.
    pub ends: Ends,
}

/// The open iteration of a consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenIteration {
    /// Number.
    pub number: IterationNumber,
    /// Who holds it.
    pub owner: OwnerToken,
    /// When it was opened, ms since the epoch.
    pub opened_ms: i64,
}

/// The head of a consumer: the one item that decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Incarnation of the stream.
    pub stream: StreamIdentity,
    /// Goes up with every change.
    pub version: u64,
    /// Where the next iteration starts.
    pub start: IterationStart,
    /// Number of the next iteration, or of the open one.
    pub next: IterationNumber,
    /// The open iteration.
    pub open: Option<OpenIteration>,
    /// The last committed one, who committed it, and when (ms since the epoch).
    pub committed: Option<(IterationNumber, OwnerToken, i64)>,
    /// Iterations that were given up and are still kept, with when (ms since the epoch) and by whom.
    pub abandoned: BTreeMap<IterationNumber, (i64, String)>,
}

impl Head {
    /// What became of an iteration.
    pub fn state_of(&self, number: IterationNumber) -> IterationState {
        if self.abandoned.contains_key(&number) {
            IterationState::Abandoned
        } else if number >= self.next {
            IterationState::Open
        } else {
            IterationState::Committed
        }
    }

    /// The identity of the stream, for comparison.
    pub fn is_of(&self, stream: &StreamIdentity) -> bool {
        self.stream == *stream
    }
}

/// A run of a statement: the endpoints that its last planning gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Id of the query.
    pub query_id: String,
    /// The beginning of its text, for people.
    pub sql: String,
    /// How many endpoints it has.
    pub parts: u32,
    /// Those that were delivered to their end.
    pub delivered: BTreeSet<u32>,
}

impl Run {
    /// Whether all was delivered.
    pub fn is_delivered(&self) -> bool {
        u32::try_from(self.delivered.len()).is_ok_and(|delivered| delivered >= self.parts)
    }
}

/// The last run of each statement text in one iteration under one owner, by a hash of the text.
pub type Runs = BTreeMap<String, Run>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for right in ["dashboard", "a b", "übersicht", &"n".repeat(255)] {
            assert_eq!(right.parse::<CheckpointName>().map(|name| name.to_string()), Ok(right.to_owned()));
        }
        for wrong in ["", " a", "a ", "a\nb", "\u{1f}", &"n".repeat(256)] {
            assert!(wrong.parse::<CheckpointName>().is_err(), "{wrong:?}");
        }
    }
}
