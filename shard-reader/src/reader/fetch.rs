//! Cursors, and reading a page at one.
//!
//! A cursor that is lost, expired or too old is opened again at its position, at the very record that the position names, which must be there: a
//! service skips expired records silently, and this is how a gap is found instead.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::actor::Actor;
use super::snapshot::TipKind;
use crate::aggregation::{Deaggregated, deaggregate};
use crate::{Cursor, OpenAt, Page, Position, Records, SequenceNumber, SourceError, SourceErrorKind};

/// AWS lets an iterator live for 5 minutes.
const CURSOR_AGE: Duration = Duration::from_secs(270);
/// No stream keeps records for less (CreateStream, RetentionPeriodHours): what is younger does not expire, even if the retention is decreased.
const LEAST_RETENTION: Duration = Duration::from_secs(24 * 3600);
/// Closer to the end of retention than this, a cursor could fall off the horizon between two reads.
const RETENTION_SLACK: Duration = Duration::from_secs(300);
/// What came after a moment so recent has not expired, whatever a stream's retention is or becomes.
pub(super) const SAFE_AGE: Duration = Duration::from_secs(23 * 3600);
/// The rule for a service whose distance to the tip cannot be trusted.
const ASSUMED_EMPTIES: u32 = 5;
const ASSUMED_AFTER: Duration = Duration::from_secs(2);
/// So long must a tip that is only assumed have lasted to say that records that were there once are gone.
pub(super) const CONTRADICTED_AFTER: Duration = Duration::from_secs(60);
/// A shard of which a reply holds no more than this is looked at close to its tip first: a minute of it is more than a reply.
const HOT_SPAN_MS: i64 = 30_000;
/// Replies looked at for the first record of a place.
const FIRST_REPLIES: u32 = 50;

/// Why a step did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    Source(SourceError),
    /// The record that the position names is gone.
    Gone(Position, String),
    /// The service answered what cannot be.
    Protocol(String),
}

