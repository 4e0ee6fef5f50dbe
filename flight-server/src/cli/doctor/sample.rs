//! A few records of some shards.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use chrono::Utc;
use shard_reader::{KinesisSource, OpenAt, Page, Records, ShardId, ShardSource, SourceError, user_records};

use super::report::{Outcome, Report};
use super::stream::Known;

/// Shards that are looked at; the others are taken to be like them.
const MOST_SHARDS: usize = 16;
/// Pages of a shard, since a page may be empty with more behind it.
const MOST_PAGES: usize = 5;
/// Records of a page.
const PAGE: u32 = 1000;

/// Beginnings of compressed payloads.
const MAGICS: &[(&str, &[u8])] = &[
    ("gzip", &[0x1f, 0x8b]),
    ("zstd", &[0x28, 0xb5, 0x2f, 0xfd]),
    ("snappy", b"\xff\x06\x00\x00sNaPpY"),
    ("zlib", &[0x78, 0x01]),
    ("zlib", &[0x78, 0x9c]),
    ("zlib", &[0x78, 0xda]),
];

/// What a shard's oldest records say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ShardSample {
    pub(super) bytes: u64,
    /// Arrival of the first of them.
    pub(super) first_ms: Option<i64>,
    /// How far behind the tip its end is; `None` = the service did not say.
    pub(super) behind_ms: Option<u64>,
    /// The tip: there is no more.
    pub(super) whole: bool,
}

/// What was seen of a stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample {
    pub(super) shards: Vec<ShardSample>,
    records: usize,
    aggregates: usize,
    user_records: usize,
    compressed: BTreeMap<&'static str, usize>,
}

/// Reads some of a stream; `calls_per_second` is the pace of a shard.
pub(super) async fn take(client: &Client, known: &Known, calls_per_second: f64, about: &str, report: &mut Report) -> Sample {
    let source = KinesisSource::with_client(client.clone());
    let mut sample = Sample::default();
    // evenly over all of them, first and last included
    let step = known.shards.len().div_ceil(MOST_SHARDS).max(1);
    for shard in known.shards.iter().step_by(step) {
        match read(&source, known, &shard.id, calls_per_second, &mut sample).await {
            Ok(read) => sample.shards.push(read),
            Err(error) => {
                report.add(about, "sample", Outcome::Failed, error.to_string());
                return sample;
            }
        }
    }
    sample.report(about, report);
    sample
}

async fn read(
    source: &KinesisSource,
    known: &Known,
    shard: &ShardId,
    calls_per_second: f64,
    sample: &mut Sample,
) -> Result<ShardSample, SourceError> {
    let mut cursor = source.open(&known.arn, shard, OpenAt::TrimHorizon).await?;
    let mut seen = ShardSample::default();
    for page in 0..MOST_PAGES {
        if page > 0 {
            tokio::time::sleep(Duration::from_secs_f64(1.0 / calls_per_second)).await;
        }
        let read: Page = source.read(&known.arn, shard, &cursor, PAGE).await?;
        seen.bytes += read.wire_bytes;
        seen.first_ms = seen
            .first_ms
            .or_else(|| read.records.arrival(0).filter(|_| !read.records.is_empty()));
        seen.behind_ms = read.millis_behind;
        seen.whole = read.next.is_none() || (!read.full && read.millis_behind == Some(0));
        sample.look_at(&read.records);
        match read.next {
            Some(next) if !seen.whole && read.records.is_empty() => cursor = next,
            _ => break,
        }
    }
    Ok(seen)
}

impl Sample {
    fn look_at(&mut self, records: &Records) {
        self.records += records.len();
        for data in records.data().iter().flatten() {
            match user_records(data) {
                Some(inside) => {
                    self.aggregates += 1;
                    self.user_records += inside.len();
                    inside.iter().for_each(|(_, data)| self.look_at_payload(data));
                }
                None => self.look_at_payload(data),
            }
        }
    }

    fn look_at_payload(&mut self, data: &[u8]) {
        if let Some((name, _)) = MAGICS.iter().find(|(_, magic)| data.starts_with(magic)) {
            *self.compressed.entry(name).or_default() += 1;
        }
    }

    fn report(&self, about: &str, report: &mut Report) {
        let text = format!("{} records of {} shards, from their oldest on", self.records, self.shards.len());
        report.add(about, "sample", Outcome::Ok, text);
        if self.aggregates > 0 {
            let text = format!(
                "{} records are KPL aggregates of {} user records: each of these is a row, and nothing need be configured",
                self.aggregates, self.user_records
            );
            report.add(about, "aggregates", Outcome::Note, text);
        }
        for (name, count) in &self.compressed {
            let text = format!("{count} payloads look like {name}: `compression: auto`, the default, reads them");
            report.add(about, "compression", Outcome::Note, text);
        }
    }
}

impl ShardSample {
    /// Bytes of the whole shard, where they can be told: what was read, at the rate at which it had arrived.
    pub(super) fn estimate(&self, now_ms: i64) -> Option<u64> {
        if self.whole {
            return Some(self.bytes);
        }
        let (first, behind) = (self.first_ms?, i64::try_from(self.behind_ms?).ok()?);
        let (all, read) = (now_ms - first, now_ms - behind - first);
        (read > 0 && all >= read).then(|| (self.bytes as f64 * all as f64 / read as f64) as u64)
    }
}

/// Now, as records' arrival times count.
pub(super) fn now_ms() -> i64 {
    Utc::now().timestamp_millis()
}

#[cfg(test)]
mod tests {
    use shard_reader::{Aggregator, RecordsBuilder};

    use super::*;

    #[test]
    fn a_shard_that_was_read_whole_is_what_it_is_and_another_goes_by_its_rate() {
        let whole = ShardSample {
            bytes: 700,
            whole: true,
            ..ShardSample::default()
        };
        assert_eq!(whole.estimate(0), Some(700));
        // 1,000 bytes arrived in the first 10 s of 100 s
        let part = ShardSample {
            bytes: 1000,
            first_ms: Some(5_000),
            behind_ms: Some(90_000),
            whole: false,
        };
        assert_eq!(part.estimate(105_000), Some(10_000));
        // all in one moment: no rate
        let moment = ShardSample {
            behind_ms: Some(100_000),
            ..part
        };
        assert_eq!(moment.estimate(105_000), None);
        assert_eq!(ShardSample { first_ms: None, ..part }.estimate(105_000), None);
        assert_eq!(ShardSample { behind_ms: None, ..part }.estimate(105_000), None);
    }

    #[test]
    fn aggregates_are_looked_into() {
        let mut aggregate = Aggregator::new();
        aggregate.push("a", None, &[0x1f, 0x8b, 8, 0]);
        aggregate.push("b", None, b"{\"x\":1}");
        let mut builder = RecordsBuilder::with_capacity(3, 100, 3);
        let put = [aggregate.finish(), vec![0x28, 0xb5, 0x2f, 0xfd, 0], b"x is 120 in ASCII".to_vec()];
        for (number, data) in put.iter().enumerate() {
            builder.push(format!("{}", number + 1).parse().unwrap(), Some("k"), Some(0), data);
        }
        let mut sample = Sample::default();
        sample.look_at(&builder.finish());
        assert_eq!((sample.records, sample.aggregates, sample.user_records), (3, 1, 2));
        assert_eq!(sample.compressed, BTreeMap::from([("gzip", 1), ("zstd", 1)]));
    }
}
