//! A service under examination, and the steps that promises are made of.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::describe_stream_summary::DescribeStreamSummaryError;
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::operation::get_shard_iterator::builders::GetShardIteratorFluentBuilder;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, Record, Shard, ShardIteratorType, StreamDescriptionSummary, StreamStatus};
use integration_tests::backends::{Backend, Running};
use integration_tests::kinesis;

/// Why a promise was not seen kept.
#[derive(Debug)]
pub(super) enum Failure {
    /// The service answered, and the answer breaks the promise.
    Broken(String),
    /// The service did not answer, so nothing was learnt.
    Service(String),
}

pub(super) type Checked<T = ()> = Result<T, Failure>;

/// Breaks the promise unless the condition holds.
macro_rules! promise {
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err($crate::promises::service::Failure::Broken(format!($($why)+)));
        }
    };
}
pub(super) use promise;

/// Breaks the promise unless both are equal.
macro_rules! promise_eq {
    ($left:expr, $right:expr, $($why:tt)+) => {{
        let (left, right) = (&$left, &$right);
        if left != right {
            let why = format!($($why)+);
            return Err($crate::promises::service::Failure::Broken(format!("{why}: {left:?} is not {right:?}")));
        }
    }};
}
pub(super) use promise_eq;

impl<E: ProvideErrorMetadata + std::error::Error + 'static, R: std::fmt::Debug + 'static> From<SdkError<E, R>> for Failure {
    fn from(error: SdkError<E, R>) -> Self {
        match &error {
            SdkError::ServiceError(answer) => {
                let answer = answer.err();
                Self::Broken(format!(
                    "answered {}: {}",
                    answer.code().unwrap_or("an error without a code"),
                    answer.message().unwrap_or("")
                ))
            }
            SdkError::ResponseError(_) => Self::Broken(format!("answered what is no answer: {error:?}")),
            _ => Self::Service(format!("{error:?}")),
        }
    }
}

/// One service, one test.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) backend: Backend,
    pub(super) client: Client,
    streams: Mutex<Vec<String>>,
}

impl Service {
    pub(super) fn new(backend: Backend, running: &Running) -> Self {
        Self {
            backend,
            client: kinesis::client(&running.endpoint),
            streams: Mutex::default(),
        }
    }

    /// A name that no other test uses; the stream is deleted when the test ends.
    pub(super) fn stream_name(&self) -> String {
        let name = format!("promise-{}", uuid::Uuid::new_v4().simple());
        self.streams.lock().unwrap().push(name.clone());
        name
    }

    /// A new stream, once it is active.
    pub(super) async fn stream(&self, shards: i32) -> Checked<String> {
        let name = self.stream_name();
        self.client.create_stream().stream_name(&name).shard_count(shards).send().await?;
        self.until_active(&name).await?;
        Ok(name)
    }

