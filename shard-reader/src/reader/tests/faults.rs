use super::*;
use crate::{Chances, SourceErrorKind};

#[tokio::test(start_paused = true)]
async fn empty_replies_in_the_middle_are_read_through() {
    let source = MemorySource::new(1);
    let f = Fixture::new(
        source.clone(),
        ReaderConfig {
            page_limit: 10,
            ..quiet(&source)
        },
    )
    .await;
    f.put(0, 100);
    sleep(30.0).await;
    f.source.empty_reads(&f.shard(0), 2);
    assert_eq!(f.read_all().await, expected(&f.shard(0), 0..100));
    f.put(0, 50);
    f.source.empty_reads(&f.shard(0), 20);
    // the distance is real, so it falls to the tip in the end: no row is missing
    sleep(1.0).await;
    assert_eq!(f.read_all().await, expected(&f.shard(0), 0..150));
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_begins_with_empty_replies_is_pinned_at_the_horizon() {
    let source = MemorySource::new(1);
    let f = Fixture::new(source.clone(), quiet(&source)).await;
    f.put(0, 100);
    sleep(7000.0).await;
    f.put(0, 10);
    f.source.empty_reads(&f.shard(0), 3);
    let range = f.pin().await.shards.remove(0).range;
    assert_eq!(
        (range.start, range.end),
        (Position::TrimHorizon, after(&f.source, &f.shard(0), 109))
    );
    assert_eq!(f.rows(&range).await.unwrap(), expected(&f.shard(0), 0..110));
    assert_eq!(f.pin().await.shards[0].range.start, before(&f.source, &f.shard(0), 0));
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_passing_fault_is_survived() {
    for kind in [
        SourceErrorKind::Throttled,
        SourceErrorKind::ExpiredIterator,
        SourceErrorKind::Unavailable,
    ] {
        let source = MemorySource::new(1);
        let f = Fixture::new(
            source.clone(),
            ReaderConfig {
                page_limit: 10,
                ..quiet(&source)
            },
        )
        .await;
        f.put(0, 60);
        f.source.fail_reads(&f.shard(0), kind, 3);
        let range = f.pin().await.shards.remove(0).range;
        f.source.fail_reads(&f.shard(0), kind, 2);
        assert_eq!(f.rows(&range).await.unwrap(), expected(&f.shard(0), 0..60));
        f.put(0, 1);
        assert_eq!(f.read_all().await, expected(&f.shard(0), 0..61), "{kind:?}");
        let counters = f.readers.counters();
        assert_eq!(counters.throttles > 0, kind == SourceErrorKind::Throttled);
        assert_eq!(counters.iterator_expiries > 0, kind == SourceErrorKind::ExpiredIterator);
    }
}

#[tokio::test(start_paused = true)]
async fn a_scan_gives_up_after_a_minute_of_failures_and_the_reader_lives_on() {
    let source = MemorySource::new(1);
    let f = Fixture::new(
        source.clone(),
        ReaderConfig {
            page_limit: 10,
            memory_bytes: 1,
            ..quiet(&source)
        },
    )
    .await;
    f.put(0, 60);
    sleep(120.0).await;
    let range = f.pin().await.shards.remove(0).range;
    f.source.fail_reads(&f.shard(0), SourceErrorKind::Unavailable, 40);
    let begin = Instant::now();
    let error = f.rows(&range).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Unavailable, "{error}");
    assert!(
        begin.elapsed() >= Duration::from_secs(60) && begin.elapsed() < Duration::from_secs(70),
        "{:?}",
        begin.elapsed()
    );
    // the rest of the script passes by, then it reads
    let mut tries = 0;
    while f.rows(&range).await.is_err() {
        tries += 1;
        assert!(tries < 40);
    }
    assert_eq!(f.rows(&range).await.unwrap(), expected(&f.shard(0), 0..60));
}

#[tokio::test(start_paused = true)]
async fn iterators_that_grow_old_are_opened_again() {
    let f = Fixture::with_shards(1).await;
    f.put(0, 5);
    f.read_all().await;
    for round in 1..4 {
        sleep(400.0).await;
        f.put(0, 1);
        assert_eq!(f.read_all().await, expected(&f.shard(0), 0..5 + round));
    }
    assert_eq!(f.readers.counters().iterator_expiries, 0);
    assert_eq!(f.source.calls().open, 4);
}

#[tokio::test(start_paused = true)]
async fn lost_replies_and_delays_lose_nothing() {
    let source = MemorySource::new(3);
    let chances = Chances {
        lost_reply: 0.3,
        unavailable: 0.1,
        short: 0.3,
        delay: Duration::from_millis(50),
        ..Default::default()
    };
    source.set_chances(chances, 7);
    let config = ReaderConfig {
        page_limit: 20,
        pin_timeout: Duration::from_secs(600),
        ..quiet(&source)
    };
    let f = Fixture::new(source, config).await;
    let mut counts = [0; 3];
    for round in 0..20 {
        let mut all = Vec::new();
        for (shard, count) in counts.iter_mut().enumerate() {
            f.put(shard, (round * 7 + shard * 5) % 40);
            *count += (round * 7 + shard * 5) % 40;
            all.extend(expected(&f.shard(shard), 0..*count));
        }
        assert_eq!(f.read_all().await, all);
    }
}
