//! Bases, opening, taking over, giving up.

use super::case::{Case, Store, base, following, owner, refused, same};
use crate::checkpoints::{CheckpointErrorKind, IterationNumber, IterationStart, IterationState};
use crate::conformance::Violation;

/// Nothing is known of it, and nothing can be done to it but to give it a start.
pub async fn a_consumer_without_a_past_has_no_head(store: &Store) -> Result<(), Violation> {
    let case = Case::new(store);
    same("head", &case.head().await?, &None)?;
    same("iterations", &store.iterations(&case.consumer).await?, &vec![])?;
    same("iteration", &store.iteration(&case.consumer, IterationNumber::FIRST).await?, &None)?;
    same("base", &store.base(&case.consumer, IterationNumber::FIRST).await?, &None)?;
    same("deleted", &store.delete(&case.consumer).await?, &false)?;
    let kind = CheckpointErrorKind::Conflict;
    refused("a reset", case.set_base(Some(1)).await, kind)?;
    refused("taking over", store.take_over(&case.consumer, 1, &owner()).await, kind)?;
    refused("abandoning", store.abandon(&case.consumer, 1, "somebody").await, kind)?;
    refused("a commit", case.commit(IterationNumber::FIRST, &owner()).await, kind)?;
    same("head", &case.head().await?, &None)
}

/// Base, iteration 0, iteration 1, …: each starts where the one before ended, and everything is read as it was written.
pub async fn iterations_follow_on_one_another(store: &Store) -> Result<(), Violation> {
    let case = Case::new(store);
    let first = base();
    let mut head = store.set_base(&case.consumer, &case.stream, None, &first, "somebody").await?;
    same("head after the base", &case.known().await?, &head)?;
    same("stream", &head.stream, &case.stream)?;
    same("start", &head.start, &IterationStart::Base(IterationNumber::FIRST))?;
    same("next", &head.next, &IterationNumber::FIRST)?;
    same("committed", &head.committed, &None)?;
    let mut all = Vec::new();
    for number in 0..3 {
        let number = IterationNumber(number);
        let me = owner();
        let before = head.clone();
        let (opened, iteration) = case.open(&head, &me).await?;
        same("head after opening", &case.known().await?, &opened)?;
        same("number", &iteration.number, &number)?;
        same(
            "open one",
            &opened.open.as_ref().map(|open| (open.number, open.owner.clone(), open.opened_ms)),
            &Some((number, me.clone(), iteration.opened_ms)),
        )?;
        same("committed while it is open", &opened.committed, &before.committed)?;
        same("start while it is open", &opened.start, &before.start)?;
        same("state", &opened.state_of(number), &IterationState::Open)?;
        same(
            "iteration",
            &store.iteration(&case.consumer, number).await?,
            &Some(iteration.clone()),
        )?;
        all.push(iteration);
        head = case.commit(number, &me).await?;
        same("head after the commit", &case.known().await?, &head)?;
        same("open one after the commit", &head.open, &None)?;
        same(
            "committed",
            &head.committed.as_ref().map(|(number, by, _)| (*number, by.clone())),
            &Some((number, me)),
        )?;
        same("start after the commit", &head.start, &IterationStart::After(number))?;
        same("next after the commit", &head.next, &number.next())?;
        same("state after the commit", &head.state_of(number), &IterationState::Committed)?;
        if !(before.version < opened.version && opened.version < head.version) {
            return Err(Violation("versions do not go up".to_owned()));
        }
        same("iterations", &store.iterations(&case.consumer).await?, &all)?;
    }
    same("base", &store.base(&case.consumer, IterationNumber::FIRST).await?, &Some(first))?;
    same("a later base", &store.base(&case.consumer, IterationNumber(1)).await?, &None)?;
    same(
        "a later iteration",
        &store.iteration(&case.consumer, IterationNumber(9)).await?,
        &None,
    )
}

/// Whoever looked too early changes nothing.
pub async fn a_stale_version_changes_nothing(store: &Store) -> Result<(), Violation> {
    let (case, first) = Case::started(store).await?;
    let kind = CheckpointErrorKind::Conflict;
    refused("a second first base", case.set_base(None).await, kind)?;
    let me = owner();
    let (opened, iteration) = case.open(&first, &me).await?;
    let now = case.set_base(Some(opened.version)).await?;
    let (now, _) = case.open(&now, &owner()).await?;
    for seen in [first.version - 1, first.version, opened.version, now.version + 1] {
        refused("a base", case.set_base(Some(seen)).await, kind)?;
        let mut other = following(&now);
        other.number = iteration.number;
        refused("opening", store.open(&case.consumer, seen, &other, &owner()).await, kind)?;
        refused("taking over", store.take_over(&case.consumer, seen, &owner()).await, kind)?;
        refused("abandoning", store.abandon(&case.consumer, seen, "somebody else").await, kind)?;
    }
    same("head", &case.known().await?, &now)?;
    same(
        "the iteration that was opened",
        &store.iteration(&case.consumer, iteration.number).await?,
        &Some(iteration),
    )
}