impl Failure {
    /// Another stream of the same name would explain it.
    pub(super) fn is_suspicious(&self) -> bool {
        match self {
            Self::Source(error) => matches!(error.kind, SourceErrorKind::NotFound | SourceErrorKind::Invalid),
            Self::Gone(..) | Self::Protocol(_) => true,
        }
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

/// A cursor and where it stands.
#[derive(Debug)]
pub(super) struct Run {
    /// Everything up to here was read; `None` while nothing was read since a time.
    pub(super) position: Option<Position>,
    /// The place it was opened at, if `position` is none.
    place: OpenAt,
    cursor: Option<Cursor>,
    /// The next record must be this one.
    verify: Option<SequenceNumber>,
    /// The last reply held the record that was looked for, and nothing after it.
    alone: bool,
    /// It came to its position by what was pushed, not by a page.
    pushed: bool,
    pub(super) last_arrival: Option<i64>,
    pub(super) behind: Option<(u64, Instant)>,
    /// The last reply was as large as one can be, and its records came within half a minute.
    pub(super) hot: bool,
    empties: Empties,
}

/// Consecutive empty replies over which the distance to the tip did not shrink from one to the next.
#[derive(Debug, Default)]
struct Empties {
    count: u32,
    since: Option<Instant>,
    behind: Option<u64>,
}

impl Run {
    pub(super) fn at(position: Position) -> Self {
        Self {
            position: Some(position),
            place: OpenAt::TrimHorizon,
            cursor: None,
            verify: None,
            alone: false,
            pushed: false,
            last_arrival: None,
            behind: None,
            hot: false,
            empties: Empties::default(),
        }
    }

    /// At a place of which it is not known what is there.
    pub(super) fn at_place(place: OpenAt) -> Self {
        Self {
            position: None,
            place,
            ..Self::at(Position::TrimHorizon)
        }
    }

    /// The time it was opened at, while nothing was read since.
    pub(super) fn asked_time(&self) -> Option<i64> {
        match (self.position, self.place) {
            (None, OpenAt::Timestamp(time)) => Some(time),
            _ => None,
        }
    }

    /// Nothing was read at it yet, not even an empty reply.
    pub(super) fn is_unread(&self) -> bool {
        self.position.is_none() && self.cursor.is_none()
    }

    /// To be called after the page's records were taken in.
    pub(super) fn advance(&mut self, page: &Page, reached: Option<Position>) {
        self.position = reached.or(self.position);
        self.pushed &= reached.is_none();
        self.cursor = page.next.clone();
        self.behind = page.millis_behind.map(|behind| (behind, page.requested_at));
        if let Some(last) = page.records.len().checked_sub(1) {
            self.last_arrival = page.records.arrival(last);
            let span = page.records.arrival(0).zip(self.last_arrival).map(|(first, last)| last - first);
            self.hot = page.full && span.is_some_and(|span| span < HOT_SPAN_MS);
            self.alone = false;
        }
    }

    /// Takes in what was pushed. Where that moved it on, its cursor stands at an earlier place and is of no more use.
    pub(super) fn push<E>(&mut self, take_in: impl FnOnce(&mut Self) -> Result<(), E>) -> Result<(), E> {
        let (before, cursor) = (self.position, self.cursor.take());
        take_in(self)?;
        if self.position == before {
            self.cursor = cursor;
        } else {
            self.pushed = true;
            self.empties = Empties::default();
        }
        Ok(())
    }

    /// Whether the record that must come first has not come yet.
    pub(super) fn is_looking(&self) -> bool {
        self.verify.is_some()
    }

    /// The moment to which everything is read after this page, if it tells one. A full page never does: some services count the distance between
    /// records, and say nearly nothing while more wait.
    pub(super) fn complete_as_of(&mut self, page: &Page) -> Option<(Instant, TipKind)> {
        if !page.records.is_empty() || page.full || page.millis_behind == Some(0) {
            self.empties = Empties::default();
        } else {
            let fell = matches!((page.millis_behind, self.empties.behind), (Some(now), Some(before)) if now < before);
            if fell || self.empties.count == 0 {
                self.empties = Empties {
                    count: 0,
                    since: Some(page.requested_at),
                    behind: None,
                };
            }
            self.empties.behind = page.millis_behind;
            self.empties.count += 1;
        }
        if page.full {
            return None;
        }
        let waited = self
            .empties
            .since
            .is_some_and(|since| page.requested_at.saturating_duration_since(since) >= ASSUMED_AFTER);
        match page.millis_behind {
            Some(0) => Some((page.requested_at, TipKind::Reached)),
            _ if self.empties.count >= ASSUMED_EMPTIES && waited => Some((page.requested_at, TipKind::Assumed)),
            // the service cuts both its times down to milliseconds
            Some(behind) => page
                .requested_at
                .checked_sub(Duration::from_millis(behind.saturating_add(1)))
                .map(|as_of| (as_of, TipKind::Reached)),
            None => None,
        }
    }

    /// How long replies have been empty with nothing to show for it.
    pub(super) fn empty_for(&self) -> Duration {
        self.empties.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Whether the cursor's place may have left the stream's retention.
    pub(super) fn near_trim(&self, retention: Duration, now_ms: i64) -> bool {
        let most = retention.min(LEAST_RETENTION).saturating_sub(RETENTION_SLACK);
        let by_service = self
            .behind
            .is_some_and(|(behind, at)| Duration::from_millis(behind).saturating_add(at.elapsed()) >= most);
        let by_clock = self
            .last_arrival
            .is_some_and(|arrival| now_ms.saturating_sub(arrival) >= most.as_millis() as i64);
        // what is unread after a reply that was at the tip came after it
        by_service || (by_clock && self.behind.is_none_or(|(behind, _)| behind != 0))
    }
}

impl Actor {
    /// One page at a run's place. `None`: an empty reply while the record that must come first has not come yet.
    ///
    /// On an error the run still stands where it stood.
    pub(super) async fn fetch(&mut self, run: &mut Run, limit: u32) -> Result<Option<Page>, Failure> {
        let context = Arc::clone(&self.context);
        let Ok(_permit) = context.shared.calls.acquire().await else {
            return Err(Failure::Source(SourceError::new(
                SourceErrorKind::Unavailable,
                "the reader is shutting down",
            )));
        };
        let named = run.position.and_then(|position| position.sequence());
        let risky = named.is_some() && run.verify.is_none() && run.near_trim(context.retention(), context.now_ms());
        // a record so large that it fills a reply alone is passed by its cursor, and looked for once more afterwards
        let confirm = named.filter(|_| risky && run.alone && run.cursor.is_some());
        if (risky && confirm.is_none()) || run.cursor.as_ref().is_some_and(|cursor| cursor.issued_at.elapsed() >= CURSOR_AGE) {
            run.cursor = None;
        }
        let cursor = match &run.cursor {
            Some(cursor) => cursor.clone(),
            None => self.open(run).await?,
        };
        self.rate.call();
        self.tally(|counters| &counters.calls, 1);
        // the record that is looked for, and one more
        let limit = if run.verify.is_some() { limit.max(2) } else { limit };
        let page = context.source.read(&context.stream, &self.shard.id, &cursor, limit).await;
        let mut page = match page {
            Ok(page) => page,
            Err(error) => {
                if error.kind == SourceErrorKind::ExpiredIterator {
                    self.tally(|counters| &counters.expiries, 1);
                    run.cursor = None;
                }
                return Err(Failure::Source(error));
            }
        };
        tracing::trace!(
            shard = %self.shard.id,
            position = ?run.position,
            verify = ?run.verify,
            records = page.records.len(),
            full = page.full,
            millis_behind = page.millis_behind,
            ended = page.next.is_none(),
            "page"
        );
        self.rate.succeeded(page.wire_bytes);
        self.recovered();
        self.tally(|counters| &counters.records, page.records.len() as u64);
        self.tally(|counters| &counters.bytes, page.wire_bytes);
        page.records = self.user_records(std::mem::take(&mut page.records))?;
        if let Some(wanted) = run.verify {
            let position = run.position.unwrap_or(Position::Before(wanted));
            if page.records.is_empty() {
                let at_tip = match run.complete_as_of(&page) {
                    _ if page.next.is_none() => true,
                    // the record was there once: that it follows no more is not assumed lightly
                    Some((_, TipKind::Assumed)) => run.empty_for() >= CONTRADICTED_AFTER,
                    Some((as_of, _)) => as_of >= cursor.issued_at,
                    None => false,
                };
                if at_tip {
                    run.cursor = None;
                    return Err(Failure::Gone(
                        position,
                        format!("record {wanted} is gone: nothing follows its place"),
                    ));
                }
                run.cursor = page.next;
                return Ok(None);
            }
            let first = page.records.sequence(0);
            if first > wanted {
                run.cursor = None;
                return Err(Failure::Gone(
                    position,
                    format!("record {wanted} is gone: the next that is left is {first}"),
                ));
            }
            if first < wanted {
                run.cursor = None;
                return Err(Failure::Protocol(format!(
                    "asked for record {wanted}, the service answered {first}"
                )));
            }
            run.verify = None;
            // an aggregate of which a part is still to be read stays whole
            if matches!(position, Position::After(..)) && !page.records.splits(position) {
                let passed = page.records.lower_bound(position);
                page.records = page.records.slice(passed, page.records.len() - passed);
                run.alone = page.records.is_empty();
                self.tally(|counters| &counters.refetched, 1);
            }
        } else if let Some(passed) = confirm {
            match self.first_at(OpenAt::At(passed)).await? {
                Some(first) if first == passed => {}
                _ => {
                    run.cursor = None;
                    let position = run.position.unwrap_or(Position::After(passed, 0));
                    return Err(Failure::Gone(position, format!("record {passed} expired while its place was read")));
                }
            }
        }
        Ok(Some(page))
    }

    /// The user records of a reply. Every reply goes through here, once: what `Page` says otherwise (`full`, `wire_bytes`) is of its Kinesis records.
    pub(super) fn user_records(&self, records: Records) -> Result<Records, Failure> {
        let Deaggregated { records, look_alikes } = deaggregate(records).map_err(Failure::Protocol)?;
        self.tally(|counters| &counters.look_alikes, look_alikes);
        Ok(records)
    }

    async fn open(&mut self, run: &mut Run) -> Result<Cursor, Failure> {
        let context = Arc::clone(&self.context);
        let (at, verify) = match run.position {
            None => (run.place, None),
            Some(Position::TrimHorizon) => (OpenAt::TrimHorizon, None),
            // pushed a moment ago: what follows is younger, so that nothing of it can be gone
            Some(Position::After(sequence, _)) if run.pushed && !run.near_trim(context.retention(), context.now_ms()) => {
                (OpenAt::After(sequence), None)
            }
            Some(Position::Before(sequence) | Position::After(sequence, _)) => (OpenAt::At(sequence), Some(sequence)),
        };
        match context.source.open(&context.stream, &self.shard.id, at).await {
            Ok(cursor) => {
                run.verify = verify;
                run.cursor = Some(cursor.clone());
                Ok(cursor)
            }
            Err(error) => match (verify, error.kind) {
                (Some(wanted), SourceErrorKind::NotFound | SourceErrorKind::Invalid) => {
                    Err(self.unknown_sequence(wanted, run, error).await)
                }
                _ => Err(Failure::Source(error)),
            },
        }
    }

    /// Some services refuse a sequence number they do not have: it is gone if the oldest record is a later one.
    async fn unknown_sequence(&mut self, wanted: SequenceNumber, run: &Run, refused: SourceError) -> Failure {
        let position = run.position.unwrap_or(Position::Before(wanted));
        match self.first_at(OpenAt::TrimHorizon).await {
            Ok(Some(first)) if first <= wanted => Failure::Source(SourceError {
                message: format!("record {wanted} is within the shard, but: {}", refused.message),
                ..refused
            }),
            Ok(Some(first)) => Failure::Gone(position, format!("record {wanted} is gone: the oldest that is left is {first}")),
            Ok(None) => Failure::Gone(position, format!("record {wanted} is gone: the shard is empty")),
            Err(error) => Failure::Source(error),
        }
    }

    /// The first record at a place; `None` if the shard has nothing there.
    async fn first_at(&mut self, at: OpenAt) -> Result<Option<SequenceNumber>, SourceError> {
        let context = Arc::clone(&self.context);
        let mut cursor = context.source.open(&context.stream, &self.shard.id, at).await?;
        for _ in 0..FIRST_REPLIES {
            self.rate.call();
            self.tally(|counters| &counters.calls, 1);
            let page = context.source.read(&context.stream, &self.shard.id, &cursor, 1).await?;
            match page.next {
                _ if !page.records.is_empty() => return Ok(Some(page.records.sequence(0))),
                Some(next) if page.millis_behind != Some(0) => cursor = next,
                _ => return Ok(None),
            }
        }
        let message = format!("no record was found at {at:?} in {FIRST_REPLIES} replies");
        Err(SourceError::new(SourceErrorKind::Unavailable, message))
    }

    /// Takes a page's records in: into what is held, and to the scans that wait for them.
    pub(super) fn absorb(&mut self, run: &mut Run, page: &Page) -> Result<(), Failure> {
        let Some(last) = page.records.len().checked_sub(1) else {
            run.advance(page, None);
            self.note_behind(page);
            return Ok(());
        };
        let (first, to) = (page.records.start_of(0), page.records.end_of(last));
        let from = match run.position.filter(|position| *position != Position::TrimHorizon) {
            Some(Position::After(sequence, sub)) if page.records.splits(Position::After(sequence, sub)) => Position::Before(sequence),
            known => known.unwrap_or(first),
        };
        if first < from || !page.records.is_ascending() {
            run.cursor = None;
            return Err(Failure::Protocol(format!(
                "the reply after {from} is not in order: it begins with {first} and ends with {to}"
            )));
        }
        if let Some(ending) = self
            .shard
            .info
            .lock()
            .ending_sequence
            .filter(|ending| page.records.sequence(last) > *ending)
        {
            run.cursor = None;
            let message = format!(
                "record {} lies beyond the shard's ending sequence number {ending}",
                page.records.sequence(last)
            );
            return Err(Failure::Protocol(message));
        }
        let refetched = {
            let mut state = self.shard.state.lock();
            state.seen.add(from, to, &page.records);
            let refetched = state.coverage.insert(from, to, &page.records, !page.full, &self.shard.maker);
            let arrival = page.records.arrival(0);
            if run.position == Some(Position::TrimHorizon) {
                state.saw_first(first, arrival, page.requested_at);
                // what the service no longer has is no longer ours to give
                state.drop_before(first);
            } else if state.horizon.is_some_and(|horizon| horizon.start == from && from != first) {
                state.saw_first(first, arrival, page.requested_at);
            }
            state.came(page.wire_bytes);
            state.hand_over(from, to);
            state.told_followers(to, &page.records, self.context.shared.config.follow_lag_bytes);
            refetched
        };
        self.tally(|counters| &counters.refetched, refetched);
        run.advance(page, Some(to));
        self.note_behind(page);
        self.shard.changed();
        self.context.shared.budget.reclaim();
        Ok(())
    }

    fn note_behind(&self, page: &Page) {
        self.shard.state.lock().millis_behind = page.millis_behind;
    }
}
