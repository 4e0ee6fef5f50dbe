//! Figures that others count, asked for at each scrape.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// One shard's figures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShardSample {
    /// Stream name.
    pub stream: String,
    /// Shard id.
    pub shard: String,
    /// Milliseconds behind the tip, where known.
    pub lag_ms: Option<u64>,
    /// Records received from Kinesis.
    pub records: u64,
    /// Bytes received from Kinesis.
    pub bytes: u64,
    /// GetRecords calls.
    pub calls: u64,
    /// Calls refused for their rate.
    pub throttles: u64,
    /// Iterators that expired.
    pub expiries: u64,
    /// Times that records to be read were gone.
    pub gaps: u64,
    /// Records in memory.
    pub held_records: u64,
    /// Bytes in memory, decoded columns too.
    pub held_bytes: u64,
    /// Segments in memory.
    pub segments: u64,
    /// Scans that read the shard now.
    pub scans: u64,
}

/// A named consumer that is at work in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerSample {
    /// Name of the checkpoint.
    pub checkpoint: String,
    /// ARN of the stream.
    pub stream: String,
    /// Age of the moment to which everything is committed.
    pub lag_ms: u64,
}

/// Where the figures come from.
pub trait Facts: fmt::Debug + Send + Sync + 'static {
    /// Name (without prefix), help, whether it only grows, value.
    fn totals(&self) -> Vec<(&'static str, &'static str, MetricType, u64)>;
    /// Every shard that is being read.
    fn shards(&self) -> Vec<ShardSample>;
    /// Consumers whose checkpoints this process has moved or opened.
    fn consumers(&self) -> Vec<ConsumerSample>;
}

/// Writes [`Facts`] into a scrape; shards beyond `max_shards` are left out, and counted.
#[derive(Debug)]
pub(super) struct FactsCollector<F> {
    pub(super) facts: F,
    pub(super) max_shards: usize,
}

/// Name, help, whether it only grows, value.
type Series = (&'static str, &'static str, MetricType, fn(&ShardSample) -> Option<u64>);

const SHARD_SERIES: &[Series] = &[
    (
        "shard_lag_milliseconds",
        "Milliseconds behind the tip of the shard",
        MetricType::Gauge,
        |shard| shard.lag_ms,
    ),
    (
        "shard_records",
        "Records of the shard received from Kinesis",
        MetricType::Counter,
        |shard| Some(shard.records),
    ),
    (
        "shard_bytes",
        "Bytes of payloads and partition keys of the shard received from Kinesis",
        MetricType::Counter,
        |shard| Some(shard.bytes),
    ),
    (
        "shard_get_records_calls",
        "GetRecords calls for the shard, failed ones too",
        MetricType::Counter,
        |shard| Some(shard.calls),
    ),
    (
        "shard_throttles",
        "Calls for the shard that Kinesis refused for their rate",
        MetricType::Counter,
        |shard| Some(shard.throttles),
    ),
    (
        "shard_iterator_expiries",
        "Iterators of the shard that expired",
        MetricType::Counter,
        |shard| Some(shard.expiries),
    ),
    (
        "shard_gaps",
        "Times that records of the shard which were to be read were gone",
        MetricType::Counter,
        |shard| Some(shard.gaps),
    ),
    ("shard_held_records", "Records of the shard in memory", MetricType::Gauge, |shard| {
        Some(shard.held_records)
    }),
    (
        "shard_segment_bytes",
        "Bytes of the shard in memory, decoded columns too",
        MetricType::Gauge,
        |shard| Some(shard.held_bytes),
    ),
    ("shard_segments", "Segments of the shard in memory", MetricType::Gauge, |shard| {
        Some(shard.segments)
    }),
    ("shard_scans", "Scans that read the shard now", MetricType::Gauge, |shard| {
        Some(shard.scans)
    }),
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
        let mut metric = encoder.encode_descriptor(
            "checkpoint_lag_milliseconds",
            "Age of the moment to which a consumer has committed everything, as this process last saw it",
            None,
            MetricType::Gauge,
        )?;
        for consumer in self.facts.consumers().iter().take(self.max_shards) {
            let labels = [("checkpoint", consumer.checkpoint.as_str()), ("stream", consumer.stream.as_str())];
            metric.encode_family(&labels)?.encode_gauge(&gauge(consumer.lag_ms))?;
        }
        let mut shards = self.facts.shards();
        shards.sort_by(|a, b| (&a.stream, &a.shard).cmp(&(&b.stream, &b.shard)));
        let left_out = shards.len().saturating_sub(self.max_shards);
        shards.truncate(self.max_shards);
        encoder
            .encode_descriptor(
                "shards_without_series",
                "Shards beyond the configured number of per-shard series",
                None,
                MetricType::Gauge,
            )?
            .encode_gauge(&gauge(left_out as u64))?;
        for (name, help, kind, value) in SHARD_SERIES {
            let mut metric = encoder.encode_descriptor(name, help, None, *kind)?;
            for shard in &shards {
                let Some(value) = value(shard) else { continue };
                let labels = [("stream", shard.stream.as_str()), ("shard", shard.shard.as_str())];
                let mut of_shard = metric.encode_family(&labels)?;
                match kind {
                    MetricType::Counter => of_shard.encode_counter::<NoLabelSet, _, u64>(&value, None)?,
                    _ => of_shard.encode_gauge(&gauge(value))?,
                }
            }
        }
        Ok(())
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
