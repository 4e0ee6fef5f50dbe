//! What a plan will read: per shard, in bytes, calls, seconds and dollars.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use catalog::TableName;
use datafusion::physical_plan::ExecutionPlan;
use serde_json::{Value, json};
use shard_reader::{EstimateSource, ReadEstimate, ShardPin, StreamReader};

use super::error::{EngineError, ErrorCategory};
use super::scan::ShardScanExec;
use super::statement_options::{OnLimit, StatementOptions};

/// An estimate refuses a statement when even its least is over the limit by this factor; what is known to the byte needs none.
const CLEARLY: u64 = 2;

/// AWS's prices of reading, in dollars per GB (2^30 bytes). Provisioned streams are read by GetRecords free of charge within 7 days.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prices {
    /// Data retrieved from on-demand streams.
    pub on_demand_per_gb: f64,
    /// Data that is older than 7 days (long-term retention), from provisioned streams.
    pub long_term_per_gb: f64,
}

impl Default for Prices {
    /// AWS's price list for us-east-1 as it was at the end of 2024.
    fn default() -> Self {
        Self {
            on_demand_per_gb: 0.040,
            long_term_per_gb: 0.021,
        }
    }
}

/// What reading one shard of a table takes.
#[derive(Debug, Clone)]
pub(super) struct ShardReading {
    pub(super) table: TableName,
    pub(super) reader: Arc<StreamReader>,
    pub(super) pin: ShardPin,
    pub(super) estimate: ReadEstimate,
    /// A page was read to know.
    pub(super) probed: bool,
    /// A limit on rows may end it early.
    pub(super) limited: bool,
}

/// What the scans of a plan read; a shard that several scans read is read once.
pub(super) fn readings(plan: &Arc<dyn ExecutionPlan>) -> Vec<ShardReading> {
    let mut found = BTreeMap::new();
    collect(plan, false, &mut found);
    let mut readings: Vec<ShardReading> = found.into_values().collect();
    for reading in &mut readings {
        reading.estimate = reading.reader.estimate(&reading.pin.range);
    }
    readings
}

/// `limited`: whoever is above may stop asking for rows before they end.
fn collect(plan: &Arc<dyn ExecutionPlan>, limited: bool, found: &mut BTreeMap<(TableName, String), ShardReading>) {
    if let Some(scan) = plan.downcast_ref::<ShardScanExec>() {
        let (table, reader) = scan.source();
        for pin in scan.pins() {
            let key = (table.clone(), pin.range.shard.to_string());
            let limited = limited || scan.limit().is_some();
            match found.get_mut(&key) {
                Some(known) => {
                    let range = &mut known.pin.range;
                    range.start = range.start.min(pin.range.start);
                    range.end = range.end.max(pin.range.end);
                    known.limited &= limited;
                }
                None => {
                    let reading = ShardReading {
                        table: table.clone(),
                        reader: Arc::clone(reader),
                        pin,
                        estimate: ReadEstimate::NOTHING,
                        probed: false,
                        limited,
                    };
                    found.insert(key, reading);
                }
            }
        }
    }
    // What takes in all rows before it gives one needs them whatever is above it.
    let needs_all = ["Aggregate", "Join", "Window"].iter().any(|kind| plan.name().contains(kind));
    let limited = plan.fetch().is_some() || (limited && !needs_all);
    for child in plan.children() {
        collect(child, limited, found);
    }
}

