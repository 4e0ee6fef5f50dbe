//! What a full read of a stream takes: bytes, time, dollars; and what the stream costs by the hour.

use serde::Serialize;

use super::prices;
use super::sample::ShardSample;
use super::stream::Known;
use crate::engine::Prices;

/// A GB as AWS charges it.
const GB: f64 = (1_u64 << 30) as f64;
/// Bytes a second that AWS gives of a shard to all pollers together.
const MOST_BYTES_PER_SECOND: f64 = 2_000_000.0;
/// Provisioned streams are read free of charge when records are not older.
const LONG_TERM_HOURS: u64 = 168;

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Reading {
    pub(super) stream: String,
    /// `None`: what was read says nothing of the rest.
    bytes: Option<u64>,
    /// Shards that the figures rest on, and all.
    sampled_shards: usize,
    shards: usize,
    /// At the server's pace.
    seconds: Option<f64>,
    /// With all that AWS gives of each shard.
    least_seconds: Option<f64>,
    /// For reading it once by GetRecords.
    dollars: Option<f64>,
    /// For being there, read or not.
    stream_dollars_per_hour: f64,
    /// Of this, for registered consumers of fan-out.
    fan_out_dollars_per_hour: f64,
    /// A GB by fan-out, beside the hours.
    fan_out_dollars_per_gb: f64,
}

impl Reading {
    pub(super) fn of(known: &Known, samples: &[ShardSample], bytes_per_second: u64, prices: &Prices, now_ms: i64) -> Self {
        let estimates: Vec<u64> = samples.iter().filter_map(|sample| sample.estimate(now_ms)).collect();
        let shards = known.shards.len();
        let (sum, largest) = (estimates.iter().sum::<u64>() as f64, estimates.iter().max().copied());
        let bytes = (!estimates.is_empty()).then(|| sum * shards as f64 / estimates.len() as f64);
        // shards are read beside each other, so the largest decides
        let seconds = |pace: f64| largest.map(|largest| largest as f64 / pace);
        let open = known.open_shards() as f64;
        let per_gb = if known.on_demand {
            prices.on_demand_per_gb
        } else if known.retention_hours > LONG_TERM_HOURS {
            // at most: what is younger than 7 days is free
            prices.long_term_per_gb
        } else {
            0.0
        };
        let fan_out_dollars_per_hour = if known.on_demand {
            0.0
        } else {
            known.consumers.len() as f64 * open * prices::FAN_OUT_SHARD_HOUR
        };
        let standing = match (known.on_demand, known.retention_hours > 24) {
            (true, _) => prices::ON_DEMAND_STREAM_HOUR,
            (false, false) => open * prices::SHARD_HOUR,
            (false, true) => open * (prices::SHARD_HOUR + prices::EXTENDED_SHARD_HOUR),
        };
        Self {
            stream: known.name.clone(),
            bytes: bytes.map(|bytes| bytes as u64),
            sampled_shards: estimates.len(),
            shards,
            seconds: seconds(bytes_per_second as f64),
            least_seconds: seconds(MOST_BYTES_PER_SECOND),
            dollars: bytes.map(|bytes| bytes / GB * per_gb),
            stream_dollars_per_hour: standing + fan_out_dollars_per_hour,
            fan_out_dollars_per_hour,
            fan_out_dollars_per_gb: if known.on_demand {
                prices::ON_DEMAND_FAN_OUT_GB
            } else {
                prices::FAN_OUT_GB
            },
        }
    }

