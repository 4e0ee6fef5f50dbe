//! Pins of what a statement can need: shards left out, ranges that begin and end where the service says.

use proptest::prelude::*;

use super::*;
use crate::{SequenceNumber, ShardInfo};

/// A page an hour for so many hours, the last an hour ago.
async fn hours(count: usize) -> (Fixture, Vec<i64>) {
    let source = MemorySource::new(1);
    let config = ReaderConfig {
        page_limit: 50,
        ..quiet(&source)
    };
    let f = Fixture::new(source, config).await;
    let mut times = Vec::new();
    for _ in 0..count {
        times.push(f.source.clock().now_ms());
        f.put(0, 50);
        sleep(3600.0).await;
    }
    (f, times)
}

async fn pin(f: &Fixture, bounds: ShardBounds) -> ShardPin {
    let request = latest(ScanStart::TrimHorizon).await;
    f.reader.pin_scope(&request, &|_| Some(bounds)).await.unwrap().shards.remove(0)
}

#[tokio::test(start_paused = true)]
async fn times_on_both_sides_are_all_that_is_read() {
    let (f, times) = hours(20).await;
    let shard = f.shard(0);
    let bounds = ShardBounds {
        from_ms: Some(times[5] - 10_000),
        before_ms: Some(times[7] - 10_000),
        ..ShardBounds::default()
    };
    let pinned = pin(&f, bounds).await;
    assert_eq!(pinned.range.start, before(&f.source, &shard, 250));
    assert_eq!((pinned.range.end, pinned.tip), (before(&f.source, &shard, 350), TipKind::Bounded));
    // the end is asked for its place alone; the first page comes with the start
    assert_eq!((f.source.calls().read, f.source.calls().records), (2, 51));
    assert_eq!(f.rows(&pinned.range).await.unwrap(), expected(&shard, 250..350));
    assert!(f.source.calls().records <= 51 + 100, "{:?}", f.source.calls());
    // again: it is known
    let calls = f.source.calls().read;
    assert_eq!(pin(&f, bounds).await.range, pinned.range);
    assert_eq!(f.source.calls().read, calls);
}

#[tokio::test(start_paused = true)]
async fn a_time_to_come_bounds_nothing() {
    let (f, times) = hours(3).await;
    let far = ShardBounds {
        before_ms: Some(times[2] + 100_000_000),
        ..ShardBounds::default()
    };
    let pinned = pin(&f, far).await;
    assert_eq!(
        (pinned.range.end, pinned.tip),
        (after(&f.source, &f.shard(0), 149), TipKind::Reached)
    );
    // nor does one after the last record: then the tip is the end
    let late = ShardBounds {
        before_ms: Some(times[2] + 1_800_000),
        ..ShardBounds::default()
    };
    let pinned = pin(&f, late).await;
    assert_eq!(
        (pinned.range.end, pinned.tip),
        (after(&f.source, &f.shard(0), 149), TipKind::Reached)
    );
}

#[tokio::test(start_paused = true)]
async fn a_lower_bound_that_moves_on_costs_no_call_of_its_own() {
    let (f, times) = hours(10).await;
    let from = |time| ShardBounds {
        from_ms: Some(time),
        ..ShardBounds::default()
    };
    let pinned = pin(&f, from(times[6])).await;
    assert_eq!(f.rows(&pinned.range).await.unwrap(), expected(&f.shard(0), 300..500));
    for (hour, time) in times.iter().enumerate().take(9).skip(6) {
        let calls = f.source.calls().read;
        let pinned = pin(&f, from(time + 1)).await;
        assert_eq!(pinned.range.start, before(&f.source, &f.shard(0), 50 * (hour + 1)));
        assert_eq!(f.source.calls().read, calls + 1, "the tip alone");
    }
    // older than what is known: asked for
    let calls = f.source.calls().read;
    assert_eq!(pin(&f, from(times[3])).await.range.start, before(&f.source, &f.shard(0), 150));
    assert_eq!(f.source.calls().read, calls + 2);
}

#[tokio::test(start_paused = true)]
async fn one_record_is_one_call() {
    let (f, _) = hours(10).await;
    let sequence = sequence_at(&f.source, &f.shard(0), 123);
    let point = ShardBounds {
        from: Some(sequence),
        to: Some(sequence),
        ..ShardBounds::default()
    };
    let pinned = pin(&f, point).await;
    assert_eq!(f.rows(&pinned.range).await.unwrap(), expected(&f.shard(0), 123..124));
    assert_eq!((f.source.calls().read, f.source.calls().records), (1, 1));
    // and once it is held, none
    let pinned = pin(&f, point).await;
    assert_eq!(f.rows(&pinned.range).await.unwrap(), expected(&f.shard(0), 123..124));
    assert_eq!(f.source.calls().read, 1);
}

