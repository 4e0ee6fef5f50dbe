//! Runs of statements, and what of them was delivered.

use std::collections::BTreeSet;

use super::case::{Case, Store, owner, same, unique};
use crate::checkpoints::{IterationNumber, Run};
use crate::conformance::Violation;

pub(super) fn run(parts: u32) -> Run {
    Run {
        query_id: format!("query-{}", unique()),
        sql: "select 'a#b|c' from t".to_owned(),
        parts,
        delivered: BTreeSet::new(),
    }
}

/// Each part counts once, however often it is delivered.
pub async fn a_run_is_delivered_by_parts(store: &Store) -> Result<(), Violation> {
    let (case, head) = Case::started(store).await?;
    let (me, number) = (owner(), IterationNumber::FIRST);
    case.open(&head, &me).await?;
    same("runs before", &store.runs(&case.consumer, number, &me).await?.len(), &0)?;
    let mut first = run(3);
    let empty = run(0);
    store.begin_run(&case.consumer, number, &me, "hash", &first).await?;
    store.begin_run(&case.consumer, number, &me, "other#hash", &empty).await?;
    for part in [2, 0, 2, 1] {
        first.delivered.insert(part);
        let found = store.delivered(&case.consumer, number, &me, "hash", &first.query_id, part).await?;
        same("run", &found, &Some(first.clone()))?;
    }
    same("whether all was delivered", &first.is_delivered(), &true)?;
    let runs = store.runs(&case.consumer, number, &me).await?;
    let expected = [("hash".to_owned(), first.clone()), ("other#hash".to_owned(), empty)].into();
    same("runs", &runs, &expected)?;
    let missing = store.delivered(&case.consumer, number, &me, "never", &first.query_id, 0).await?;
    same("a part of no run", &missing, &None)?;
    same("runs after that", &store.runs(&case.consumer, number, &me).await?, &expected)?;
    case.commit(number, &me).await?;
    same("runs after the commit", &store.runs(&case.consumer, number, &me).await?, &expected)
}

/// What was delivered of the one before counts for nothing.
pub async fn a_run_of_the_same_text_replaces_it(store: &Store) -> Result<(), Violation> {
    let (case, head) = Case::started(store).await?;
    let (me, number) = (owner(), IterationNumber::FIRST);
    case.open(&head, &me).await?;
    let (first, mut second) = (run(2), run(1));
    store.begin_run(&case.consumer, number, &me, "hash", &first).await?;
    store.delivered(&case.consumer, number, &me, "hash", &first.query_id, 0).await?;
    store.begin_run(&case.consumer, number, &me, "hash", &second).await?;
    let late = store.delivered(&case.consumer, number, &me, "hash", &first.query_id, 1).await?;
    same("a part of the replaced one", &late, &None)?;
    let runs = store.runs(&case.consumer, number, &me).await?;
    same("runs", &runs, &[("hash".to_owned(), second.clone())].into())?;
    second.delivered.insert(0);
    let found = store.delivered(&case.consumer, number, &me, "hash", &second.query_id, 0).await?;
    same("run", &found, &Some(second.clone()))?;
    // a run may begin with parts that were delivered
    let mut third = run(3);
    third.delivered.insert(1);
    store.begin_run(&case.consumer, number, &me, "hash", &third).await?;
    let runs = store.runs(&case.consumer, number, &me).await?;
    same("runs", &runs, &[("hash".to_owned(), third)].into())
}

/// Owners, iterations and consumers do not see each other's, however their names are put together.
pub async fn runs_belong_to_an_owner(store: &Store) -> Result<(), Violation> {
    let (case, other) = (Case::new(store), Case::new(store));
    let me = owner();
    let longer = crate::checkpoints::OwnerToken(format!("{me}#a").into());
    let (mine, theirs, next) = (run(1), run(2), run(3));
    let (first, second) = (IterationNumber(1), IterationNumber(11));
    store.begin_run(&case.consumer, first, &me, "a#hash", &mine).await?;
    store.begin_run(&case.consumer, first, &longer, "hash", &theirs).await?;
    store.begin_run(&case.consumer, second, &me, "hash", &next).await?;
    let mine_alone = [("a#hash".to_owned(), mine.clone())].into();
    let theirs_alone = [("hash".to_owned(), theirs)].into();
    same("mine", &store.runs(&case.consumer, first, &me).await?, &mine_alone)?;
    same("another owner's", &store.runs(&case.consumer, first, &longer).await?, &theirs_alone)?;
    let of_next = store.runs(&case.consumer, second, &me).await?;
    same("another iteration's", &of_next, &[("hash".to_owned(), next)].into())?;
    same("another consumer's", &store.runs(&other.consumer, first, &me).await?, &[].into())?;
    let foreign = store.delivered(&case.consumer, first, &longer, "a#hash", &mine.query_id, 0).await?;
    same("another owner's part", &foreign, &None)?;
    same("mine after that", &store.runs(&case.consumer, first, &me).await?, &mine_alone)
}