    /// Lines for a terminal.
    pub(super) fn text(&self) -> String {
        let unknown = || "unknown: the oldest records show no rate".to_owned();
        let bytes = self.bytes.map_or_else(unknown, |bytes| {
            let of = format!("by {} of {} shards", self.sampled_shards, self.shards);
            format!("about {bytes} bytes ({of}, each at the rate of its oldest records)")
        });
        let time = match (self.seconds, self.least_seconds) {
            (Some(seconds), Some(least)) => {
                format!("{seconds:.1} s at this server's pace; {least:.1} s with all that AWS gives of each shard")
            }
            _ => unknown(),
        };
        let dollars = self
            .dollars
            .map_or_else(unknown, |dollars| format!("${dollars:.4} for reading it once; then it is held"));
        format!(
            "  bytes              {bytes}\n  time               {time}\n  dollars            {dollars}\n  the stream         ${:.3} an hour, read or not, of which ${:.3} for registered consumers\n  fan-out            ${:.3} a GB read\n",
            self.stream_dollars_per_hour, self.fan_out_dollars_per_hour, self.fan_out_dollars_per_gb
        )
    }
}

#[cfg(test)]
mod tests {
    use shard_reader::{SequenceNumber, ShardId, ShardInfo};

    use super::*;

    fn known(on_demand: bool, retention_hours: u64, consumers: usize) -> Known {
        let shard = |number: u32, closed: bool| ShardInfo {
            id: ShardId::from(format!("shardId-{number:012}")),
            parent: None,
            adjacent_parent: None,
            hash_start: 0,
            hash_end: 9,
            starting_sequence: None,
            ending_sequence: closed.then(|| "9".parse::<SequenceNumber>().unwrap()),
        };
        Known {
            name: "s".into(),
            arn: "arn:aws:kinesis:us-east-1:1:stream/s".into(),
            on_demand,
            retention_hours,
            shards: vec![shard(0, true), shard(1, false), shard(2, false), shard(3, false)],
            consumers: vec![("c".into(), "arn".into(), "ACTIVE".into()); consumers],
            key: None,
        }
    }

    fn whole(bytes: u64) -> ShardSample {
        ShardSample {
            bytes,
            whole: true,
            ..ShardSample::default()
        }
    }

    #[test]
    fn the_largest_shard_decides_the_time_and_all_together_the_bytes() {
        let samples = [whole(1 << 30), whole(3 << 30)];
        let reading = Reading::of(&known(true, 24, 0), &samples, 1_000_000, &Prices::default(), 0);
        // two of four shards: twice their 4 GiB, at $0.04
        assert_eq!(reading.bytes, Some(8 << 30));
        assert!((reading.dollars.unwrap() - 0.32).abs() < 1e-9);
        // 3 GiB at 1 MB/s and at 2 MB/s
        assert!((reading.seconds.unwrap() - 3_221.225_472).abs() < 1e-6);
        assert!((reading.least_seconds.unwrap() - 1_610.612_736).abs() < 1e-6);
        assert!((reading.stream_dollars_per_hour - 0.04).abs() < 1e-9);
    }

    #[test]
    fn provisioned_streams_cost_by_open_shard_consumer_and_retention() {
        let hour = |retention, consumers| Reading::of(&known(false, retention, consumers), &[whole(1 << 30)], 1, &Prices::default(), 0);
        // 3 open shards
        assert!((hour(24, 0).stream_dollars_per_hour - 0.045).abs() < 1e-9);
        assert!((hour(48, 0).stream_dollars_per_hour - 0.105).abs() < 1e-9);
        assert!((hour(24, 2).stream_dollars_per_hour - 0.135).abs() < 1e-9);
        assert!((hour(24, 2).fan_out_dollars_per_hour - 0.09).abs() < 1e-9);
        // free within 7 days, at most $0.021 a GB beyond
        assert_eq!(hour(168, 0).dollars, Some(0.0));
        assert!((hour(169, 0).dollars.unwrap() - 4.0 * 0.021).abs() < 1e-9);
    }

    #[test]
    fn what_shows_no_rate_is_unknown() {
        let reading = Reading::of(&known(true, 24, 0), &[ShardSample::default()], 1, &Prices::default(), 0);
        assert_eq!((reading.bytes, reading.seconds, reading.dollars), (None, None, None));
        assert!(reading.text().contains("unknown"));
    }
}
