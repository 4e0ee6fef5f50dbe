//! Followers under random schedules of writers, splits, merges, statements, faults, restarts and evictions, checked against the stream's own log.
//!
//! Every follower gets each record of each shard from its start on exactly once, in order, and a shard's first record after the last of its parents'.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::aggregates::{Row, user_rows};
use super::model::{World, config, seeds, service};
use super::*;

#[derive(Debug, Default)]
struct Outcome {
    followers: usize,
    rows: usize,
    shards: usize,
    gaps: usize,
    failed: usize,
}

/// What a follower got.
#[derive(Debug, Default)]
struct Heard {
    rows: BTreeMap<ShardId, Vec<String>>,
    gaps: Vec<Gap>,
}

struct Follower {
    seed: u64,
    world: Arc<World>,
    random: SmallRng,
    pins: BTreeMap<ShardId, ShardPin>,
    heard: Heard,
    /// Anything may expire at any time.
    lossy: bool,
}

impl Follower {
    /// The rows of a shard that belong to the answer.
    fn expected(&self, shard: &ShardId) -> Vec<Row> {
        let start = self.pins.get(shard).map_or(Position::TrimHorizon, |pin| pin.range.start);
        let rows = user_rows(&self.world.source, shard).into_iter();
        rows.filter(|row| row.start >= start).collect()
    }

    fn take(&mut self, followed: Followed) {
        let seed = self.seed;
        match followed {
            Followed::Rows { shard, slice } => {
                let id = shard.range.shard.clone();
                let early = self.heard.rows.keys().find(|other| self.world.source.parents(other).contains(&id));
                assert_eq!(early, None, "seed {seed}: rows of {id} after those of its child");
                for parent in self.world.source.parents(&id) {
                    let all = self.expected(&parent).len();
                    let got = self.heard.rows.get(&parent).map_or(0, Vec::len);
                    assert!(
                        got == all || self.lossy,
                        "seed {seed}: {id} came after {got} of {all} rows of its parent {parent}"
                    );
                }
                self.heard.rows.entry(id).or_default().extend(texts(&slice));
            }
            Followed::Gap { gap, .. } => self.heard.gaps.push(gap),
            Followed::Ended { .. } => {}
        }
    }

    /// Listens, with naps and dropped calls in between, until `done` and all is there.
    async fn listen(&mut self, scan: &mut FollowScan, done: &CancellationToken) -> Result<(), ReadError> {
        let mut quiet = 0;
        loop {
            if self.random.random_bool(0.2) {
                World::nap(&mut self.random, 3000).await;
            }
            let patience = Duration::from_millis(self.random.random_range(1..5000));
            match tokio::time::timeout(patience, scan.next()).await {
                Ok(followed) => {
                    self.take(followed?);
                    quiet = 0;
                }
                Err(_) => quiet += 1,
            }
            let missing = || {
                let shards = self.world.source.shard_ids();
                let missing = |shard: &ShardId| self.expected(shard).len() != self.heard.rows.get(shard).map_or(0, Vec::len);
                shards.into_iter().filter(missing).collect::<Vec<_>>()
            };
            if done.is_cancelled() && quiet > 100 && (self.lossy || missing().is_empty()) {
                return Ok(());
            }
            assert!(
                quiet < 4000,
                "seed {}: these never came whole: {:?}: {scan:?}",
                self.seed,
                missing()
            );
        }
    }

    fn check(&self) {
        let seed = self.seed;
        for shard in self.world.source.shard_ids() {
            let expected = self.expected(&shard);
            let heard = self.heard.rows.get(&shard).cloned().unwrap_or_default();
            if !self.lossy {
                let expected: Vec<String> = expected.into_iter().map(|row| row.text).collect();
                assert_eq!(heard, expected, "seed {seed}: {shard}");
                continue;
            }
            let mut rest = heard.iter().peekable();
            // what the service no longer had when the shard was first looked at was promised to nobody
            let mut promised = self.pins.get(&shard).is_some_and(|pin| pin.range.start != Position::TrimHorizon);
            for row in &expected {
                let text = &row.text;
                if rest.peek() == Some(&text) {
                    promised = true;
                    rest.next();
                    continue;
                }
                let told = self
                    .heard
                    .gaps
                    .iter()
                    .any(|gap| gap.shard == shard && gap.from <= row.start && gap.to.is_none_or(|to| row.end <= to));
                assert!(
                    told || !promised,
                    "seed {seed}: {shard}: {text} is missing and no gap says so: {:?}",
                    self.heard.gaps
                );
            }
            assert_eq!(rest.next(), None, "seed {seed}: {shard}: out of order or doubled: {heard:?}");
        }
    }
}

