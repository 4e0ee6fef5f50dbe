//! Everything at once: random schedules of writers, resharding, statements, restarts, faults, evictions and expiry, each seeded, against a model of the
//! stream that is kept beside it. Every row of every statement is compared.
//!
//! What must hold:
//!
//! - A snapshot holds every record that was acknowledged before its statement arrived, in every shard that existed then, from its start on.
//! - A range gives exactly its records, in order, once: whole, in parts, again, after a restart of the process, whatever was dropped, evicted or renewed
//!   in between.
//! - What follows gives every record of each shard from its start on, once and in order, a shard's after those of its parents, on and on.
//! - Records that have expired are an error, never a shorter answer.
//!
//! `SHARD_READER_SEEDS=5000` runs more schedules, `SHARD_READER_FIRST=17 SHARD_READER_SEEDS=1` one again.

mod follower;
mod model;
mod schedule;
mod statement;
mod world;

use std::ops::Range;

use world::Outcome;

/// How many schedules, from which seed on.
fn seeds(from: u64, count: u64) -> Range<u64> {
    let set = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let from = set("SHARD_READER_FIRST").unwrap_or(from);
    from..from + set("SHARD_READER_SEEDS").unwrap_or(count)
}

fn runs(seeds: Range<u64>, trims: bool) -> Outcome {
    let mut total = Outcome::default();
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| schedule::run(seed, trims)).unwrap_or_else(|panic| {
            let why = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or(panic.downcast_ref::<&str>().copied());
            panic!("SHARD_READER_FIRST={seed} SHARD_READER_SEEDS=1: {}", why.unwrap_or("no reason"))
        });
        total.add(&outcome);
    }
    total
}

#[test]
fn every_row_is_answered_whatever_happens() {
    let seeds = seeds(0, 100);
    let many = seeds.end - seeds.start >= 100;
    let total = runs(seeds, false);
    assert_eq!(total.gone, 0);
    // the schedules are not idle
    assert!(
        !many || (total.statements > 500 && total.rows > 50_000 && total.restarts > 50 && total.followers > 40 && total.resumed > 20),
        "{total:?}"
    );
}

#[test]
fn what_expires_is_an_error_whatever_happens() {
    let seeds = seeds(1_000_000, 60);
    let many = seeds.end - seeds.start >= 60;
    let total = runs(seeds, true);
    assert!(
        !many || (total.statements > 200 && total.gone > 20 && total.restarts > 30),
        "{total:?}"
    );
}
