//! Scans that begin with the newest records: what they cost, and that they give the range exactly.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::{NewestScan, SequenceNumber};

/// Records in one shard, a millisecond apart or as `arrival` says; then an hour and a bit passes.
async fn aged(records: usize, page: u32, memory_bytes: u64) -> Fixture {
    let source = MemorySource::new(1);
    let config = ReaderConfig {
        page_limit: page,
        memory_bytes,
        ..quiet(&source)
    };
    let f = Fixture::new(source, config).await;
    for _ in 0..records {
        f.put(0, 1);
        sleep(0.05).await;
    }
    f
}

async fn all(scan: &mut NewestScan) -> Result<Vec<String>, ReadError> {
    let mut rows = Vec::new();
    while let Some(slice) = scan.next().await? {
        rows.extend(texts(&slice));
    }
    Ok(rows)
}

#[tokio::test(start_paused = true)]
async fn the_newest_come_first_and_for_few_calls() {
    // a hundred pages, the last of which were put a moment ago
    let f = aged(10_000, 100, 1 << 30).await;
    let pin = f.pin().await.shards.remove(0);
    let pinned = f.source.calls().read;
    let mut scan = f.reader.scan_newest(pin.range.clone(), meter());
    let first = texts(&scan.next().await.unwrap().unwrap());
    assert_eq!(first.last().unwrap(), &format!("{}#9999", f.shard(0)));
    assert_eq!(f.source.calls().read, pinned, "what the pin read is enough");
    // everything a little at a time: all of it, and hardly more calls than pages
    let mut rows = first;
    rows.extend(all(&mut scan).await.unwrap());
    rows.sort_by_key(|row| row.split_once('#').unwrap().1.parse::<usize>().unwrap());
    assert_eq!(rows, expected(&f.shard(0), 0..10_000));
    assert_eq!(scan.position(), pin.range.end);
    assert_eq!(scan.totals().records, 10_000);
    let calls = f.source.calls().read - pinned;
    assert!(calls < 130, "{calls} calls for 100 pages");
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_is_dropped_has_read_about_a_page() {
    let f = aged(10_000, 100, 1 << 30).await;
    sleep(7200.0).await;
    f.put(0, 3);
    let pin = f.pin().await.shards.remove(0);
    let pinned = f.source.calls().records;
    let mut scan = f.reader.scan_newest(pin.range, meter());
    let mut rows = Vec::new();
    // the tail's three, then the first page, which the pin has read too, then a page from two hours ago
    while rows.len() < 150 {
        rows.extend(texts(&scan.next().await.unwrap().unwrap()));
    }
    assert_eq!(rows[..3], expected(&f.shard(0), 10_000..10_003));
    drop(scan);
    sleep(60.0).await;
    let read = f.source.calls().records - pinned;
    assert!(read <= 400, "{read} records for 150 rows");
}

#[tokio::test(start_paused = true)]
async fn what_arrived_before_a_time_is_left_out_by_the_services_word() {
    let f = aged(10_000, 100, 1 << 30).await;
    let pin = f.pin().await.shards.remove(0);
    let pinned = f.source.calls().read;
    let mut scan = f.reader.scan_newest(pin.range.clone(), meter());
    let newest = scan.next().await.unwrap().unwrap();
    // 20 records a second: the last minute is 1200 records
    let last = newest.segment.records().arrival(newest.rows.end - 1).unwrap();
    scan.leave_older(last - 59_950);
    let mut rows = texts(&newest);
    rows.extend(all(&mut scan).await.unwrap());
    let wanted = expected(&f.shard(0), 8800..10_000);
    assert!(wanted.iter().all(|row| rows.contains(row)), "{} rows", rows.len());
    let calls = f.source.calls().read - pinned;
    assert!(calls <= 14, "{calls} calls for 12 pages");
    // before a position: exactly
    let mut scan = f.reader.scan_newest(pin.range, meter());
    scan.leave_before(before(&f.source, &f.shard(0), 9990));
    assert_eq!(all(&mut scan).await.unwrap(), expected(&f.shard(0), 9990..10_000));
}

#[tokio::test(start_paused = true)]
async fn a_closed_shard_that_was_never_read() {
    let f = aged(500, 10, 1 << 30).await;
    f.source.split(&f.shard(0)).unwrap();
    sleep(40_000.0).await;
    let pin = f.pin().await.shards.remove(0);
    let mut rows = all(&mut f.reader.scan_newest(pin.range, meter())).await.unwrap();
    rows.sort_by_key(|row| row.split_once('#').unwrap().1.parse::<usize>().unwrap());
    assert_eq!(rows, expected(&f.shard(0), 0..500));
}

#[tokio::test(start_paused = true)]
async fn records_that_are_gone_are_an_error() {
    let f = aged(500, 10, 1).await;
    let pin = f.pin().await.shards.remove(0);
    f.source.trim(&f.shard(0), 100);
    f.source.set_retention(Duration::ZERO);
    let mut scan = f.reader.scan_newest(pin.range.clone(), meter());
    let error = all(&mut scan).await.unwrap_err();
    assert!(matches!(error.kind, ReadErrorKind::Expired | ReadErrorKind::DataLoss), "{error}");
    f.source.trim(&f.shard(0), 0);
    let error = all(&mut f.reader.scan_newest(pin.range, meter())).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Expired, "{error}");
}