#[tokio::test(start_paused = true)]
async fn a_number_that_is_no_records_proves_nothing() {
    let (f, _) = hours(4).await;
    let first = sequence_at(&f.source, &f.shard(0), 0);
    let gap = (1..200)
        .map(|number| sequence_at(&f.source, &f.shard(0), number))
        .map(|sequence| u64::from_be_bytes(sequence.as_bytes()[16..].try_into().unwrap()) - 1)
        .map(SequenceNumber::from)
        .find(|number| !f.source.log(&f.shard(0)).iter().any(|(sequence, _)| sequence == number))
        .unwrap();
    assert!(gap > first);
    let bounds = ShardBounds {
        from: Some(gap),
        to: Some(gap),
        ..ShardBounds::default()
    };
    let pinned = pin(&f, bounds).await;
    assert_eq!(
        (pinned.range.start, pinned.range.end),
        (before(&f.source, &f.shard(0), 0), after(&f.source, &f.shard(0), 199))
    );
    // one that has expired is no record's either: what is left is read
    f.source.trim(&f.shard(0), 100);
    sleep(100.0).await;
    let expired = ShardBounds {
        from: Some(first),
        ..ShardBounds::default()
    };
    let g = Fixture::new(f.source.clone(), quiet(&f.source)).await;
    let pinned = pin(&g, expired).await;
    assert_eq!(g.rows(&pinned.range).await.unwrap(), expected(&f.shard(0), 100..200));
}

#[tokio::test(start_paused = true)]
async fn shards_that_are_left_out_are_not_asked_and_children_are_found() {
    let f = Fixture::with_shards(3).await;
    (0..3).for_each(|shard| f.put(shard, 5));
    let wanted = f.shard(1);
    let only = |id: ShardId| move |info: &ShardInfo| (info.id == id).then(ShardBounds::default);
    let request = latest(ScanStart::TrimHorizon).await;
    let pinned = f.reader.pin_scope(&request, &only(wanted.clone())).await.unwrap();
    assert_eq!(pinned.shards.len(), 1);
    assert_eq!(f.rows(&pinned.shards[0].range).await.unwrap(), expected(&wanted, 0..5));
    assert_eq!(f.source.calls().read, 1);
    // the parent, which would tell of its children, is never read
    let [child, _] = f.source.split(&f.shard(0)).unwrap();
    put(&f.source, &child, 4);
    let request = latest(ScanStart::TrimHorizon).await;
    let pinned = f.reader.pin_scope(&request, &only(child.clone())).await.unwrap();
    assert_eq!(f.rows(&pinned.shards[0].range).await.unwrap(), expected(&child, 0..4));
    assert_eq!(f.source.calls().read, 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    /// Arrival times in any order, bounds of any kind, pins one after another on one reader: what a statement needs is in its range.
    #[test]
    fn what_is_needed_is_in_the_range(
        arrivals in prop::collection::vec(0_i64..100_000, 0..120),
        statements in prop::collection::vec((prop::option::of(0_i64..110_000), prop::option::of(0_i64..110_000), prop::option::of(0..150_usize), prop::option::of(0..150_usize), 0..3_usize), 1..6),
        page in 1_u32..40,
        memory in prop::sample::select(vec![1_u64, 3000, 1 << 30]),
        closed in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let source = MemorySource::new(1);
            let shard = source.shard_ids()[0].clone();
            let begin = source.clock().now_ms();
            for (number, arrival) in arrivals.iter().enumerate() {
                source.put_as(&shard, Some("key"), Some(begin + arrival), format!("{shard}#{number}").as_bytes()).unwrap();
            }
            if closed {
                source.split(&shard);
            }
            sleep(105.0).await;
            let config = ReaderConfig { page_limit: page, memory_bytes: memory, ..quiet(&source) };
            let f = Fixture::new(source.clone(), config).await;
            let log = source.log(&shard);
            // a record's number, or one that is none's
            let number = |index: usize| log.get(index).map_or_else(|| SequenceNumber::from(1001 + index as u64), |(sequence, _)| *sequence);
            for (from_ms, before_ms, from, to, read) in &statements {
                let bounds = ShardBounds {
                    from: from.map(number),
                    to: to.map(number),
                    from_ms: from_ms.map(|time| begin + time),
                    before_ms: before_ms.map(|time| begin + time),
                };
                let pinned = pin(&f, bounds).await;
                let first_since = |time: i64| arrivals.iter().position(|arrival| begin + arrival >= time).unwrap_or(arrivals.len());
                let low = bounds.from_ms.map_or(0, first_since);
                let high = bounds.before_ms.map_or(arrivals.len(), first_since);
                let rows = f.rows(&pinned.range).await.unwrap();
                for (index, (sequence, data)) in log.iter().enumerate() {
                    let needed = (low..high).contains(&index)
                        && bounds.from.is_none_or(|from| *sequence >= from)
                        && bounds.to.is_none_or(|to| *sequence <= to);
                    let text = String::from_utf8(data.clone()).unwrap();
                    assert!(!needed || rows.contains(&text), "{text} is missing from {:?} with {bounds:?}", pinned.range);
                }
                if *read == 0 {
                    sleep(30.0).await;
                }
            }
        });
    }
}
