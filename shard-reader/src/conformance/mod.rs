//! What every source must do, as code: run against [`MemorySource`](crate::MemorySource), the embedded service, and services nobody here wrote.
//!
//! A service implements [`TestService`]; each check makes streams of its own, and says what was violated. What a service is known not to do is named
//! in its [`Capabilities`], and not checked.

mod aggregates;
pub mod checkpoints;
mod fan_out;
mod memory;
mod reader;
mod source;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

pub use aggregates::a_reader_takes_aggregates_apart;
pub use fan_out::a_reader_is_pushed_to;
pub use memory::MemoryService;
pub use reader::{a_reader_follows_reshards, a_reader_reads_each_record_once, a_reader_survives_concurrent_writers};
pub use source::{
    a_closed_shard_ends_and_names_its_children, a_cursor_gives_the_same_twice, a_limit_is_kept, a_merged_shard_has_two_parents,
    an_empty_shard_is_at_its_tip, cursors_open_at_and_after_a_record, cursors_open_by_time, many_records_come_whole_and_in_order,
    many_shards_are_listed_each_once, what_is_missing_is_not_found,
};

use crate::{ReaderConfig, SequenceNumber, ShardId, ShardSource};
use fan_out::WithFanOut;

/// Why a check failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(pub String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Violation {}

impl Violation {
    /// Of anything that can be shown.
    pub fn of(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// What a service can do, as far as services differ.
#[derive(Debug, Clone, Copy)]
pub struct Capabilities {
    /// Records that it takes in reasonable time.
    pub most_records: usize,
    /// Shards that a stream may have.
    pub most_shards: usize,
    /// AT_TIMESTAMP is exact to the millisecond, and nothing is found after the last record.
    pub exact_times: bool,
    /// The distance to the tip is above 0 while records wait.
    pub true_distance: bool,
    /// SplitShard and MergeShards keep the parents readable.
    pub reshards: bool,
    /// GetRecords names the children at the end of a shard.
    pub names_children: bool,
    /// GetRecords keeps to its limit.
    pub keeps_limit: bool,
    /// A missing stream or shard is ResourceNotFoundException.
    pub not_found: bool,
}

impl Default for Capabilities {
    /// Everything, as Kinesis does.
    fn default() -> Self {
        Self {
            most_records: 25_000,
            most_shards: 1100,
            exact_times: true,
            true_distance: true,
            reshards: true,
            names_children: true,
            keeps_limit: true,
            not_found: true,
        }
    }
}

/// A service to be checked.
#[async_trait]
pub trait TestService: Send + Sync {
    /// A new, active stream.
    async fn create(&self, shards: usize) -> Result<Box<dyn TestStream>, Violation>;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// How a reader reads it. No budget of calls: the services of tests belong to nobody else.
    fn reader_config(&self) -> ReaderConfig {
        ReaderConfig {
            calls_per_second: None,
            bytes_per_second: None,
            background_poll: false,
            ..ReaderConfig::default()
        }
    }
}

/// A stream of a service to be checked.
#[async_trait]
pub trait TestStream: Send + Sync {
    /// How to read it.
    fn source(&self) -> Arc<dyn ShardSource>;

    /// Its name, as the source is asked.
    fn name(&self) -> &str;

    /// Puts records into one shard, in this order, and returns when all are acknowledged.
    async fn put(&self, shard: &ShardId, records: &[Vec<u8>]) -> Result<Vec<SequenceNumber>, Violation>;

    /// Splits a shard in two, and returns when that is done.
    async fn split(&self, shard: &ShardId) -> Result<(), Violation>;

    /// Merges two neighbours, and returns when that is done.
    async fn merge(&self, shard: &ShardId, neighbour: &ShardId) -> Result<(), Violation>;

    /// Deletes it.
    async fn delete(&self) -> Result<(), Violation>;
}

macro_rules! checks {
    ($service:expr, $($name:ident),* $(,)?) => {{
        let mut violations = Vec::new();
        $(if let Err(violation) = Box::pin($name($service)).await {
            violations.push(Violation(format!("{}: {violation}", stringify!($name))));
        })*
        if violations.is_empty() { Ok(()) } else { Err(violations) }
    }};
}

use checks;

/// Runs every check; the names of those that a service's capabilities leave out are simply not run.
///
/// # Errors
/// All violations, each with the check's name.
pub async fn run_all(service: &dyn TestService) -> Result<(), Vec<Violation>> {
    let sources = checks!(
        service,
        an_empty_shard_is_at_its_tip,
        many_records_come_whole_and_in_order,
        cursors_open_at_and_after_a_record,
        cursors_open_by_time,
        a_cursor_gives_the_same_twice,
        a_limit_is_kept,
        a_closed_shard_ends_and_names_its_children,
        a_merged_shard_has_two_parents,
        many_shards_are_listed_each_once,
        what_is_missing_is_not_found,
    );
    both(sources, run_reader(service).await)
}

/// Runs the checks of the shared reader, by polling.
///
/// # Errors
/// All violations, each with the check's name.
pub async fn run_reader(service: &dyn TestService) -> Result<(), Vec<Violation>> {
    checks!(
        service,
        a_reader_reads_each_record_once,
        a_reader_takes_aggregates_apart,
        a_reader_follows_reshards,
        a_reader_survives_concurrent_writers,
    )
}

/// Runs the checks of the shared reader with fan-out at the tip.
///
/// # Errors
/// All violations, each with the check's name.
pub async fn run_fan_out(service: &dyn TestService) -> Result<(), Vec<Violation>> {
    let service = WithFanOut(service);
    let pushed = checks!(&service, a_reader_is_pushed_to);
    both(pushed, Box::pin(run_reader(&service)).await)
}

fn both(first: Result<(), Vec<Violation>>, second: Result<(), Vec<Violation>>) -> Result<(), Vec<Violation>> {
    let violations: Vec<Violation> = [first, second].into_iter().filter_map(Result::err).flatten().collect();
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}

macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::conformance::Violation(format!($($message)+)));
        }
    };
}
use ensure;

/// Payloads that say where they belong.
fn payloads(shard: &ShardId, numbers: std::ops::Range<usize>) -> Vec<Vec<u8>> {
    numbers
        .map(|number| format!("{{\"shard\":\"{shard}\",\"number\":{number}}}").into_bytes())
        .collect()
}

#[cfg(test)]
mod tests;
