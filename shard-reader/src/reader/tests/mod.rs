//! The reader against memory streams. Time is paused: it passes when nothing else is left to do.

mod aggregates;
mod bounds;
mod estimates;
mod everything;
mod fan_out;
mod faults;
mod follow_model;
mod following;
mod incarnations;
mod model;
mod newest;
mod pinning;
mod rules;
mod scanning;
mod shards;
mod stored;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::{MemorySource, Position, ShardId, ShardSource};

struct Fixture {
    source: MemorySource,
    readers: Arc<Readers>,
    reader: Arc<StreamReader>,
}

fn quiet(source: &MemorySource) -> ReaderConfig {
    ReaderConfig {
        calls_per_second: None,
        bytes_per_second: None,
        background_poll: false,
        wall_clock: source.clock(),
        memory_bytes: 1 << 30,
        ..ReaderConfig::default()
    }
}

impl Fixture {
    async fn new(source: MemorySource, config: ReaderConfig) -> Self {
        let readers = Readers::new(config);
        let reader = readers
            .stream("memory", Arc::new(source.clone()) as Arc<dyn ShardSource>, "stream")
            .await
            .unwrap();
        Self { source, readers, reader }
    }

    async fn with_shards(shards: usize) -> Self {
        let source = MemorySource::new(shards);
        let config = quiet(&source);
        Self::new(source, config).await
    }

    fn shard(&self, index: usize) -> ShardId {
        self.source.shard_ids()[index].clone()
    }

    /// Puts `count` records; each says its number in the shard.
    fn put(&self, shard: usize, count: usize) {
        put(&self.source, &self.shard(shard), count);
    }

    async fn pin(&self) -> Snapshot {
        self.reader.pin(&latest(ScanStart::TrimHorizon).await).await.unwrap()
    }

    async fn rows(&self, range: &ShardRange) -> Result<Vec<String>, ReadError> {
        rows(&mut self.reader.scan(range.clone(), meter())).await
    }

    /// Pins everything and reads it: the payloads, shard after shard.
    async fn read_all(&self) -> Vec<String> {
        let mut all = Vec::new();
        for pin in self.pin().await.shards {
            all.extend(self.rows(&pin.range).await.unwrap());
        }
        all
    }
}

fn put(source: &MemorySource, shard: &ShardId, count: usize) {
    let begin = source.log(shard).len();
    for number in begin..begin + count {
        source.put(shard, "key", format!("{shard}#{number}").as_bytes()).unwrap();
    }
}

/// A statement: what was put before was put before it arrived, and calls are made after. (Paused, no time passes by itself.)
async fn latest(start: ScanStart) -> PinRequest {
    sleep(0.001).await;
    let arrived = Instant::now();
    sleep(0.001).await;
    PinRequest {
        start,
        freshness: Freshness::Latest,
        arrived,
    }
}

fn meter() -> Arc<StatementMeter> {
    StatementMeter::new(u64::MAX, None)
}

async fn rows(scan: &mut ShardScan) -> Result<Vec<String>, ReadError> {
    let mut rows = Vec::new();
    while let Some(slice) = scan.next().await? {
        rows.extend(texts(&slice));
    }
    Ok(rows)
}

fn texts(slice: &SegmentSlice) -> Vec<String> {
    assert!(!slice.rows.is_empty());
    slice
        .rows
        .clone()
        .map(|row| String::from_utf8(slice.segment.records().data().value(row).to_vec()).unwrap())
        .collect()
}

/// What `put` put into a shard, by number.
fn expected(shard: &ShardId, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("{shard}#{number}")).collect()
}

async fn sleep(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

fn sequence_at(source: &MemorySource, shard: &ShardId, number: usize) -> crate::SequenceNumber {
    source.log(shard)[number].0
}

fn after(source: &MemorySource, shard: &ShardId, number: usize) -> Position {
    Position::After(sequence_at(source, shard, number), 0)
}

fn before(source: &MemorySource, shard: &ShardId, number: usize) -> Position {
    Position::Before(sequence_at(source, shard, number))
}
