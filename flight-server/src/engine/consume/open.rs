//! Iterations of a consumer: opened, taken over, read again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use catalog::Start;
use shard_reader::checkpoints::{
    Base, CheckpointError, CheckpointErrorKind, CheckpointStore, Consumer, Ends, Head, Iteration, IterationNumber, IterationStart,
    IterationState, OwnerToken, following_ends, ranges_between,
};
use shard_reader::{Snapshot, StreamIdentity};

use super::super::error::EngineError;
use super::super::option_text::IterationMax;
use super::Consumers;
use super::bound::bound;
use super::positions::{StreamPositions, ms, shard_tips};

/// Somebody else may change a head between reading and writing it so often before that is an error.
const ATTEMPTS: usize = 10;

/// A consumer at work on a stream.
pub(super) struct ConsumerAt<'a> {
    pub(super) consumers: &'a Consumers,
    pub(super) consumer: Consumer,
    pub(super) positions: StreamPositions,
    /// Where it starts if it has no past.
    pub(super) start: Option<Start>,
    pub(super) max: Option<IterationMax>,
}

/// An iteration that is not opened yet.
pub(super) struct Opening {
    pub(super) iteration: Iteration,
    /// It holds no record.
    pub(super) is_empty: bool,
    /// There is more than it may take in.
    pub(super) is_bounded: bool,
}

