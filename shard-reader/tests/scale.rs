//! What a shard costs when there are thousands: allocations and bytes, counted, since the clock of a busy machine tells nothing.

#![expect(clippy::unwrap_used, reason = "a test ends at its first fault")]

use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use shard_reader::{Freshness, MemorySource, PinRequest, ReaderConfig, Readers, ScanStart, ShardSource, StatementMeter, StreamReader};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};
use tokio::time::Instant;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The counters are of the process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

struct Idle {
    source: MemorySource,
    readers: Arc<Readers>,
    reader: Arc<StreamReader>,
}

impl Idle {
    async fn new(shards: usize) -> Self {
        let source = MemorySource::new(shards);
        let config = ReaderConfig {
            wall_clock: source.clock(),
            ..ReaderConfig::default()
        };
        let readers = Readers::new(config);
        let shared: Arc<dyn ShardSource> = Arc::new(source.clone());
        let reader = readers.stream("memory", shared, "stream").await.unwrap();
        Self { source, readers, reader }
    }

    /// Pins and scans everything; the rows.
    async fn statement(&self) -> usize {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let arrived = Instant::now();
        tokio::time::sleep(Duration::from_millis(1)).await;
        let request = PinRequest {
            start: ScanStart::TrimHorizon,
            freshness: Freshness::Latest,
            arrived,
        };
        let mut rows = 0;
        for pin in self.reader.pin(&request).await.unwrap().shards {
            let mut scan = self.reader.scan(pin.range, StatementMeter::new(u64::MAX, None));
            while let Some(slice) = scan.next().await.unwrap() {
                rows += slice.rows.len();
            }
        }
        rows
    }
}

fn paused<T>(test: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().unwrap().block_on(test)
}

fn held(stats: &Stats) -> isize {
    stats.bytes_allocated as isize - stats.bytes_deallocated as isize
}

/// Bytes that a shard holds after a statement and two minutes of idle polls.
async fn bytes_of_a_shard(shards: usize, records: usize) -> isize {
    let idle = Idle::new(shards).await;
    for shard in idle.source.shard_ids() {
        for _ in 0..records {
            idle.source.put(&shard, "key", b"{\"a\":1}").unwrap();
        }
    }
    let region = Region::new(ALLOCATOR);
    assert_eq!(idle.statement().await, shards * records);
    tokio::time::sleep(Duration::from_secs(120)).await;
    let bytes = held(&region.change()) / shards as isize;
    assert!(idle.reader.shards().iter().all(|shard| shard.running));
    idle.readers.shutdown().await;
    bytes
}

#[test]
fn an_idle_shard_holds_less_than_thirty_two_kibibytes() {
    let _alone = ALONE.lock();
    for (records, most) in [(0, 24 << 10), (10, 32 << 10)] {
        let bytes = paused(bytes_of_a_shard(1000, records));
        assert!(bytes < most, "{bytes} bytes a shard with {records} records");
    }
}

/// Allocations, and bytes of them, of a repeated statement over shards without records, per shard.
async fn cost_of_a_warm_statement(shards: usize) -> (f64, f64) {
    let idle = Idle::new(shards).await;
    idle.statement().await;
    let reads = idle.source.calls().read;
    let region = Region::new(ALLOCATOR);
    idle.statement().await;
    let cost = region.change();
    assert_eq!(idle.source.calls().read, reads + shards as u64, "one call a shard");
    idle.readers.shutdown().await;
    let each = |total: usize| total as f64 / shards as f64;
    (each(cost.allocations), each(cost.bytes_allocated))
}

#[test]
fn a_statement_costs_each_shard_the_same_however_many_there_are() {
    let _alone = ALONE.lock();
    let few = paused(cost_of_a_warm_statement(500));
    let many = paused(cost_of_a_warm_statement(5000));
    assert!(many.0 < few.0 * 1.1 && many.1 < few.1 * 1.1, "{few:?} of 500, {many:?} of 5,000");
    assert!(few.0 < 60.0, "{} allocations a shard", few.0);
}