    pub(super) async fn until_active(&self, stream: &str) -> Checked<StreamDescriptionSummary> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let summary = self.summary(stream).await?;
            if *summary.stream_status() == StreamStatus::Active {
                return Ok(summary);
            }
            promise!(
                Instant::now() < deadline,
                "{stream} is still {:?} after 30 s",
                summary.stream_status()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(super) async fn summary(&self, stream: &str) -> Checked<StreamDescriptionSummary> {
        let answer = self.client.describe_stream_summary().stream_name(stream).send().await?;
        answer
            .stream_description_summary
            .ok_or_else(|| Failure::Broken("no StreamDescriptionSummary".to_owned()))
    }

    pub(super) async fn until_gone(&self, stream: &str) -> Checked {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            match self.client.describe_stream_summary().stream_name(stream).send().await {
                Err(SdkError::ServiceError(answer)) if matches!(answer.err(), DescribeStreamSummaryError::ResourceNotFoundException(_)) => {
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
                Ok(_) => promise!(Instant::now() < deadline, "{stream} is still there 30 s after its deletion"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// All shards, by the first answer of ListShards; sorted by id.
    pub(super) async fn shards(&self, stream: &str) -> Checked<Vec<Shard>> {
        let answer = self.client.list_shards().stream_name(stream).send().await?;
        promise!(answer.next_token().is_none(), "a few shards need a second page");
        let mut shards = answer.shards.unwrap_or_default();
        shards.sort_by(|a, b| a.shard_id().cmp(b.shard_id()));
        Ok(shards)
    }

    /// Puts one record; gives its sequence number.
    pub(super) async fn put(&self, stream: &str, key: &str, data: &str) -> Checked<String> {
        let answer = self
            .client
            .put_record()
            .stream_name(stream)
            .partition_key(key)
            .data(Blob::new(data))
            .send()
            .await?;
        Ok(answer.sequence_number)
    }

    /// Puts records (key, data) in batches of 500; each must be acknowledged. Gives (shard, sequence number) of each.
    pub(super) async fn put_all(&self, stream: &str, records: &[(String, Vec<u8>)]) -> Checked<Vec<(String, String)>> {
        self.put_batches(stream, records, 500).await
    }

    pub(super) async fn put_batches(&self, stream: &str, records: &[(String, Vec<u8>)], batch: usize) -> Checked<Vec<(String, String)>> {
        let mut placed = Vec::with_capacity(records.len());
        for batch in records.chunks(batch) {
            let entries = batch.iter().map(|(key, data)| entry(key, data)).collect();
            let answer = self
                .client
                .put_records()
                .stream_name(stream)
                .set_records(Some(entries))
                .send()
                .await?;
            promise_eq!(answer.failed_record_count().unwrap_or(0), 0, "FailedRecordCount without limits");
            promise_eq!(answer.records().len(), batch.len(), "entries of the answer");
            for result in answer.records() {
                let (Some(shard), Some(sequence)) = (result.shard_id(), result.sequence_number()) else {
                    return Err(Failure::Broken(format!("an acknowledged entry without a place: {result:?}")));
                };
                placed.push((shard.to_owned(), sequence.to_owned()));
            }
        }
        Ok(placed)
    }

    fn iterator_of(&self, stream: &str, shard: &str, kind: ShardIteratorType) -> GetShardIteratorFluentBuilder {
        self.client
            .get_shard_iterator()
            .stream_name(stream)
            .shard_id(shard)
            .shard_iterator_type(kind)
    }

    pub(super) async fn iterator(&self, stream: &str, shard: &str, kind: ShardIteratorType) -> Checked<String> {
        given(self.iterator_of(stream, shard, kind).send().await?.shard_iterator)
    }

    pub(super) async fn iterator_at(&self, stream: &str, shard: &str, kind: ShardIteratorType, sequence: &str) -> Checked<String> {
        given(
            self.iterator_of(stream, shard, kind)
                .starting_sequence_number(sequence)
                .send()
                .await?
                .shard_iterator,
        )
    }

    /// `milliseconds` since the epoch.
    pub(super) async fn iterator_at_time(&self, stream: &str, shard: &str, milliseconds: i64) -> Checked<String> {
        let time = aws_sdk_kinesis::primitives::DateTime::from_millis(milliseconds);
        given(
            self.iterator_of(stream, shard, ShardIteratorType::AtTimestamp)
                .timestamp(time)
                .send()
                .await?
                .shard_iterator,
        )
    }

    pub(super) async fn page(&self, iterator: &str, limit: Option<i32>) -> Checked<GetRecordsOutput> {
        Ok(self.client.get_records().shard_iterator(iterator).set_limit(limit).send().await?)
    }

    /// Reads on from an iterator until the service says that it is at the tip with an empty page, twice, or that the shard has ended.
    pub(super) async fn drain(&self, iterator: String) -> Checked<Vec<Record>> {
        let mut records = Vec::new();
        let mut next = Some(iterator);
        let mut empty = 0;
        while let Some(iterator) = next {
            let page = self.page(&iterator, None).await?;
            let at_tip = page.records.is_empty() && page.millis_behind_latest().unwrap_or(0) == 0;
            empty = if at_tip { empty + 1 } else { 0 };
            if empty == 2 {
                break;
            }
            records.extend(page.records);
            next = page.next_shard_iterator;
        }
        Ok(records)
    }

    /// All records of a shard.
    pub(super) async fn read_all(&self, stream: &str, shard: &str) -> Checked<Vec<Record>> {
        let iterator = self.iterator(stream, shard, ShardIteratorType::TrimHorizon).await?;
        self.drain(iterator).await
    }

    pub(super) async fn delete_streams(&self) {
        let streams = std::mem::take(&mut *self.streams.lock().unwrap());
        for stream in streams {
            // Many are gone already, and a service that stopped answering has failed its test.
            let delete = self.client.delete_stream().stream_name(stream).enforce_consumer_deletion(true);
            let _ = delete.send().await;
        }
    }
}

pub(super) fn entry(key: &str, data: &[u8]) -> PutRecordsRequestEntry {
    PutRecordsRequestEntry::builder()
        .partition_key(key)
        .data(Blob::new(data))
        .build()
        .unwrap()
}

fn given(iterator: Option<String>) -> Checked<String> {
    iterator.ok_or_else(|| Failure::Broken("no ShardIterator".to_owned()))
}

/// Wants a refusal with one of these codes.
pub(super) fn refused<T: std::fmt::Debug, E, R>(answer: Result<T, SdkError<E, R>>, what: &str, codes: &[&str]) -> Checked
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    match answer {
        Ok(answer) => Err(Failure::Broken(format!("{what} is accepted: {answer:?}"))),
        Err(SdkError::ServiceError(refusal)) => {
            let refusal = refusal.err();
            let code = refusal.code().unwrap_or("no code");
            promise!(
                codes.contains(&code),
                "{what} is refused with {code} ({:?}), not {codes:?}",
                refusal.message()
            );
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// The text of a record that was put as text.
pub(super) fn text(record: &Record) -> String {
    String::from_utf8_lossy(record.data().as_ref()).into_owned()
}

pub(super) fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(text).collect()
}

/// Milliseconds since the epoch of a record's arrival, rounded down. Times travel as seconds in a double, whose steps are a quarter of a microsecond
/// these days, so 0.123 may arrive as 0.1229999.
pub(super) fn arrival(record: &Record) -> Checked<i64> {
    let time = record
        .approximate_arrival_timestamp()
        .ok_or_else(|| Failure::Broken("no ApproximateArrivalTimestamp".to_owned()))?;
    i64::try_from((time.as_nanos() + 500).div_euclid(1_000_000)).map_err(|error| Failure::Broken(error.to_string()))
}

/// Sequence numbers compare as numbers of any width: by length, then by text.
pub(super) fn numeric(sequence: &str) -> (usize, &str) {
    let digits = sequence.trim_start_matches('0');
    (digits.len(), digits)
}

/// The bounds of a shard's hash range.
pub(super) fn range(shard: &Shard) -> Checked<(u128, u128)> {
    let range = shard
        .hash_key_range()
        .ok_or_else(|| Failure::Broken("no HashKeyRange".to_owned()))?;
    let number = |text: &str| {
        text.parse::<u128>()
            .map_err(|error| Failure::Broken(format!("hash key {text}: {error}")))
    };
    Ok((number(range.starting_hash_key())?, number(range.ending_hash_key())?))
}

pub(super) fn is_open(shard: &Shard) -> bool {
    shard
        .sequence_number_range()
        .is_none_or(|range| range.ending_sequence_number().is_none())
}
