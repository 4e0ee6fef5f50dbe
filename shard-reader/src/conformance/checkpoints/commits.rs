//! Commits of one and of several.

use super::case::{Case, Store, owner, refused, same};
use crate::checkpoints::{CheckpointErrorKind, IterationNumber};
use crate::conformance::Violation;

/// Taken over, an iteration is the new owner's alone.
pub async fn a_fenced_owner_commits_nothing(store: &Store) -> Result<(), Violation> {
    let (case, head) = Case::started(store).await?;
    let (first, second) = (owner(), owner());
    let (opened, iteration) = case.open(&head, &first).await?;
    let taken = store.take_over(&case.consumer, opened.version, &second).await?;
    same(
        "range",
        &store.iteration(&case.consumer, iteration.number).await?,
        &Some(iteration.clone()),
    )?;
    same(
        "open one",
        &taken.open.as_ref().map(|open| (open.number, open.owner.clone(), open.opened_ms)),
        &Some((iteration.number, second.clone(), iteration.opened_ms)),
    )?;
    let kind = CheckpointErrorKind::Conflict;
    refused("the fenced one's commit", case.commit(iteration.number, &first).await, kind)?;
    refused("another number", case.commit(iteration.number.next(), &second).await, kind)?;
    same("head", &case.known().await?, &taken)?;
    let committed = case.commit(iteration.number, &second).await?;
    refused(
        "the fenced one's commit after it",
        case.commit(iteration.number, &first).await,
        kind,
    )?;
    same("head", &case.known().await?, &committed)
}

/// By the same owner, even when others went on in between; it moves nothing the second time.
pub async fn a_commit_made_again_succeeds(store: &Store) -> Result<(), Violation> {
    let (case, head) = Case::started(store).await?;
    let me = owner();
    let (_, iteration) = case.open(&head, &me).await?;
    let committed = case.commit(iteration.number, &me).await?;
    same("again", &case.commit(iteration.number, &me).await?, &committed)?;
    let later = case.advance(&committed).await?;
    same("again, later", &case.commit(iteration.number, &me).await?, &later)?;
    let other = case.commit(iteration.number, &owner()).await;
    refused("another owner's", other, CheckpointErrorKind::Conflict)?;
    same("head", &case.known().await?, &later)
}

/// One fenced among three: none moves.
pub async fn a_commit_of_several_is_all_or_nothing(store: &Store) -> Result<(), Violation> {
    let me = owner();
    let mut cases = Vec::new();
    for _ in 0..3 {
        let (case, head) = Case::started(store).await?;
        let (head, _) = case.open(&head, &me).await?;
        cases.push((case, head));
    }
    let parts: Vec<_> = cases.iter().map(|(case, _)| case.part(IterationNumber::FIRST, &me)).collect();
    for fenced in 0..cases.len() {
        let (case, head) = &cases[fenced];
        let other = owner();
        let taken = store.take_over(&case.consumer, head.version, &other).await?;
        refused(
            "a commit with one fenced",
            store.commit(&parts).await,
            CheckpointErrorKind::Conflict,
        )?;
        cases[fenced].1 = store.take_over(&cases[fenced].0.consumer, taken.version, &me).await?;
        for (case, head) in &cases {
            same("head", &case.known().await?, head)?;
        }
    }
    let heads = store.commit(&parts).await?;
    same("heads", &heads.len(), &cases.len())?;
    for ((case, _), head) in cases.iter().zip(&heads) {
        same("head", &case.known().await?, head)?;
        let committed = head.committed.as_ref().map(|(number, by, _)| (*number, by.clone()));
        same("committed", &committed, &Some((IterationNumber::FIRST, me.clone())))?;
    }
    Ok(())
}

/// Nothing moves twice; and what one of them needs beside what was committed already, moves.
pub async fn a_commit_of_several_made_again_succeeds(store: &Store) -> Result<(), Violation> {
    let me = owner();
    let mut parts = Vec::new();
    for _ in 0..3 {
        let (case, head) = Case::started(store).await?;
        case.open(&head, &me).await?;
        parts.push(case.part(IterationNumber::FIRST, &me));
    }
    let two = store.commit(&parts[..2]).await?;
    let three = store.commit(&parts).await?;
    same("heads of those that were committed", &three[..2].to_vec(), &two)?;
    same("heads of all", &store.commit(&parts).await?, &three)?;
    let mut fenced = parts.clone();
    fenced[2].owner = owner();
    refused("one of them another's", store.commit(&fenced).await, CheckpointErrorKind::Conflict)?;
    same("heads after that", &store.commit(&parts).await?, &three)
}
