//! Many at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::case::{Case, Store, owner, same};
use super::runs::run;
use crate::checkpoints::{CheckpointError, CheckpointErrorKind, Commit, Consumer, IterationNumber, IterationStart, OwnerToken};
use crate::conformance::Violation;

/// So many tasks.
const TASKS: u32 = 8;
/// Each tries so often.
const TRIES: u32 = 25;

/// What a task won.
#[derive(Default)]
struct Won {
    opened: Vec<(IterationNumber, i64)>,
    committed: Vec<(IterationNumber, OwnerToken)>,
}

fn unless_lost<T>(done: Result<T, CheckpointError>) -> Result<Option<T>, Violation> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.kind == CheckpointErrorKind::Conflict => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn joined<T: 'static>(mut tasks: JoinSet<Result<T, Violation>>) -> Result<Vec<T>, Violation> {
    let mut all = Vec::new();
    while let Some(done) = tasks.join_next().await {
        all.push(done.map_err(Violation::of)??);
    }
    Ok(all)
}

/// Of many who give a consumer its first base, one does.
pub async fn one_of_many_wins_the_first(store: &Store) -> Result<(), Violation> {
    let case = Case::new(store);
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (store, consumer, stream) = (Arc::clone(store), case.consumer.clone(), case.stream.clone());
        tasks.spawn(async move {
            let base = super::case::base();
            let won = unless_lost(store.set_base(&consumer, &stream, None, &base, "somebody").await)?;
            Ok(won.map(|head| (head, base)))
        });
    }
    let won: Vec<_> = joined(tasks).await?.into_iter().flatten().collect();
    let [(head, base)] = won.as_slice() else {
        return Err(Violation(format!("{} gave it a first base", won.len())));
    };
    same("head", &case.known().await?, head)?;
    let found = store.base(&case.consumer, IterationNumber::FIRST).await?;
    same("base", &found, &Some(base.clone()))
}

/// Who won what.
#[derive(Debug, Default)]
pub(crate) struct Raced {
    /// By number: when it was opened, as its opener said.
    pub(crate) opened: BTreeMap<IterationNumber, i64>,
    /// By number: who committed it.
    pub(crate) committed: BTreeMap<IterationNumber, OwnerToken>,
}

/// Many open, take over and commit iterations of one consumer. Nothing is won by two.
pub(crate) async fn race(store: &Store, consumer: &Consumer) -> Result<Raced, Violation> {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (store, consumer) = (Arc::clone(store), consumer.clone());
        tasks.spawn(async move {
            let mut won = Won::default();
            for attempt in 0..TRIES {
                let me = owner();
                let Some(head) = store.head(&consumer).await? else {
                    return Err(Violation("no head".to_owned()));
                };
                let number = match &head.open {
                    None => {
                        let iteration = super::case::following(&head);
                        let opened = unless_lost(store.open(&consumer, head.version, &iteration, &me).await)?;
                        if opened.is_some() {
                            won.opened.push((iteration.number, iteration.opened_ms));
                        }
                        opened.map(|_| iteration.number)
                    }
                    Some(open) => unless_lost(store.take_over(&consumer, head.version, &me).await)?.map(|_| open.number),
                };
                let Some(number) = number else { continue };
                if (task + attempt) % 3 == 0 {
                    tokio::task::yield_now().await;
                }
                let commit = Commit {
                    consumer: consumer.clone(),
                    number,
                    owner: me.clone(),
                };
                if unless_lost(store.commit(&[commit]).await)?.is_some() {
                    won.committed.push((number, me));
                }
            }
            Ok(won)
        });
    }
    let mut raced = Raced::default();
    for won in joined(tasks).await? {
        for (number, opened_ms) in won.opened {
            same("opened before", &raced.opened.insert(number, opened_ms), &None)?;
        }
        for (number, by) in won.committed {
            same("committed before", &raced.committed.insert(number, by), &None)?;
        }
    }
    Ok(raced)
}

/// Many open, take over and commit; each number is opened by one and committed by one, and no iteration's positions are another's.
pub async fn one_of_many_wins_each_number(store: &Store) -> Result<(), Violation> {
    let (case, _) = Case::started(store).await?;
    let Raced { opened, mut committed } = race(store, &case.consumer).await?;
    let head = case.known().await?;
    let last = head.committed.as_ref().map(|(number, by, _)| (*number, by.clone()));
    same("the last commit", &last, &committed.pop_last())?;
    // every number up to it was committed, by one of them
    let numbers: Vec<_> = committed.keys().copied().collect();
    same(
        "numbers",
        &numbers,
        &(0..head.next.0.saturating_sub(1)).map(IterationNumber).collect(),
    )?;
    let iterations = store.iterations(&case.consumer).await?;
    same("iterations", &iterations.len(), &opened.len())?;
    for iteration in iterations {
        let number = iteration.number;
        same("whose iteration it is", &Some(&iteration.opened_ms), &opened.get(&number))?;
        let start = match number.0.checked_sub(1) {
            Some(before) => IterationStart::After(IterationNumber(before)),
            None => IterationStart::Base(number),
        };
        same("its start", &iteration.start, &start)?;
    }
    Ok(())
}

/// Parts that are delivered at the same time are all counted, and one of the calls sees the whole.
pub async fn deliveries_at_once_are_all_counted(store: &Store) -> Result<(), Violation> {
    let (case, head) = Case::started(store).await?;
    let me = owner();
    let (_, iteration) = case.open(&head, &me).await?;
    let whole = run(TASKS * 6);
    store.begin_run(&case.consumer, iteration.number, &me, "hash", &whole).await?;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (store, consumer, me, query) = (Arc::clone(store), case.consumer.clone(), me.clone(), whole.query_id.clone());
        let number = iteration.number;
        tasks.spawn(async move {
            let mut complete = 0;
            for part in 0..6 {
                let part = task * 6 + part;
                let Some(run) = store.delivered(&consumer, number, &me, "hash", &query, part).await? else {
                    return Err(Violation(format!("part {part} is of no run")));
                };
                same("its own part", &run.delivered.contains(&part), &true)?;
                complete += u32::from(run.is_delivered());
            }
            Ok(complete)
        });
    }
    let complete: u32 = joined(tasks).await?.into_iter().sum();
    same("calls that saw the whole", &complete, &1)?;
    let runs = store.runs(&case.consumer, iteration.number, &me).await?;
    let delivered = runs.get("hash").map(|run| run.delivered.len());
    same("parts", &delivered, &Some(whole.parts as usize))
}
