use super::*;
use crate::{MillisBehind, SourceErrorKind};

#[tokio::test(start_paused = true)]
async fn a_repeated_statement_costs_one_call_a_shard() {
    let f = Fixture::with_shards(2).await;
    f.put(0, 30);
    f.put(1, 20);
    let mut all = expected(&f.shard(0), 0..30);
    all.extend(expected(&f.shard(1), 0..20));
    assert_eq!(f.read_all().await, all);
    let calls = f.source.calls();
    assert_eq!((calls.read, calls.open, calls.records), (2, 2, 50));
    assert_eq!(f.read_all().await, all);
    let again = f.source.calls();
    assert_eq!((again.read, again.open, again.records), (4, 2, 50));
    let counters = f.readers.counters();
    assert_eq!(
        (counters.records_fetched, counters.records_refetched, counters.get_records_calls),
        (50, 0, 4)
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_loaded_a_moment_ago_is_fetched_once() {
    let f = Fixture::with_shards(1).await;
    f.put(0, 25_000);
    sleep(20.0).await;
    let snapshot = f.pin().await;
    assert_eq!(snapshot.shards[0].range.end, after(&f.source, &f.shard(0), 24_999));
    assert_eq!(snapshot.shards[0].range.start, before(&f.source, &f.shard(0), 0));
    assert_eq!(snapshot.shards[0].tip, TipKind::Reached);
    assert_eq!(f.rows(&snapshot.shards[0].range).await.unwrap(), expected(&f.shard(0), 0..25_000));
    let calls = f.source.calls();
    // and one look at the last 5 s, since the first page was full
    assert_eq!((calls.read, calls.open, calls.records), (4, 2, 25_000));
}

#[tokio::test(start_paused = true)]
async fn an_old_stream_is_pinned_without_reading_what_lies_between() {
    let source = MemorySource::new(1);
    let f = Fixture::new(
        source.clone(),
        ReaderConfig {
            page_limit: 100,
            ..quiet(&source)
        },
    )
    .await;
    f.put(0, 5000);
    sleep(7200.0).await;
    f.put(0, 3);
    sleep(100.0).await;
    let pin = f.pin().await.shards.remove(0);
    assert_eq!(pin.range.start, before(&f.source, &f.shard(0), 0));
    assert_eq!(pin.range.end, after(&f.source, &f.shard(0), 5002));
    // the first page, 5 s ago and a minute ago (nothing), an hour ago (three)
    assert_eq!((f.source.calls().read, f.source.calls().records), (4, 103));
    assert_eq!(f.rows(&pin.range).await.unwrap(), expected(&f.shard(0), 0..5003));
    // the last page of the backfill met what the probe had read
    assert_eq!(f.readers.counters().records_refetched, 3);
    assert_eq!(f.rows(&pin.range).await.unwrap().len(), 5003);
    assert_eq!(f.source.calls().records, 5006);
}

#[tokio::test(start_paused = true)]
async fn an_empty_stream_is_an_empty_range_and_grows() {
    let f = Fixture::with_shards(1).await;
    let pin = f.pin().await.shards.remove(0);
    assert_eq!((pin.range.start, pin.range.end), (Position::TrimHorizon, Position::TrimHorizon));
    assert!(f.rows(&pin.range).await.unwrap().is_empty());
    f.put(0, 2);
    let grown = f.pin().await.shards.remove(0);
    assert_eq!(grown.range.start, before(&f.source, &f.shard(0), 0));
    assert_eq!(f.rows(&grown.range).await.unwrap(), expected(&f.shard(0), 0..2));
    // pinned while empty stays empty
    assert!(f.rows(&pin.range).await.unwrap().is_empty());
    assert_eq!(f.source.calls().records, 2);
}

#[tokio::test(start_paused = true)]
async fn concurrent_statements_share_calls() {
    let f = Fixture::with_shards(1).await;
    f.put(0, 10);
    f.pin().await;
    let before = f.source.calls();
    let request = latest(ScanStart::TrimHorizon).await;
    let pins = futures::future::join_all((0..50).map(|_| f.reader.pin(&request))).await;
    assert!(pins.into_iter().all(|pin| pin.unwrap().shards.len() == 1));
    assert_eq!(f.source.calls().read, before.read + 1);
    assert!(f.source.calls().list <= before.list + 1);
}

#[tokio::test(start_paused = true)]
async fn cached_and_within_accept_an_older_tip() {
    let f = Fixture::with_shards(1).await;
    f.put(0, 1);
    let cached = PinRequest {
        freshness: Freshness::Cached,
        ..latest(ScanStart::TrimHorizon).await
    };
    // cold acts as latest
    assert_eq!(f.reader.pin(&cached).await.unwrap().shards[0].tip, TipKind::Reached);
    f.put(0, 1);
    sleep(5.0).await;
    let calls = f.source.calls();
    let pin = f
        .reader
        .pin(&PinRequest {
            arrived: Instant::now(),
            ..cached
        })
        .await
        .unwrap()
        .shards
        .remove(0);
    assert_eq!((pin.tip, pin.range.end), (TipKind::Cached, after(&f.source, &f.shard(0), 0)));
    let within = async |seconds| PinRequest {
        freshness: Freshness::Within(Duration::from_secs(seconds)),
        ..latest(ScanStart::TrimHorizon).await
    };
    assert_eq!(f.reader.pin(&within(10).await).await.unwrap().shards[0].tip, TipKind::Cached);
    assert_eq!(f.source.calls(), calls);
    let pin = f.reader.pin(&within(4).await).await.unwrap().shards.remove(0);
    assert_eq!((pin.tip, pin.range.end), (TipKind::Reached, after(&f.source, &f.shard(0), 1)));
    assert_eq!(f.source.calls().read, calls.read + 1);
}

#[tokio::test(start_paused = true)]
async fn latest_reads_nothing_of_what_is_there() {
    for age in [1.0, 600.0, 100_000.0] {
        let f = Fixture::with_shards(1).await;
        f.put(0, 7);
        sleep(age).await;
        let pin = f.reader.pin(&latest(ScanStart::Latest).await).await.unwrap().shards.remove(0);
        assert_eq!(pin.range.start, pin.range.end);
        assert_eq!(pin.range.end, after(&f.source, &f.shard(0), 6), "{age}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_by_time_is_resolved_when_pinned() {
    for cold in [true, false] {
        let f = Fixture::with_shards(1).await;
        let now = f.source.clock();
        f.put(0, 5);
        sleep(100.0).await;
        let time = now.now_ms();
        f.put(0, 5);
        sleep(100.0).await;
        if !cold {
            f.pin().await;
        }
        let calls = f.source.calls();
        let pin_at = async |time| {
            f.reader
                .pin(&latest(ScanStart::Timestamp(time)).await)
                .await
                .unwrap()
                .shards
                .remove(0)
                .range
        };
        let range = pin_at(time).await;
        assert_eq!(range.start, before(&f.source, &f.shard(0), 5), "cold: {cold}");
        assert_eq!(f.rows(&range).await.unwrap(), expected(&f.shard(0), 5..10));
        if !cold {
            // memory proves it: one call for the tip, none for the start
            assert_eq!((f.source.calls().read, f.source.calls().open), (calls.read + 1, calls.open));
        }
        for nothing in [time + 1, now.now_ms() + 3_600_000] {
            let range = pin_at(nothing).await;
            assert_eq!(
                (range.start, range.end),
                (after(&f.source, &f.shard(0), 9), after(&f.source, &f.shard(0), 9))
            );
        }
        assert_eq!(pin_at(0).await.start, before(&f.source, &f.shard(0), 0));
    }
}

#[tokio::test(start_paused = true)]
async fn services_that_misreport_the_distance_to_the_tip() {
    // (what it says, how the tip is known)
    let cases = [
        (MillisBehind::AlwaysZero, TipKind::Reached),
        (MillisBehind::Stuck(2_665_000), TipKind::Assumed),
        (MillisBehind::Absent, TipKind::Assumed),
        (MillisBehind::BetweenRecords, TipKind::Reached),
    ];
    for (says, kind) in cases {
        for records in [0, 1, 300, 1000] {
            let source = MemorySource::new(1);
            source.set_millis_behind(says);
            let f = Fixture::new(
                source.clone(),
                ReaderConfig {
                    page_limit: 100,
                    ..quiet(&source)
                },
            )
            .await;
            f.put(0, records);
            sleep(3.0).await;
            let pin = f.pin().await.shards.remove(0);
            assert_eq!(pin.tip, kind, "{says:?}");
            assert_eq!(f.rows(&pin.range).await.unwrap(), expected(&f.shard(0), 0..records), "{says:?}");
            f.put(0, 150);
            assert_eq!(f.read_all().await, expected(&f.shard(0), 0..records + 150), "{says:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_assumed_tip_is_assumed_again_at_once() {
    let source = MemorySource::new(1);
    source.set_millis_behind(MillisBehind::Stuck(3_600_000));
    let f = Fixture::new(source.clone(), quiet(&source)).await;
    f.put(0, 3);
    f.pin().await;
    let (reads, begin) = (f.source.calls().read, Instant::now());
    f.pin().await;
    assert!(f.source.calls().read - reads <= 2 && begin.elapsed() < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn a_tip_out_of_reach_names_the_shard_and_the_reason() {
    let f = Fixture::with_shards(2).await;
    f.put(0, 1);
    f.source.fail_reads(&f.shard(1), SourceErrorKind::Throttled, 1000);
    let begin = Instant::now();
    let error = f.reader.pin(&latest(ScanStart::TrimHorizon).await).await.unwrap_err();
    assert_eq!(
        (error.kind, error.shard.clone()),
        (ReadErrorKind::Throttled, Some(f.shard(1))),
        "{error}"
    );
    assert!(error.is_retryable() && begin.elapsed() >= Duration::from_secs(10) && begin.elapsed() < Duration::from_secs(11));
    assert!(f.readers.counters().throttles > 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_denied_or_missing_fails_at_once() {
    let f = Fixture::with_shards(1).await;
    f.source.fail_reads(&f.shard(0), SourceErrorKind::Denied, 1);
    let error = f.reader.pin(&latest(ScanStart::TrimHorizon).await).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Denied);
    assert!(!error.is_retryable());
    // and the next statement is none the worse
    f.put(0, 1);
    assert_eq!(f.read_all().await.len(), 1);
    f.source.delete();
    let error = f.reader.pin(&latest(ScanStart::TrimHorizon).await).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_first_record_past_retention_is_asked_for_again() {
    let source = MemorySource::new(1);
    let f = Fixture::new(source.clone(), quiet(&source)).await;
    f.put(0, 10);
    f.pin().await;
    sleep(25.0 * 3600.0).await;
    f.put(0, 5);
    f.source.trim(&f.shard(0), 5);
    let pin = f.pin().await.shards.remove(0);
    assert_eq!(pin.range.start, before(&f.source, &f.shard(0), 10));
    assert_eq!(f.rows(&pin.range).await.unwrap(), expected(&f.shard(0), 10..15));
    // the service keeps records longer than it says: they are not hidden by the clock
    let f = Fixture::with_shards(1).await;
    f.put(0, 10);
    f.pin().await;
    sleep(30.0 * 3600.0).await;
    assert_eq!(f.read_all().await, expected(&f.shard(0), 0..10));
    // everything expired
    f.source.trim(&f.shard(0), 0);
    sleep(60.0).await;
    let range = f.pin().await.shards.remove(0).range;
    assert_eq!(range.start, range.end);
    f.put(0, 2);
    assert_eq!(f.read_all().await, expected(&f.shard(0), 10..12));
}

#[tokio::test(start_paused = true)]
async fn a_stream_created_again_is_another_stream() {
    let f = Fixture::with_shards(1).await;
    f.put(0, 5);
    assert_eq!(f.read_all().await.len(), 5);
    let old = f.pin().await.shards.remove(0);
    f.source.recreate();
    sleep(31.0).await;
    let source: Arc<dyn ShardSource> = Arc::new(f.source.clone());
    let reader = f.readers.stream("memory", Arc::clone(&source), "stream").await.unwrap();
    assert_ne!(reader.identity(), f.reader.identity());
    f.put(0, 1);
    let pin = reader.pin(&latest(ScanStart::TrimHorizon).await).await.unwrap().shards.remove(0);
    assert_eq!(
        rows(&mut reader.scan(pin.range, meter())).await.unwrap(),
        expected(&f.shard(0), 0..1)
    );
    assert!(f.reader.pin(&latest(ScanStart::TrimHorizon).await).await.is_err());
    assert!(
        f.rows(&ShardRange {
            end: Position::After(u64::MAX.into(), 0),
            ..old.range
        })
        .await
        .is_err()
    );
    // by ARN or by name: one reader
    assert!(Arc::ptr_eq(&reader, &f.readers.stream("memory", source, "stream").await.unwrap()));
    assert_eq!(f.readers.streams().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn idle_tasks_end_and_polls_keep_their_pace() {
    let source = MemorySource::new(1);
    let f = Fixture::new(
        source.clone(),
        ReaderConfig {
            background_poll: true,
            ..quiet(&source)
        },
    )
    .await;
    f.put(0, 1);
    f.pin().await;
    let reads = |f: &Fixture| f.source.calls().read;
    let first = reads(&f);
    sleep(50.5).await;
    let busy = reads(&f) - first;
    assert!((45..=51).contains(&busy), "{busy}");
    sleep(20.0).await;
    let second = reads(&f);
    sleep(300.0).await;
    let idle = reads(&f) - second;
    assert!((9..=11).contains(&idle), "{idle}");
    sleep(600.0).await;
    assert!(!f.reader.shards()[0].running);
    let third = reads(&f);
    sleep(600.0).await;
    assert_eq!(reads(&f), third);
    // what it knew stays of use
    f.put(0, 1);
    assert_eq!(f.read_all().await, expected(&f.shard(0), 0..2));
    f.readers.shutdown().await;
    assert!(!f.reader.shards()[0].running);
    let error = f.reader.pin(&latest(ScanStart::TrimHorizon).await).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn calls_keep_to_the_budget() {
    let source = MemorySource::new(1);
    let f = Fixture::new(
        source.clone(),
        ReaderConfig {
            calls_per_second: Some(2.0),
            page_limit: 10,
            pin_timeout: Duration::from_secs(60),
            ..quiet(&source)
        },
    )
    .await;
    f.put(0, 200);
    sleep(3600.0).await;
    let begin = Instant::now();
    assert_eq!(f.read_all().await.len(), 200);
    let (calls, seconds) = (f.source.calls().read, begin.elapsed().as_secs_f64());
    assert!(calls >= 20 && calls as f64 <= 2.0 * seconds + 3.0, "{calls} calls in {seconds} s");
}