impl ConsumerAt<'_> {
    pub(super) fn store(&self) -> &Arc<dyn CheckpointStore> {
        &self.consumers.store
    }

    pub(super) fn identity(&self) -> &StreamIdentity {
        self.positions.reader.identity()
    }

    /// The next iteration for an owner: opened, or the open one taken over.
    pub(super) async fn next(&self, owner: &OwnerToken) -> Result<(IterationNumber, Snapshot), EngineError> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match self.try_next(owner).await {
                Err(EngineError::Checkpoint(error)) if error.kind == CheckpointErrorKind::Conflict => last = Some(error),
                done => return done,
            }
        }
        Err(last.map_or_else(
            || EngineError::Internal("no attempt to open an iteration".into()),
            EngineError::Checkpoint,
        ))
    }

    async fn try_next(&self, owner: &OwnerToken) -> Result<(IterationNumber, Snapshot), EngineError> {
        let Some(head) = self.head().await? else {
            let base = self.stated_base().await?;
            self.store()
                .set_base(&self.consumer, self.identity(), None, &base, "consumer")
                .await?;
            return Err(EngineError::Checkpoint(CheckpointError::new(
                CheckpointErrorKind::Conflict,
                format!("{}: others keep changing it", self.consumer),
            )));
        };
        if let Some(open) = &head.open {
            self.store().take_over(&self.consumer, head.version, owner).await?;
            let iteration = self.kept(&head, open.number).await?;
            let previous = self.previous(iteration.start).await?;
            self.consumers
                .saw_open(&self.consumer, iteration.number, &previous, &iteration.ends);
            return Ok((open.number, self.snapshot(&iteration, &previous).await?));
        }
        let previous = self.previous(head.start).await?;
        let iteration = self.opened(&head, &previous).await?.iteration;
        let snapshot = self.snapshot(&iteration, &previous).await?;
        self.store().open(&self.consumer, head.version, &iteration, owner).await?;
        self.consumers.opened.fetch_add(1, Ordering::Relaxed);
        self.consumers
            .saw_open(&self.consumer, iteration.number, &previous, &iteration.ends);
        Ok((iteration.number, snapshot))
    }

    /// The iteration that follows on the previous ends, up to the tips.
    pub(super) async fn opened(&self, head: &Head, previous: &Ends) -> Result<Opening, EngineError> {
        let (tips, complete_ms) = self.positions.tips().await?;
        let now_ms = self.positions.reader.now_ms();
        let retention_ms = ms(self.positions.reader.retention());
        let (mut ends, lost) = following_ends(previous, &shard_tips(&tips), now_ms, retention_ms, Some(complete_ms));
        self.positions.fail_or_warn(&lost)?;
        let mut found = self
            .positions
            .find(ranges_between(previous, &BTreeMap::new(), &ends), previous)
            .await?;
        let mut is_bounded = false;
        if let Some(max) = self.max
            && let Some(left_ms) = bound(&self.positions, max, &mut found).await?
        {
            is_bounded = true;
            ends.as_of_ms = ends.as_of_ms.map(|as_of| as_of.min(left_ms));
        }
        let is_empty = found.iter().all(|range| range.start >= range.end);
        for range in &found {
            if let Some(end) = ends.shards.get_mut(&range.shard)
                && range.end < end.position
            {
                end.position = range.end;
                end.closed_ms = None;
            }
        }
        let starts = found
            .into_iter()
            .filter(|range| range.moved)
            .map(|range| (range.shard, range.start));
        let iteration = Iteration {
            number: head.next,
            start: head.start,
            created_ms: self.identity().created_ms,
            opened_ms: now_ms,
            starts: starts.collect(),
            ends,
        };
        Ok(Opening {
            iteration,
            is_empty,
            is_bounded,
        })
    }

    /// An iteration that the store keeps, and that can be read.
    pub(super) async fn kept(&self, head: &Head, number: IterationNumber) -> Result<Iteration, EngineError> {
        let gone = |what: &str| {
            EngineError::FailedPrecondition(format!(
                "{}: iteration {number} is {what}; the next one is {}",
                self.consumer, head.next
            ))
        };
        let Some(iteration) = self.store().iteration(&self.consumer, number).await? else {
            if number > head.next || (number == head.next && head.open.is_none()) {
                return Err(gone("not opened yet"));
            }
            return Err(gone("no longer kept"));
        };
        if head.state_of(number) == IterationState::Abandoned {
            return Err(gone("given up: its records belong to a later one"));
        }
        if iteration.created_ms != self.identity().created_ms {
            return Err(gone("of a stream that was deleted and created anew"));
        }
        Ok(iteration)
    }

    pub(super) async fn snapshot(&self, iteration: &Iteration, previous: &Ends) -> Result<Snapshot, EngineError> {
        let ranges = ranges_between(previous, &iteration.starts, &iteration.ends);
        let found = self.positions.find(ranges, previous).await?;
        Ok(self.positions.snapshot(found))
    }

    /// A kept iteration, read again; nothing is written.
    pub(super) async fn reread(&self, number: IterationNumber) -> Result<Snapshot, EngineError> {
        let head = self
            .head()
            .await?
            .ok_or_else(|| EngineError::NotFound(format!("{} has no past, so there is no iteration {number}", self.consumer)))?;
        let iteration = self.kept(&head, number).await?;
        let previous = self.previous(iteration.start).await?;
        self.snapshot(&iteration, &previous).await
    }

    /// From the checkpoint to the tip; nothing is written.
    pub(super) async fn observed(&self) -> Result<Snapshot, EngineError> {
        let previous = match self.head().await? {
            Some(head) => self.previous(head.start).await?,
            None => self.stated_base().await?.ends,
        };
        self.positions.behind(&previous).await
    }

    /// Whether a number is that of the next iteration, open or not.
    pub(super) async fn is_next(&self, number: IterationNumber) -> Result<bool, EngineError> {
        let next = self.head().await?.map_or(IterationNumber::FIRST, |head| head.next);
        Ok(number == next)
    }

    /// The head, if it is of this stream.
    pub(super) async fn head(&self) -> Result<Option<Head>, EngineError> {
        let Some(head) = self.store().head(&self.consumer).await? else {
            return Ok(None);
        };
        if head.is_of(self.identity()) {
            return Ok(Some(head));
        }
        Err(EngineError::FailedPrecondition(format!(
            "{}: the stream was deleted and created anew since it was consumed; say where to start with CALL kinesis.system.reset_checkpoint",
            self.consumer
        )))
    }

    async fn previous(&self, start: IterationStart) -> Result<Ends, EngineError> {
        let (found, what) = match start {
            IterationStart::Base(number) => (
                self.store().base(&self.consumer, number).await?.map(|base| base.ends),
                format!("the start of iteration {number}"),
            ),
            IterationStart::After(number) => (
                self.store().iteration(&self.consumer, number).await?.map(|before| before.ends),
                format!("iteration {number}"),
            ),
        };
        found.ok_or_else(|| {
            EngineError::FailedPrecondition(format!(
                "{}: {what} is no longer kept, so what follows on it cannot be read",
                self.consumer
            ))
        })
    }

    pub(super) async fn stated_base(&self) -> Result<Base, EngineError> {
        let start = self.start.ok_or_else(|| {
            EngineError::FailedPrecondition(format!(
                "{} has no past: say where it starts, for instance SET kinesis.start = 'trim_horizon' (or 'latest', '-1h', a time)",
                self.consumer
            ))
        })?;
        Ok(Base {
            ends: self.positions.base(start).await?,
            stated: stated(start),
            at_ms: self.positions.reader.now_ms(),
        })
    }
}

/// A start as it is written.
pub(super) fn stated(start: Start) -> String {
    match start {
        Start::TrimHorizon => "trim_horizon".into(),
        Start::Latest => "latest".into(),
        Start::Age(age) => format!("-{}s", age.as_secs_f64()),
        Start::Timestamp(time) => time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
    }
}
