//! Figures that others count, asked for at each scrape.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// One shard's figures. Totals count from the start of the process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShardSample {
    /// Stream name.
    pub stream: String,
    /// Shard id.
    pub shard: String,
    /// Milliseconds behind the tip, where known.
    pub lag_ms: Option<u64>,
    /// Records read.
    pub records: u64,
    /// Bytes read.
    pub bytes: u64,
    /// GetRecords calls.
    pub get_records_calls: u64,
    /// Refused calls.
    pub throttles: u64,
    /// Iterators that expired.
    pub iterator_expiries: u64,
}

/// Where the figures come from.
pub trait Facts: fmt::Debug + Send + Sync + 'static {
    /// Name (without prefix), help, whether it only grows, value.
    fn totals(&self) -> Vec<(&'static str, &'static str, MetricType, u64)>;
    /// Every shard that is being read.
    fn shards(&self) -> Vec<ShardSample>;
}

/// Writes [`Facts`] into a scrape; shards beyond `max_shards` are left out, and counted.
#[derive(Debug)]
pub(super) struct FactsCollector<F> {
    pub(super) facts: F,
    pub(super) max_shards: usize,
}

type Series = (&'static str, &'static str, MetricType, fn(&ShardSample) -> Option<u64>);

const SHARD_SERIES: &[Series] = &[
    ("shard_lag_milliseconds", "Milliseconds behind the tip of the shard", MetricType::Gauge, |shard| shard.lag_ms),
    ("shard_records", "Records read from the shard", MetricType::Counter, |shard| Some(shard.records)),
    ("shard_bytes", "Bytes read from the shard", MetricType::Counter, |shard| Some(shard.bytes)),
    ("shard_get_records_calls", "GetRecords calls on the shard", MetricType::Counter, |shard| Some(shard.get_records_calls)),
    ("shard_throttles", "Calls on the shard that were refused for their rate", MetricType::Counter, |shard| Some(shard.throttles)),
    ("shard_iterator_expiries", "Iterators of the shard that expired", MetricType::Counter, |shard| Some(shard.iterator_expiries)),
];

impl<F: Facts> Collector for FactsCollector<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, kind, value) in self.facts.totals() {
            let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
            match kind {
                MetricType::Counter => metric.encode_counter::<NoLabelSet, _, u64>(&value, None)?,
                _ => metric.encode_gauge(&gauge(value))?,
            }
        }
        let mut shards = self.facts.shards();
        shards.sort_by(|a, b| (&a.stream, &a.shard).cmp(&(&b.stream, &b.shard)));
        let left_out = shards.len().saturating_sub(self.max_shards);
        shards.truncate(self.max_shards);
        encoder
            .encode_descriptor("shards_without_series", "Shards beyond the configured number of per-shard series", None, MetricType::Gauge)?
            .encode_gauge(&gauge(left_out as u64))?;
        for (name, help, kind, value) in SHARD_SERIES {
            let mut metric = encoder.encode_descriptor(name, help, None, *kind)?;
            for shard in &shards {
                let Some(value) = value(shard) else { continue };
                let labels = [("stream", shard.stream.as_str()), ("shard", shard.shard.as_str())];
                let mut series = metric.encode_family(&labels)?;
                match kind {
                    MetricType::Counter => series.encode_counter::<NoLabelSet, _, u64>(&value, None)?,
                    _ => series.encode_gauge(&gauge(value))?,
                }
            }
        }
        Ok(())
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
