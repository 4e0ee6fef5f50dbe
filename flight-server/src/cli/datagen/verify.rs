//! `--verify`: what was acknowledged is read back and compared.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_kinesis::types::{Record, ShardIteratorType};
use backon::{BackoffBuilder, ExponentialBuilder};
use futures::stream::{self, StreamExt, TryStreamExt};
use sha2::Digest as _;
use shard_reader::SequenceNumber;

/// Shards read at a time.
const SHARDS_AT_A_TIME: usize = 8;
/// Empty pages in a row at the tip before it is believed: a service may answer empty in mid-stream.
const EMPTY_PAGES: u32 = 5;
/// Pause after an empty page, within AWS's 5 calls a second and shard.
const PAUSE: Duration = Duration::from_millis(250);

/// 128 bits of SHA-256 over key and payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest([u8; 16]);

impl Digest {
    /// Of one record.
    pub(crate) fn of(key: &str, data: &[u8]) -> Self {
        let mut hash = sha2::Sha256::new();
        hash.update((key.len() as u64).to_le_bytes());
        hash.update(key.as_bytes());
        hash.update(data);
        let mut digest = [0; 16];
        digest.copy_from_slice(&hash.finalize()[..16]);
        Self(digest)
    }
}

/// What a record holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// Itself.
    Plain(Digest),
    /// User records, in order.
    Aggregate(Vec<Digest>),
}

impl Content {
    /// Number of user records.
    pub(crate) fn users(&self) -> u32 {
        match self {
            Self::Plain(_) => 1,
            Self::Aggregate(users) => u32::try_from(users.len()).unwrap_or(u32::MAX),
        }
    }

    /// How many of them are found, in their places, in a record that was read; none, if it holds more or fewer.
    fn found_in(&self, key: &str, data: &[u8]) -> u64 {
        match self {
            Self::Plain(digest) => u64::from(*digest == Digest::of(key, data)),
            Self::Aggregate(users) => {
                let found = shard_reader::user_records(data).unwrap_or_default();
                if found.len() != users.len() {
                    return 0;
                }
                let equal = users
                    .iter()
                    .zip(&found)
                    .filter(|(user, (key, data))| **user == Digest::of(key, data));
                equal.count() as u64
            }
        }
    }
}

/// An acknowledged record.
#[derive(Debug)]
pub(crate) struct Acknowledged {
    /// Its shard.
    pub(crate) shard: String,
    /// Its place there.
    pub(crate) sequence: SequenceNumber,
    /// What must be found there.
    pub(crate) content: Content,
}

/// What reading back found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verified {
    /// Acknowledged user records that were there, once, with equal key and bytes.
    pub(crate) verified: u64,
    /// Acknowledged user records that were there with another key or other bytes.
    pub(crate) different: u64,
    /// Acknowledged user records that were not there.
    pub(crate) missing: u64,
    /// Records between the first and the last acknowledged one that somebody else put.
    pub(crate) foreign: u64,
}

/// Why a shard could not be read back.
#[derive(Debug, thiserror::Error)]
#[error("reading back shard {shard} of stream `{stream}`: {message}")]
pub(crate) struct VerifyError {
    stream: String,
    shard: String,
    message: String,
}

/// Reads each shard from its first acknowledged record until all of its are found, or to the tip.
pub(crate) async fn verify(client: &Client, stream: &str, acknowledged: Vec<Acknowledged>) -> Result<Verified, VerifyError> {
    let mut shards: BTreeMap<String, HashMap<SequenceNumber, Content>> = BTreeMap::new();
    for record in acknowledged {
        shards.entry(record.shard).or_default().insert(record.sequence, record.content);
    }
    stream::iter(shards)
        .map(|(shard, expected)| {
            ShardCheck {
                client,
                stream,
                shard,
                expected,
                found: Verified::default(),
            }
            .run()
        })
        .buffer_unordered(SHARDS_AT_A_TIME)
        .try_fold(Verified::default(), |sum, shard| {
            std::future::ready(Ok(Verified {
                verified: sum.verified + shard.verified,
                different: sum.different + shard.different,
                missing: sum.missing + shard.missing,
                foreign: sum.foreign + shard.foreign,
            }))
        })
        .await
}

struct ShardCheck<'a> {
    client: &'a Client,
    stream: &'a str,
    shard: String,
    expected: HashMap<SequenceNumber, Content>,
    found: Verified,
}

/// A call's failure: worth another try, an iterator that is too old, or final.
enum Trouble {
    Again(String),
    Expired,
    Final(String),
}

