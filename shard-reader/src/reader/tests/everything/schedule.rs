//! From a seed to what happens.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::super::*;
use super::follower::follow;
use super::statement::statements;
use super::world::{Outcome, World, nap};
use crate::{Chances, MillisBehind};

/// One schedule, from its seed.
pub(super) fn run(seed: u64, trims: bool) -> Outcome {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(schedule(seed, trims))
}

async fn schedule(seed: u64, trims: bool) -> Outcome {
    let mut random = SmallRng::seed_from_u64(seed);
    let shards = random.random_range(1..4);
    let source = if random.random_bool(0.3) {
        MemorySource::with_wide_numbers(shards)
    } else {
        MemorySource::new(shards)
    };
    service(&mut random, &source, seed);
    if trims {
        // anything may expire at any time
        source.set_retention(Duration::ZERO);
    }
    let config = config(&mut random, &source);
    let world = World::new(source.clone(), config, trims).await;
    for shard in source.shard_ids() {
        world.model.put(&source, &shard, random.random_range(0..60));
    }
    tokio::time::sleep(Duration::from_secs([0, 30, 300, 8000][random.random_range(0..4)])).await;

    let mut happenings = JoinSet::new();
    let reshard = random.random_bool(0.6);
    for writer in 0..random.random_range(1..4) {
        happenings.spawn(write(Arc::clone(&world), seed * 31 + writer, reshard));
    }
    if trims {
        happenings.spawn(expire(Arc::clone(&world), seed));
    }
    let mut total = Outcome::default();
    if random.random_bool(0.5) {
        total.restarts = random.random_range(1..6);
        happenings.spawn(restart(Arc::clone(&world), seed, total.restarts));
    }
    let done = CancellationToken::new();
    let mut following = JoinSet::new();
    if !trims {
        for follower in 0..random.random_range(0..3) {
            following.spawn(follow(Arc::clone(&world), seed * 89 + follower, done.clone()));
        }
    }
    let mut reading = JoinSet::new();
    for statement in 0..random.random_range(1..5) {
        reading.spawn(statements(Arc::clone(&world), seed * 97 + statement, 6));
    }
    while let Some(outcome) = reading.join_next().await {
        total.add(&unwound(outcome));
    }
    while let Some(happened) = happenings.join_next().await {
        unwound(happened);
    }
    done.cancel();
    while let Some(outcome) = following.join_next().await {
        total.add(&unwound(outcome));
    }
    world.end().await;
    total
}

/// What a task came to; its panic is the schedule's.
fn unwound<T>(joined: Result<T, tokio::task::JoinError>) -> T {
    joined.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => panic!("{error}"),
    })
}

fn config(random: &mut SmallRng, source: &MemorySource) -> ReaderConfig {
    ReaderConfig {
        page_limit: random.random_range(1..30),
        memory_bytes: [1, 2000, 20_000, 1 << 30][random.random_range(0..4)],
        background_poll: random.random_bool(0.5),
        calls_per_second: random.random_bool(0.3).then_some(20.0),
        bytes_per_second: random.random_bool(0.2).then_some(20_000),
        idle_stop: Duration::from_secs(random.random_range(1..60)),
        calls_in_flight: random.random_range(1..6),
        pin_timeout: Duration::from_secs(3600),
        scan_timeout: Duration::from_secs(3600),
        ..quiet(source)
    }
}

/// A service that is honest about the distance to its tip may do anything else; one that is not gives whole pages.
fn service(random: &mut SmallRng, source: &MemorySource, seed: u64) {
    let rough = random.random_bool(0.6);
    let part = |random: &mut SmallRng, most: f64| if rough { random.random_range(0.0..most) } else { 0.0 };
    let honest = random.random_bool(0.7);
    let mut chances = Chances {
        throttle: part(random, 0.1),
        expire: part(random, 0.1),
        unavailable: part(random, 0.1),
        lost_reply: part(random, 0.1),
        empty: part(random, 0.3),
        short: part(random, 0.4),
        cut: part(random, 0.2),
        delay: Duration::from_millis(random.random_range(0..60)),
    };
    if !honest {
        (chances.empty, chances.short) = (0.0, 0.0);
        let lies = [
            MillisBehind::AlwaysZero,
            MillisBehind::BetweenRecords,
            MillisBehind::Stuck(30_000),
            MillisBehind::Absent,
        ];
        source.set_millis_behind(lies[random.random_range(0..4)]);
    }
    source.set_late_end(random.random_bool(0.5));
    source.set_refuses_future(random.random_bool(0.3));
    source.set_chances(chances, seed);
}

async fn write(world: Arc<World>, seed: u64, reshard: bool) {
    let mut random = SmallRng::seed_from_u64(seed);
    for _ in 0..40 {
        let open = world.source.open_shards();
        let shard = &open[random.random_range(0..open.len())];
        match random.random_range(0..40) {
            0 if reshard && open.len() < 6 => drop(world.source.split(shard)),
            1 if reshard && open.len() > 1 => drop(world.source.merge(&open[0], &open[1])),
            2 => tokio::time::sleep(Duration::from_secs(random.random_range(1..400))).await,
            _ => world.model.put(&world.source, shard, random.random_range(1..20)),
        }
        nap(&mut random, 200).await;
    }
}

async fn expire(world: Arc<World>, seed: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    for _ in 0..10 {
        nap(&mut random, 20_000).await;
        let shards = world.source.shard_ids();
        let shard = &shards[random.random_range(0..shards.len())];
        let records = world.source.log(shard).len();
        world.source.trim(shard, random.random_range(0..=records));
    }
}

async fn restart(world: Arc<World>, seed: u64, times: usize) {
    let mut random = SmallRng::seed_from_u64(seed);
    for _ in 0..times {
        nap(&mut random, 20_000).await;
        world.restart().await;
    }
}
