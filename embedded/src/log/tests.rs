use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;

use super::shard_log::RecordBytes;
use super::*;
use crate::options::EmbeddedError;

const SHARD: &str = "shardId-000000000000";

fn place(dir: &Path, segment_bytes: u64) -> LogPlace {
    LogPlace {
        dir: dir.into(),
        shard: SHARD.into(),
        pool: Arc::new(FilePool::new(2)),
        fsync: false,
        segment_bytes,
    }
}

fn files(dir: &Path) -> BTreeMap<u32, PathBuf> {
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let number = |path: &PathBuf| parse_segment_name(path.file_name()?.to_str()?).map(|(_, number)| number);
    paths.filter_map(|path| Some((number(&path)?, path))).collect()
}

fn open(dir: &Path, segment_bytes: u64) -> Result<ShardLog, EmbeddedError> {
    ShardLog::open(place(dir, segment_bytes), files(dir), 0)
}

fn append(log: &ShardLog, now_ms: i64, records: &[(&str, &[u8])]) -> u64 {
    log.append(now_ms, i64::MIN, records.iter().copied()).unwrap()
}

/// Everything from a counter on: counter, arrival, key, data.
fn read(log: &ShardLog, page: PageRequest) -> Vec<(u64, i64, String, Vec<u8>)> {
    let mut records = Vec::new();
    let selection = log.select(page).unwrap();
    let mut each = |record: RecordBytes<'_>| {
        let key = String::from_utf8(record.key.to_vec()).unwrap();
        records.push((record.entry.counter, record.entry.arrival_ms, key, record.data.to_vec()));
    };
    selection.read(&mut each).unwrap();
    records
}

const ALL: PageRequest = PageRequest {
    next: 0,
    horizon_ms: i64::MIN,
    records: usize::MAX,
    bytes: u64::MAX,
};

#[test]
fn counters_increase_and_arrivals_never_decrease() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), SEGMENT_BYTES).unwrap();
    assert_eq!(append(&log, 1_000, &[("a", b"1"), ("b", b"2")]), 1_000 << 20);
    assert_eq!(append(&log, 1_000, &[("c", b"3")]), (1_000 << 20) + 2);
    assert_eq!(append(&log, 900, &[("d", b"4")]), (1_000 << 20) + 3, "the clock went back");
    assert_eq!(append(&log, 1_001, &[("e", b"5")]), 1_001 << 20);
    let arrivals: Vec<i64> = read(&log, ALL).iter().map(|record| record.1).collect();
    assert_eq!(arrivals, [1_000, 1_000, 1_000, 1_000, 1_001]);
    assert_eq!(log.first_since(1_001), 1_001 << 20);
    assert_eq!(log.first_since(1_002), log.tip());
}

#[test]
fn pages_keep_to_records_and_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), SEGMENT_BYTES).unwrap();
    append(&log, 1, &[("k", &[1; 9]), ("k", &[2; 9]), ("k", &[3; 29]), ("k", &[4; 9])]);
    let lengths = |records, bytes, next| -> Vec<usize> {
        read(
            &log,
            PageRequest {
                next,
                records,
                bytes,
                ..ALL
            },
        )
        .iter()
        .map(|record| record.3.len())
        .collect()
    };
    assert_eq!(lengths(3, 1_000, 0), [9, 9, 29]);
    assert_eq!(lengths(10, 20, 0), [9, 9]);
    assert_eq!(lengths(10, 49, 0), [9, 9]);
    assert_eq!(lengths(10, 50, 0), [9, 9, 29]);
    let third = (1 << 20) + 2;
    assert_eq!(lengths(10, 20, third), [29], "the first is given whatever its size");
    let selection = log
        .select(PageRequest {
            next: third,
            bytes: 20,
            ..ALL
        })
        .unwrap();
    assert_eq!(
        (selection.next, selection.waiting_since_ms, selection.cut_by_size),
        (third + 1, Some(1), true)
    );
}

