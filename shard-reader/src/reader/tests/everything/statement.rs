//! Statements, and what must hold of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::super::*;
use super::model::Row;
use super::world::{Outcome, Process, World, nap};

/// So many statements, one after the other.
pub(super) async fn statements(world: Arc<World>, seed: u64, count: usize) -> Outcome {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut outcome = Outcome::default();
    let begin_ms = world.source.clock().now_ms();
    for _ in 0..count {
        nap(&mut random, 2000).await;
        let known: BTreeMap<ShardId, usize> = {
            let acknowledged = world.model.acknowledged();
            let shards = world.source.shard_ids().into_iter();
            shards
                .map(|shard| (shard.clone(), acknowledged.get(&shard).copied().unwrap_or(0)))
                .collect()
        };
        let request = PinRequest {
            freshness: match random.random_range(0..10) {
                0 => Freshness::Cached,
                1 => Freshness::Within(Duration::from_secs(random.random_range(0..30))),
                _ => Freshness::Latest,
            },
            ..latest(start(&mut random, &world, begin_ms)).await
        };
        if random.random_bool(0.1) {
            // a statement whose client goes away while it is planned
            let patience = Duration::from_millis(random.random_range(0..50));
            let _ = tokio::time::timeout(patience, world.process().reader.pin(&request)).await;
            continue;
        }
        let snapshot = pin(&world, &request).await;
        outcome.statements += 1;
        check(&world, &request, &known, &snapshot);
        for pin in &snapshot.shards {
            for _ in 0..random.random_range(1..3) {
                let range = part(&mut random, &world, &pin.range);
                scan(&world, &mut random, range, &mut outcome).await;
            }
        }
    }
    outcome
}

fn start(random: &mut SmallRng, world: &World, begin_ms: i64) -> ScanStart {
    let now = world.source.clock().now_ms();
    match random.random_range(0..10) {
        0 => ScanStart::Latest,
        1..4 => ScanStart::Timestamp(random.random_range(begin_ms - 10_000..now + 5_000)),
        _ => ScanStart::TrimHorizon,
    }
}

/// A statement that the end of a process hits while it is planned is planned again by the next.
pub(super) async fn pin(world: &Arc<World>, request: &PinRequest) -> Snapshot {
    loop {
        let process = world.process();
        match process.reader.pin(request).await {
            Ok(snapshot) => return snapshot,
            Err(error) => assert!(world.is_of_restart(&process, &error), "{request:?}: {error}"),
        }
    }
}

/// What was acknowledged before the statement arrived is in its snapshot.
fn check(world: &World, request: &PinRequest, known: &BTreeMap<ShardId, usize>, snapshot: &Snapshot) {
    if request.freshness != Freshness::Latest {
        return;
    }
    for (shard, count) in known {
        let pin = snapshot.shards.iter().find(|pin| pin.range.shard == *shard);
        let pin = pin.unwrap_or_else(|| panic!("{shard} is not in the snapshot"));
        let (start, end) = (pin.range.start, pin.range.end);
        let rows = world.model.rows(shard);
        let oldest = world.source.oldest(shard);
        let is_left = |row: &&Row| !world.trims || oldest.is_some_and(|oldest| oldest <= row.sequence);
        let wanted = rows[..*count].iter().filter(is_left);
        match request.start {
            ScanStart::Latest => assert_eq!(start, end, "{shard}: latest"),
            ScanStart::TrimHorizon => {
                for row in wanted {
                    assert!(row.lies_in(start, end), "{shard}: {row:?} is not in {start}..{end}");
                }
            }
            ScanStart::Timestamp(time) => {
                for row in wanted.filter(|row| row.arrival_ms >= time) {
                    assert!(row.lies_in(start, end), "{shard}: {row:?} is not in {start}..{end}, from {time}");
                }
            }
        }
        if let Some(last) = rows[..*count].last().filter(is_left) {
            assert!(end >= last.after(), "{shard} ends at {end}, before {last:?}");
        }
    }
}

