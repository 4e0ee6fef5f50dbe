//! What each change makes of a head, the same for every store: a store reads a head, asks here, and writes what it is told under the condition that
//! the head is still the one that it read.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::model::{Base, Consumer, Head, Iteration, IterationNumber, IterationStart, OpenIteration, OwnerToken};
use super::store::{CheckpointError, CheckpointErrorKind, Commit};
use crate::StreamIdentity;

/// So many commits of a consumer are remembered with their owners: who made one and did not hear of it may ask that much later.
const REMEMBERED_COMMITS: usize = 16;
/// So many given up iterations of a consumer are kept.
const MOST_ABANDONED: usize = 100;
/// A given up iteration that is no longer kept is named for so long still (ms).
const FORGOTTEN_AFTER_MS: i64 = 86_400_000;
/// Of who gave an iteration up, so many bytes are kept.
const MOST_BY: usize = 256;

/// A head as stores keep it, with what only they need to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredHead {
    /// The consumer, as it is named.
    pub(super) consumer: Consumer,
    /// What everybody sees.
    pub(super) head: Head,
    /// Version of the consumer's first head. One that was deleted and made anew has another; what is left of the old one does not count.
    pub(super) life: u64,
    /// Where the last committed iteration starts.
    pub(super) committed_start: Option<IterationStart>,
    /// The last commits, the newest last.
    pub(super) commits: VecDeque<(IterationNumber, OwnerToken)>,
}

/// Key of an item beside the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ItemKey {
    Iteration(IterationNumber),
    Base(IterationNumber),
}

impl From<IterationStart> for ItemKey {
    fn from(start: IterationStart) -> Self {
        match start {
            IterationStart::Base(number) => Self::Base(number),
            IterationStart::After(number) => Self::Iteration(number),
        }
    }
}

/// An item beside the head.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item<'a> {
    Iteration(&'a Iteration),
    Base(IterationNumber, &'a Base),
}

/// What is to be written at once.
#[derive(Debug)]
pub(super) struct Change<'a> {
    /// The new head.
    pub(super) head: StoredHead,
    /// What it names for the first time.
    pub(super) item: Option<Item<'a>>,
    /// What is kept for a time only from now on. Nothing that is kept for good starts there.
    pub(super) superseded: Vec<ItemKey>,
    /// Given up iterations that the head no longer names, as there are too many: they go now.
    pub(super) forgotten: Vec<IterationNumber>,
}

/// What a call comes to.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// The very change happened already; the head as it is now.
    Done(Head),
    /// To be written.
    Write(Box<Change<'a>>),
}

/// When a change is made, and for how long what it supersedes is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Now, ms since the epoch.
    pub(super) now_ms: i64,
    /// For how long.
    pub(super) keep: Duration,
}

impl Moment {
    /// When what is superseded now goes, ms since the epoch.
    pub(super) fn expires_ms(self) -> i64 {
        self.now_ms.saturating_add(millis(self.keep))
    }

