//! Whatever happens in between, a consumer sees every record once.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::*;

/// One process after the other, one session after the other; what was committed is the sink's.
async fn run(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let first = World::new(random.random_range(1..4));
    let mut world = first.beside();
    let mut written = 0;
    let mut sink: BTreeSet<i64> = BTreeSet::new();
    let mut last_open: Option<Vec<String>> = None;
    let steps = random.random_range(10..40);
    for step in 0..steps {
        match random.random_range(0..10) {
            0..=3 => {
                let more = random.random_range(1..20);
                world.put_rows(written..written + more);
                written += more;
            }
            4 => {
                let shards = world.source.open_shards();
                if shards.len() < 8
                    && let Some(shard) = shards.choose(&mut random)
                {
                    world.source.split(shard);
                }
            }
            5 => {
                let shards = world.source.open_shards();
                if let [one, two, ..] = shards.as_slice() {
                    world.source.merge(one, two);
                }
            }
            6 => world = first.beside(),
            _ => {
                let client = world.consumer("c").await;
                if random.random_bool(0.3) {
                    let bound = random.random_range(1..400);
                    client.run(&format!("set kinesis.iteration_max = '{bound}'")).await.unwrap();
                }
                client.run("begin").await.unwrap();
                let rows = client
                    .run("select n from t")
                    .await
                    .unwrap_or_else(|error| panic!("seed {seed}, step {step}: {error}"));
                if let Some(before) = &last_open {
                    assert_eq!(rows, *before, "seed {seed}, step {step}: an open iteration has the same rows");
                }
                match random.random_range(0..3) {
                    0 => {
                        client.run("rollback").await.unwrap();
                        last_open = Some(rows);
                    }
                    1 => last_open = Some(rows),
                    _ => {
                        client.run("commit").await.unwrap();
                        last_open = None;
                        for row in rows {
                            let n = row.parse().unwrap();
                            assert!(sink.insert(n), "seed {seed}, step {step}: {n} twice");
                        }
                    }
                }
            }
        }
    }
    let client = world.consumer("c").await;
    for _ in 0..2 {
        client.run("begin").await.unwrap();
        for row in client.run("select n from t").await.unwrap() {
            let n = row.parse().unwrap();
            assert!(sink.insert(n), "seed {seed}, at the end: {n} twice");
        }
        client.run("commit").await.unwrap();
    }
    // a bounded iteration may have been left open; the ones after it take in all
    assert_eq!(sink, (0..written).collect::<BTreeSet<i64>>(), "seed {seed}");
}

/// `CONSUME_SEEDS=N` runs more, `CONSUME_FIRST=S` begins elsewhere.
#[tokio::test]
async fn every_record_is_consumed_once() {
    let number = |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let first = number("CONSUME_FIRST", 0);
    for seed in first..first + number("CONSUME_SEEDS", 30) {
        run(seed).await;
    }
}
