//! The main proof: random schedules of writers, statements, dropped scans, splits, merges, faults, evictions, restarts and crashes, checked against the
//! stream's own log.
//!
//! For every statement: its snapshot holds everything that was acknowledged before it arrived, in every shard that existed then; each scan gives
//! exactly the records of its range, once, in order; a second scan of the same range gives the same.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

use super::aggregates::{Row, put_aggregates, user_rows};
use super::*;
use crate::{Chances, MillisBehind, RemoteSegments, SegmentSettings, SegmentStore};

pub(super) struct World {
    pub(super) source: MemorySource,
    pub(super) reader: Arc<StreamReader>,
}

#[derive(Debug, Default)]
struct Outcome {
    statements: usize,
    rows: usize,
    gone: usize,
}

pub(super) fn config(random: &mut SmallRng, source: &MemorySource) -> ReaderConfig {
    ReaderConfig {
        page_limit: random.random_range(1..30),
        memory_bytes: [1, 2000, 20_000, 1 << 30][random.random_range(0..4)],
        background_poll: random.random_bool(0.5),
        fan_out: random.random_bool(0.5).then(|| FanOutConfig { consumer: "model".into() }),
        calls_per_second: random.random_bool(0.3).then_some(20.0),
        idle_stop: Duration::from_secs(random.random_range(1..60)),
        list_shards_on_pin: true,
        calls_in_flight: random.random_range(1..6),
        pin_timeout: Duration::from_secs(3600),
        scan_timeout: Duration::from_secs(3600),
        ..quiet(source)
    }
}

/// A service that is honest about the distance to its tip may do anything else; one that is not gives whole pages.
pub(super) fn service(random: &mut SmallRng, source: &MemorySource, seed: u64) {
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
    source.set_chances(chances, seed);
}

impl World {
    pub(super) async fn nap(random: &mut SmallRng, most_ms: u64) {
        tokio::time::sleep(Duration::from_micros(random.random_range(0..most_ms * 1000))).await;
    }

    pub(super) async fn writer(self: Arc<Self>, seed: u64, rounds: usize, reshard: bool) {
        let mut random = SmallRng::seed_from_u64(seed);
        for _ in 0..rounds {
            let open = self.source.open_shards();
            let shard = &open[random.random_range(0..open.len())];
            match random.random_range(0..40) {
                0 if reshard && open.len() < 6 => drop(self.source.split(shard)),
                1 if reshard && open.len() > 1 => drop(self.source.merge(&open[0], &open[1])),
                2 => tokio::time::sleep(Duration::from_secs(random.random_range(1..400))).await,
                3..20 => put(&self.source, shard, random.random_range(1..20)),
                _ => {
                    let sizes: Vec<usize> = (0..random.random_range(1..6)).map(|_| random.random_range(0..8)).collect();
                    put_aggregates(&self.source, shard, &sizes);
                }
            }
            Self::nap(&mut random, 200).await;
        }
    }

    async fn reading(self: Arc<Self>, seed: u64, rounds: usize, trims: bool) -> Outcome {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut outcome = Outcome::default();
        for _ in 0..rounds {
            Self::nap(&mut random, 2000).await;
            let acknowledged: Vec<(ShardId, usize)> = self
                .source
                .shard_ids()
                .into_iter()
                .map(|shard| (shard.clone(), self.source.log(&shard).len()))
                .collect();
            let request = latest(ScanStart::TrimHorizon).await;
            if random.random_bool(0.1) {
                // a statement whose client goes away while it is planned
                let _ = tokio::time::timeout(Duration::from_millis(random.random_range(0..50)), self.reader.pin(&request)).await;
                continue;
            }
            let snapshot = self
                .reader
                .pin(&request)
                .await
                .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            outcome.statements += 1;
            for (shard, count) in &acknowledged {
                let pin = snapshot.shards.iter().find(|pin| pin.range.shard == *shard);
                let pin = pin.unwrap_or_else(|| panic!("seed {seed}: shard {shard} is not in the snapshot"));
                let left = |last| {
                    self.source
                        .oldest(shard)
                        .is_some_and(|oldest| oldest <= sequence_at(&self.source, shard, last))
                };
                if let Some(last) = count.checked_sub(1).filter(|last| !trims || left(*last)) {
                    let sequence = sequence_at(&self.source, shard, last);
                    let rows = user_rows(&self.source, shard);
                    let acknowledged = rows.iter().rfind(|row| row.end.sequence() == Some(sequence)).map(|row| row.end);
                    let acknowledged = acknowledged.unwrap();
                    assert!(
                        pin.range.end >= acknowledged,
                        "seed {seed}: {shard} ends at {} before {acknowledged}",
                        pin.range.end
                    );
                    if !trims && pin.range.start != Position::TrimHorizon {
                        assert_eq!(pin.range.start, before(&self.source, shard, 0), "seed {seed}");
                    }
                }
            }
            for pin in &snapshot.shards {
                for _ in 0..random.random_range(1..3) {
                    self.scan(seed, &mut random, pin, trims, &mut outcome).await;
                }
            }
        }
        outcome
    }

