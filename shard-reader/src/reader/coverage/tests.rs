use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::memory_budget::MemoryBudget;
use crate::{RecordsBuilder, SequenceNumber};

fn maker() -> SegmentMaker {
    SegmentMaker {
        shard: "shard".into(),
        budget: MemoryBudget::new(u64::MAX),
    }
}

fn run(sequences: impl IntoIterator<Item = u64>, bytes: usize) -> Records {
    let mut builder = RecordsBuilder::with_capacity(0, 0, 0);
    for sequence in sequences {
        builder.push(
            SequenceNumber::from(sequence),
            Some("key"),
            Some(sequence as i64),
            &vec![b'x'; bytes],
        );
    }
    builder.finish()
}

fn before(sequence: u64) -> Position {
    Position::Before(sequence.into())
}

fn after(sequence: u64) -> Position {
    Position::After(sequence.into(), 0)
}

fn held(coverage: &Coverage) -> Vec<u64> {
    let mut sequences = Vec::new();
    for (from, stretch) in coverage.stretches() {
        let records = stretch.segment.records();
        for row in 0..records.len() {
            assert!(records.start_of(row) >= from && records.end_of(row) <= stretch.to);
            sequences.push(records.arrival(row).unwrap() as u64);
        }
    }
    sequences
}

#[test]
fn a_backfill_joins_the_next_run_and_skips_what_is_held() {
    let (mut coverage, maker) = (Coverage::default(), maker());
    assert_eq!(coverage.insert(before(50), after(59), &run(50..60, 1), true, &maker), 0);
    assert_eq!(coverage.insert(before(10), after(40), &run(10..=40, 1), true, &maker), 0);
    assert_eq!(coverage.reach(before(10), 9).0, after(40));
    // 41..49 do not exist: this page shows that, and brings 50..54 again
    assert_eq!(coverage.insert(after(40), after(54), &run(50..55, 1), true, &maker), 5);
    assert_eq!(coverage.reach(before(10), 9).0, after(59));
    assert_eq!(held(&coverage), (10..=40).chain(50..60).collect::<Vec<_>>());
}

#[test]
fn a_page_over_several_holes_fills_each() {
    let (mut coverage, maker) = (Coverage::default(), maker());
    coverage.insert(before(10), after(12), &run(10..=12, 1), true, &maker);
    coverage.insert(before(20), after(22), &run(20..=22, 1), true, &maker);
    assert_eq!(
        coverage.insert(
            before(5),
            after(30),
            &run((5..=30).filter(|s| s % 2 == 0 || (9..13).contains(s) || *s == 21), 1),
            true,
            &maker
        ),
        6
    );
    let expected: Vec<u64> = (5..=30).filter(|s| s % 2 == 0 || (9..13).contains(s) || *s == 21).collect();
    assert_eq!(held(&coverage), expected);
    assert_eq!(coverage.reach(before(5), 99).0, after(30));
}

#[test]
fn a_trickle_makes_few_segments() {
    let (mut coverage, maker) = (Coverage::default(), maker());
    let mut from = before(0);
    for sequence in 0..5000 {
        coverage.insert(from, after(sequence), &run([sequence], 100), true, &maker);
        from = after(sequence);
    }
    assert!(coverage.stretches().count() < 30, "{}", coverage.stretches().count());
    assert_eq!(held(&coverage), (0..5000).collect::<Vec<_>>());
    assert!(coverage.stretches().all(|(_, stretch)| stretch.segment.raw_bytes() < MERGED_BYTES));
}

#[test]
fn eviction_leaves_a_hole_that_a_second_fetch_fills_and_counts() {
    let (mut coverage, maker) = (Coverage::default(), maker());
    for page in 0..3 {
        let from = if page == 0 { before(0) } else { after(page * 10 - 1) };
        coverage.insert(from, after(page * 10 + 9), &run(page * 10..page * 10 + 10, 40_000), true, &maker);
    }
    let used = coverage.at(after(9)).unwrap().1.segment.used();
    assert!(coverage.evict(after(9), used).is_some());
    assert_eq!(coverage.reach(before(0), 9).0, after(9));
    assert_eq!(coverage.insert(after(9), after(19), &run(10..20, 40_000), true, &maker), 10);
    assert_eq!(coverage.reach(before(0), 9).0, after(29));
}

#[test]
fn a_segment_in_use_is_not_evicted() {
    let (mut coverage, maker) = (Coverage::default(), maker());
    coverage.insert(before(0), after(9), &run(0..10, 1), true, &maker);
    let held = Arc::clone(&coverage.at(before(0)).unwrap().1.segment);
    assert!(coverage.evict(before(0), held.used()).is_none());
    let used = held.used();
    drop(held);
    assert!(coverage.evict(before(0), used + 1).is_none());
    assert!(coverage.evict(before(0), used).is_some());
    assert_eq!(maker.budget.held(), 0);
}

proptest! {
    /// Pages of a shard read in any order from any record, with evictions: what is held is what the shard has, each record once, and what is called
    /// contiguous has no hole.
    #[test]
    fn holds_each_record_once(
        shard in proptest::collection::btree_set(0u64..200, 1..80),
        reads in proptest::collection::vec((0usize..80, 1usize..20, any::<bool>(), 0u8..4), 1..40),
    ) {
        let (mut coverage, maker) = (Coverage::default(), maker());
        let shard: Vec<u64> = shard.into_iter().collect();
        let mut fetched = BTreeSet::new();
        for (start, length, include, evict) in reads {
            let start = start % shard.len();
            let from = if include { before(shard[start]) } else { after(shard[start]) };
            let first = if include { start } else { start + 1 };
            let page: Vec<u64> = shard.iter().skip(first).take(length).copied().collect();
            let Some(last) = page.last() else { continue };
            let expected = page.iter().filter(|s| fetched.contains(*s)).count() as u64;
            prop_assert_eq!(coverage.insert(from, after(*last), &run(page.iter().copied(), 1), true, &maker), expected);
            fetched.extend(page);
            if evict == 0 {
                let oldest = coverage.stretches().min_by_key(|(_, s)| s.segment.used()).map(|(f, s)| (f, s.segment.used()));
                let (from, used) = oldest.unwrap();
                prop_assert!(coverage.evict(from, used).is_some());
            }
            let now = held(&coverage);
            prop_assert!(now.is_sorted_by(|a, b| a < b));
            let mut run_from = None;
            let mut previous: Option<Position> = None;
            for (from, stretch) in coverage.stretches() {
                prop_assert!(previous.is_none_or(|to| to <= from));
                if previous != Some(from) { run_from = Some(from); }
                let inside: Vec<u64> = shard.iter().copied().filter(|s| before(*s) >= run_from.unwrap() && after(*s) <= stretch.to).collect();
                let reached: Vec<u64> = now.iter().copied().filter(|s| before(*s) >= run_from.unwrap() && after(*s) <= stretch.to).collect();
                prop_assert_eq!(inside, reached);
                previous = Some(stretch.to);
            }
        }
    }
}