/// A call whose reply was lost is made again, and finds that it happened.
pub async fn a_change_made_again_succeeds(store: &Store) -> Result<(), Violation> {
    let case = Case::new(store);
    let start = base();
    let set = |seen| store.set_base(&case.consumer, &case.stream, seen, &start, "somebody");
    let first = set(None).await?;
    same("the first base again", &set(None).await?, &first)?;
    let (me, other) = (owner(), owner());
    let iteration = following(&first);
    let opened = store.open(&case.consumer, first.version, &iteration, &me).await?;
    same(
        "opening again",
        &store.open(&case.consumer, first.version, &iteration, &me).await?,
        &opened,
    )?;
    let taken = store.take_over(&case.consumer, opened.version, &other).await?;
    let again = store.take_over(&case.consumer, opened.version, &other).await?;
    same("taking over again", &again, &taken)?;
    refused(
        "opening again when it was taken over",
        store.open(&case.consumer, first.version, &iteration, &me).await,
        CheckpointErrorKind::Conflict,
    )?;
    let abandoned = store.abandon(&case.consumer, taken.version, "somebody").await?;
    let again = store.abandon(&case.consumer, taken.version, "somebody").await?;
    same("abandoning again", &again, &abandoned)?;
    let reset = set(Some(abandoned.version)).await?;
    same("a base again", &set(Some(abandoned.version)).await?, &reset)?;
    same("head", &case.known().await?, &reset)
}

/// The next iteration starts at the new base, under a new number; what was open can no longer be committed.
pub async fn a_reset_gives_up_what_is_open(store: &Store) -> Result<(), Violation> {
    let (case, head) = Case::started(store).await?;
    let head = case.advance(&head).await?;
    let me = owner();
    let (head, _) = case.open(&head, &me).await?;
    let anew = base();
    let stream = crate::StreamIdentity {
        created_ms: case.stream.created_ms + 1,
        ..case.stream.clone()
    };
    let reset = store.set_base(&case.consumer, &stream, Some(head.version), &anew, "Anna").await?;
    same("head", &case.known().await?, &reset)?;
    same("stream", &reset.stream, &stream)?;
    same("open one", &reset.open, &None)?;
    same("next", &reset.next, &IterationNumber(2))?;
    same("start", &reset.start, &IterationStart::Base(IterationNumber(2)))?;
    same("base", &store.base(&case.consumer, IterationNumber(2)).await?, &Some(anew))?;
    same("committed", &reset.committed, &head.committed)?;
    same("state", &reset.state_of(IterationNumber(1)), &IterationState::Abandoned)?;
    same(
        "who gave it up",
        &reset.abandoned.values().map(|(_, by)| by.as_str()).collect::<Vec<_>>(),
        &vec!["Anna"],
    )?;
    refused(
        "a commit",
        case.commit(IterationNumber(1), &me).await,
        CheckpointErrorKind::Conflict,
    )?;
    same("head after that", &case.known().await?, &reset)?;
    // set again with nothing open, it has the same number and the last positions
    let last = base();
    let reset = store.set_base(&case.consumer, &stream, Some(reset.version), &last, "Anna").await?;
    same("next", &reset.next, &IterationNumber(2))?;
    same("base", &store.base(&case.consumer, IterationNumber(2)).await?, &Some(last))
}

/// Neither after giving up nor after a reset.
pub async fn numbers_are_never_used_twice(store: &Store) -> Result<(), Violation> {
    let (case, mut head) = Case::started(store).await?;
    let mut opened = Vec::new();
    for round in 0..3 {
        let (open, given_up) = case.open(&head, &owner()).await?;
        let start = open.start;
        head = store.abandon(&case.consumer, open.version, "somebody").await?;
        same("start after giving up", &head.start, &start)?;
        same("state", &head.state_of(given_up.number), &IterationState::Abandoned)?;
        let (open, reset) = case.open(&head, &owner()).await?;
        head = case.set_base(Some(open.version)).await?;
        let committed = head.next;
        head = case.advance(&head).await?;
        opened.extend([given_up.number, reset.number, committed]);
        same("head", &case.known().await?, &head)?;
        same("how many were given up", &head.abandoned.len(), &(2 * (round + 1)))?;
    }
    same("numbers", &opened, &(0..9).map(IterationNumber).collect())?;
    let kept: Vec<_> = store
        .iterations(&case.consumer)
        .await?
        .into_iter()
        .map(|kept| kept.number)
        .collect();
    same("numbers that are kept", &kept, &opened)
}

/// Wrong numbers, starts and streams; what is open already; nothing to take over or to give up.
pub async fn what_makes_no_sense_is_refused(store: &Store) -> Result<(), Violation> {
    let (case, head) = Case::started(store).await?;
    let kind = CheckpointErrorKind::Invalid;
    let right = following(&head);
    let mut wrong = vec![right.clone(), right.clone(), right.clone()];
    wrong[0].number = IterationNumber(1);
    wrong[1].start = IterationStart::After(IterationNumber::FIRST);
    wrong[2].created_ms += 1;
    for wrong in wrong {
        refused("opening", store.open(&case.consumer, head.version, &wrong, &owner()).await, kind)?;
    }
    refused("taking over", store.take_over(&case.consumer, head.version, &owner()).await, kind)?;
    refused("giving up", store.abandon(&case.consumer, head.version, "somebody").await, kind)?;
    let me = owner();
    let (open, iteration) = case.open(&head, &me).await?;
    refused(
        "opening again",
        store.open(&case.consumer, open.version, &right, &owner()).await,
        kind,
    )?;
    let part = case.part(iteration.number, &me);
    refused("no commit", store.commit(&[]).await, kind)?;
    refused("one twice", store.commit(&[part.clone(), part]).await, kind)?;
    let many: Vec<_> = (0..101).map(|_| Case::new(store).part(IterationNumber::FIRST, &me)).collect();
    refused("101 commits", store.commit(&many).await, kind)?;
    same("head", &case.known().await?, &open)
}
