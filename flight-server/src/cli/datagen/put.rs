//! PutRecords until every record is acknowledged, or is reported.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::put_records::PutRecordsError;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use backon::{BackoffBuilder, ExponentialBuilder};
use shard_reader::SequenceNumber;

use super::batch::Record;
use super::verify::{Acknowledged, Content, Digest};

/// Calls in a row that acknowledge nothing before a batch is given up: with the delays below, about a minute and a half.
const FRUITLESS_CALLS: usize = 20;

/// What became of a batch.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Acknowledged user records.
    pub(crate) acknowledged: u64,
    /// Where they are, if that is to be kept.
    pub(crate) positions: Vec<Acknowledged>,
    /// Entries that were refused and sent again.
    pub(crate) retried: u64,
    /// User records given up, by the reason of their last refusal.
    pub(crate) failed: BTreeMap<String, u64>,
}

/// Why a batch, and with it the run, ends early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PutError {
    /// Sending it again would not help.
    #[error("PutRecords to stream `{stream}` was refused: {message}")]
    Refused {
        /// Which.
        stream: String,
        /// What the service said.
        message: String,
    },
    /// The service answered with something that PutRecords never returns.
    #[error("the service's answer to PutRecords on stream `{stream}` makes no sense: {message}")]
    Protocol {
        /// Which.
        stream: String,
        /// What does not.
        message: String,
    },
}

/// Puts batches into one stream.
#[derive(Debug, Clone)]
pub(crate) struct Putter {
    /// The service.
    pub(crate) client: Client,
    /// The stream.
    pub(crate) stream: String,
    /// Keep what `--verify` compares.
    pub(crate) keep_positions: bool,
    /// First delay after a call that acknowledges nothing; doubles, with jitter, up to fifty times as long.
    pub(crate) first_delay: Duration,
}

impl Putter {
    /// The delays a real service wants.
    pub(crate) const fn new(client: Client, stream: String, keep_positions: bool) -> Self {
        Self {
            client,
            stream,
            keep_positions,
            first_delay: Duration::from_millis(100),
        }
    }

    fn delays(&self) -> impl Iterator<Item = Duration> + Send {
        ExponentialBuilder::default()
            .with_min_delay(self.first_delay)
            .with_max_delay(self.first_delay * 50)
            .with_max_times(FRUITLESS_CALLS - 1)
            .with_jitter()
            .build()
    }

    /// Sends `batch`, then those of its entries that failed, and so on. Entries that a service keeps refusing are reported in the outcome.
    pub(crate) async fn put(&self, batch: Vec<Record>) -> Result<Outcome, PutError> {
        let mut outcome = Outcome::default();
        let mut pending = batch;
        let mut delays = self.delays();
        loop {
            let sent = pending.len();
            let reasons = match self.send(&pending).await? {
                Sent::Answered(entries) => self.settle(&mut pending, entries, &mut outcome)?,
                Sent::Unanswered(reason) => vec![reason; sent],
            };
            if pending.is_empty() {
                return Ok(outcome);
            }
            if pending.len() < sent {
                delays = self.delays();
            }
            let Some(delay) = delays.next() else {
                for (record, reason) in pending.iter().zip(reasons) {
                    *outcome.failed.entry(reason).or_default() += record.users();
                }
                return Ok(outcome);
            };
            outcome.retried += pending.len() as u64;
            tracing::debug!(stream = %self.stream, refused = pending.len(), reason = reasons.first(), ?delay, "putting refused records again");
            tokio::time::sleep(delay).await;
        }
    }

    async fn send(&self, records: &[Record]) -> Result<Sent, PutError> {
        let entries = records.iter().map(|record| {
            PutRecordsRequestEntry::builder()
                .partition_key(&record.key)
                .set_explicit_hash_key(record.explicit_hash_key.map(|key| key.to_string()))
                .data(Blob::new(record.data.as_slice()))
                .build()
        });
        let entries = entries
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| self.protocol(&error.to_string()))?;
        match self
            .client
            .put_records()
            .stream_name(&self.stream)
            .set_records(Some(entries))
            .send()
            .await
        {
            Ok(answer) => Ok(Sent::Answered(answer.records)),
            Err(error) if is_transient(&error) => Ok(Sent::Unanswered(reason(&error))),
            Err(error) => Err(PutError::Refused {
                stream: self.stream.clone(),
                message: DisplayErrorContext(&error).to_string(),
            }),
        }
    }

    /// Takes acknowledged records out of `pending`; returns why the others were refused, in their order.
    fn settle(
        &self,
        pending: &mut Vec<Record>,
        entries: Vec<aws_sdk_kinesis::types::PutRecordsResultEntry>,
        outcome: &mut Outcome,
    ) -> Result<Vec<String>, PutError> {
        if entries.len() != pending.len() {
            return Err(self.protocol(&format!(
                "{} records were sent and {} results came back",
                pending.len(),
                entries.len()
            )));
        }
        let mut reasons = Vec::new();
        let mut refused = Vec::new();
        for (record, entry) in pending.drain(..).zip(entries) {
            match (entry.sequence_number, entry.shard_id, entry.error_code) {
                (Some(sequence), Some(shard), None) => {
                    outcome.acknowledged += record.users();
                    if self.keep_positions {
                        let sequence: SequenceNumber = sequence.parse().map_err(|_| PutError::Protocol {
                            stream: self.stream.clone(),
                            message: format!("`{sequence}` is not a sequence number"),
                        })?;
                        outcome.positions.push(Acknowledged {
                            shard,
                            sequence,
                            content: record
                                .content
                                .unwrap_or_else(|| Content::Plain(Digest::of(&record.key, &record.data))),
                        });
                    }
                }
                (_, _, Some(code)) => {
                    reasons.push(
                        entry
                            .error_message
                            .map_or_else(|| code.clone(), |message| format!("{code}: {message}")),
                    );
                    refused.push(record);
                }
                _ => return Err(self.protocol("a result has neither an error nor shard and sequence number")),
            }
        }
        *pending = refused;
        Ok(reasons)
    }

    fn protocol(&self, message: &str) -> PutError {
        PutError::Protocol {
            stream: self.stream.clone(),
            message: message.to_owned(),
        }
    }
}

enum Sent {
    Answered(Vec<aws_sdk_kinesis::types::PutRecordsResultEntry>),
    Unanswered(String),
}

/// The SDK has tried a few times by then; what it could not get through may still go through later.
fn is_transient<R>(error: &SdkError<PutRecordsError, R>) -> bool {
    match error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or_default();
            service.err().is_provisioned_throughput_exceeded_exception()
                || code.contains("Throttl")
                || code.contains("LimitExceeded")
                || matches!(code, "InternalFailure" | "ServiceUnavailable" | "RequestExpired")
        }
        _ => false,
    }
}

fn reason<R>(error: &SdkError<PutRecordsError, R>) -> String
where
    R: std::fmt::Debug,
{
    error
        .code()
        .map_or_else(|| format!("{}", DisplayErrorContext(error)), ToOwned::to_owned)
}
