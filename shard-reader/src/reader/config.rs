//! How the readers of a process behave.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::rate::Pace;
use crate::SegmentStore;

/// Settings of all readers of a process.
#[derive(Clone, Debug)]
pub struct ReaderConfig {
    /// Bytes of records and decoded columns held, all streams together.
    pub memory_bytes: u64,
    /// GetRecords calls per second and shard. 5 belong to all consumers of the account. `None` = no budget.
    pub calls_per_second: Option<f64>,
    /// Bytes per second and shard. 2 MB belong to all consumers of the account. `None` = no budget.
    pub bytes_per_second: Option<u64>,
    /// The part of these budgets that may be used now.
    pub pace: Pace,
    /// A shard's task ends after so long without a statement.
    pub idle_stop: Duration,
    /// A statement fails, naming a shard, when for so long no shard's tip was reached. (A stream of thousands of shards may take longer as a whole.)
    pub pin_timeout: Duration,
    /// A scan fails after so long without one successful call.
    pub scan_timeout: Duration,
    /// Keep up with the tip between statements: once a second while there were statements in the last minute, then every 30 seconds.
    pub background_poll: bool,
    /// Ask for the list of shards at each pin that must be complete. A shard that was split shows it by ending, but a service may show the end one
    /// reply late; the list costs one cheap call per 1,000 shards, beside the pin.
    pub list_shards_on_pin: bool,
    /// Records asked for in one call; at most 10,000 (GetRecords).
    pub page_limit: u32,
    /// Calls in flight at once, all streams together.
    pub calls_in_flight: usize,
    /// A description of a stream is asked for again when it is older.
    pub describe_age: Duration,
    /// A follower that had caught up with a shard and has left more bytes of it lying since is ended: what one process holds is shared, and records
    /// that were evicted would be fetched once more for it alone.
    pub follow_lag_bytes: u64,
    /// The list of shards is asked for at least so often while a stream is followed.
    pub follow_list_age: Duration,
    /// Segments on disk; `None` = what leaves memory is read again.
    pub segments: Option<Arc<SegmentStore>>,
    /// Fan-out at the tip; `None` = polling alone.
    pub fan_out: Option<FanOutConfig>,
    /// The time of day, for retention and for probes by time.
    pub wall_clock: WallClock,
}

impl Default for ReaderConfig {
    fn default() -> Self {
        Self {
            memory_bytes: 1 << 30,
            calls_per_second: Some(2.0),
            bytes_per_second: Some(1_000_000),
            pace: Pace::default(),
            idle_stop: Duration::from_secs(600),
            pin_timeout: Duration::from_secs(10),
            scan_timeout: Duration::from_secs(60),
            background_poll: true,
            list_shards_on_pin: true,
            page_limit: 10_000,
            calls_in_flight: 64,
            describe_age: Duration::from_secs(30),
            follow_lag_bytes: 256 << 20,
            follow_list_age: Duration::from_secs(60),
            segments: None,
            fan_out: None,
            wall_clock: WallClock::default(),
        }
    }
}

/// Enhanced fan-out: shards are polled up to their tip, and pushed to from there while somebody is interested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FanOutConfig {
    /// Name of the consumer, one per cluster of processes that share shards: it is registered with each stream when that is first read at the tip, and
    /// stays registered. Two processes that read the same shard by the same consumer take it from each other; the one that loses it polls.
    pub consumer: String,
}

/// Where the time of day comes from: the system, or a test's clock.
#[derive(Clone)]
pub struct WallClock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl WallClock {
    /// A clock that gives ms since the epoch.
    pub fn new(now_ms: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now_ms))
    }

    /// Now, ms since the epoch.
    pub fn now_ms(&self) -> i64 {
        (self.0)()
    }
}

impl Default for WallClock {
    fn default() -> Self {
        Self::new(|| {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_millis() as i64)
        })
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WallClock")
    }
}
