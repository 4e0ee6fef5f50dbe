//! What Kinesis does and does not promise, rule by rule, as far as the other files here do not show it already. `docs/reading.md` lists them.

use super::*;
use crate::{Chances, MillisBehind, SourceErrorKind, WallClock};

#[tokio::test(start_paused = true)]
async fn statements_and_scans_share_one_budget_of_calls() {
    let source = MemorySource::new(1);
    let config = ReaderConfig {
        calls_per_second: Some(2.0),
        page_limit: 10,
        pin_timeout: Duration::from_secs(600),
        memory_bytes: 1,
        ..quiet(&source)
    };
    let f = Fixture::new(source, config).await;
    f.put(0, 200);
    sleep(3600.0).await;
    let begin = Instant::now();
    let statement = async {
        for _ in 0..4 {
            assert_eq!(f.read_all().await.len(), 200);
        }
    };
    futures::future::join_all((0..10).map(|_| statement_of(&f))).await;
    statement.await;
    let (calls, seconds) = (f.source.calls().read as f64, begin.elapsed().as_secs_f64());
    assert!(calls > 20.0 && calls <= 2.0 * seconds + 3.0, "{calls} calls in {seconds} s");
}

async fn statement_of(f: &Fixture) {
    let range = f.pin().await.shards.remove(0).range;
    assert_eq!(f.rows(&range).await.unwrap().len(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_reply_of_ten_mebibytes_is_paid_for_before_the_next_call() {
    // Kinesis refuses calls for 5 s after such a reply
    let source = MemorySource::new(1);
    let config = ReaderConfig {
        bytes_per_second: ReaderConfig::default().bytes_per_second,
        calls_per_second: ReaderConfig::default().calls_per_second,
        ..quiet(&source)
    };
    let f = Fixture::new(source, config).await;
    for _ in 0..3 {
        f.source.put(&f.shard(0), "key", &vec![b'x'; 10 << 20]).unwrap();
    }
    sleep(100.0).await;
    f.put(0, 1);
    let begin = Instant::now();
    let range = f.pin().await.shards.remove(0).range;
    let mut scan = f.reader.scan(range, meter());
    for number in 0..3 {
        let slice = scan.next().await.unwrap().unwrap();
        assert_eq!(slice.segment.records().data_bytes(slice.rows), 10 << 20);
        assert!(
            begin.elapsed() >= number * Duration::from_secs(5),
            "record {number} came after {:?}",
            begin.elapsed()
        );
    }
    // by then two replies are paid for, at a megabyte a second
    assert!(begin.elapsed() >= Duration::from_secs(18), "{:?}", begin.elapsed());
    let last = scan.next().await.unwrap().unwrap();
    assert_eq!(texts(&last), expected(&f.shard(0), 3..4));
    assert!(scan.next().await.unwrap().is_none());
}

/// A shard that takes as much as a reader may fetch, and that no statement has read: its far end is a page of 10 MiB.
#[tokio::test(start_paused = true)]
async fn a_cold_shard_that_takes_a_megabyte_a_second_is_pinned_in_time() {
    let source = MemorySource::new(1);
    let config = ReaderConfig {
        bytes_per_second: ReaderConfig::default().bytes_per_second,
        calls_per_second: ReaderConfig::default().calls_per_second,
        ..quiet(&source)
    };
    let f = Fixture::new(source.clone(), config).await;
    let shard = f.shard(0);
    let writer = async {
        loop {
            source.put(&shard, "key", &[b'x'; 100_000]).unwrap();
            sleep(0.1).await;
        }
    };
    let statement = async {
        sleep(120.0).await;
        let acknowledged = source.log(&shard).len() - 1;
        let begin = Instant::now();
        let pin = f.pin().await.shards.remove(0);
        assert!(pin.range.end >= after(&source, &shard, acknowledged));
        assert_eq!(pin.range.start, before(&source, &shard, 0));
        begin.elapsed()
    };
    tokio::select! {
        () = writer => {}
        took = statement => assert!(took < Duration::from_secs(8), "{took:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_statement_does_not_wait_for_what_a_scan_owes() {
    let source = MemorySource::new(1);
    let config = ReaderConfig {
        bytes_per_second: ReaderConfig::default().bytes_per_second,
        ..quiet(&source)
    };
    let f = Fixture::new(source, config).await;
    for _ in 0..5 {
        f.source.put(&f.shard(0), "key", &vec![b'x'; 10 << 20]).unwrap();
    }
    sleep(100.0).await;
    f.put(0, 1);
    let range = f.pin().await.shards.remove(0).range;
    let mut scan = f.reader.scan(range, meter());
    for _ in 0..2 {
        scan.next().await.unwrap().unwrap();
    }
    let waiting = scan.next();
    let statement = async {
        sleep(0.1).await;
        let begin = Instant::now();
        f.pin().await;
        begin.elapsed()
    };
    let (row, took) = tokio::join!(waiting, statement);
    row.unwrap().unwrap();
    assert!(took < Duration::from_secs(6), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn records_that_fill_a_reply_alone_come_between_small_ones() {
    let source = MemorySource::new(1);
    let f = Fixture::new(
        source.clone(),
        ReaderConfig {
            memory_bytes: 25 << 20,
            ..quiet(&source)
        },
    )
    .await;
    let sizes = [10, 10 << 20, 20, 9 << 20, 10 << 20, 30, 40, 10 << 20];
    for size in sizes {
        f.source.put(&f.shard(0), "key", &vec![b'x'; size]).unwrap();
    }
    let range = f.pin().await.shards.remove(0).range;
    for _ in 0..2 {
        let mut scan = f.reader.scan(range.clone(), meter());
        let mut seen = Vec::new();
        while let Some(slice) = scan.next().await.unwrap() {
            let data = slice.segment.records().data();
            seen.extend(slice.rows.map(|row| data.value_length(row) as usize));
        }
        assert_eq!(seen, sizes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttled_shard_is_asked_less_and_less_and_then_again_as_often() {
    let source = MemorySource::new(1);
    let config = ReaderConfig {
        calls_per_second: Some(4.0),
        page_limit: 1,
        pin_timeout: Duration::from_secs(600),
        ..quiet(&source)
    };
    let f = Fixture::new(source, config).await;
    f.put(0, 300);
    f.source.fail_reads(&f.shard(0), SourceErrorKind::Throttled, 12);
    let begin = Instant::now();
    f.pin().await;
    // 100 ms, doubled up to 5 s, each halved at most by chance: 12 refusals take half a minute or so
    assert!(
        f.readers.counters().throttles == 12 && begin.elapsed() > Duration::from_secs(15),
        "{:?}",
        begin.elapsed()
    );
    let rest = f.pin().await.shards.remove(0).range;
    assert_eq!(f.rows(&rest).await.unwrap(), expected(&f.shard(0), 0..300));
    let (reads, begin) = (f.source.calls().read, Instant::now());
    for _ in 0..20 {
        f.pin().await;
    }
    let pace = (f.source.calls().read - reads) as f64 / begin.elapsed().as_secs_f64();
    assert!((3.0..=5.0).contains(&pace), "{pace} calls a second");
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_waits_longer_than_iterators_live_goes_on_where_it_stood() {
    let source = MemorySource::new(1);
    let config = ReaderConfig {
        page_limit: 10,
        memory_bytes: 1,
        ..quiet(&source)
    };
    let f = Fixture::new(source, config).await;
    f.put(0, 100);
    sleep(100.0).await;
    let range = f.pin().await.shards.remove(0).range;
    let mut scan = f.reader.scan(range, meter());
    let mut seen = Vec::new();
    while let Some(slice) = scan.next().await.unwrap() {
        seen.extend(texts(&slice));
        // a client that does not read
        sleep(400.0).await;
    }
    assert_eq!(seen, expected(&f.shard(0), 0..100));
    assert_eq!(f.readers.counters().iterator_expiries, 0, "they are renewed before they expire");
}

#[tokio::test(start_paused = true)]
async fn a_hot_shard_is_pinned_though_it_is_never_at_its_tip() {
    let source = MemorySource::new(1);
    let f = Fixture::new(
        source.clone(),
        ReaderConfig {
            page_limit: 500,
            ..quiet(&source)
        },
    )
    .await;
    let chances = Chances {
        short: 1.0,
        delay: Duration::from_millis(20),
        ..Default::default()
    };
    source.set_chances(chances, 3);
    let shard = f.shard(0);
    let last = std::cell::Cell::new(None);
    let writer = async {
        loop {
            for _ in 0..5 {
                last.set(source.put(&shard, "key", b"record"));
            }
            sleep(0.004).await;
        }
    };
    let statements = async {
        let mut behind = 0;
        for _ in 0..20 {
            sleep(0.5).await;
            let acknowledged = last.get().unwrap();
            let begin = Instant::now();
            let pin = f.pin().await.shards.remove(0);
            assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
            assert!(pin.range.end >= Position::After(acknowledged, 0));
            assert_eq!(pin.tip, TipKind::Reached);
            behind += usize::from(f.reader.shards()[0].millis_behind > Some(0));
        }
        behind
    };
    tokio::select! {
        () = writer => {}
        behind = statements => assert!(behind > 10, "the tip was reached in {} of 20 statements", 20 - behind),
    }
}

#[tokio::test(start_paused = true)]
async fn nonsense_of_the_distance_at_the_end_of_a_closed_shard_is_no_matter() {
    for says in [MillisBehind::Stuck(2_665_000), MillisBehind::AlwaysZero, MillisBehind::Absent] {
        for late_end in [false, true] {
            let f = Fixture::with_shards(1).await;
            f.source.set_millis_behind(says);
            f.source.set_late_end(late_end);
            f.put(0, 20);
            let [left, right] = f.source.split(&f.shard(0)).unwrap();
            put(&f.source, &right, 3);
            let mut all = expected(&f.shard(0), 0..20);
            all.extend(expected(&right, 0..3));
            for _ in 0..2 {
                let snapshot = f.pin().await;
                assert_ne!(snapshot.shards[0].tip, TipKind::Assumed, "{says:?}");
                assert!(snapshot.shards.iter().any(|pin| pin.range.shard == left));
                assert_eq!(f.read_all().await, all, "{says:?}, late end: {late_end}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_wrong_hides_no_row() {
    for (hours, refuses) in [
        (-30, false),
        (-1, false),
        (0, false),
        (1, false),
        (1, true),
        (30, false),
        (30, true),
    ] {
        let source = MemorySource::new(1);
        source.set_refuses_future(refuses);
        let right = source.clock();
        let config = ReaderConfig {
            wall_clock: WallClock::new(move || right.now_ms() + hours * 3_600_000),
            page_limit: 10,
            ..quiet(&source)
        };
        let f = Fixture::new(source, config).await;
        f.put(0, 50);
        sleep(4000.0).await;
        f.put(0, 5);
        assert_eq!(
            f.read_all().await,
            expected(&f.shard(0), 0..55),
            "{hours} h off, refuses: {refuses}"
        );
        sleep(100.0).await;
        f.put(0, 5);
        assert_eq!(
            f.read_all().await,
            expected(&f.shard(0), 0..60),
            "{hours} h off, refuses: {refuses}"
        );
        let cold = Fixture::new(f.source.clone(), quiet(&f.source)).await;
        let latest = cold
            .reader
            .pin(&latest(ScanStart::Latest).await)
            .await
            .unwrap()
            .shards
            .remove(0)
            .range;
        assert_eq!(latest.end, after(&f.source, &f.shard(0), 59), "{hours} h off, refuses: {refuses}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_in_the_future_is_nothing_also_where_the_service_refuses_it() {
    for refuses in [false, true] {
        for records in [0, 7] {
            let f = Fixture::with_shards(1).await;
            f.source.set_refuses_future(refuses);
            f.put(0, records);
            let time = f.source.clock().now_ms() + 3_600_000;
            let range = f
                .reader
                .pin(&latest(ScanStart::Timestamp(time)).await)
                .await
                .unwrap()
                .shards
                .remove(0)
                .range;
            assert_eq!(range.start, range.end, "refuses: {refuses}");
            assert!(f.rows(&range).await.unwrap().is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn ids_of_shards_are_any_text() {
    let ids = ["10", "9", "shardId-x", "left/right", "Ω 3"];
    let source = MemorySource::with_ids(&ids);
    let config = quiet(&source);
    let f = Fixture::new(source, config).await;
    let mut all = Vec::new();
    for shard in f.source.shard_ids() {
        put(&f.source, &shard, 3);
        all.extend(expected(&shard, 0..3));
    }
    assert_eq!(all.len(), 15);
    assert_eq!(f.read_all().await, all);
}

#[tokio::test(start_paused = true)]
async fn sequence_numbers_of_any_length_are_ordered_as_numbers() {
    for source in [MemorySource::new(1), MemorySource::with_wide_numbers(1)] {
        let f = Fixture::new(
            source.clone(),
            ReaderConfig {
                page_limit: 7,
                ..quiet(&source)
            },
        )
        .await;
        // from four digits over 9,999 to five
        f.put(0, 4500);
        let shard = f.shard(0);
        let lengths: std::collections::BTreeSet<usize> = f.source.log(&shard).iter().map(|(number, _)| number.to_string().len()).collect();
        assert!(lengths == [4, 5].into() || lengths == [56].into(), "{lengths:?}");
        let range = f.pin().await.shards.remove(0).range;
        for (from, to) in [(0, 4500), (3800, 3900), (3850, 3870), (3856, 3858)] {
            let part = ShardRange {
                start: before(&f.source, &shard, from),
                end: after(&f.source, &shard, to - 1),
                ..range.clone()
            };
            assert_eq!(f.rows(&part).await.unwrap(), expected(&shard, from..to));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn records_without_arrival_time_or_key_are_read_and_never_pruned_by_time() {
    let f = Fixture::with_shards(1).await;
    let shard = f.shard(0);
    f.put(0, 2);
    for number in 2..5 {
        f.source.put_as(&shard, None, None, format!("{shard}#{number}").as_bytes()).unwrap();
    }
    sleep(100.0).await;
    let time = f.source.clock().now_ms();
    f.put(0, 2);
    assert_eq!(f.read_all().await, expected(&shard, 0..7));
    for cold in [false, true] {
        let fresh = Fixture::new(f.source.clone(), quiet(&f.source)).await;
        let reader = if cold { &fresh.reader } else { &f.reader };
        let range = reader
            .pin(&latest(ScanStart::Timestamp(time)).await)
            .await
            .unwrap()
            .shards
            .remove(0)
            .range;
        assert_eq!(
            rows(&mut reader.scan(range, meter())).await.unwrap(),
            expected(&shard, 2..7),
            "cold: {cold}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_parent_that_expired_unread_is_an_error_of_the_statement_that_pinned_it() {
    let source = MemorySource::new(1);
    let config = ReaderConfig {
        page_limit: 5,
        memory_bytes: 1,
        ..quiet(&source)
    };
    let f = Fixture::new(source, config).await;
    f.put(0, 50);
    let snapshot = f.pin().await;
    let parent = f.shard(0);
    let [left, _] = f.source.split(&parent).unwrap();
    put(&f.source, &left, 2);
    sleep(26.0 * 3600.0).await;
    f.source.trim(&parent, 0);
    let error = f.rows(&snapshot.shards[0].range).await.unwrap_err();
    assert_eq!(
        (error.kind, error.shard.clone()),
        (ReadErrorKind::Expired, Some(parent.clone())),
        "{error}"
    );
    f.source.remove_shard(&parent);
    let error = f.rows(&snapshot.shards[0].range).await.unwrap_err();
    assert!(matches!(error.kind, ReadErrorKind::Expired | ReadErrorKind::NotFound), "{error}");
    // a statement of now reads what there is now
    assert_eq!(f.read_all().await, expected(&left, 0..2));
}

/// A ticket may be redeemed by a process that has listed no shard, or that knows the shard as open.
#[tokio::test(start_paused = true)]
async fn a_range_that_ends_with_a_closed_shard_is_whole_for_a_process_that_does_not_know_it_closed() {
    for late_end in [false, true] {
        let source = MemorySource::new(1);
        source.set_late_end(late_end);
        let f = Fixture::new(
            source.clone(),
            ReaderConfig {
                page_limit: 10,
                ..quiet(&source)
            },
        )
        .await;
        f.put(0, 30);
        let knows_it_open = Fixture::new(f.source.clone(), quiet(&f.source)).await;
        knows_it_open.pin().await;
        let knows_nothing = Fixture::new(f.source.clone(), quiet(&f.source)).await;
        f.put(0, 5);
        let shard = f.shard(0);
        f.source.split(&shard).unwrap();
        sleep(7200.0).await;
        // closed, and never read to its end: its range ends with the bound of its numbers
        let range = f.pin().await.shards.remove(0).range;
        assert!(range.end > after(&f.source, &shard, 34));
        for other in [&knows_it_open, &knows_nothing] {
            assert_eq!(other.rows(&range).await.unwrap(), expected(&shard, 0..35), "late end: {late_end}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_described_once_however_many_ask() {
    let f = Fixture::with_shards(1).await;
    let calls = f.source.calls().describe;
    sleep(31.0).await;
    let source: Arc<dyn ShardSource> = Arc::new(f.source.clone());
    let asked = futures::future::join_all((0..50).map(|_| f.readers.stream("memory", Arc::clone(&source), "stream"))).await;
    assert!(asked.iter().all(|reader| Arc::ptr_eq(reader.as_ref().unwrap(), &f.reader)));
    assert_eq!(f.source.calls().describe, calls + 1);
}
