//! What is kept, for how long, under which names, and how much of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::CheckpointService;
use super::case::{Case, Store, base, ends, following, owner, same};
use super::runs::run;
use crate::checkpoints::{Ends, IterationNumber, ShardEnd};
use crate::conformance::Violation;
use crate::{Position, SequenceNumber, ShardId, WallClock};

const DAY_MS: i64 = 86_400_000;
/// In 2096: a service that deletes what has expired by its own clock finds nothing to delete.
const FIRST_MS: i64 = 4_000_000_000_000;

/// All consumers are listed once, sorted, with their heads.
pub async fn consumers_are_listed(store: &Store) -> Result<(), Violation> {
    let mut expected = Vec::new();
    for _ in 0..130 {
        let (case, head) = Case::started(store).await?;
        expected.push((case.consumer, head));
    }
    expected.sort_by(|one, other| one.0.cmp(&other.0));
    let all = store.consumers().await?;
    same("whether they are sorted", &all.is_sorted_by(|one, other| one.0 < other.0), &true)?;
    let of_here: Vec<_> = all
        .into_iter()
        .filter(|listed| expected.iter().any(|one| one.0 == listed.0))
        .collect();
    same("consumers", &of_here, &expected)
}

/// With all that it had; what comes later under its name knows nothing of it.
pub async fn a_deleted_consumer_is_forgotten(store: &Store) -> Result<(), Violation> {
    let (case, first) = Case::started(store).await?;
    let (other, untouched) = Case::started(store).await?;
    let mut head = first.clone();
    for _ in 0..30 {
        head = case.advance(&head).await?;
    }
    let me = owner();
    let (_, iteration) = case.open(&head, &me).await?;
    store.begin_run(&case.consumer, iteration.number, &me, "hash", &run(1)).await?;
    same("deleted", &store.delete(&case.consumer).await?, &true)?;
    same("head", &case.head().await?, &None)?;
    same("iterations", &store.iterations(&case.consumer).await?, &vec![])?;
    same("iteration", &store.iteration(&case.consumer, iteration.number).await?, &None)?;
    same("base", &store.base(&case.consumer, IterationNumber::FIRST).await?, &None)?;
    same("runs", &store.runs(&case.consumer, iteration.number, &me).await?, &BTreeMap::new())?;
    let listed = store.consumers().await?;
    same("listed", &listed.iter().any(|listed| listed.0 == case.consumer), &false)?;
    same("deleted again", &store.delete(&case.consumer).await?, &false)?;
    same("another one", &other.known().await?, &untouched)?;
    let conflict = crate::checkpoints::CheckpointErrorKind::Conflict;
    super::case::refused("a commit", case.commit(iteration.number, &me).await, conflict)?;
    let anew = case.set_base(None).await?;
    same("next", &anew.next, &IterationNumber::FIRST)?;
    same("iterations of the new one", &store.iterations(&case.consumer).await?, &vec![])?;
    // whoever still has a version of the old one
    let late = store.open(&case.consumer, first.version, &following(&first), &owner()).await;
    if first.version != anew.version {
        super::case::refused("opening what was deleted", late, conflict)?;
    }
    super::case::refused("a commit of what was deleted", case.commit(iteration.number, &me).await, conflict)?;
    same("whether it was deleted", &store.delete(&case.consumer).await?, &true)
}

/// Whatever separates keys from each other may be in a name.
pub async fn odd_names_are_names(store: &Store) -> Result<(), Violation> {
    let names = [
        "a#b",
        "a",
        "#",
        "a|b",
        "head",
        "consumers",
        "%23",
        "ünï#🚀",
        "a b",
        "iteration#0",
        &"長".repeat(85),
    ];
    let arn: Arc<str> = Case::new(store).stream.arn;
    let mut cases = Vec::new();
    for name in names {
        let mut case = Case::named(store, name);
        case.consumer.stream = Arc::clone(&arn);
        case.stream.arn = Arc::clone(&arn);
        let head = case.set_base(None).await?;
        let head = case.advance(&head).await?;
        cases.push((case, head));
    }
    let listed = store.consumers().await?;
    for (case, head) in cases {
        same(&case.consumer, &case.known().await?, &head)?;
        same(&case.consumer, &store.iterations(&case.consumer).await?.len(), &1)?;
        same(&case.consumer, &listed.contains(&(case.consumer.clone(), head)), &true)?;
        same(&case.consumer, &store.delete(&case.consumer).await?, &true)?;
    }
    Ok(())
}

