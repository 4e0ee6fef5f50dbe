use super::*;
use crate::{Chances, SourceErrorKind};

/// Rows in the order in which they came, with their shards; gaps; shards that ended.
#[derive(Debug, Default)]
struct Heard {
    rows: Vec<(ShardId, String)>,
    gaps: Vec<Gap>,
    ended: Vec<ShardId>,
}

impl Heard {
    fn take(&mut self, followed: Followed) {
        match followed {
            Followed::Rows { shard, slice } => self
                .rows
                .extend(texts(&slice).into_iter().map(|text| (shard.range.shard.clone(), text))),
            Followed::Gap { gap, .. } => self.gaps.push(gap),
            Followed::Ended { shard, .. } => self.ended.push(shard.range.shard.clone()),
        }
    }

    fn of(&self, shard: &ShardId) -> Vec<String> {
        let own = self.rows.iter().filter(|(from, _)| from == shard);
        own.map(|(_, text)| text.clone()).collect()
    }

    /// Listens until so many rows have come.
    async fn until(&mut self, scan: &mut FollowScan, rows: usize) -> Result<(), ReadError> {
        while self.rows.len() < rows {
            let followed = tokio::time::timeout(Duration::from_secs(600), scan.next()).await;
            self.take(followed.unwrap_or_else(|_| panic!("{} rows, not {rows}", self.rows.len()))?);
        }
        Ok(())
    }

    /// Listens for so long.
    async fn for_seconds(&mut self, scan: &mut FollowScan, seconds: u64) -> Result<(), ReadError> {
        let until = Instant::now() + Duration::from_secs(seconds);
        while let Ok(followed) = tokio::time::timeout_at(until, scan.next()).await {
            self.take(followed?);
        }
        Ok(())
    }
}

impl Fixture {
    async fn follow(&self, start: ScanStart) -> FollowScan {
        let snapshot = self.reader.pin(&latest(start).await).await.unwrap();
        self.reader.follow(snapshot.shards, meter())
    }
}

#[tokio::test(start_paused = true)]
async fn history_first_and_then_what_comes() {
    let f = Fixture::with_shards(2).await;
    f.put(0, 25);
    let mut scan = f.follow(ScanStart::TrimHorizon).await;
    let mut heard = Heard::default();
    heard.until(&mut scan, 25).await.unwrap();
    f.put(0, 3);
    f.put(1, 4);
    heard.until(&mut scan, 32).await.unwrap();
    heard.for_seconds(&mut scan, 300).await.unwrap();
    assert_eq!(heard.of(&f.shard(0)), expected(&f.shard(0), 0..28));
    assert_eq!(heard.of(&f.shard(1)), expected(&f.shard(1), 0..4));
    assert_eq!(heard.rows.len(), 32);
    // each record was fetched once
    assert_eq!(f.source.calls().records, 32);
}

