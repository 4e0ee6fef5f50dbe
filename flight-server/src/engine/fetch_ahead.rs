//! Fetching what a statement reads while its client polls, so that the client can be told how far that is.
//!
//! It runs beside the statement's own streams and shares their pages: what it has fetched they find held. It fetches no more than memory keeps
//! (beyond that it would push out what it fetched before), and it ends when the client stops polling.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use datafusion::common::runtime::SpawnedTask;
use futures::stream::{self, StreamExt};
use parking_lot::Mutex;
use shard_reader::{ShardRange, StatementMeter, StreamReader};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::api::QueryPart;
use super::cost;
use super::error::EngineError;
use super::parameters::decoded;
use super::plan::{Asker, Engine, Tables};
use super::sql::parse;

/// A client that does not poll again within this time is gone.
pub(super) const LEASE: Duration = Duration::from_secs(30);
/// A poll waits so long for the end.
const PATIENCE: Duration = Duration::from_millis(500);
/// Statements that are fetched for at once; others are only read when they are read.
const MOST: usize = 64;
/// Beside twice what is expected, so much may be fetched: a page.
const SLACK: u64 = 10 << 20;
/// Shards that are read at once.
const SHARDS_AT_ONCE: usize = 64;

/// How far fetching is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FetchProgress {
    /// Nothing more is fetched ahead.
    pub done: bool,
    /// The part of what the statement reads that is held or fetched, where that is known.
    pub progress: Option<f64>,
    /// The next poll must come within this time.
    pub lease: Duration,
}

impl FetchProgress {
    /// There is nothing to fetch.
    pub const NOTHING: Self = Self {
        done: true,
        progress: Some(1.0),
        lease: LEASE,
    };
}

/// A range of a shard, and who reads it.
type Range = (Arc<StreamReader>, ShardRange);

/// Statements that are fetched for.
#[derive(Debug, Default)]
pub(super) struct FetchAheads(Mutex<HashMap<String, Fetching>>);

/// What is known of it, and its task, which ends when this is dropped.
#[derive(Debug)]
struct Fetching {
    ahead: Arc<FetchAhead>,
    _task: SpawnedTask<()>,
}

#[derive(Debug)]
struct FetchAhead {
    /// Bytes that the statement reads, held ones too, as far as they are fetched ahead; `None` = unknown.
    expected: Option<u64>,
    /// Bytes that are fetched at most: more than is expected, which is an estimate.
    allowance: u64,
    meter: Arc<StatementMeter>,
    lease: Mutex<Instant>,
    ended: AtomicBool,
    /// Everything was fetched, and not only as much as memory keeps.
    complete: AtomicBool,
    end: Notify,
    cancel: CancellationToken,
}

impl FetchAhead {
    fn progress(&self) -> FetchProgress {
        let done = self.ended.load(Ordering::Acquire);
        let fetched = self.meter.bytes_cached() + self.meter.bytes_read();
        let progress = match self.expected {
            _ if done && self.complete.load(Ordering::Acquire) => Some(1.0),
            Some(expected) if expected > 0 => Some((fetched as f64 / expected as f64).min(1.0)),
            _ => None,
        };
        FetchProgress {
            done,
            progress,
            lease: LEASE,
        }
    }

