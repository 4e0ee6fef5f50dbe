//! PutRecords through the AWS SDK.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, PutRecordsResultEntry, StreamMode, StreamModeDetails, StreamStatus};
use backon::{BackoffBuilder, ExponentialBuilder};

use super::sink::{Acknowledgement, EntryOutcome, OutgoingRecord, RecordSink};
use crate::kinesis::{KinesisSource, StreamName, by_code, classify};
use crate::{SequenceNumber, ShardId, ShardSource, SourceError, SourceErrorKind};

/// How long a stream that is being created is waited for; AWS takes some tens of seconds.
const CREATION: Duration = Duration::from_secs(120);

#[async_trait]
impl RecordSink for KinesisSource {
    async fn put(&self, stream: &str, records: &[OutgoingRecord]) -> Result<Vec<EntryOutcome>, SourceError> {
        let StreamName { name, arn } = StreamName::of(stream);
        let what = || format!("PutRecords to stream {stream}");
        let entries = records.iter().map(|record| {
            PutRecordsRequestEntry::builder()
                .partition_key(&record.key)
                .set_explicit_hash_key(record.explicit_hash_key.map(|key| key.to_string()))
                .data(Blob::new(record.data.as_ref()))
                .build()
        });
        let entries = entries
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| SourceError::new(SourceErrorKind::Invalid, format!("{}: {error}", what())))?;
        let reply = self
            .once()
            .put_records()
            .set_stream_name(name)
            .set_stream_arn(arn)
            .set_records(Some(entries))
            .send()
            .await
            .map_err(|error| classify(&error, &what()))?;
        if reply.records.len() != records.len() {
            return Err(SourceError::new(
                SourceErrorKind::Invalid,
                format!(
                    "{}: {} records were sent and {} results came back",
                    what(),
                    records.len(),
                    reply.records.len()
                ),
            ));
        }
        Ok(reply.records.into_iter().map(|entry| outcome(entry, stream)).collect())
    }

    async fn create(&self, stream: &str, shards: Option<u32>) -> Result<(), SourceError> {
        let StreamName { name: Some(name), .. } = StreamName::of(stream) else {
            return Err(SourceError::new(
                SourceErrorKind::Invalid,
                format!("{stream}: a stream is created by its name, not by an ARN"),
            ));
        };
        let request = self.client().create_stream().stream_name(name);
        let request = match shards {
            Some(shards) => request.shard_count(i32::try_from(shards).unwrap_or(i32::MAX)),
            None => {
                let on_demand = StreamModeDetails::builder().stream_mode(StreamMode::OnDemand).build();
                let on_demand = on_demand.map_err(|error| SourceError::new(SourceErrorKind::Invalid, error.to_string()))?;
                request.stream_mode_details(on_demand)
            }
        };
        if let Err(error) = request.send().await {
            // Somebody else may have been faster, or the reply to an earlier try was lost: what counts is whether it becomes active.
            let in_use = error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception());
            if !in_use {
                return Err(classify(&error, &format!("CreateStream of {stream}")));
            }
        }
        self.until_active(stream).await
    }
}

impl KinesisSource {
    async fn until_active(&self, stream: &str) -> Result<(), SourceError> {
        let delays = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(Duration::from_secs(3))
            .without_max_times()
            .with_jitter();
        let waiting = async {
            for delay in delays.build() {
                match self.describe(stream).await {
                    Ok(description) if description.status == StreamStatus::Active.as_str() => return Ok(()),
                    // a list that does not show it yet
                    Ok(_) => {}
                    Err(error) if error.kind == SourceErrorKind::NotFound || error.is_retryable() => {}
                    Err(error) => return Err(error),
                }
                tokio::time::sleep(delay).await;
            }
            Ok(())
        };
        tokio::time::timeout(CREATION, waiting).await.unwrap_or_else(|_| {
            Err(SourceError::new(
                SourceErrorKind::Unavailable,
                format!("stream {stream} was created and is not active after {} s", CREATION.as_secs()),
            ))
        })
    }
}

fn outcome(entry: PutRecordsResultEntry, stream: &str) -> EntryOutcome {
    let strange = |what: String| SourceError::new(SourceErrorKind::Invalid, format!("PutRecords to stream {stream}: {what}"));
    match (entry.sequence_number, entry.shard_id, entry.error_code) {
        (Some(sequence), Some(shard), None) => {
            let sequence: SequenceNumber = sequence
                .parse()
                .map_err(|_| strange(format!("`{sequence}` is not a sequence number")))?;
            Ok(Acknowledgement {
                shard: ShardId::from(shard),
                sequence,
            })
        }
        (_, _, Some(code)) => {
            let message = entry.error_message.map_or_else(String::new, |message| format!(": {message}"));
            Err(SourceError::new(by_code(Some(&code), 0), format!("{code}{message}")))
        }
        _ => Err(strange("a result has neither an error nor shard and sequence number".into())),
    }
}
