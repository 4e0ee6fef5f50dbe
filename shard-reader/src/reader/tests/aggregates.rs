//! Records that are many rows: over page borders, expired iterators, splits, and ranges that begin or end inside them.

use proptest::prelude::*;

use super::*;
use crate::aggregation::deaggregate;
use crate::{Aggregator, RecordsBuilder, SourceErrorKind};

/// A row of what was put, and where it lies.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) start: Position,
    pub(super) end: Position,
    pub(super) text: String,
}

/// Puts a record for each number: an aggregate of so many user records, or for 0 a plain record. Each row says where it is.
pub(super) fn put_aggregates(source: &MemorySource, shard: &ShardId, sizes: &[usize]) {
    for size in sizes {
        let number = source.log(shard).len();
        if *size == 0 {
            put(source, shard, 1);
            continue;
        }
        let mut aggregator = Aggregator::new();
        for sub in 0..*size {
            aggregator.push(&format!("key{}", sub % 3), None, format!("{shard}#{number}.{sub}").as_bytes());
        }
        source.put(shard, "a", &aggregator.finish()).unwrap();
    }
}

/// All rows of everything ever put into a shard.
pub(super) fn user_rows(source: &MemorySource, shard: &ShardId) -> Vec<Row> {
    let mut builder = RecordsBuilder::with_capacity(0, 0, 0);
    for (sequence, data) in source.log(shard) {
        builder.push(sequence, None, None, &data);
    }
    let records = deaggregate(builder.finish()).unwrap().records;
    (0..records.len())
        .map(|row| Row {
            start: records.start_of(row),
            end: records.end_of(row),
            text: String::from_utf8(records.data().value(row).to_vec()).unwrap(),
        })
        .collect()
}

fn texts_of(rows: &[Row]) -> Vec<String> {
    rows.iter().map(|row| row.text.clone()).collect()
}

/// As `rows`, and every segment that is seen holds its aggregates whole.
async fn whole_rows(f: &Fixture, range: &ShardRange) -> Vec<String> {
    let mut all = Vec::new();
    let mut scan = f.reader.scan(range.clone(), meter());
    let put = user_rows(&f.source, &range.shard);
    while let Some(slice) = scan.next().await.unwrap() {
        let records = slice.segment.records();
        for row in [0, records.len() - 1] {
            let sequence = records.sequence(row);
            let there = put.iter().filter(|put| put.start.sequence() == Some(sequence)).count();
            let held = (0..records.len()).filter(|row| records.sequence(*row) == sequence).count();
            assert_eq!(held, there, "a segment splits record {sequence}");
        }
        all.extend(texts(&slice));
    }
    all
}

async fn fixture(page_limit: u32, memory_bytes: u64) -> Fixture {
    let source = MemorySource::new(1);
    let config = ReaderConfig {
        page_limit,
        memory_bytes,
        ..quiet(&source)
    };
    Fixture::new(source, config).await
}

const SIZES: [usize; 12] = [3, 0, 1, 40, 0, 0, 2, 7, 1, 0, 5, 11];

