//! Figures of offload jobs, asked for at each scrape.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// A job that this process runs. Counted since it began.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OffloadSample {
    /// Its name.
    pub offload: String,
    /// Iterations published.
    pub iterations: u64,
    /// Rows published.
    pub rows: u64,
    /// Files published.
    pub files: u64,
    /// Bytes published.
    pub bytes: u64,
    /// Bad records of these iterations.
    pub bad_records: u64,
    /// Times that it did not go on.
    pub errors: u64,
    /// Everything that arrived up to then is published: seconds since the epoch.
    pub watermark_seconds: Option<f64>,
    /// How long ago that was.
    pub lag_seconds: Option<f64>,
}

/// Where the figures come from.
pub trait OffloadFacts: fmt::Debug + Send + Sync + 'static {
    /// Every job that this process runs.
    fn offloads(&self) -> Vec<OffloadSample>;
}

#[derive(Debug)]
pub(super) struct OffloadCollector<F> {
    pub(super) facts: F,
}

type Counted = (&'static str, &'static str, fn(&OffloadSample) -> u64);
type Measured = (&'static str, &'static str, fn(&OffloadSample) -> Option<f64>);

const COUNTERS: [Counted; 6] = [
    ("offload_iterations", "Iterations that an offload has published", |job| {
        job.iterations
    }),
    ("offload_rows", "Rows that an offload has published", |job| job.rows),
    ("offload_files", "Files that an offload has published", |job| job.files),
    ("offload_bytes", "Bytes of the files that an offload has published", |job| job.bytes),
    ("offload_bad_records", "Bad records that an offload has met", |job| job.bad_records),
    ("offload_errors", "Times that an offload did not go on", |job| job.errors),
];

const GAUGES: [Measured; 2] = [
    (
        "offload_lag_seconds",
        "Age of the moment to which an offload has published everything",
        |job| job.lag_seconds,
    ),
    (
        "offload_watermark_timestamp_seconds",
        "Moment to which an offload has published everything, since the epoch",
        |job| job.watermark_seconds,
    ),
];

impl<F: OffloadFacts> Collector for OffloadCollector<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let jobs = self.facts.offloads();
        for (name, help, value) in COUNTERS {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for job in &jobs {
                let labels = [("offload", job.offload.as_str())];
                metric
                    .encode_family(&labels)?
                    .encode_counter::<NoLabelSet, _, u64>(&value(job), None)?;
            }
        }
        for (name, help, value) in GAUGES {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for job in &jobs {
                let Some(value) = value(job) else { continue };
                let labels = [("offload", job.offload.as_str())];
                metric.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Metrics;

    #[derive(Debug)]
    struct One;

    impl OffloadFacts for One {
        fn offloads(&self) -> Vec<OffloadSample> {
            vec![OffloadSample {
                offload: "clicks".into(),
                rows: 7,
                lag_seconds: Some(1.5),
                ..OffloadSample::default()
            }]
        }
    }

    #[test]
    fn a_job_is_a_label_and_what_is_not_known_is_no_series() {
        let metrics = Metrics::default();
        metrics.add_offloads(One);
        let text = metrics.encode().unwrap();
        assert!(text.contains("shardflight_offload_rows_total{offload=\"clicks\"} 7\n"), "{text}");
        assert!(text.contains("shardflight_offload_lag_seconds{offload=\"clicks\"} 1.5\n"), "{text}");
        assert!(!text.contains("watermark_timestamp_seconds{"), "{text}");
    }
}