/// Ends whose every bit of a position is of chance, which nothing packs.
fn ends_of_chance(shards: u64) -> Ends {
    let mut ends = ends(0);
    for shard in 0..shards {
        let digits: String = (0..54).map(|_| char::from(b'0' + rand::random::<u8>() % 10)).collect();
        let sequence: SequenceNumber = format!("49{digits}").parse().unwrap_or(SequenceNumber::from(shard));
        let end = ShardEnd {
            position: Position::after_record(sequence),
            closed_ms: None,
        };
        ends.shards.insert(ShardId::from(format!("shardId-{shard:012}")), end);
    }
    ends
}

/// 5,000 shards.
pub async fn thousands_of_shards_fit(store: &Store) -> Result<(), Violation> {
    let case = Case::new(store);
    let mut start = base();
    start.ends = ends_of_chance(5000);
    let head = store.set_base(&case.consumer, &case.stream, None, &start, "somebody").await?;
    let mut iteration = following(&head);
    iteration.ends = ends_of_chance(5000);
    let me = owner();
    store.open(&case.consumer, head.version, &iteration, &me).await?;
    case.commit(iteration.number, &me).await?;
    let found = store.base(&case.consumer, IterationNumber::FIRST).await?;
    same("whether the base is the same", &(found == Some(start)), &true)?;
    let found = store.iteration(&case.consumer, iteration.number).await?;
    same("whether the iteration is the same", &(found.as_ref() == Some(&iteration)), &true)?;
    for _ in 0..6 {
        let head = case.known().await?;
        let mut next = following(&head);
        next.ends = ends_of_chance(5000);
        store.open(&case.consumer, head.version, &next, &me).await?;
        case.commit(next.number, &me).await?;
    }
    let listed = store.iterations(&case.consumer).await?;
    same("iterations", &listed.len(), &7)?;
    same("whether the first is the same", &(listed.first() == Some(&iteration)), &true)?;
    same("whether it was deleted", &store.delete(&case.consumer).await?, &true)
}

/// A clock that is set.
fn clock() -> (Arc<AtomicI64>, WallClock) {
    let now = Arc::new(AtomicI64::new(FIRST_MS));
    let shared = Arc::clone(&now);
    (now, WallClock::new(move || shared.load(Ordering::SeqCst)))
}

async fn numbers(case: &Case<'_>) -> Result<Vec<u64>, Violation> {
    let iterations = case.store.iterations(&case.consumer).await?;
    Ok(iterations.into_iter().map(|iteration| iteration.number.0).collect())
}

/// The last hundred are kept, with the beginning of the name of who gave them up; a head has room for no more.
pub async fn what_is_given_up_does_not_pile_up(store: &Store) -> Result<(), Violation> {
    let (case, mut head) = Case::started(store).await?;
    let by = "ü".repeat(1000);
    for _ in 0..105 {
        let (open, _) = case.open(&head, &owner()).await?;
        head = store.abandon(&case.consumer, open.version, &by).await?;
    }
    same("head", &case.known().await?, &head)?;
    same("numbers that are kept", &numbers(&case).await?, &(5..105).collect())?;
    let named: Vec<u64> = head.abandoned.keys().map(|number| number.0).collect();
    same("numbers that the head names", &named, &(5..105).collect())?;
    let shortened = head
        .abandoned
        .values()
        .all(|(_, who)| by.starts_with(who) && (100..=256).contains(&who.len()));
    same("whether names are shortened", &shortened, &true)
}