async fn follower(world: Arc<World>, seed: u64, done: CancellationToken, lossy: bool) -> Outcome {
    let mut random = SmallRng::seed_from_u64(seed);
    World::nap(&mut random, 5000).await;
    let start = match random.random_range(0..3) {
        0 => ScanStart::Latest,
        1 => ScanStart::Timestamp(world.source.clock().now_ms() - random.random_range(0..20_000)),
        _ => ScanStart::TrimHorizon,
    };
    let snapshot = world
        .reader
        .pin(&latest(start).await)
        .await
        .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    // a ticket is fetched later, sometimes by a process that knows nothing
    World::nap(&mut random, 20_000).await;
    let reader = if random.random_bool(0.3) {
        let config = config(&mut random, &world.source);
        let readers = Readers::new(config);
        loop {
            if let Ok(reader) = readers.stream("memory", Arc::new(world.source.clone()), "stream").await {
                break reader;
            }
        }
    } else {
        Arc::clone(&world.reader)
    };
    let warn = lossy && random.random_bool(0.7);
    let on_gap = if warn { OnGap::Warn } else { OnGap::Fail };
    let mut scan = reader.follow(snapshot.shards.clone(), meter()).on_gap(on_gap);
    let pins = snapshot.shards.into_iter().map(|pin| (pin.range.shard.clone(), pin)).collect();
    let mut follower = Follower {
        seed,
        world,
        random,
        pins,
        heard: Heard::default(),
        lossy,
    };
    let mut outcome = Outcome {
        followers: 1,
        ..Outcome::default()
    };
    match follower.listen(&mut scan, &done).await {
        Ok(()) => follower.check(),
        Err(error) => {
            assert!(
                lossy && !warn && matches!(error.kind, ReadErrorKind::Expired | ReadErrorKind::DataLoss),
                "seed {seed}: {error}"
            );
            outcome.failed = 1;
        }
    }
    outcome.rows = follower.heard.rows.values().map(Vec::len).sum();
    outcome.shards = follower.heard.rows.len();
    outcome.gaps = follower.heard.gaps.len();
    outcome
}

fn run(seed: u64, lossy: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async move {
        let mut random = SmallRng::seed_from_u64(seed);
        let source = MemorySource::new(random.random_range(1..4));
        service(&mut random, &source, seed);
        for shard in source.shard_ids() {
            put(&source, &shard, random.random_range(0..60));
        }
        tokio::time::sleep(Duration::from_secs([0, 30, 300, 8000][random.random_range(0..4)])).await;
        if lossy {
            source.set_retention(Duration::ZERO);
        }
        let readers = Readers::new(config(&mut random, &source));
        let reader = loop {
            if let Ok(reader) = readers.stream("memory", Arc::new(source.clone()), "stream").await {
                break reader;
            }
        };
        let world = Arc::new(World {
            source: source.clone(),
            reader,
        });
        let done = CancellationToken::new();
        let mut followers = JoinSet::new();
        for number in 0..random.random_range(1..4) {
            followers.spawn(follower(Arc::clone(&world), seed * 97 + number, done.clone(), lossy));
        }
        let mut writers = JoinSet::new();
        for number in 0..random.random_range(1..4) {
            writers.spawn(Arc::clone(&world).writer(seed * 31 + number, 40, true));
        }
        if lossy {
            let (source, mut random) = (source.clone(), SmallRng::seed_from_u64(seed));
            writers.spawn(async move {
                for _ in 0..10 {
                    World::nap(&mut random, 20_000).await;
                    let shards = source.shard_ids();
                    let shard = &shards[random.random_range(0..shards.len())];
                    source.trim(shard, random.random_range(0..source.log(shard).len() + 1));
                }
            });
        }
        writers.join_all().await;
        done.cancel();
        let mut total = Outcome::default();
        for outcome in followers.join_all().await {
            add(&mut total, &outcome);
        }
        let open: BTreeSet<ShardId> = source.open_shards().into_iter().collect();
        assert!(!open.is_empty());
        assert!(world.reader.shards().iter().all(|shard| shard.scans == 0), "seed {seed}");
        readers.shutdown().await;
        total
    })
}

fn add(total: &mut Outcome, outcome: &Outcome) {
    total.followers += outcome.followers;
    total.rows += outcome.rows;
    total.shards += outcome.shards;
    total.gaps += outcome.gaps;
    total.failed += outcome.failed;
}

fn runs(seeds: std::ops::Range<u64>, lossy: bool) -> Outcome {
    let mut total = Outcome::default();
    for seed in seeds {
        add(&mut total, &run(seed, lossy));
    }
    total
}

#[test]
fn followers_get_each_record_once_and_in_order() {
    let total = runs(seeds(2_000_000, 12), false);
    assert!(total.followers > 15 && total.rows > 5_000 && total.shards > 40, "{total:?}");
    assert_eq!((total.gaps, total.failed), (0, 0), "{total:?}");
}

#[test]
fn what_followers_miss_they_are_told() {
    let total = runs(seeds(3_000_000, 12), true);
    assert!(total.followers > 15 && total.gaps > 1 && total.failed > 0, "{total:?}");
}