    /// What was superseded up to this time goes now, ms since the epoch.
    pub(super) fn kept_from_ms(self) -> i64 {
        self.now_ms.saturating_sub(millis(self.keep))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn conflict(consumer: &Consumer, why: impl std::fmt::Display) -> CheckpointError {
    CheckpointError::new(CheckpointErrorKind::Conflict, format!("{consumer}: {why}"))
}

fn invalid(consumer: &Consumer, why: impl std::fmt::Display) -> CheckpointError {
    CheckpointError::new(CheckpointErrorKind::Invalid, format!("{consumer}: {why}"))
}

fn moved_on(consumer: &Consumer) -> CheckpointError {
    conflict(consumer, "somebody else changed it in between; nothing was changed")
}

impl<'a> Change<'a> {
    fn of(head: StoredHead) -> Self {
        Self {
            head,
            item: None,
            superseded: Vec::new(),
            forgotten: Vec::new(),
        }
    }

    fn on(stored: &StoredHead, moment: Moment) -> Self {
        let mut head = stored.clone();
        head.head.version += 1;
        let mut change = Self::of(head);
        change.forget(moment);
        change
    }

    /// A head names what was given up for as long as that is kept, a little longer: clocks differ.
    fn forget(&mut self, moment: Moment) {
        let abandoned = &mut self.head.head.abandoned;
        let until_ms = moment.kept_from_ms().saturating_sub(FORGOTTEN_AFTER_MS);
        abandoned.retain(|_, (at_ms, _)| *at_ms >= until_ms);
        while abandoned.len() > MOST_ABANDONED {
            self.forgotten.extend(abandoned.pop_first().map(|(number, _)| number));
        }
    }

    /// Gives the open iteration up, if there is one.
    fn give_up(&mut self, by: &str, moment: Moment) {
        let head = &mut self.head.head;
        let Some(open) = head.open.take() else { return };
        head.next = open.number.next();
        head.abandoned.insert(open.number, (moment.now_ms, shortened(by)));
        self.superseded.push(ItemKey::Iteration(open.number));
        self.forget(moment);
    }

    fn step(self) -> Step<'a> {
        Step::Write(Box::new(self))
    }
}

/// People's names fit; a head must, too.
fn shortened(by: &str) -> String {
    by[..by.floor_char_boundary(MOST_BY)].to_owned()
}

/// [`CheckpointStore::set_base`](super::CheckpointStore::set_base). `written`: the base that is stored where the head starts, if it is read.
pub(super) fn set_base<'a>(
    stored: Option<&StoredHead>,
    written: Option<&Base>,
    (consumer, stream, seen, base, by): (&Consumer, &StreamIdentity, Option<u64>, &'a Base, &str),
    moment: Moment,
) -> Result<Step<'a>, CheckpointError> {
    let mut change = match (stored, seen) {
        (None, None) => {
            // deleted and made anew, it is not mistaken for the one before by who still has that one's version
            let version = u64::try_from(moment.now_ms).unwrap_or(0).max(1);
            Change::of(StoredHead {
                consumer: consumer.clone(),
                head: Head {
                    stream: stream.clone(),
                    version,
                    start: IterationStart::Base(IterationNumber::FIRST),
                    next: IterationNumber::FIRST,
                    open: None,
                    committed: None,
                    abandoned: Default::default(),
                },
                life: version,
                committed_start: None,
                commits: VecDeque::new(),
            })
        }
        (Some(stored), Some(seen)) if stored.head.version == seen => Change::on(stored, moment),
        (Some(stored), seen) => {
            let head = &stored.head;
            let happened = head.version == seen.map_or(stored.life, |seen| seen.saturating_add(1))
                && head.start == IterationStart::Base(head.next)
                && head.open.is_none()
                && head.stream == *stream
                && written == Some(base);
            return if happened {
                Ok(Step::Done(head.clone()))
            } else {
                Err(moved_on(consumer))
            };
        }
        (None, Some(_)) => return Err(moved_on(consumer)),
    };
    let before = change.head.head.start;
    change.give_up(by, moment);
    let head = &mut change.head.head;
    head.stream = stream.clone();
    head.start = IterationStart::Base(head.next);
    let (start, number) = (head.start, head.next);
    // a base that no committed iteration starts at; one that is just replaced has the new one's key
    if matches!(before, IterationStart::Base(_)) && before != start {
        change.superseded.push(before.into());
    }
    change.item = Some(Item::Base(number, base));
    Ok(change.step())
}

/// [`CheckpointStore::open`](super::CheckpointStore::open).
pub(super) fn open<'a>(
    stored: Option<&StoredHead>,
    (consumer, seen, iteration, owner): (&Consumer, u64, &'a Iteration, &OwnerToken),
    moment: Moment,
) -> Result<Step<'a>, CheckpointError> {
    let Some(stored) = stored else { return Err(moved_on(consumer)) };
    let head = &stored.head;
    if head.version != seen {
        let open = head.open.as_ref();
        let happened = head.version == seen.saturating_add(1)
            && open.is_some_and(|open| open.number == iteration.number && open.owner == *owner && open.opened_ms == iteration.opened_ms);
        return if happened {
            Ok(Step::Done(head.clone()))
        } else {
            Err(moved_on(consumer))
        };
    }
    if let Some(open) = &head.open {
        return Err(invalid(consumer, format_args!("iteration {} is open already", open.number)));
    }
    if (iteration.number, iteration.start, iteration.created_ms) != (head.next, head.start, head.stream.created_ms) {
        return Err(invalid(
            consumer,
            format_args!(
                "iteration {} ({:?}, stream created at {}) is not the next one, {} ({:?}, stream created at {})",
                iteration.number, iteration.start, iteration.created_ms, head.next, head.start, head.stream.created_ms
            ),
        ));
    }
    let mut change = Change::on(stored, moment);
    change.head.head.open = Some(OpenIteration {
        number: iteration.number,
        owner: owner.clone(),
        opened_ms: iteration.opened_ms,
    });
    change.item = Some(Item::Iteration(iteration));
    Ok(change.step())
}

