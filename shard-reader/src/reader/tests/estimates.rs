//! What reading will take, against what the stream really holds.

use super::*;
use crate::SequenceNumber;

const SECOND_MS: i64 = 1000;
const DAY_MS: i64 = 86_400_000;

/// One record a second up to now; the payloads vary in length. Gives all bytes.
fn steady(source: &MemorySource, shard: &ShardId, count: i64) -> u64 {
    let now = source.clock().now_ms();
    let mut bytes = 0;
    for number in 0..count {
        let payload = "x".repeat(20 + (number % 7) as usize * 10);
        bytes += payload.len() as u64 + 3;
        let arrival = now - (count - number) * SECOND_MS;
        source.put_as(shard, Some("key"), Some(arrival), payload.as_bytes()).unwrap();
    }
    bytes
}

async fn fixture(page_limit: u32, memory_bytes: u64) -> Fixture {
    let source = MemorySource::new(1);
    source.set_retention(Duration::from_secs(30 * 86_400));
    let config = ReaderConfig {
        page_limit,
        memory_bytes,
        calls_per_second: Some(2.0),
        bytes_per_second: Some(1000),
        ..quiet(&source)
    };
    Fixture::new(source, config).await
}

#[tokio::test(start_paused = true)]
async fn a_steady_stream_is_estimated_from_what_the_pin_saw_of_it() {
    let f = fixture(50, 1 << 30).await;
    let total = steady(&f.source, &f.shard(0), 2000);
    let range = f.pin().await.shards[0].range.clone();
    let estimate = f.reader.estimate(&range);
    assert_eq!(estimate.source, EstimateSource::OwnRates, "{estimate:?}");
    let to_read = total - estimate.bytes_in_memory;
    let estimated = estimate.bytes_to_read.unwrap();
    assert!(estimated.abs_diff(to_read) < to_read / 10, "{to_read} bytes: {estimate:?}");
    assert_eq!(estimate.least_to_read, 0, "a page on either side is a twentieth of it all");
    // what was not held: 2,000 records in pages of 50, less the first and the last
    let calls = estimate.calls.unwrap();
    assert!((34..=40).contains(&calls), "{estimate:?}");
    // 1,000 bytes a second take longer than two calls a second
    assert_eq!(estimate.time.unwrap().as_secs(), estimated / 1000);

    let read = f.rows(&range).await.unwrap();
    assert_eq!(read.len(), 2000);
    let after = f.reader.estimate(&range);
    assert_eq!(after.source, EstimateSource::Held);
    assert_eq!(
        (after.bytes_in_memory, after.bytes_to_read, after.calls, after.time),
        (total, Some(0), Some(0), Some(Duration::ZERO))
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_range_can_be_relied_on() {
    let f = fixture(50, 1 << 30).await;
    let total = steady(&f.source, &f.shard(0), 2000);
    let range = f.pin().await.shards[0].range.clone();
    let mut scan = f.reader.scan(range.clone(), meter());
    while scan.totals().records < 1500 {
        scan.next().await.unwrap().unwrap();
    }
    drop(scan);
    let estimate = f.reader.estimate(&range);
    let to_read = total - estimate.bytes_in_memory;
    assert!(
        estimate.least_to_read.abs_diff(to_read) < to_read / 10,
        "{to_read} bytes: {estimate:?}"
    );
    assert!(!estimate.least_is_known);
    assert_eq!(estimate.least_time.as_secs(), estimate.least_to_read / 1000);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_and_dropped_is_known_to_the_byte() {
    let f = fixture(50, 40_000).await;
    let total = steady(&f.source, &f.shard(0), 2000);
    let range = f.pin().await.shards[0].range.clone();
    f.rows(&range).await.unwrap();
    let estimate = f.reader.estimate(&range);
    assert_eq!(estimate.source, EstimateSource::ReadBefore, "{estimate:?}");
    assert!(estimate.bytes_in_memory < total / 2, "{estimate:?}");
    assert_eq!(estimate.bytes_in_memory + estimate.bytes_to_read.unwrap(), total);
    assert!(estimate.least_is_known);
    assert_eq!(estimate.least_to_read, estimate.bytes_to_read.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_burst_long_ago_refuses_nobody() {
    let f = fixture(50, 1 << 30).await;
    let now = f.source.clock().now_ms();
    let mut burst = 0;
    for number in 0..500 {
        let payload = "y".repeat(100);
        burst += 103;
        let arrival = now - 10 * DAY_MS + number * 2;
        f.source
            .put_as(&f.shard(0), Some("key"), Some(arrival), payload.as_bytes())
            .unwrap();
    }
    f.source
        .put_as(&f.shard(0), Some("key"), Some(now - 30 * SECOND_MS), b"alone")
        .unwrap();
    let estimate = f.reader.estimate(&f.pin().await.shards[0].range);
    assert!(
        estimate.bytes_to_read.unwrap() > burst,
        "the burst's rate, over ten days: {estimate:?}"
    );
    assert_eq!(estimate.least_to_read, 0, "{estimate:?}");
    assert!(estimate.bytes_long_ago > estimate.bytes_to_read.unwrap() / 4, "{estimate:?}");
}

#[tokio::test(start_paused = true)]
async fn where_nothing_tells_it_is_unknown_until_a_page_is_read() {
    let f = fixture(50, 1 << 30).await;
    let total = steady(&f.source, &f.shard(0), 2000);
    let range = f.pin().await.shards[0].range.clone();
    let other = Fixture::new(f.source.clone(), quiet(&f.source)).await;
    let nothing = other.reader.estimate(&range);
    assert_eq!(
        (nothing.source, nothing.bytes_to_read, nothing.calls),
        (EstimateSource::Unknown, None, None)
    );
    assert_eq!(nothing.least_to_read, 0);

    let cold = fixture_over(&f.source, 50).await;
    cold.reader.pin(&latest(ScanStart::Latest).await).await.unwrap();
    assert_eq!(cold.reader.estimate(&range).source, EstimateSource::Unknown);
    let calls = f.source.calls().read;
    assert!(cold.reader.probe(range.clone()).await.unwrap());
    sleep(5.0).await;
    assert_eq!(f.source.calls().read - calls, 1, "a probe is one page");
    let probed = cold.reader.estimate(&range);
    assert_eq!(probed.source, EstimateSource::OwnRates);
    let to_read = total - probed.bytes_in_memory;
    assert!(
        probed.bytes_to_read.unwrap().abs_diff(to_read) < to_read / 10,
        "{to_read} bytes: {probed:?}"
    );
    assert!(probed.bytes_in_memory > 0, "the page is kept");
}

async fn fixture_over(source: &MemorySource, page_limit: u32) -> Fixture {
    let config = ReaderConfig {
        page_limit,
        ..quiet(source)
    };
    Fixture::new(source.clone(), config).await
}

#[tokio::test(start_paused = true)]
async fn an_empty_range_takes_nothing() {
    let f = fixture(50, 1 << 30).await;
    steady(&f.source, &f.shard(0), 10);
    let point = Position::Before(SequenceNumber::from(5_u64));
    let range = ShardRange {
        shard: f.shard(0),
        start: point,
        end: point,
    };
    let estimate = f.reader.estimate(&range);
    assert_eq!((estimate.source, estimate.bytes_to_read), (EstimateSource::Held, Some(0)));
}

#[tokio::test(start_paused = true)]
async fn calls_are_counted_for_the_shard_and_for_the_scan() {
    let f = fixture_over(&MemorySource::new(2), 50).await;
    let total = steady(&f.source, &f.shard(0), 500);
    let pins = f.pin().await.shards;
    let before = f.reader.shards()[0].counters;
    let meter = meter();
    let mut scan = f.reader.scan(pins[0].range.clone(), Arc::clone(&meter));
    while scan.next().await.unwrap().is_some() {}
    let totals = scan.totals();
    let counters = f.reader.shards()[0].counters;
    assert_eq!(totals.records, 500);
    assert_eq!(totals.bytes_cached + totals.bytes_read, total);
    assert!(totals.calls > 0);
    assert_eq!(totals.calls, counters.get_records_calls - before.get_records_calls);
    assert_eq!((meter.calls(), meter.bytes_read()), (totals.calls, totals.bytes_read));
    let other = f.reader.shards()[1].counters;
    assert_eq!(other.records_fetched, 0, "the other shard is empty");
    let all = f.readers.counters();
    assert_eq!(all.get_records_calls, counters.get_records_calls + other.get_records_calls);
    assert_eq!(all.bytes_from_kinesis, totals.bytes_read);
    assert_eq!(all.bytes_from_cache, totals.bytes_cached);
}