impl ShardCheck<'_> {
    async fn run(mut self) -> Result<Verified, VerifyError> {
        let Some(first) = self.expected.keys().min().copied() else {
            return Ok(self.found);
        };
        let mut last = None;
        let mut iterator = self.open(first, last).await?;
        let mut empty = 0;
        let mut delays = delays();
        while !self.expected.is_empty() {
            let page = match self.page(&iterator).await {
                Ok(page) => page,
                Err(Trouble::Expired) => {
                    iterator = self.open(first, last).await?;
                    continue;
                }
                Err(Trouble::Again(message)) => {
                    let delay = delays.next().ok_or_else(|| self.error(&message))?;
                    tokio::time::sleep(delay).await;
                    continue;
                }
                Err(Trouble::Final(message)) => return Err(self.error(&message)),
            };
            delays = self::delays();
            for record in page.records() {
                last = Some(self.compare(record)?);
            }
            empty = if page.records().is_empty() && page.millis_behind_latest().unwrap_or(0) == 0 {
                empty + 1
            } else {
                0
            };
            let Some(next) = page.next_shard_iterator().filter(|_| empty < EMPTY_PAGES) else {
                break;
            };
            next.clone_into(&mut iterator);
            if page.records().is_empty() {
                tokio::time::sleep(PAUSE).await;
            }
        }
        self.found.missing = self.expected.values().map(|content| u64::from(content.users())).sum();
        Ok(self.found)
    }

    fn compare(&mut self, record: &Record) -> Result<SequenceNumber, VerifyError> {
        let sequence: SequenceNumber = record
            .sequence_number()
            .parse()
            .map_err(|_| self.error(&format!("`{}` is not a sequence number", record.sequence_number())))?;
        match self.expected.remove(&sequence) {
            Some(content) => {
                let found = content.found_in(record.partition_key().unwrap_or_default(), record.data().as_ref());
                self.found.verified += found;
                self.found.different += u64::from(content.users()) - found;
            }
            None => self.found.foreign += 1,
        }
        Ok(sequence)
    }

    async fn open(&self, first: SequenceNumber, last: Option<SequenceNumber>) -> Result<String, VerifyError> {
        let (kind, sequence) = last.map_or((ShardIteratorType::AtSequenceNumber, first), |last| {
            (ShardIteratorType::AfterSequenceNumber, last)
        });
        let mut delays = delays();
        loop {
            let call = self.client.get_shard_iterator().stream_name(self.stream).shard_id(&self.shard);
            match call
                .shard_iterator_type(kind.clone())
                .starting_sequence_number(sequence.to_string())
                .send()
                .await
            {
                Ok(answer) => {
                    return answer
                        .shard_iterator
                        .ok_or_else(|| self.error("GetShardIterator returned no iterator"));
                }
                Err(error) => match trouble(&error) {
                    Trouble::Again(message) => tokio::time::sleep(delays.next().ok_or_else(|| self.error(&message))?).await,
                    Trouble::Final(message) => return Err(self.error(&message)),
                    Trouble::Expired => return Err(self.error("GetShardIterator says that an iterator expired")),
                },
            }
        }
    }

    async fn page(&self, iterator: &str) -> Result<aws_sdk_kinesis::operation::get_records::GetRecordsOutput, Trouble> {
        self.client
            .get_records()
            .shard_iterator(iterator)
            .send()
            .await
            .map_err(|error| trouble(&error))
    }

    fn error(&self, message: &str) -> VerifyError {
        VerifyError {
            stream: self.stream.to_owned(),
            shard: self.shard.clone(),
            message: message.to_owned(),
        }
    }
}

fn trouble<E, R>(error: &aws_sdk_kinesis::error::SdkError<E, R>) -> Trouble
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    use aws_sdk_kinesis::error::SdkError;
    let message = DisplayErrorContext(error).to_string();
    match (error, error.code()) {
        (_, Some("ExpiredIteratorException")) => Trouble::Expired,
        (_, Some("ProvisionedThroughputExceededException" | "LimitExceededException" | "KMSThrottlingException")) => {
            Trouble::Again(message)
        }
        (SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_), _) => Trouble::Again(message),
        (SdkError::ServiceError(_), Some("InternalFailure" | "InternalFailureException" | "ServiceUnavailable")) => Trouble::Again(message),
        _ => Trouble::Final(message),
    }
}

/// After a 10 MiB page AWS refuses a shard's readers for 5 seconds, so patience must outlast that by far.
fn delays() -> impl Iterator<Item = Duration> + Send {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(5))
        .with_max_times(15)
        .with_jitter()
        .build()
}
