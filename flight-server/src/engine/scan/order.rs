//! From which end a shard is read, and where reading it stops.
//!
//! A LIMIT without an order takes what is held or newest, not the far end of the retention. A sort that wants few rows, the newest first, hands down a
//! filter that tightens while rows come: from then on older records are not wanted.
//!
//! # What is relied on
//!
//! Arrival times are not exactly in order, and nothing can be known of records that are not read but what the service says of them. So what arrived
//! before a time is left unread only where the service says that everything before a place arrived earlier, for a time that is [`ArrivalSlack`]
//! earlier still. And a shard is read no further once a whole run of records arrived that much after the last time that is wanted. Sequence numbers
//! are in order, and bound exactly.

use std::time::Duration;

use catalog::TableDefinition;
use datafusion::physical_expr::PhysicalSortExpr;
use datafusion::physical_plan::expressions::Column;
use serde::{Deserialize, Serialize};
use shard_reader::{Gap, NewestScan, Position, ReadError, ScanTotals, SegmentSlice, ShardScan};

use super::super::hidden::HiddenColumn;
use super::conditions::EventColumn;
use super::reach::Reach;

/// How far out of order arrival times may be: so much earlier reading starts than a lower bound on them, and so much later it ends than an upper one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrivalSlack {
    /// `None`: no time says anything about another.
    ms: Option<i64>,
}

impl ArrivalSlack {
    /// Conditions on arrival times decide nothing about what is read.
    pub const UNBOUNDED: Self = Self { ms: None };

    /// So much.
    pub fn of(slack: Duration) -> Self {
        Self {
            ms: Some(i64::try_from(slack.as_millis()).unwrap_or(i64::MAX)),
        }
    }

    /// What arrived before this time (ms since the epoch) is not needed where nothing before `time` is wanted.
    pub(crate) fn earlier(self, time: i64) -> Option<i64> {
        self.ms.map(|slack| time.saturating_sub(slack))
    }

    /// What comes after a record that arrived after this time is not needed where nothing after `time` is wanted.
    pub(crate) fn later(self, time: i64) -> Option<i64> {
        self.ms.map(|slack| time.saturating_add(slack))
    }
}

impl Default for ArrivalSlack {
    /// 10 s.
    fn default() -> Self {
        Self { ms: Some(10_000) }
    }
}

/// The end of a shard at which reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadFrom {
    Oldest,
    Newest,
}

/// Whether an order asks for the newest records first.
pub(super) fn is_newest_first(order: &[PhysicalSortExpr], definition: &TableDefinition) -> bool {
    let Some(first) = order.first().filter(|first| first.options.descending) else {
        return false;
    };
    let Some(column) = first.expr.downcast_ref::<Column>() else {
        return false;
    };
    [HiddenColumn::MessageTimestamp, HiddenColumn::ShardSequenceId]
        .iter()
        .any(|hidden| hidden.name() == column.name())
        || EventColumn::of(definition).is_some_and(|event| event.name == column.name())
}

/// A shard being read, from one end or the other.
pub(super) enum Reading {
    Forward {
        scan: Box<ShardScan>,
        /// Records that are read arrived after this time (ms since the epoch): the least of the last run.
        passed_ms: i64,
        ended: bool,
    },
    Newest(Box<NewestScan>),
}

impl Reading {
    pub(super) fn forward(scan: ShardScan) -> Self {
        Self::Forward {
            scan: Box::new(scan),
            passed_ms: i64::MIN,
            ended: false,
        }
    }

    /// Only records of this reach are wanted from now on.
    pub(super) fn want(&mut self, reach: &Reach, slack: ArrivalSlack) {
        match self {
            Self::Forward { scan, passed_ms, ended } => {
                let past = |number| scan.position() >= Position::after_record(number);
                let late = |time: i64| slack.later(time).is_some_and(|time| *passed_ms > time);
                *ended |= reach.highest().is_some_and(past) || (reach.latest().is_some_and(late) && !reach.unstamped);
            }
            Self::Newest(scan) => {
                if let Some(number) = reach.lowest() {
                    scan.leave_below(number);
                }
                // of a record without a time the service does not say that it arrived earlier
                if let Some(time) = reach.earliest().and_then(|time| slack.earlier(time)) {
                    scan.leave_older(time);
                }
            }
        }
    }

    pub(super) async fn next(&mut self) -> Result<Option<SegmentSlice>, ReadError> {
        match self {
            Self::Forward { ended: true, .. } => Ok(None),
            Self::Forward { scan, passed_ms, .. } => {
                let slice = scan.next().await?;
                if let Some(slice) = &slice {
                    (*passed_ms, _) = slice.segment.arrival_range();
                }
                Ok(slice)
            }
            Self::Newest(scan) => scan.next().await,
        }
    }

    /// What was found gone since this was asked last.
    pub(super) fn take_gaps(&mut self) -> Vec<Gap> {
        match self {
            Self::Forward { scan, .. } => scan.take_gaps(),
            Self::Newest(_) => Vec::new(),
        }
    }

    pub(super) fn position(&self) -> Position {
        match self {
            Self::Forward { scan, .. } => scan.position(),
            Self::Newest(scan) => scan.position(),
        }
    }

    pub(super) fn totals(&self) -> ScanTotals {
        match self {
            Self::Forward { scan, .. } => scan.totals(),
            Self::Newest(scan) => scan.totals(),
        }
    }
}