/// A range of a stream whose arrival times are in any order, read newest first and forward: the same records, each once. What is left out is what was
/// not wanted.
async fn newest_first_is_the_range(seed: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    let source = MemorySource::new(1);
    let shard = source.shard_ids()[0].clone();
    let now = source.clock().now_ms() + 20_000_000;
    let records = random.random_range(0..400);
    // seconds, minutes or hours between records, and out of order by up to that much
    let (step, disorder) = (
        [2, 400, 40_000][random.random_range(0..3)],
        [0, 500, 50_000][random.random_range(0..3)],
    );
    let mut arrivals: Vec<(SequenceNumber, i64)> = Vec::new();
    for number in 0..records {
        let arrival = now - (records - number) * step + random.random_range(-disorder..=0);
        let known = random.random_bool(0.99).then_some(arrival);
        let sequence = source
            .put_as(&shard, Some("key"), known, format!("{shard}#{number}").as_bytes())
            .unwrap();
        arrivals.push((sequence, known.unwrap_or(i64::MAX)));
    }
    if random.random_bool(0.2) {
        source.split(&shard);
    }
    sleep(20_000.0).await;
    let config = ReaderConfig {
        page_limit: random.random_range(1..60),
        memory_bytes: [1, 2000, 20_000, 1 << 30][random.random_range(0..4)],
        ..quiet(&source)
    };
    let f = Fixture::new(source.clone(), config).await;
    let pin = f.pin().await.shards.remove(0);
    let mut range = pin.range;
    if records > 2 && random.random_bool(0.5) {
        let from = random.random_range(0..records as usize);
        range.start = before(&source, &shard, from);
        if random.random_bool(0.5) {
            range.end = after(&source, &shard, random.random_range(from..records as usize));
        }
    }
    for _ in 0..random.random_range(0..3) {
        // somebody else has read a part
        let mut other = f.reader.scan(range.clone(), meter());
        for _ in 0..random.random_range(0..4) {
            if other.next().await.unwrap().is_none() {
                break;
            }
        }
    }
    let mut forward = f.rows(&range).await.unwrap();
    let mut scan = f.reader.scan_newest(range.clone(), meter());
    let floor = random
        .random_bool(0.5)
        .then(|| now - random.random_range(0..=(records * step + disorder).max(1)));
    let position = (records > 0 && random.random_bool(0.3)).then(|| before(&source, &shard, random.random_range(0..records as usize)));
    let asks_at = random.random_range(0..4);
    let mut rows = Vec::new();
    for turn in 0.. {
        if turn == asks_at {
            if let Some(floor) = floor {
                scan.leave_older(floor);
            }
            if let Some(position) = position {
                scan.leave_before(position);
            }
        }
        match scan.next().await.unwrap_or_else(|error| panic!("seed {seed}: {error}")) {
            Some(slice) => rows.extend(texts(&slice)),
            None => break,
        }
    }
    let mut sorted = rows.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), rows.len(), "seed {seed}: a record came twice");
    assert!(
        sorted.iter().all(|row| forward.contains(row)),
        "seed {seed}: a record that is not in the range"
    );
    forward.sort();
    if floor.is_none() && position.is_none() {
        assert_eq!(sorted, forward, "seed {seed}");
    }
    for row in forward {
        let number: usize = row.split_once('#').unwrap().1.parse().unwrap();
        let (sequence, arrival) = arrivals[number];
        let unwanted = floor.is_some_and(|floor| arrival < floor) || position.is_some_and(|position| Position::Before(sequence) < position);
        assert!(unwanted || rows.contains(&row), "seed {seed}: {row} is missing");
    }
}

#[test]
fn newest_first_is_the_range_exactly() {
    for seed in super::model::seeds(0, 400) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(newest_first_is_the_range(seed));
    }
}
