//! Records that are gone before they were read: an error, or a gap that the statement goes on behind.

use std::sync::Arc;

use tokio::time::Instant;

use super::context::StreamContext;
use super::counters::Counters;
use super::error::{ReadError, ReadErrorKind};
use super::shard::Shard;
use crate::{Position, ShardId};

/// What a statement does where records of its range are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnGap {
    /// It fails.
    #[default]
    Fail,
    /// It goes on behind them; the gap is reported.
    Warn,
}

/// Records that a scan asked for and that are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Shard.
    pub shard: ShardId,
    /// After the last record that was handed out before.
    pub from: Position,
    /// Where the scan went on; `None` = nothing that is left of the shard belongs to the range.
    pub to: Option<Position>,
    /// How it was found.
    pub reason: String,
}

impl StreamContext {
    /// A shard that the service does not know: another stream's by now, or one whose records have all expired. Anything else is an error.
    pub(super) async fn explain_missing(&self, shard: &ShardId, error: ReadError) -> Result<String, ReadError> {
        let now = Instant::now();
        self.check_incarnation(now).await?;
        self.list(now).await.map_err(|error| ReadError::of_source(&self.stream, &error))?;
        if self.is_listed(shard) {
            return Err(error);
        }
        Ok("the shard has expired, the service lists it no more".to_owned())
    }

    /// Where a scan goes on behind records that are gone at `from`; `None` if nothing is left of its shard before `end`. One that follows goes on
    /// with what comes.
    pub(super) async fn behind_gap(
        self: &Arc<Self>,
        shard: &Arc<Shard>,
        from: Position,
        end: Position,
        follows: bool,
        deadline: Instant,
    ) -> Result<Option<Position>, ReadError> {
        let first = match self.first_record(shard, deadline).await {
            Ok(first) => first,
            Err(error) if error.kind == ReadErrorKind::NotFound => {
                self.explain_missing(&shard.id, error).await?;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        match first {
            // the record is gone, and yet older ones are there
            Position::Before(_) if first <= from => Err(ReadError::new(
                ReadErrorKind::Internal,
                &self.stream,
                format!("the service says that the record at {from} is gone, and gives {first} as the oldest"),
            )
            .at(&shard.id, Some(from))),
            Position::Before(_) => Ok((first < end).then_some(first)),
            Position::TrimHorizon | Position::After(..) => Ok(follows.then_some(first)),
        }
    }

    /// Counts that records of a statement are gone.
    pub(super) fn count_gap(&self, shard: &ShardId) {
        Counters::add(&self.shared.counters.gaps, 1);
        Counters::add(&self.shard(shard).counters.gaps, 1);
    }

    /// Logs a gap that a statement goes on behind.
    pub(super) fn log_gap(&self, gap: &Gap) {
        let to = gap.to.map_or_else(|| "its end".to_owned(), |to| to.to_string());
        tracing::warn!(stream = %self.stream, shard = %gap.shard, from = %gap.from, to, reason = gap.reason, "records are gone unread");
    }
}