impl ShardReading {
    /// In words: where the figures come from.
    pub(super) fn source(&self) -> &'static str {
        match self.estimate.source {
            EstimateSource::Held => "held",
            EstimateSource::ReadBefore => "read before",
            EstimateSource::OwnRates if self.probed => "probe page",
            EstimateSource::OwnRates => "own rates",
            EstimateSource::Unknown => "unknown",
        }
    }

    /// What AWS charges for it.
    pub(super) fn dollars(&self, prices: &Prices) -> Option<f64> {
        let gb = |bytes: u64| bytes as f64 / (1_u64 << 30) as f64;
        let bytes = self.estimate.bytes_to_read?;
        Some(if self.reader.on_demand() {
            gb(bytes) * prices.on_demand_per_gb
        } else {
            gb(self.estimate.bytes_long_ago) * prices.long_term_per_gb
        })
    }

    /// For `app_metadata`.
    pub(super) fn facts(&self) -> Value {
        json!({
            "table": self.table.to_string(),
            "shard": self.pin.range.shard,
            "from": self.pin.range.start,
            "to": self.pin.range.end,
            "complete": true,
            "reason": format!("{:?}", self.pin.tip).to_lowercase(),
            "bytes_cached": self.estimate.bytes_held(),
            "bytes_to_read": self.estimate.bytes_to_read,
            "source": self.source(),
        })
    }
}

/// All shards of a statement together: they are read beside each other.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Total {
    pub(super) bytes_in_memory: u64,
    pub(super) bytes_stored: u64,
    pub(super) bytes_to_read: Option<u64>,
    pub(super) calls: Option<u64>,
    pub(super) time: Option<Duration>,
    pub(super) dollars: Option<f64>,
}

impl Total {
    pub(super) fn of(readings: &[ShardReading], prices: &Prices) -> Self {
        let sum = |value: &dyn Fn(&ShardReading) -> Option<u64>| readings.iter().map(value).sum::<Option<u64>>();
        Self {
            bytes_in_memory: readings.iter().map(|reading| reading.estimate.bytes_in_memory).sum(),
            bytes_stored: readings.iter().map(|reading| reading.estimate.bytes_stored).sum(),
            bytes_to_read: sum(&|reading| reading.estimate.bytes_to_read),
            calls: sum(&|reading| reading.estimate.calls),
            time: readings
                .iter()
                .map(|reading| reading.estimate.time)
                .try_fold(Duration::ZERO, |longest, time| Some(longest.max(time?))),
            dollars: readings.iter().map(|reading| reading.dollars(prices)).sum(),
        }
    }

    /// Bytes that need not be read from Kinesis.
    pub(super) fn bytes_cached(&self) -> u64 {
        self.bytes_in_memory + self.bytes_stored
    }

    /// Bytes that the snapshot holds, cached or not.
    pub(super) fn bytes(&self) -> Option<u64> {
        Some(self.bytes_cached() + self.bytes_to_read?)
    }
}

/// Refuses a statement that is sure to reach a limit, before it reads anything.
pub(super) fn check(readings: &[ShardReading], options: &StatementOptions) -> Result<(), EngineError> {
    if options.on_limit == OnLimit::Partial {
        return Ok(());
    }
    let whole = || readings.iter().filter(|reading| !reading.limited);
    let least: u64 = whole().map(|reading| reading.estimate.least_to_read).sum();
    let known = whole().all(|reading| reading.estimate.least_is_known);
    let (factor, about) = if known { (1, "") } else { (CLEARLY, "about ") };
    let remedy = "read less, raise the limit, or take what comes within it with on_limit = 'partial'";
    if least > options.max_bytes.saturating_mul(factor) {
        return Err(EngineError::OverLimit {
            category: ErrorCategory::ResourceExhausted,
            message: format!(
                "refused before reading: the statement would read at least {about}{least} bytes from Kinesis, and max_bytes is {}; {remedy}",
                options.max_bytes
            ),
        });
    }
    let longest = whole().map(|reading| reading.estimate.least_time).max().unwrap_or_default();
    if let Some(seconds) = options.max_seconds
        && longest > Duration::from_secs(seconds.saturating_mul(factor))
    {
        return Err(EngineError::OverLimit {
            category: ErrorCategory::DeadlineExceeded,
            message: format!(
                "refused before reading: at the readers' pace the statement would read for at least {about}{} s, and max_seconds is {seconds}; {remedy}",
                longest.as_secs()
            ),
        });
    }
    Ok(())
}