    async fn scan(&self, seed: u64, random: &mut SmallRng, pin: &ShardPin, trims: bool, outcome: &mut Outcome) {
        let range = &pin.range;
        let inside = |row: &Row| row.start >= range.start && row.end <= range.end;
        let rows = user_rows(&self.source, &range.shard).into_iter();
        let expected: Vec<String> = rows.filter(inside).map(|row| row.text).collect();
        let stop_at = random.random_bool(0.2).then(|| random.random_range(0..=expected.len()));
        let mut scan = self.reader.scan(range.clone(), meter());
        let mut seen: Vec<String> = Vec::new();
        loop {
            if stop_at.is_some_and(|stop| seen.len() >= stop) {
                break;
            }
            if random.random_bool(0.3) {
                Self::nap(random, 3000).await;
            }
            let step = tokio::time::timeout(Duration::from_millis(random.random_range(1..5000)), scan.next()).await;
            match step {
                Err(_) => {}
                Ok(Ok(Some(slice))) => seen.extend(texts(&slice)),
                Ok(Ok(None)) => {
                    if range.start == Position::TrimHorizon && trims {
                        // the first record was not known when it was pinned: what expired before it was is not missed
                        assert!(expected.ends_with(&seen), "seed {seed}");
                    } else {
                        assert_eq!(seen, expected, "seed {seed}: {range:?}");
                    }
                    break;
                }
                Ok(Err(error)) => {
                    assert!(
                        trims && matches!(error.kind, ReadErrorKind::Expired | ReadErrorKind::DataLoss),
                        "seed {seed}: {error}"
                    );
                    outcome.gone += 1;
                    break;
                }
            }
            let begins = if range.start == Position::TrimHorizon && trims {
                expected.windows(seen.len().max(1)).any(|w| w == seen) || seen.is_empty()
            } else {
                expected.starts_with(&seen)
            };
            assert!(
                begins,
                "seed {seed}: {range:?}: out of order, doubled or missing: {seen:?} of {expected:?}"
            );
        }
        outcome.rows += seen.len();
    }
}

/// Two nodes' directories, which outlive the processes.
struct Disks {
    directories: [tempfile::TempDir; 2],
    remote: Option<RemoteSegments>,
    disk_bytes: u64,
}

impl Disks {
    fn new(random: &mut SmallRng) -> Self {
        let shared = || RemoteSegments::new(Arc::new(object_store::memory::InMemory::new()), "shared".into());
        Self {
            directories: std::array::from_fn(|_| tempfile::tempdir().unwrap()),
            remote: random.random_bool(0.5).then(shared),
            disk_bytes: [3000, 30_000, 1 << 30][random.random_range(0..3)],
        }
    }

    /// One node or the other starts.
    fn open(&self, random: &mut SmallRng, source: &MemorySource) -> Arc<SegmentStore> {
        let directory = &self.directories[usize::from(random.random_bool(0.2))];
        if random.random_bool(0.3) {
            self.damage(random, directory.path());
        }
        let settings = SegmentSettings {
            disk_bytes: self.disk_bytes,
            seal_bytes: random.random_range(1..3000),
            seal_age: Duration::from_millis(random.random_range(1..60_000)),
            remote: self.remote.clone(),
            wall_clock: source.clock(),
            ..SegmentSettings::new(directory.path())
        };
        SegmentStore::open(settings).unwrap()
    }

    /// Some files are not what they were, and one was being written.
    fn damage(&self, random: &mut SmallRng, directory: &std::path::Path) {
        let entries = |path: &std::path::Path| -> Vec<std::path::PathBuf> {
            let mut paths: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
            paths.sort();
            paths
        };
        let streams = entries(directory).into_iter().filter(|path| path.is_dir());
        for shard in streams.flat_map(|stream| entries(&stream)).filter(|path| path.is_dir()) {
            std::fs::write(shard.join("tmp-unfinished"), b"PAR1").unwrap();
            for file in entries(&shard) {
                let mut bytes = std::fs::read(&file).unwrap();
                match random.random_range(0..8) {
                    0 => std::fs::remove_file(&file).unwrap(),
                    1 => std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap(),
                    2 if !bytes.is_empty() => {
                        let at = random.random_range(0..bytes.len());
                        bytes[at] ^= 1;
                        std::fs::write(&file, bytes).unwrap();
                    }
                    _ => {}
                }
            }
        }
    }
}