/// The range, or a part of it between two of its records.
fn part(random: &mut SmallRng, world: &World, range: &ShardRange) -> ShardRange {
    let mut part = range.clone();
    let rows: Vec<Row> = world.model.rows(&range.shard);
    let inside: Vec<&Row> = rows.iter().filter(|row| row.lies_in(range.start, range.end)).collect();
    if inside.is_empty() || random.random_bool(0.7) {
        return part;
    }
    let mut point = || {
        let row = inside[random.random_range(0..inside.len())];
        if random.random_bool(0.5) { row.before() } else { row.after() }
    };
    let (a, b) = (point(), point());
    (part.start, part.end) = (a.min(b), a.max(b));
    part
}

/// One scan of a range, on the process of the moment; after its end it is read on, or anew, on the next.
async fn scan(world: &Arc<World>, random: &mut SmallRng, range: ShardRange, outcome: &mut Outcome) {
    let expected: Vec<Row> = world.model.rows(&range.shard);
    let expected: Vec<Row> = expected.into_iter().filter(|row| row.lies_in(range.start, range.end)).collect();
    outcome.scans += 1;
    let stop_at = random.random_bool(0.2).then(|| random.random_range(0..=expected.len()));
    let mut process = world.process();
    let mut scan = process.reader.scan(range.clone(), meter());
    let mut seen: Vec<(crate::SequenceNumber, u32, String)> = Vec::new();
    loop {
        if stop_at.is_some_and(|stop| seen.len() >= stop) {
            break;
        }
        match random.random_range(0..100) {
            0 => nap(random, 400_000).await,
            1..30 => nap(random, 3000).await,
            _ => {}
        }
        let patience = Duration::from_millis(random.random_range(1..5000));
        let ended = match tokio::time::timeout(patience, scan.next()).await {
            Err(_) => false,
            Ok(Ok(Some(slice))) => {
                let records = slice.segment.records();
                seen.extend(slice.rows.clone().map(|row| {
                    let text = String::from_utf8(records.data().value(row).to_vec()).unwrap();
                    (records.sequence(row), records.subs().value(row), text)
                }));
                false
            }
            Ok(Ok(None)) => true,
            Ok(Err(error)) if world.is_of_restart(&process, &error) => {
                process = world.process();
                (scan, seen) = resumed(random, &process, &range, scan.position(), seen);
                continue;
            }
            Ok(Err(error)) => {
                let gone = matches!(error.kind, ReadErrorKind::Expired | ReadErrorKind::DataLoss);
                assert!(world.trims && gone, "{range:?}: {error}");
                outcome.gone += 1;
                break;
            }
        };
        compare(world, &range, &expected, &seen, ended);
        if ended {
            break;
        }
    }
    outcome.rows += seen.len();
}

type Seen = Vec<(crate::SequenceNumber, u32, String)>;

fn resumed(random: &mut SmallRng, process: &Arc<Process>, range: &ShardRange, position: Position, seen: Seen) -> (ShardScan, Seen) {
    if random.random_bool(0.5) {
        return (process.reader.scan(range.clone(), meter()), Vec::new());
    }
    let rest = ShardRange {
        start: position,
        ..range.clone()
    };
    (process.reader.scan(rest, meter()), seen)
}

/// What was seen is how the expected begins, or all of it at the end.
fn compare(world: &World, range: &ShardRange, expected: &[Row], seen: &Seen, ended: bool) {
    let is = |row: &Row, seen: &(crate::SequenceNumber, u32, String)| (row.sequence, row.sub, &row.text) == (seen.0, seen.1, &seen.2);
    // the first record was not known when it was pinned: what expired before it was is not missed
    let skipped = match seen.first() {
        Some(first) if range.start == Position::TrimHorizon && world.trims => {
            expected.iter().position(|row| is(row, first)).unwrap_or(expected.len())
        }
        None if range.start == Position::TrimHorizon && world.trims => return,
        _ => 0,
    };
    let expected = &expected[skipped..];
    let same = expected.len() >= seen.len() && expected.iter().zip(seen).all(|(row, seen)| is(row, seen));
    assert!(same, "{range:?}: out of order, doubled or missing: {seen:?} of {expected:?}");
    assert!(
        !ended || seen.len() == expected.len(),
        "{range:?}: {} of {} rows",
        seen.len(),
        expected.len()
    );
}
