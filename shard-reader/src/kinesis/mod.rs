//! Kinesis Data Streams through the AWS SDK: the polling source, and fan-out.

mod client;
mod errors;
mod fan_out;
mod listing;
mod pushes;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::StalledStreamProtectionConfig;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{Record, ShardIteratorType, StreamMode};
use tokio::time::Instant;

pub use client::KinesisSettings;
#[cfg(test)]
pub(crate) use client::http_client;

use crate::{
    Cursor, FULL_PAGE_BYTES, FanOut, OpenAt, Page, PositionError, RecordSink, Records, RecordsBuilder, SequenceNumber, ShardId, ShardInfo,
    ShardSource, SourceError, SourceErrorKind, StreamDescription, StreamIdentity,
};
pub(crate) use errors::{by_code, classify};
use listing::StreamLister;
use pushes::PushClients;

/// A reply holds up to 10 MiB: over a slow line that takes its time.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Polls shards with GetShardIterator and GetRecords. Neither is retried here: each try counts against the shard's budget of calls, which the reader
/// keeps.
#[derive(Debug, Clone)]
pub struct KinesisSource {
    client: Client,
    /// Without retries, with timeouts of its own.
    reads: Client,
    /// Without retries and without any timeout but that of connecting: a subscription is silent for seconds, and lasts for minutes.
    pushes: Arc<PushClients>,
    /// Digits of the service's sequence numbers where it pads them with zeros: some look a number up as text.
    padded: Arc<AtomicUsize>,
}

/// A stream is named by its ARN where that is given, else by its name; the same in every call.
pub(crate) struct StreamName {
    pub(crate) name: Option<String>,
    pub(crate) arn: Option<String>,
}

impl StreamName {
    pub(crate) fn of(stream: &str) -> Self {
        let text = Some(stream.to_owned());
        if stream.starts_with("arn:") {
            Self { name: None, arn: text }
        } else {
            Self { name: text, arn: None }
        }
    }
}

impl KinesisSource {
    /// A source by these settings. Makes no call to Kinesis.
    ///
    /// # Errors
    /// `Invalid` when the settings cannot make a client.
    pub async fn connect(settings: &KinesisSettings) -> Result<Self, SourceError> {
        Ok(Self::with_client(settings.client().await?))
    }

    /// A source through a client.
    pub fn with_client(client: Client) -> Self {
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(READ_TIMEOUT)
            .operation_timeout(READ_TIMEOUT);
        let config = client
            .config()
            .to_builder()
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts.build());
        let mut connecting = TimeoutConfig::builder();
        connecting.set_connect_timeout(client.config().timeout_config().and_then(TimeoutConfig::connect_timeout));
        let pushes = client
            .config()
            .to_builder()
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(connecting.build());
        Self {
            reads: Client::from_conf(config.build()),
            pushes: Arc::new(PushClients::new(Client::from_conf(pushes.build()))),
            client,
            padded: Arc::default(),
        }
    }

    fn text_of(&self, sequence: SequenceNumber) -> String {
        format!("{:0>width$}", sequence.to_string(), width = self.padded.load(Ordering::Relaxed))
    }

    fn note_padding<'a>(&self, mut texts: impl Iterator<Item = &'a str>) {
        if let Some(text) = texts.find(|text| text.starts_with('0') && text.len() > 1) {
            self.padded.store(text.len(), Ordering::Relaxed);
        }
    }

    /// The client without retries.
    pub(crate) fn once(&self) -> &Client {
        &self.reads
    }

    /// The client, with the SDK's standard retries.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

#[async_trait]
impl ShardSource for KinesisSource {
    async fn describe(&self, stream: &str) -> Result<StreamDescription, SourceError> {
        let what = || format!("DescribeStreamSummary of {stream}");
        let StreamName { name, arn } = StreamName::of(stream);
        let reply = self
            .client
            .describe_stream_summary()
            .set_stream_name(name)
            .set_stream_arn(arn)
            .send()
            .await;
        let reply = reply.map_err(|error| classify(&error, &what()))?;
        let Some(summary) = reply.stream_description_summary() else {
            return Err(SourceError::new(
                SourceErrorKind::Invalid,
                format!("{}: the reply describes no stream", what()),
            ));
        };
        let arn = if summary.stream_arn().is_empty() {
            stream
        } else {
            summary.stream_arn()
        };
        Ok(StreamDescription {
            identity: StreamIdentity {
                arn: Arc::from(arn),
                created_ms: millis(summary.stream_creation_timestamp()).unwrap_or(0),
            },
            name: Arc::from(summary.stream_name()),
            status: summary.stream_status().as_str().to_owned(),
            retention: Duration::from_secs(3600 * u64::try_from(summary.retention_period_hours()).unwrap_or(24)),
            on_demand: summary
                .stream_mode_details()
                .is_some_and(|details| *details.stream_mode() == StreamMode::OnDemand),
        })
    }