/// [`CheckpointStore::take_over`](super::CheckpointStore::take_over).
pub(super) fn take_over(
    stored: Option<&StoredHead>,
    (consumer, seen, owner): (&Consumer, u64, &OwnerToken),
    moment: Moment,
) -> Result<Step<'static>, CheckpointError> {
    let Some(stored) = stored else { return Err(moved_on(consumer)) };
    let head = &stored.head;
    if head.version != seen {
        let happened = head.version == seen.saturating_add(1) && head.open.as_ref().is_some_and(|open| open.owner == *owner);
        return if happened {
            Ok(Step::Done(head.clone()))
        } else {
            Err(moved_on(consumer))
        };
    }
    let mut change = Change::on(stored, moment);
    match &mut change.head.head.open {
        Some(open) => open.owner = owner.clone(),
        None => return Err(invalid(consumer, "no iteration is open that could be taken over")),
    }
    Ok(change.step())
}

/// [`CheckpointStore::abandon`](super::CheckpointStore::abandon).
pub(super) fn abandon(
    stored: Option<&StoredHead>,
    (consumer, seen, by): (&Consumer, u64, &str),
    moment: Moment,
) -> Result<Step<'static>, CheckpointError> {
    let Some(stored) = stored else { return Err(moved_on(consumer)) };
    let head = &stored.head;
    if head.version != seen {
        let last = head.abandoned.last_key_value();
        let happened = head.version == seen.saturating_add(1)
            && head.open.is_none()
            && head.start != IterationStart::Base(head.next)
            && last.is_some_and(|(number, (_, who))| number.next() == head.next && *who == shortened(by));
        return if happened {
            Ok(Step::Done(head.clone()))
        } else {
            Err(moved_on(consumer))
        };
    }
    if head.open.is_none() {
        return Err(invalid(consumer, "no iteration is open that could be abandoned"));
    }
    let mut change = Change::on(stored, moment);
    change.give_up(by, moment);
    Ok(change.step())
}

/// One consumer's part of [`CheckpointStore::commit`](super::CheckpointStore::commit).
pub(super) fn commit(stored: Option<&StoredHead>, commit: &Commit, moment: Moment) -> Result<Step<'static>, CheckpointError> {
    let Commit { consumer, number, owner } = commit;
    let Some(stored) = stored else {
        return Err(conflict(
            consumer,
            format_args!("iteration {number} cannot be committed: it was deleted"),
        ));
    };
    if stored.commits.iter().any(|(done, by)| done == number && by == owner) {
        return Ok(Step::Done(stored.head.clone()));
    }
    match &stored.head.open {
        Some(open) if open.number == *number && open.owner == *owner => {}
        Some(open) if open.number == *number => {
            return Err(conflict(
                consumer,
                format_args!("iteration {number} was taken over by another transaction, which alone can commit it"),
            ));
        }
        _ => {
            return Err(conflict(
                consumer,
                format_args!("iteration {number} is not open: another transaction took it over and committed it, or it was given up"),
            ));
        }
    }
    let mut change = Change::on(stored, moment);
    let before = stored.head.committed.as_ref().map(|(before, _, _)| IterationStart::After(*before));
    change.superseded.extend(stored.committed_start.map(ItemKey::from));
    change
        .superseded
        .extend(before.filter(|before| *before != stored.head.start).map(ItemKey::from));
    let StoredHead {
        head,
        committed_start,
        commits,
        ..
    } = &mut change.head;
    *committed_start = Some(head.start);
    head.start = IterationStart::After(*number);
    head.next = number.next();
    head.open = None;
    head.committed = Some((*number, owner.clone(), moment.now_ms));
    commits.push_back((*number, owner.clone()));
    if commits.len() > REMEMBERED_COMMITS {
        commits.pop_front();
    }
    Ok(change.step())
}

/// Whether several commits can be one.
pub(super) fn check_commits(commits: &[Commit]) -> Result<(), CheckpointError> {
    let wrong = |message: String| Err(CheckpointError::new(CheckpointErrorKind::Invalid, message));
    let mut consumers: Vec<&Consumer> = commits.iter().map(|commit| &commit.consumer).collect();
    consumers.sort();
    if let Some(twice) = consumers.windows(2).find(|pair| pair[0] == pair[1]) {
        return wrong(format!("{} is to be committed twice at once", twice[0]));
    }
    if !(1..=100).contains(&commits.len()) {
        return wrong(format!("{} checkpoints cannot be committed at once; 1 to 100 can", commits.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