#[tokio::test(start_paused = true)]
async fn from_the_tip_nothing_that_was_there() {
    for cold in [true, false] {
        let f = Fixture::with_shards(2).await;
        f.put(0, 10);
        if !cold {
            f.read_all().await;
        }
        let mut scan = f.follow(ScanStart::Latest).await;
        // between planning and fetching
        f.put(0, 2);
        f.put(1, 1);
        let mut heard = Heard::default();
        heard.until(&mut scan, 3).await.unwrap();
        f.put(1, 1);
        heard.until(&mut scan, 4).await.unwrap();
        heard.for_seconds(&mut scan, 60).await.unwrap();
        assert_eq!(heard.of(&f.shard(0)), expected(&f.shard(0), 10..12), "cold: {cold}");
        assert_eq!(heard.of(&f.shard(1)), expected(&f.shard(1), 0..2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_is_there_within_a_tenth_of_a_second_and_the_tip_is_asked_ten_times_a_second() {
    let f = Fixture::with_shards(1).await;
    f.put(0, 1);
    let mut scan = f.follow(ScanStart::Latest).await;
    let mut heard = Heard::default();
    heard.for_seconds(&mut scan, 10).await.unwrap();
    let reads = f.source.calls().read;
    heard.for_seconds(&mut scan, 10).await.unwrap();
    let reads = f.source.calls().read - reads;
    assert!((95..=101).contains(&reads), "{reads} calls in 10 s");
    for number in 0..50 {
        sleep(0.0137 * f64::from(number)).await;
        let put = Instant::now();
        f.put(0, 1);
        heard.until(&mut scan, number as usize + 1).await.unwrap();
        assert!(put.elapsed() <= Duration::from_millis(110), "{:?}", put.elapsed());
    }
    // nobody follows any more: back to the pace of pins
    drop(scan);
    sleep(1.0).await;
    let reads = f.source.calls().read;
    sleep(10.0).await;
    assert_eq!(f.source.calls().read, reads);
    assert!(f.reader.shards().iter().all(|shard| shard.scans == 0));
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_calls_holds_while_following() {
    let source = MemorySource::new(1);
    let config = ReaderConfig {
        calls_per_second: Some(2.0),
        ..quiet(&source)
    };
    let f = Fixture::new(source, config).await;
    f.put(0, 1);
    let mut scan = f.follow(ScanStart::Latest).await;
    let mut heard = Heard::default();
    heard.for_seconds(&mut scan, 10).await.unwrap();
    let reads = f.source.calls().read;
    heard.for_seconds(&mut scan, 30).await.unwrap();
    assert!((59..=61).contains(&(f.source.calls().read - reads)));
}

#[tokio::test(start_paused = true)]
async fn children_come_after_all_their_parents() {
    for late_end in [false, true] {
        let f = Fixture::with_shards(2).await;
        f.source.set_late_end(late_end);
        f.put(0, 5);
        f.put(1, 5);
        let mut scan = f.follow(ScanStart::TrimHorizon).await;
        let mut heard = Heard::default();
        heard.until(&mut scan, 10).await.unwrap();
        f.put(0, 2);
        let [left, right] = f.source.split(&f.shard(0)).unwrap();
        put(&f.source, &left, 3);
        put(&f.source, &right, 3);
        // one that never held a record, between others
        let merged = f.source.merge(&right, &f.shard(1)).unwrap();
        let [first, second] = f.source.split(&merged).unwrap();
        put(&f.source, &first, 4);
        put(&f.source, &second, 1);
        heard.until(&mut scan, 10 + 2 + 6 + 5).await.unwrap();
        heard.for_seconds(&mut scan, 200).await.unwrap();
        let last = |shard: &ShardId| heard.rows.iter().rposition(|(from, _)| from == shard).unwrap();
        let begin = |shard: &ShardId| heard.rows.iter().position(|(from, _)| from == shard).unwrap();
        assert!(last(&f.shard(0)) < begin(&left) && last(&f.shard(0)) < begin(&right));
        for child in [&first, &second] {
            assert!(last(&right) < begin(child) && last(&f.shard(1)) < begin(child));
        }
        assert_eq!(heard.of(&first), expected(&first, 0..4));
        assert_eq!(heard.rows.len(), 23);
        heard.ended.sort();
        assert_eq!(heard.ended, [f.shard(0), f.shard(1), right, merged]);
    }
}

#[tokio::test(start_paused = true)]
async fn parents_and_children_of_before_are_read_in_order() {
    let f = Fixture::with_shards(1).await;
    f.put(0, 5);
    let [left, right] = f.source.split(&f.shard(0)).unwrap();
    put(&f.source, &left, 5);
    put(&f.source, &right, 5);
    let mut scan = f.follow(ScanStart::TrimHorizon).await;
    // a split after it was planned, as when a ticket is fetched later
    let [low, _] = f.source.split(&left).unwrap();
    put(&f.source, &low, 5);
    let mut heard = Heard::default();
    heard.until(&mut scan, 20).await.unwrap();
    assert!(heard.rows[..5].iter().all(|(shard, _)| *shard == f.shard(0)));
    let begin = heard.rows.iter().position(|(shard, _)| *shard == low).unwrap();
    assert_eq!(heard.rows[..begin].iter().filter(|(shard, _)| *shard == left).count(), 5);
    // from the tip, what was closed is passed over and its children are followed
    let mut scan = f.follow(ScanStart::Latest).await;
    put(&f.source, &low, 1);
    put(&f.source, &right, 1);
    let mut heard = Heard::default();
    heard.until(&mut scan, 2).await.unwrap();
    heard.for_seconds(&mut scan, 60).await.unwrap();
    assert_eq!(heard.rows.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn shards_without_parents_are_read_once_they_are_listed() {
    let f = Fixture::with_shards(1).await;
    f.source.set_orphans(true);
    f.put(0, 5);
    let mut scan = f.follow(ScanStart::TrimHorizon).await;
    let mut heard = Heard::default();
    heard.until(&mut scan, 5).await.unwrap();
    let [left, right] = f.source.split(&f.shard(0)).unwrap();
    put(&f.source, &left, 2);
    put(&f.source, &right, 2);
    heard.until(&mut scan, 9).await.unwrap();
    heard.for_seconds(&mut scan, 300).await.unwrap();
    assert_eq!(heard.rows.len(), 9);
    // the list is asked for again later and later, then once a minute
    let lists = f.source.calls().list;
    heard.for_seconds(&mut scan, 600).await.unwrap();
    assert!((9..=11).contains(&(f.source.calls().list - lists)));
}

#[tokio::test(start_paused = true)]
async fn only_the_shards_that_are_asked_for() {
    let f = Fixture::with_shards(2).await;
    f.put(0, 3);
    f.put(1, 3);
    let wanted = f.shard(1);
    let [left, right] = f.source.split(&f.shard(0)).unwrap();
    put(&f.source, &left, 2);
    let (own, child) = (wanted.clone(), right.clone());
    let scan = f.follow(ScanStart::TrimHorizon).await;
    let mut scan = scan.only(move |pin| pin.range.shard == own || pin.range.shard == child);
    let mut heard = Heard::default();
    heard.until(&mut scan, 3).await.unwrap();
    put(&f.source, &right, 2);
    heard.until(&mut scan, 5).await.unwrap();
    heard.for_seconds(&mut scan, 60).await.unwrap();
    assert_eq!(heard.rows.len(), 5);
    assert_eq!(heard.of(&wanted), expected(&wanted, 0..3));
}

#[tokio::test(start_paused = true)]
async fn two_followers_share_each_call_and_one_that_stops_listening_is_ended() {
    let source = MemorySource::new(1);
    let config = ReaderConfig {
        follow_lag_bytes: 2000,
        background_poll: true,
        memory_bytes: 5000,
        ..quiet(&source)
    };
    let f = Fixture::new(source, config).await;
    f.put(0, 1);
    let (mut fast, mut slow) = (f.follow(ScanStart::TrimHorizon).await, f.follow(ScanStart::TrimHorizon).await);
    let (mut heard, mut late) = (Heard::default(), Heard::default());
    heard.until(&mut fast, 1).await.unwrap();
    late.until(&mut slow, 1).await.unwrap();
    // both wait at the tip
    let mut rows = 1;
    for _ in 0..10 {
        f.put(0, 5);
        rows += 5;
        let (one, other) = tokio::join!(heard.until(&mut fast, rows), late.until(&mut slow, rows));
        one.unwrap();
        other.unwrap();
    }
    assert_eq!(f.source.calls().records, 51);
    assert!(tokio::time::timeout(Duration::from_secs(1), slow.next()).await.is_err());
    // a little behind is no harm
    f.put(0, 20);
    heard.until(&mut fast, rows + 20).await.unwrap();
    late.until(&mut slow, rows + 20).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(1), slow.next()).await.is_err());
    for _ in 0..400 {
        f.put(0, 5);
        heard.until(&mut fast, heard.rows.len() + 5).await.unwrap();
        assert!(f.readers.counters().held_bytes <= 6000, "{:?}", f.readers.counters());
    }
    let error = late.for_seconds(&mut slow, 60).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::LimitExceeded, "{error}");
    assert_eq!(late.rows.len(), rows + 20);
    assert_eq!(heard.of(&f.shard(0)), expected(&f.shard(0), 0..rows + 20 + 2000));
}

#[tokio::test(start_paused = true)]
async fn a_backlog_is_no_lag_and_memory_stays_within_its_budget() {
    let source = MemorySource::new(3);
    let config = ReaderConfig {
        follow_lag_bytes: 1000,
        background_poll: true,
        memory_bytes: 20_000,
        page_limit: 50,
        ..quiet(&source)
    };
    let f = Fixture::new(source, config).await;
    for shard in 0..3 {
        f.put(shard, 1000);
    }
    // old enough that the backlog is not fetched with the tail
    sleep(7200.0).await;
    f.put(0, 1);
    let mut scan = f.follow(ScanStart::TrimHorizon).await;
    let mut heard = Heard::default();
    let mut put = 3001;
    let mut most = 0;
    // a statement beside it that keeps the tail moving, and a follower that takes a piece every few seconds
    while put < 3401 || heard.rows.len() < put {
        if put < 3401 {
            f.put(0, 4);
            put += 4;
        }
        f.pin().await;
        heard.take(scan.next().await.unwrap());
        sleep(3.0).await;
        most = most.max(f.readers.counters().held_bytes);
    }
    // one page of each shard may be on its way
    assert!(most <= 20_000 + 3 * 50 * 80, "{most}");
    assert_eq!(heard.of(&f.shard(0)), expected(&f.shard(0), 0..1401));
    assert_eq!(heard.of(&f.shard(2)), expected(&f.shard(2), 0..1000));
}

#[tokio::test(start_paused = true)]
async fn the_limits_of_a_statement_end_it() {
    let f = Fixture::with_shards(1).await;
    f.put(0, 10);
    f.read_all().await;
    let snapshot = f.reader.pin(&latest(ScanStart::Latest).await).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    // what comes later does not count against the bytes
    let mut scan = f.reader.follow(snapshot.shards, StatementMeter::new(10, Some(deadline)));
    let mut heard = Heard::default();
    f.put(0, 10);
    heard.until(&mut scan, 10).await.unwrap();
    let error = heard.for_seconds(&mut scan, 60).await.unwrap_err();
    assert_eq!((error.kind, Instant::now()), (ReadErrorKind::TimedOut, deadline), "{error}");
    let source = MemorySource::new(1);
    let config = ReaderConfig {
        page_limit: 10,
        ..quiet(&source)
    };
    let cold = Fixture::new(source, config).await;
    cold.put(0, 100);
    sleep(7200.0).await;
    cold.put(0, 1);
    let snapshot = cold.pin().await;
    let mut scan = cold.reader.follow(snapshot.shards, StatementMeter::new(100, None));
    let error = Heard::default().for_seconds(&mut scan, 60).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::LimitExceeded, "{error}");
}

#[tokio::test(start_paused = true)]
async fn faults_on_the_way_lose_nothing() {
    let f = Fixture::with_shards(1).await;
    f.put(0, 5);
    let mut scan = f.follow(ScanStart::TrimHorizon).await;
    let mut heard = Heard::default();
    heard.until(&mut scan, 5).await.unwrap();
    for kind in [
        SourceErrorKind::Throttled,
        SourceErrorKind::ExpiredIterator,
        SourceErrorKind::Unavailable,
    ] {
        f.source.fail_reads(&f.shard(0), kind, 4);
        f.put(0, 3);
        let wanted = heard.rows.len() + 3;
        heard.until(&mut scan, wanted).await.unwrap();
    }
    f.source.set_chances(
        Chances {
            lost_reply: 0.3,
            empty: 0.3,
            short: 0.5,
            ..Chances::default()
        },
        7,
    );
    for _ in 0..20 {
        f.put(0, 7);
        let wanted = heard.rows.len() + 7;
        heard.until(&mut scan, wanted).await.unwrap();
    }
    assert_eq!(heard.of(&f.shard(0)), expected(&f.shard(0), 0..154));
}

#[tokio::test(start_paused = true)]
async fn gaps_fail_or_are_told() {
    let f = Fixture::with_shards(2).await;
    f.put(0, 50);
    f.put(1, 5);
    let pins = f.pin().await.shards;
    let config = ReaderConfig {
        page_limit: 10,
        ..quiet(&f.source)
    };
    // another process, that knows nothing of the records
    let f = Fixture::new(f.source.clone(), config).await;
    f.source.trim(&f.shard(0), 20);
    let mut scan = f.reader.follow(pins.clone(), meter());
    let error = Heard::default().for_seconds(&mut scan, 60).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Expired, "{error}");
    let mut scan = f.reader.follow(pins.clone(), meter()).on_gap(OnGap::Warn);
    let mut heard = Heard::default();
    heard.until(&mut scan, 25).await.unwrap();
    assert_eq!(heard.of(&f.shard(0)), expected(&f.shard(0), 30..50));
    assert_eq!(heard.gaps.len(), 1);
    assert_eq!(
        (&heard.gaps[0].shard, heard.gaps[0].from, heard.gaps[0].to),
        (
            &f.shard(0),
            before(&f.source, &f.shard(0), 0),
            Some(before(&f.source, &f.shard(0), 30))
        )
    );
    // the one that failed, and this one
    assert_eq!(f.readers.counters().gaps, 2);
    // the same, bounded
    let range = pins[0].range.clone();
    let mut scan = f.reader.scan(range.clone(), meter()).on_gap(OnGap::Warn);
    assert_eq!(rows(&mut scan).await.unwrap(), expected(&f.shard(0), 30..50));
    assert_eq!(scan.take_gaps().len(), 1);
    // nothing of it is left
    f.source.trim(&f.shard(0), 0);
    let g = Fixture::new(f.source.clone(), quiet(&f.source)).await;
    let mut scan = g.reader.scan(range, meter()).on_gap(OnGap::Warn);
    assert_eq!(rows(&mut scan).await.unwrap(), Vec::<String>::new());
    assert_eq!(scan.take_gaps()[0].to, None);
    let mut scan = g.reader.follow(pins, meter()).on_gap(OnGap::Warn);
    let mut heard = Heard::default();
    heard.until(&mut scan, 5).await.unwrap();
    put(&g.source, &g.shard(0), 2);
    heard.until(&mut scan, 7).await.unwrap();
    assert_eq!(heard.of(&g.shard(0)), expected(&g.shard(0), 50..52));
    assert_eq!(heard.gaps.len(), 1, "{:?}", heard.gaps);
}

#[tokio::test(start_paused = true)]
async fn a_parent_that_expired_unread_is_a_gap_and_its_children_go_on() {
    for removed in [false, true] {
        let f = Fixture::with_shards(1).await;
        f.put(0, 10);
        let pins = f.pin().await.shards;
        f.put(0, 5);
        let [left, right] = f.source.split(&f.shard(0)).unwrap();
        put(&f.source, &left, 2);
        put(&f.source, &right, 3);
        let parent = f.shard(0);
        f.source.trim(&parent, 0);
        if removed {
            f.source.remove_shard(&parent);
        }
        let f = Fixture::new(f.source.clone(), quiet(&f.source)).await;
        let mut scan = f.reader.follow(pins.clone(), meter());
        let error = Heard::default().for_seconds(&mut scan, 60).await.unwrap_err();
        assert_eq!(error.kind, ReadErrorKind::Expired, "removed: {removed}: {error}");
        let mut scan = f.reader.follow(pins, meter()).on_gap(OnGap::Warn);
        let mut heard = Heard::default();
        heard.until(&mut scan, 5).await.unwrap();
        assert_eq!(heard.of(&left), expected(&left, 0..2));
        assert_eq!(
            heard.gaps.iter().map(|gap| &gap.shard).collect::<Vec<_>>(),
            [&parent],
            "removed: {removed}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_waited_for_a_day_may_have_lost_its_first_records() {
    let f = Fixture::with_shards(1).await;
    f.put(0, 10);
    let snapshot = f.pin().await;
    let mut scan = f.reader.follow(snapshot.shards.clone(), meter()).on_gap(OnGap::Warn);
    let mut heard = Heard::default();
    heard.until(&mut scan, 10).await.unwrap();
    f.put(0, 1);
    let [left, _] = f.source.split(&f.shard(0)).unwrap();
    put(&f.source, &left, 2);
    // the list shows the children, and the parent's last record is not taken
    f.pin().await;
    sleep(61.0).await;
    heard.until(&mut scan, 11).await.unwrap();
    sleep(25.0 * 3600.0).await;
    heard.until(&mut scan, 13).await.unwrap();
    assert!(
        heard.gaps.is_empty() || heard.gaps.iter().all(|gap| gap.reason.contains("may have expired")),
        "{:?}",
        heard.gaps
    );
}
