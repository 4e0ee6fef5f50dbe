//! Statements that follow: every row once, in order, a parent's before its children's; after the end of the process the same ticket on the next one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio_util::sync::CancellationToken;

use super::super::*;
use super::world::{Outcome, Process, World, nap};

/// Far more silences than any schedule has pauses.
const MOST_SILENCES: usize = 4000;

type Heard = BTreeMap<ShardId, Vec<String>>;

struct Follower {
    world: Arc<World>,
    random: SmallRng,
    starts: BTreeMap<ShardId, Position>,
    heard: Heard,
}

/// Follows until `done` and everything is there.
pub(super) async fn follow(world: Arc<World>, seed: u64, done: CancellationToken) -> Outcome {
    let mut random = SmallRng::seed_from_u64(seed);
    nap(&mut random, 5000).await;
    let start = match random.random_range(0..3) {
        0 => ScanStart::Latest,
        1 => ScanStart::Timestamp(world.source.clock().now_ms() - random.random_range(0..20_000)),
        _ => ScanStart::TrimHorizon,
    };
    let request = latest(start).await;
    let snapshot = super::statement::pin(&world, &request).await;
    let pins = snapshot.shards;
    let mut follower = Follower {
        world: Arc::clone(&world),
        random,
        starts: pins.iter().map(|pin| (pin.range.shard.clone(), pin.range.start)).collect(),
        heard: Heard::new(),
    };
    let mut outcome = Outcome {
        followers: 1,
        ..Outcome::default()
    };
    loop {
        nap(&mut follower.random, 3000).await;
        let process = world.process();
        let scan = process.reader.follow(pins.clone(), meter());
        follower.heard.clear();
        if follower.listen(&process, scan, &done).await {
            break;
        }
        outcome.resumed += 1;
    }
    outcome.rows = follower.heard.values().map(Vec::len).sum();
    outcome
}

impl Follower {
    fn expected(&self, shard: &ShardId) -> Vec<String> {
        let start = self.starts.get(shard).copied().unwrap_or(Position::TrimHorizon);
        let rows = self.world.model.rows(shard).into_iter();
        rows.filter(|row| row.before() >= start).map(|row| row.text).collect()
    }

    fn is_whole(&self) -> bool {
        let shards = self.world.source.shard_ids();
        let heard = |shard: &ShardId| self.heard.get(shard).map_or(0, Vec::len);
        shards.iter().all(|shard| self.expected(shard).len() == heard(shard))
    }

    /// Whether everything was heard; if not, the process has ended.
    async fn listen(&mut self, process: &Arc<Process>, mut scan: FollowScan, done: &CancellationToken) -> bool {
        let mut silences = 0;
        loop {
            if self.random.random_bool(0.2) {
                nap(&mut self.random, 3000).await;
            }
            let patience = Duration::from_millis(self.random.random_range(1..5000));
            match tokio::time::timeout(patience, scan.next()).await {
                Ok(Ok(Followed::Rows { shard, slice })) => {
                    silences = 0;
                    self.take(shard.range.shard.clone(), texts(&slice));
                }
                Ok(Ok(Followed::Ended { .. })) => {}
                Ok(Ok(Followed::Gap { gap, .. })) => panic!("nothing expires here: {gap:?}"),
                Ok(Err(error)) => {
                    assert!(self.world.is_of_restart(process, &error), "{error}");
                    return false;
                }
                // as long as others go on it may have nothing to say
                Err(_) => silences += usize::from(done.is_cancelled()),
            }
            // an ended process falls silent, or says so
            let ended = !Arc::ptr_eq(process, &self.world.process());
            if done.is_cancelled() && silences > 100 && self.is_whole() {
                return true;
            }
            let missing = || {
                let shards = self.world.source.shard_ids().into_iter();
                let counts = shards.map(|shard| (self.expected(&shard).len(), self.heard.get(&shard).map_or(0, Vec::len), shard));
                counts.filter(|(expected, heard, _)| expected != heard).collect::<Vec<_>>()
            };
            assert!(
                silences < MOST_SILENCES,
                "never whole (expected, heard): {:?}, process ended: {ended}, starts {:?}: {scan:?}",
                missing(),
                self.starts
            );
        }
    }

    fn take(&mut self, shard: ShardId, rows: Vec<String>) {
        for parent in self.world.source.parents(&shard) {
            let (heard, all) = (self.heard.get(&parent).map_or(0, Vec::len), self.expected(&parent).len());
            assert_eq!(heard, all, "{shard} came before the end of its parent {parent}");
        }
        let expected = self.expected(&shard);
        let heard = self.heard.entry(shard).or_default();
        heard.extend(rows);
        assert!(
            expected.starts_with(heard),
            "out of order, doubled or missing: {heard:?} of {expected:?}"
        );
    }
}