/// Kept for 30 days, and a commit each ten days: what is gone is neither the last, nor where it starts, nor what was superseded within the time.
pub async fn what_is_superseded_goes_in_time(service: &dyn CheckpointService) -> Result<(), Violation> {
    let (now, clock) = clock();
    let store = service.store(Duration::from_secs(30 * 86_400), clock);
    let (case, mut head) = Case::started(&store).await?;
    for commit in 0..10 {
        head = case.advance(&head).await?;
        // committed on day 10 × n: superseded as a start when the second one after it was, and kept for 30 days from then
        let first_kept = match commit {
            0..=4 => 0,
            later => later - 4,
        };
        same(
            format!("iterations after commit {commit}"),
            &numbers(&case).await?,
            &(first_kept..=commit).collect(),
        )?;
        let base = store.base(&case.consumer, IterationNumber::FIRST).await?;
        same(format!("the base after commit {commit}"), &base.is_some(), &(commit <= 3))?;
        now.fetch_add(10 * DAY_MS, Ordering::SeqCst);
    }
    // years later, what the next one needs is there, and so is what the last one needs
    now.fetch_add(2000 * DAY_MS, Ordering::SeqCst);
    let me = owner();
    let (_, open) = case.open(&head, &me).await?;
    now.fetch_add(2000 * DAY_MS, Ordering::SeqCst);
    same("iterations years later", &numbers(&case).await?, &vec![8, 9, 10])?;
    case.commit(open.number, &me).await?;
    same("iterations after the last commit", &numbers(&case).await?, &vec![8, 9, 10])
}

/// With who gave it up; and bases that nothing starts at.
pub async fn what_was_given_up_goes_in_time(service: &dyn CheckpointService) -> Result<(), Violation> {
    let (now, clock) = clock();
    let store = service.store(Duration::from_secs(30 * 86_400), clock);
    let (case, head) = Case::started(&store).await?;
    let (head, _) = case.open(&head, &owner()).await?;
    let head = store.abandon(&case.consumer, head.version, "somebody").await?;
    let (head, _) = case.open(&head, &owner()).await?;
    // iterations 0 and 1 are given up, and base 0 is replaced by base 2
    let head = case.set_base(Some(head.version)).await?;
    now.fetch_add(29 * DAY_MS, Ordering::SeqCst);
    let head = case.advance(&head).await?;
    same("iterations", &numbers(&case).await?, &vec![0, 1, 2])?;
    same("given up", &head.abandoned.len(), &2)?;
    let first = store.base(&case.consumer, IterationNumber::FIRST).await?;
    same("whether the replaced base is kept", &first.is_some(), &true)?;
    now.fetch_add(2 * DAY_MS, Ordering::SeqCst);
    let head = case.advance(&head).await?;
    same("iterations later", &numbers(&case).await?, &vec![2, 3])?;
    let first = store.base(&case.consumer, IterationNumber::FIRST).await?;
    same("whether the replaced base is kept later", &first.is_some(), &false)?;
    let start = store.base(&case.consumer, IterationNumber(2)).await?;
    same("whether the base of the iteration before is kept", &start.is_some(), &true)?;
    // reset after commits: the last committed one waits for the next
    let head = case.set_base(Some(head.version)).await?;
    now.fetch_add(100 * DAY_MS, Ordering::SeqCst);
    same("iterations while none follows", &numbers(&case).await?.last(), &Some(&3))?;
    let head = case.advance(&head).await?;
    same("given up, long ago", &head.abandoned.len(), &0)?;
    same("iterations after a reset", &numbers(&case).await?, &vec![2, 3, 4])?;
    now.fetch_add(31 * DAY_MS, Ordering::SeqCst);
    case.advance(&head).await?;
    same("iterations a month after it", &numbers(&case).await?, &vec![4, 5])
}