#[test]
fn records_survive_a_restart_over_several_segments() {
    let dir = tempfile::tempdir().unwrap();
    let expected: Vec<(String, Vec<u8>)> = (0..50_u8).map(|n| (format!("key-{n}"), vec![n; usize::from(n)])).collect();
    {
        let log = open(dir.path(), 300).unwrap();
        for (number, (key, data)) in (0..).zip(&expected) {
            append(&log, number, &[(key, data)]);
        }
    }
    assert!(files(dir.path()).len() > 5);
    let log = open(dir.path(), 300).unwrap();
    let found: Vec<(String, Vec<u8>)> = read(&log, ALL).into_iter().map(|(_, _, key, data)| (key, data)).collect();
    assert_eq!(found, expected);
    assert_eq!(append(&log, 0, &[("late", b"")]), (49 << 20) + 1, "numbers go on where they were");
}

#[test]
fn expired_records_go_and_their_segments_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), 200).unwrap();
    for now_ms in 0..20 {
        append(&log, now_ms, &[("k", &[0; 50])]);
    }
    let before = files(dir.path()).len();
    let old = log.select(PageRequest { records: 3, ..ALL }).unwrap();
    assert_eq!(read(&log, PageRequest { horizon_ms: 15, ..ALL }).len(), 5);
    assert!(files(dir.path()).len() < before / 2);
    let mut kept = 0;
    old.read(|_| kept += 1).unwrap();
    assert_eq!(kept, 3, "a page that was chosen stays readable");

    assert_eq!(read(&log, PageRequest { horizon_ms: 1_000, ..ALL }).len(), 0);
    let tip = log.tip();
    drop(log);
    let log = open(dir.path(), 200).unwrap();
    assert!(log.tip() >= tip, "numbers are not used again");
    assert_eq!(log.append(2_000, 1_000, std::iter::once(("k", &b"x"[..]))).unwrap(), 2_000 << 20);
    assert_eq!(read(&log, PageRequest { horizon_ms: 1_000, ..ALL }).len(), 1);
}

#[test]
fn damage_that_no_crash_leaves_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    {
        let log = open(dir.path(), SEGMENT_BYTES).unwrap();
        append(&log, 1, &[("k", b"first")]);
        append(&log, 2, &[("k", b"second")]);
    }
    let path = files(dir.path()).remove(&0).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let first_data = whole.windows(5).position(|bytes| bytes == b"first").unwrap();
    for at in [0, 30, first_data] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        std::fs::write(&path, &bytes).unwrap();
        assert!(
            matches!(open(dir.path(), SEGMENT_BYTES), Err(EmbeddedError::Damaged { .. })),
            "byte {at}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "nothing was changed");
    }
    // Zeros at the end, as after a power failure, are a torn frame.
    let mut bytes = whole.clone();
    bytes.resize(whole.len() + 5_000, 0);
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(read(&open(dir.path(), SEGMENT_BYTES).unwrap(), ALL).len(), 2);
    assert_eq!(std::fs::read(&path).unwrap(), whole);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn a_torn_tail_costs_only_the_torn_frame(
        frames in prop::collection::vec(prop::collection::vec(("[a-z]{1,20}", prop::collection::vec(any::<u8>(), 0..100)), 1..5), 1..12),
        cut in 0.0_f64..1.0,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut ends = Vec::new();
        let path = dir.path().join(format!("{SHARD}.00000000.log"));
        {
            let log = open(dir.path(), SEGMENT_BYTES).unwrap();
            for (now_ms, frame) in (0..).zip(&frames) {
                log.append(now_ms, i64::MIN, frame.iter().map(|(key, data)| (key.as_str(), data.as_slice()))).unwrap();
                ends.push(std::fs::metadata(&path).unwrap().len());
            }
        }
        let len = *ends.last().unwrap();
        let cut = (len as f64 * cut) as u64;
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(cut).unwrap();

        let whole = ends.iter().filter(|end| **end <= cut).count();
        let expected: Vec<(String, Vec<u8>)> = frames[..whole].iter().flatten().cloned().collect();
        let log = open(dir.path(), SEGMENT_BYTES).unwrap();
        let found: Vec<(String, Vec<u8>)> = read(&log, ALL).into_iter().map(|(_, _, key, data)| (key, data)).collect();
        prop_assert_eq!(&found, &expected);

        // And what is appended next is there after another start.
        append(&log, 100, &[("next", b"one")]);
        drop(log);
        let found = read(&open(dir.path(), SEGMENT_BYTES).unwrap(), ALL);
        prop_assert_eq!(found.len(), expected.len() + 1);
        prop_assert_eq!(found.last().unwrap().3.as_slice(), b"one");
    }
}