    fn fan_out(&self) -> Option<&dyn FanOut> {
        Some(self)
    }

    fn writing(&self) -> Option<&dyn RecordSink> {
        Some(self)
    }

    async fn list_shards(&self, stream: &str) -> Result<Vec<ShardInfo>, SourceError> {
        listing::list_shards(&StreamLister { source: self, stream }).await
    }

    async fn open(&self, stream: &str, shard: &ShardId, at: OpenAt) -> Result<Cursor, SourceError> {
        let StreamName { name, arn } = StreamName::of(stream);
        let request = self
            .reads
            .get_shard_iterator()
            .set_stream_name(name)
            .set_stream_arn(arn)
            .shard_id(shard.as_str());
        let request = match at {
            OpenAt::TrimHorizon => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
            OpenAt::At(sequence) => request
                .shard_iterator_type(ShardIteratorType::AtSequenceNumber)
                .starting_sequence_number(self.text_of(sequence)),
            OpenAt::After(sequence) => request
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .starting_sequence_number(self.text_of(sequence)),
            OpenAt::Timestamp(time) => request
                .shard_iterator_type(ShardIteratorType::AtTimestamp)
                .timestamp(DateTime::from_millis(time)),
        };
        let issued_at = Instant::now();
        let what = || format!("GetShardIterator of {stream}, {shard}, {at:?}");
        let reply = request.send().await.map_err(|error| classify(&error, &what()))?;
        match reply.shard_iterator {
            Some(token) => Ok(Cursor { token, issued_at }),
            None => Err(SourceError::new(
                SourceErrorKind::Invalid,
                format!("{}: the reply holds no iterator", what()),
            )),
        }
    }

    async fn read(&self, stream: &str, shard: &ShardId, cursor: &Cursor, limit: u32) -> Result<Page, SourceError> {
        let arn = StreamName::of(stream).arn;
        let limit = limit.clamp(1, 10_000);
        let requested_at = Instant::now();
        let request = self
            .reads
            .get_records()
            .shard_iterator(&cursor.token)
            .set_stream_arn(arn)
            .limit(limit as i32);
        let what = || format!("GetRecords of {stream}, {shard}");
        let reply = request.send().await.map_err(|error| classify(&error, &what()))?;
        self.note_padding(reply.records().iter().map(|record| record.sequence_number()));
        let records = columns(reply.records()).map_err(|error| SourceError {
            source: Some(Arc::new(error.clone())),
            ..SourceError::new(SourceErrorKind::Invalid, format!("{}: {error}", what()))
        })?;
        let wire_bytes = records.wire_bytes(0..records.len());
        Ok(Page {
            full: records.len() >= limit as usize || wire_bytes >= FULL_PAGE_BYTES,
            next: reply.next_shard_iterator.map(|token| Cursor {
                token,
                issued_at: requested_at,
            }),
            millis_behind: reply.millis_behind_latest.and_then(|millis| u64::try_from(millis).ok()),
            children: reply
                .child_shards
                .unwrap_or_default()
                .into_iter()
                .map(|child| ShardId::from(child.shard_id))
                .collect(),
            requested_at,
            wire_bytes,
            records,
        })
    }
}

fn columns(records: &[Record]) -> Result<Records, PositionError> {
    let data = records.iter().map(|record| record.data.as_ref().len()).sum();
    let keys = records
        .iter()
        .map(|record| record.partition_key.as_ref().map_or(0, String::len))
        .sum();
    let mut builder = RecordsBuilder::with_capacity(records.len(), data, keys);
    for record in records {
        let sequence: SequenceNumber = record.sequence_number.parse()?;
        let arrival = record.approximate_arrival_timestamp.as_ref().and_then(millis);
        builder.push(sequence, record.partition_key.as_deref(), arrival, record.data.as_ref());
    }
    Ok(builder.finish())
}

/// The nearest millisecond. A time comes as seconds with a fraction, and .123 of them are read as 122,999,906 ns: cut down, it would be another time.
fn millis(time: &DateTime) -> Option<i64> {
    let nanos = i128::from(time.secs()) * 1_000_000_000 + i128::from(time.subsec_nanos());
    i64::try_from((nanos + 500_000).div_euclid(1_000_000)).ok()
}

#[cfg(test)]
mod tests;