#[tokio::test(start_paused = true)]
async fn user_records_are_rows_whatever_the_pages_are() {
    for page in [1, 2, 5, 100] {
        let f = fixture(page, 1 << 30).await;
        let shard = f.shard(0);
        put_aggregates(&f.source, &shard, &SIZES);
        sleep(3700.0).await;
        put_aggregates(&f.source, &shard, &[4]);
        let all = texts_of(&user_rows(&f.source, &shard));
        // 3 + 1 + 1 + 40 + 2 + 2 + 7 + 1 + 1 + 5 + 11, and 4
        assert_eq!(all.len(), 78);
        assert_eq!(
            (all[0].as_str(), all[3].as_str(), all[4].as_str()),
            ("shardId-000000000000#0.0", "shardId-000000000000#1", "shardId-000000000000#2.0")
        );
        assert_eq!(f.read_all().await, all);
        assert_eq!(f.read_all().await, all);
        // counters are about Kinesis records; the page before the last record, which the tail has found, may bring it again
        let counters = f.readers.counters();
        assert_eq!(
            counters.records_fetched - counters.records_refetched,
            13,
            "page {page}: {counters:?}"
        );
        assert!(counters.records_refetched <= 1, "page {page}: {counters:?}");
        assert_eq!(counters.records_fetched, f.source.calls().records);
        assert_eq!(f.pin().await.shards[0].range.end, user_rows(&f.source, &shard).last().unwrap().end);
        put_aggregates(&f.source, &shard, &[0, 2]);
        assert_eq!(f.read_all().await, texts_of(&user_rows(&f.source, &shard)));
        let more = f.readers.counters();
        assert_eq!(more.records_fetched - counters.records_fetched, 2, "page {page}: {more:?}");
        assert_eq!(more.records_refetched, counters.records_refetched);
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_of_more_rows_than_kinesis_has_records() {
    let f = fixture(10_000, 1 << 30).await;
    let shard = f.shard(0);
    put_aggregates(&f.source, &shard, &[0, 6000, 0, 9000, 12_000]);
    let all = texts_of(&user_rows(&f.source, &shard));
    assert_eq!(all.len(), 27_002);
    assert_eq!(f.read_all().await, all);
    assert_eq!(f.source.calls().records, 5);
}

#[tokio::test(start_paused = true)]
async fn expired_iterators_reopen_at_the_aggregate_and_go_on_after_it() {
    let f = fixture(1, 1).await;
    let shard = f.shard(0);
    put_aggregates(&f.source, &shard, &SIZES);
    sleep(3700.0).await;
    put_aggregates(&f.source, &shard, &[2]);
    let range = f.pin().await.shards.remove(0).range;
    let mut scan = f.reader.scan(range, meter());
    let mut seen = Vec::new();
    while let Some(slice) = scan.next().await.unwrap() {
        seen.extend(texts(&slice));
        // longer than an iterator lives; and the service may say so before that
        sleep(310.0).await;
        f.source.fail_reads(&shard, SourceErrorKind::ExpiredIterator, 1);
    }
    assert_eq!(seen, texts_of(&user_rows(&f.source, &shard)));
    assert!(f.readers.counters().iterator_expiries > 5);
}

#[tokio::test(start_paused = true)]
async fn a_cold_range_inside_one_aggregate() {
    let f = fixture(100, 1 << 30).await;
    let shard = f.shard(0);
    put_aggregates(&f.source, &shard, &[2, 10, 3]);
    let all = user_rows(&f.source, &shard);
    let range = ShardRange {
        shard: shard.clone(),
        start: all[4].start,
        end: all[8].end,
    };
    assert_eq!(whole_rows(&f, &range).await, texts_of(&all[4..9]));
    // the rest of the same record is there already
    let calls = f.source.calls().read;
    let rest = ShardRange {
        start: all[2].start,
        end: all[11].end,
        ..range
    };
    assert_eq!(whole_rows(&f, &rest).await, texts_of(&all[2..12]));
    assert_eq!(f.source.calls().read, calls);
    assert_eq!(f.readers.counters().records_refetched, 0);
}

#[tokio::test(start_paused = true)]
async fn an_aggregate_that_is_gone_is_said_to_be() {
    let f = fixture(1, 1).await;
    let shard = f.shard(0);
    put_aggregates(&f.source, &shard, &[4, 4, 4]);
    let all = user_rows(&f.source, &shard);
    let range = ShardRange {
        shard: shard.clone(),
        start: all[5].start,
        end: all[11].end,
    };
    assert_eq!(f.rows(&range).await.unwrap(), texts_of(&all[5..12]));
    f.source.trim(&shard, 1);
    let cold = Fixture::new(f.source.clone(), quiet(&f.source)).await;
    let error = cold.rows(&range).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Expired, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_closed_shard_ends_with_the_last_user_record() {
    for late_end in [false, true] {
        let f = fixture(2, 1 << 30).await;
        let shard = f.shard(0);
        f.source.set_late_end(late_end);
        put_aggregates(&f.source, &shard, &[3, 0, 5]);
        let [left, _] = f.source.split(&shard).unwrap();
        put_aggregates(&f.source, &left, &[2]);
        let mut all = texts_of(&user_rows(&f.source, &shard));
        all.extend(texts_of(&user_rows(&f.source, &left)));
        for _ in 0..2 {
            assert_eq!(f.read_all().await, all, "late end: {late_end}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn look_alikes_are_rows_and_counted() {
    let f = fixture(100, 1 << 30).await;
    let shard = f.shard(0);
    let mut aggregator = Aggregator::new();
    aggregator.push("key", None, b"lost?");
    let mut damaged = aggregator.finish();
    damaged[6] ^= 1;
    f.source.put(&shard, "key", &damaged).unwrap();
    put_aggregates(&f.source, &shard, &[2]);
    let range = f.pin().await.shards.remove(0).range;
    let slice = f.reader.scan(range, meter()).next().await.unwrap().unwrap();
    let records = slice.segment.records();
    assert_eq!((records.len(), records.data().value(0)), (3, damaged.as_slice()));
    assert_eq!(records.hash_key(0), None);
    assert_eq!(records.partition_keys().value(1), "key0");
    assert_eq!(f.readers.counters().aggregate_look_alikes, 1);
}

fn paused<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// scan(a..b) then scan(b..c) equals scan(a..c) wherever these points lie, inside aggregates too; warm or cold, with much memory or little.
    #[test]
    fn ranges_inside_aggregates_add_up(
        sizes in proptest::collection::vec(prop_oneof![Just(0usize), 1usize..3, 3usize..30], 1..40), page in 1u32..8,
        memory in prop_oneof![Just(1u64), Just(3000), Just(1 << 30)], warm: bool,
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0u8..3), 3),
    ) {
        paused(async move {
            let f = fixture(page, memory).await;
            let shard = f.shard(0);
            put_aggregates(&f.source, &shard, &sizes);
            let all = user_rows(&f.source, &shard);
            if warm {
                prop_assert_eq!(f.read_all().await, texts_of(&all));
            }
            let mut points: Vec<(Position, usize)> = cuts
                .into_iter()
                .map(|(index, side)| {
                    let row = index.index(all.len());
                    match side {
                        0 => (all[row].start, row),
                        1 => (all[row].end, row + 1),
                        _ => {
                            let sequence = all[row].start.sequence().unwrap();
                            let next = all.iter().position(|row| row.start.sequence() > Some(sequence)).unwrap_or(all.len());
                            (Position::after_record(sequence), next)
                        }
                    }
                })
                .collect();
            points.sort();
            let range = |from: usize, to: usize| ShardRange { shard: shard.clone(), start: points[from].0, end: points[to].0 };
            let mut parts = whole_rows(&f, &range(0, 1)).await;
            prop_assert_eq!(&parts, &texts_of(&all[points[0].1..points[1].1]));
            parts.extend(whole_rows(&f, &range(1, 2)).await);
            prop_assert_eq!(&parts, &whole_rows(&f, &range(0, 2)).await);
            prop_assert_eq!(&parts, &texts_of(&all[points[0].1..points[2].1]));
            let counters = f.readers.counters();
            prop_assert!(counters.records_refetched <= counters.records_fetched, "{counters:?}");
            if memory == 1 << 30 && warm {
                prop_assert_eq!((counters.records_fetched, counters.records_refetched), (sizes.len() as u64, 0));
            }
            Ok(())
        })?;
    }
}