fn run(seed: u64, trims: bool, stores: bool) -> Outcome {
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
        let disks = stores.then(|| Disks::new(&mut random));
        tokio::time::sleep(Duration::from_secs([0, 30, 300, 8000][random.random_range(0..4)])).await;
        if trims {
            // anything may expire at any time
            source.set_retention(Duration::ZERO);
        }
        let mut total = Outcome::default();
        for process in 0..if stores { 4 } else { 1 } {
            let seed = seed + 10_000_000 * process;
            let store = disks.as_ref().map(|disks| disks.open(&mut random, &source));
            let outcome = run_process(seed, trims, &mut random, &source, store).await;
            total.statements += outcome.statements;
            total.rows += outcome.rows;
            total.gone += outcome.gone;
            tokio::time::sleep(Duration::from_secs([0, 30, 4000][random.random_range(0..3)])).await;
        }
        total
    })
}

/// A process from its start to its end, graceful or not.
async fn run_process(seed: u64, trims: bool, random: &mut SmallRng, source: &MemorySource, segments: Option<Arc<SegmentStore>>) -> Outcome {
    let stores = segments.is_some();
    let config = ReaderConfig {
        segments,
        ..config(random, source)
    };
    let readers = Readers::new(config);
    let reader = loop {
        if let Ok(reader) = readers.stream("memory", Arc::new(source.clone()), "stream").await {
            break reader;
        }
    };
    let world = Arc::new(World {
        source: source.clone(),
        reader,
    });
    let mut writers = JoinSet::new();
    let reshard = random.random_bool(0.6);
    for writer in 0..random.random_range(1..4) {
        writers.spawn(Arc::clone(&world).writer(seed * 31 + writer, if stores { 15 } else { 40 }, reshard));
    }
    if trims {
        let source = source.clone();
        let mut random = SmallRng::seed_from_u64(seed);
        writers.spawn(async move {
            for _ in 0..10 {
                World::nap(&mut random, 20_000).await;
                let shards = source.shard_ids();
                let shard = &shards[random.random_range(0..shards.len())];
                source.trim(shard, random.random_range(0..source.log(shard).len() + 1));
            }
        });
    }
    let mut statements = JoinSet::new();
    for statement in 0..random.random_range(1..5) {
        statements.spawn(Arc::clone(&world).reading(seed * 97 + statement, if stores { 3 } else { 6 }, trims));
    }
    let mut total = Outcome::default();
    while let Some(outcome) = statements.join_next().await {
        let outcome = outcome.unwrap();
        total.statements += outcome.statements;
        total.rows += outcome.rows;
        total.gone += outcome.gone;
    }
    writers.join_all().await;
    let counters = readers.counters();
    drop(world);
    if stores && random.random_bool(0.5) {
        readers.crash().await;
    } else {
        readers.shutdown().await;
    }
    assert!(counters.records_refetched <= counters.records_fetched);
    total
}

fn runs(seeds: std::ops::Range<u64>, trims: bool, stores: bool) -> Outcome {
    let mut total = Outcome::default();
    for seed in seeds {
        let outcome = run(seed, trims, stores);
        total.statements += outcome.statements;
        total.rows += outcome.rows;
        total.gone += outcome.gone;
    }
    total
}

/// More of them: `SHARD_READER_MODEL_SEEDS=10000`. One again: `SHARD_READER_MODEL_FIRST=1669 SHARD_READER_MODEL_SEEDS=1`.
pub(super) fn seeds(from: u64, count: u64) -> std::ops::Range<u64> {
    let set = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let from = set("SHARD_READER_MODEL_FIRST").unwrap_or(from);
    from..from + set("SHARD_READER_MODEL_SEEDS").unwrap_or(count)
}

#[test]
fn statements_read_exactly_what_they_pinned() {
    let total = runs(seeds(0, 40), false, false);
    assert!(total.statements > 300 && total.rows > 30_000, "{total:?}");
    assert_eq!(total.gone, 0);
}

#[test]
fn records_that_expire_are_errors_never_gaps() {
    let total = runs(seeds(1_000_000, 30), true, false);
    assert!(total.statements > 100 && total.gone > 10, "{total:?}");
}

#[test]
fn restarts_crashes_and_damaged_files_cost_no_record() {
    let total = runs(seeds(2_000_000, 20), false, true);
    assert!(total.statements > 250 && total.rows > 15_000, "{total:?}");
    assert_eq!(total.gone, 0);
}

#[test]
fn what_has_expired_is_not_given_after_a_restart_either() {
    let total = runs(seeds(3_000_000, 12), true, true);
    assert!(total.statements > 100 && total.gone > 3, "{total:?}");
}