    /// Waits until the client has gone, or somebody cancels.
    async fn unwanted(&self) {
        loop {
            let until = *self.lease.lock();
            if Instant::now() >= until {
                return;
            }
            tokio::select! {
                () = self.cancel.cancelled() => return,
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }
}

impl Engine {
    /// Fetches ahead what the parts of one statement read, or says how far that is. To be called again within the lease.
    ///
    /// An error of a shard ends the fetching and is not told here: whoever reads the part gets it.
    pub async fn fetch_ahead(&self, parts: &[QueryPart]) -> Result<FetchProgress, EngineError> {
        let Some(first) = parts.first() else {
            return Ok(FetchProgress::NOTHING);
        };
        let known = self
            .fetch_aheads()
            .0
            .lock()
            .get(&first.query_id)
            .map(|known| Arc::clone(&known.ahead));
        if let Some(known) = known {
            *known.lease.lock() = Instant::now() + LEASE;
            let end = known.end.notified();
            if !known.ended.load(Ordering::Acquire) {
                // Not in time is what the progress says.
                let _ = tokio::time::timeout(PATIENCE, end).await;
            }
            return Ok(known.progress());
        }
        self.begin(&first.query_id, parts).await
    }

    /// Ends fetching for a statement; false if there is none.
    pub(super) fn stop_fetching(&self, query_id: &str) -> bool {
        let known = self.fetch_aheads().0.lock().remove(query_id);
        if let Some(known) = &known {
            known.ahead.cancel.cancel();
        }
        known.is_some_and(|known| !known.ahead.ended.load(Ordering::Acquire))
    }

    async fn begin(&self, query_id: &str, parts: &[QueryPart]) -> Result<FetchProgress, EngineError> {
        let mut ranges: BTreeMap<(String, String), Range> = BTreeMap::new();
        let (mut held, mut to_read, mut max_bytes) = (0, Some(0_u64), u64::MAX);
        for part in parts {
            let asker = Asker {
                query_id: part.query_id.clone(),
                principal: part.principal.clone(),
            };
            let scratch = self.pinned_scratch(&part.scratch)?;
            let tables = Tables::Pinned {
                tables: part.tables.clone(),
                files: part.files.clone(),
                scratch: Arc::clone(&scratch),
                now_ns: part.now_ns,
            };
            let mut parsed = parse(&part.sql)?.bound(decoded(part.parameters.as_ref())?)?;
            scratch.mentioned(&mut parsed);
            let statement = self.statement(parsed, &part.options, tables, asker).await?;
            if statement.facts.kind() != "query" {
                return Ok(FetchProgress::NOTHING);
            }
            max_bytes = statement.options.max_bytes;
            let physical = self.physical(&statement).await?;
            // What a limit on rows ends early is not worth fetching.
            for reading in cost::readings(&physical).into_iter().filter(|reading| !reading.limited) {
                held += reading.estimate.bytes_held();
                to_read = to_read.zip(reading.estimate.bytes_to_read).map(|(all, one)| all + one);
                let key = (reading.table.to_string(), reading.pin.range.shard.to_string());
                ranges.insert(key, (reading.reader, reading.pin.range));
            }
        }
        if ranges.is_empty() || to_read == Some(0) {
            return Ok(FetchProgress::NOTHING);
        }
        Ok(self.start(query_id, ranges.into_values().collect(), (held, to_read), max_bytes))
    }

    fn start(&self, query_id: &str, ranges: Vec<Range>, (held, to_read): (u64, Option<u64>), max_bytes: u64) -> FetchProgress {
        let mut known = self.fetch_aheads().0.lock();
        if let Some(other) = known.get(query_id) {
            return other.ahead.progress();
        }
        let running = known.values().filter(|other| !other.ahead.ended.load(Ordering::Acquire));
        let taken: u64 = running.map(|other| other.ahead.allowance).sum();
        let half = self.readers().memory_bytes() / 2;
        let enough = to_read.map_or(u64::MAX, |bytes| bytes.saturating_mul(2).saturating_add(SLACK));
        let allowance = enough.min(half.saturating_sub(taken));
        if known.len() >= MOST || allowance == 0 {
            return FetchProgress {
                progress: None,
                ..FetchProgress::NOTHING
            };
        }
        let ahead = Arc::new(FetchAhead {
            expected: to_read.map(|bytes| held + bytes.min(allowance)),
            allowance,
            meter: StatementMeter::new(max_bytes, None),
            lease: Mutex::new(Instant::now() + LEASE),
            ended: AtomicBool::new(false),
            complete: AtomicBool::new(false),
            end: Notify::new(),
            cancel: CancellationToken::new(),
        });
        let (engine, id, own) = (self.this(), query_id.to_owned(), Arc::clone(&ahead));
        let task = SpawnedTask::spawn(async move {
            own.cancel.run_until_cancelled(fetch(&own, ranges)).await;
            own.ended.store(true, Ordering::Release);
            own.end.notify_waiters();
            own.unwanted().await;
            // The next poll of this statement, if one comes, begins anew. Forgotten, this task is aborted where it ends anyway.
            if let Some(engine) = engine.upgrade() {
                engine.fetch_aheads().0.lock().remove(&id);
            }
        });
        let progress = ahead.progress();
        let fetching = Fetching { ahead, _task: task };
        known.insert(query_id.to_owned(), fetching);
        progress
    }
}

/// Reads the ranges, until all is read, as much as is allowed, or nobody asks any more.
async fn fetch(own: &FetchAhead, ranges: Vec<Range>) {
    let short = AtomicU64::new(0);
    let one = |(reader, range): Range| {
        let short = &short;
        async move {
            let mut scan = reader.scan(range, Arc::clone(&own.meter));
            loop {
                if own.meter.bytes_read() > own.allowance {
                    short.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                match scan.next().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return,
                    Err(error) => {
                        tracing::debug!(%error, "fetching ahead ends");
                        short.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                }
            }
        }
    };
    let all = stream::iter(ranges).for_each_concurrent(SHARDS_AT_ONCE, one);
    tokio::select! {
        () = all => own.complete.store(short.load(Ordering::Relaxed) == 0, Ordering::Release),
        () = own.unwanted() => {}
    }
}
