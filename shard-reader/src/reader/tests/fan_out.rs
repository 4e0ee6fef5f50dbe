//! Fan-out at the tip, against memory streams that push.

use super::*;
use crate::FanOutErrorKind;

fn pushing(source: &MemorySource) -> ReaderConfig {
    ReaderConfig {
        fan_out: Some(FanOutConfig {
            consumer: "readers".into(),
        }),
        background_poll: true,
        ..quiet(source)
    }
}

async fn fixture() -> Fixture {
    let source = MemorySource::new(1);
    let config = pushing(&source);
    Fixture::new(source, config).await
}

/// What a statement sees that asks the service nothing.
async fn cached(reader: &StreamReader) -> Vec<String> {
    let request = PinRequest {
        freshness: Freshness::Cached,
        ..latest(ScanStart::TrimHorizon).await
    };
    let mut all = Vec::new();
    for pin in reader.pin(&request).await.unwrap().shards {
        all.extend(rows(&mut reader.scan(pin.range, meter())).await.unwrap());
    }
    all
}

impl Fixture {
    fn read_by(&self) -> &'static str {
        self.reader.shards()[0].read_by
    }

    /// A statement, and the moment that a subscription takes to stand.
    async fn warm(&self) {
        self.read_all().await;
        sleep(0.01).await;
        assert_eq!(self.read_by(), "fan_out");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_pushed_is_held_without_a_call() {
    let f = fixture().await;
    f.put(0, 10);
    f.warm().await;
    let before = f.source.calls();
    for round in 1..=20 {
        f.put(0, 3);
        sleep(0.001).await;
        assert_eq!(cached(&f.reader).await, expected(&f.shard(0), 0..10 + 3 * round));
        // background polls rest
        sleep(2.0).await;
    }
    let after = f.source.calls();
    assert_eq!((after.read, after.open), (before.read, before.open));
    let counters = f.readers.counters();
    assert_eq!(
        (
            counters.records_fetched,
            counters.records_refetched,
            counters.subscriptions,
            counters.fallbacks
        ),
        (70, 0, 1, 0)
    );
    assert!(counters.events >= 20, "{counters:?}");
}

#[tokio::test(start_paused = true)]
async fn a_statement_is_complete_to_now_by_one_reply() {
    let f = fixture().await;
    f.warm().await;
    for round in 1..=20 {
        f.put(0, 5);
        let before = f.source.calls().read;
        assert_eq!(f.read_all().await, expected(&f.shard(0), 0..5 * round));
        assert_eq!(f.source.calls().read, before + 1);
        sleep(0.3).await;
    }
    // whichever of both was first, a record is held once
    let counters = f.readers.counters();
    assert_eq!(counters.records_fetched - counters.records_refetched, 100);
    assert_eq!(f.reader.shards()[0].records, 100);
}

#[tokio::test(start_paused = true)]
async fn subscriptions_follow_each_other_where_the_last_one_ended() {
    let f = fixture().await;
    f.put(0, 1);
    f.warm().await;
    let begin = Instant::now();
    let mut count = 1;
    while begin.elapsed() < Duration::from_secs(1800) {
        f.put(0, 1);
        count += 1;
        sleep(20.0).await;
        assert_eq!(cached(&f.reader).await, expected(&f.shard(0), 0..count));
    }
    let counters = f.readers.counters();
    assert!((6..=7).contains(&counters.subscriptions), "{counters:?}");
    assert_eq!(counters.resubscriptions, counters.subscriptions - 1);
    assert_eq!((counters.fallbacks, counters.records_fetched), (0, count as u64));
}

#[tokio::test(start_paused = true)]
async fn nobody_interested_nobody_subscribed() {
    let f = fixture().await;
    f.warm().await;
    // after its five minutes it is not renewed for a shard that nobody asks for, and the slow polls go on
    sleep(400.0).await;
    assert_eq!(f.read_by(), "polling");
    let subscribed = f.source.calls().subscribe;
    sleep(150.0).await;
    assert_eq!(f.source.calls().subscribe, subscribed);
    f.warm().await;
    sleep(700.0).await;
    assert!(!f.reader.shards()[0].running);
}

#[tokio::test(start_paused = true)]
async fn a_cut_subscription_is_renewed_and_nothing_is_lost() {
    let f = fixture().await;
    f.warm().await;
    let mut count = 0;
    for _ in 0..10 {
        f.put(0, 2);
        f.source.cut_subscriptions();
        f.put(0, 2);
        count += 4;
        sleep(70.0).await;
        assert_eq!(f.read_by(), "fan_out");
        assert_eq!(cached(&f.reader).await, expected(&f.shard(0), 0..count));
    }
    let counters = f.readers.counters();
    assert_eq!((counters.fallbacks, counters.subscriptions), (0, 11));
}

#[tokio::test(start_paused = true)]
async fn polling_takes_over_where_fan_out_is_refused() {
    for kind in [
        FanOutErrorKind::Denied,
        FanOutErrorKind::Unavailable,
        FanOutErrorKind::LimitExceeded,
    ] {
        let f = fixture().await;
        f.warm().await;
        f.source.refuse_subscriptions(Some(kind));
        f.source.cut_subscriptions();
        for count in 1..=20 {
            f.put(0, 1);
            sleep(1.5).await;
            assert_eq!(cached(&f.reader).await, expected(&f.shard(0), 0..count), "polled once a second");
        }
        assert_eq!(f.read_by(), "polling");
        assert_eq!(f.readers.counters().fallbacks, 1, "{kind:?}");
        f.source.refuse_subscriptions(None);
        for _ in 0..5 {
            sleep(15.0).await;
            f.read_all().await;
        }
        assert_eq!(f.read_by(), "fan_out", "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_cannot_be_had_leaves_polling_and_is_asked_for_again() {
    let source = MemorySource::new(3);
    source.refuse_subscriptions(Some(FanOutErrorKind::Denied));
    let config = pushing(&source);
    let f = Fixture::new(source, config).await;
    for _ in 0..10 {
        f.put(0, 1);
        f.read_all().await;
        sleep(5.0).await;
    }
    assert_eq!((f.source.calls().register, f.source.calls().subscribe), (0, 0));
    f.source.refuse_subscriptions(None);
    for _ in 0..4 {
        f.read_all().await;
        sleep(15.0).await;
    }
    // one consumer, a subscription for each shard
    assert_eq!((f.source.calls().register, f.source.calls().subscribe), (1, 3));
    assert!(f.reader.shards().iter().all(|shard| shard.read_by == "fan_out"));
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_was_deregistered_is_registered_anew() {
    let f = fixture().await;
    f.warm().await;
    f.source.forget_consumers();
    sleep(10.0).await;
    f.put(0, 1);
    sleep(0.01).await;
    assert_eq!((f.read_by(), f.source.calls().register), ("fan_out", 2));
    assert_eq!(cached(&f.reader).await, expected(&f.shard(0), 0..1));
}

#[tokio::test(start_paused = true)]
async fn two_processes_do_not_take_from_each_other_in_turn() {
    let source = MemorySource::new(1);
    let (a, b) = (
        Fixture::new(source.clone(), pushing(&source)).await,
        Fixture::new(source.clone(), pushing(&source)).await,
    );
    for count in 1..=360 {
        a.put(0, 1);
        assert_eq!(a.read_all().await, expected(&a.shard(0), 0..count));
        assert_eq!(b.read_all().await, expected(&b.shard(0), 0..count));
        sleep(10.0).await;
        assert_eq!(cached(&a.reader).await.len(), count);
        assert_eq!(cached(&b.reader).await.len(), count);
    }
    // an hour: without backing off it would be one every five seconds
    let calls = source.calls();
    assert!(calls.subscribe < 45, "{calls:?}");
    assert!(
        a.readers.counters().fallbacks + b.readers.counters().fallbacks >= 4,
        "they did meet: {:?}",
        a.readers.counters()
    );
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_shard_is_pushed_with_its_children() {
    let f = fixture().await;
    f.put(0, 5);
    f.warm().await;
    let parent = f.shard(0);
    put(&f.source, &parent, 2);
    let children = f.source.split(&parent).unwrap();
    let read = f.source.calls().read;
    sleep(1.0).await;
    assert_eq!(f.reader.shards()[0].state, "closed");
    assert_eq!(f.source.calls().read, read, "no reply was needed to see the end");
    assert_eq!(f.reader.shard_ids(), [parent.clone(), children[0].clone(), children[1].clone()]);
    put(&f.source, &children[0], 3);
    let all: Vec<String> = [expected(&parent, 0..7), expected(&children[0], 0..3)].concat();
    assert_eq!(f.read_all().await, all);
    sleep(1.0).await;
    put(&f.source, &children[1], 2);
    sleep(0.001).await;
    assert_eq!(cached(&f.reader).await, [all, expected(&children[1], 0..2)].concat());
}

#[tokio::test(start_paused = true)]
async fn a_tail_that_may_have_expired_is_not_passed_over() {
    let f = fixture().await;
    f.put(0, 3);
    f.warm().await;
    f.source.refuse_subscriptions(Some(FanOutErrorKind::Unavailable));
    f.source.cut_subscriptions();
    let polling = f.source.calls().read;
    // the service is out of reach for a day: neither polled nor pushed
    f.source.fail_reads(&f.shard(0), crate::SourceErrorKind::Unavailable, 1_000_000);
    sleep(30.0).await;
    assert!(f.source.calls().read > polling);
    f.put(0, 10);
    sleep(23.5 * 3600.0).await;
    f.source.trim(&f.shard(0), 2);
    f.source.refuse_subscriptions(None);
    f.source.clear_scripts();
    // what lay between is gone, and a statement does not claim to have it
    assert_eq!(f.read_all().await, expected(&f.shard(0), 11..13));
    sleep(70.0).await;
    f.put(0, 1);
    assert_eq!(f.read_all().await, expected(&f.shard(0), 11..14));
}

#[tokio::test(start_paused = true)]
async fn an_empty_shard_is_pushed_to_from_its_first_record() {
    let f = fixture().await;
    f.warm().await;
    for _ in 0..20 {
        sleep(50.0).await;
        assert_eq!(cached(&f.reader).await, [""; 0]);
    }
    f.put(0, 2);
    sleep(0.001).await;
    assert_eq!(f.read_by(), "fan_out");
    assert_eq!(cached(&f.reader).await, expected(&f.shard(0), 0..2));
    let first = f.reader.shards()[0].first;
    assert_eq!(first, Some(before(&f.source, &f.shard(0), 0)));
}

#[tokio::test(start_paused = true)]
async fn a_busy_task_takes_what_is_pushed_between_its_calls() {
    let source = MemorySource::new(1);
    let config = ReaderConfig {
        page_limit: 10,
        memory_bytes: 1,
        ..pushing(&source)
    };
    let f = Fixture::new(source, config).await;
    f.put(0, 2_000);
    f.read_all().await;
    f.warm().await;
    f.source.set_chances(
        crate::Chances {
            delay: Duration::from_millis(100),
            ..Default::default()
        },
        1,
    );
    let range = f.pin().await.shards.remove(0).range;
    let (events, scanned) = (f.source.calls().events, f.rows(&range));
    let writing = async {
        for _ in 0..50 {
            f.put(0, 1);
            sleep(0.2).await;
        }
        f.source.calls().events - events
    };
    let (scanned, taken) = tokio::join!(scanned, writing);
    assert_eq!(scanned.unwrap(), expected(&f.shard(0), 0..2_000));
    assert!(taken >= 40, "{taken}");
}
