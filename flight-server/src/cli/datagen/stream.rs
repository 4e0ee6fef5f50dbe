//! The stream that is written to: looked up, made, made anew.

use std::future::Future;
use std::num::NonZeroU16;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::types::{StreamMode, StreamModeDetails, StreamStatus};
use backon::{BackoffBuilder, ExponentialBuilder};

/// How long a stream may take to appear or to vanish.
const PATIENCE: Duration = Duration::from_secs(300);

/// What to do about the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preparation {
    /// It must be there.
    Existing,
    /// Make it if it is missing.
    Create(NonZeroU16),
    /// Delete it if it is there, then make it.
    Recreate(NonZeroU16),
}

/// How the stream came to be ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prepared {
    /// It was there, with that many open shards.
    Existed(i32),
    /// It was made.
    Created,
}

/// Why there is no stream to write to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    /// It is not there.
    #[error("stream `{0}` does not exist; make it with --create -s SHARDS")]
    Missing(String),
    /// A call failed.
    #[error("{call} of stream `{stream}` failed: {message}")]
    Call {
        /// Operation.
        call: &'static str,
        /// Which stream.
        stream: String,
        /// What the service said.
        message: String,
    },
    /// It took too long.
    #[error("stream `{stream}` is not {wanted} after {} s; last state: {last}", PATIENCE.as_secs())]
    Patience {
        /// Which.
        stream: String,
        /// `ACTIVE` or `gone`.
        wanted: &'static str,
        /// What it was.
        last: String,
    },
}

#[derive(Debug)]
struct Summary {
    status: StreamStatus,
    open_shards: i32,
}

/// Does as `preparation` says, and returns when the stream is ACTIVE.
pub(crate) async fn prepare(client: &Client, stream: &str, preparation: Preparation) -> Result<Prepared, StreamError> {
    let found = describe(client, stream).await?;
    let missing = match (preparation, &found) {
        (Preparation::Existing, None) => return Err(StreamError::Missing(stream.to_owned())),
        (Preparation::Recreate(_), Some(_)) => {
            tracing::info!(stream, "deleting the stream");
            client
                .delete_stream()
                .enforce_consumer_deletion(true)
                .stream_name(stream)
                .enforce_consumer_deletion(true)
                .send()
                .await
                .map_err(|e| failed("DeleteStream", stream, e))?;
            wait(stream, "gone", || async move {
                Ok(describe(client, stream).await?.map(|summary| summary.status.to_string()))
            })
            .await?;
            true
        }
        (_, Some(summary)) if summary.status == StreamStatus::Deleting => {
            wait(stream, "gone", || async move {
                Ok(describe(client, stream).await?.map(|summary| summary.status.to_string()))
            })
            .await?;
            true
        }
        (_, found) => found.is_none(),
    };
    match preparation {
        Preparation::Create(shards) | Preparation::Recreate(shards) if missing => create(client, stream, shards).await?,
        _ => {}
    }
    wait(stream, "ACTIVE", || async move {
        Ok(match describe(client, stream).await? {
            Some(summary) if matches!(summary.status, StreamStatus::Active | StreamStatus::Updating) => None,
            Some(summary) => Some(summary.status.to_string()),
            None => Some("missing".to_owned()),
        })
    })
    .await?;
    Ok(if missing {
        Prepared::Created
    } else {
        Prepared::Existed(found.map_or(0, |summary| summary.open_shards))
    })
}

async fn create(client: &Client, stream: &str, shards: NonZeroU16) -> Result<(), StreamError> {
    tracing::info!(stream, shards, "making the stream");
    let mode = StreamModeDetails::builder()
        .stream_mode(StreamMode::Provisioned)
        .build()
        .map_err(|error| StreamError::Call {
            call: "CreateStream",
            stream: stream.to_owned(),
            message: error.to_string(),
        })?;
    let call = client
        .create_stream()
        .stream_name(stream)
        .shard_count(i32::from(shards.get()))
        .stream_mode_details(mode);
    match call.send().await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some("ResourceInUseException") => Ok(()),
        Err(error) => Err(failed("CreateStream", stream, error)),
    }
}

async fn describe(client: &Client, stream: &str) -> Result<Option<Summary>, StreamError> {
    match client.describe_stream_summary().stream_name(stream).send().await {
        Ok(answer) => Ok(answer.stream_description_summary.map(|summary| Summary {
            open_shards: summary.open_shard_count,
            status: summary.stream_status,
        })),
        Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
        Err(error) => Err(failed("DescribeStreamSummary", stream, error)),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "shaped for map_err")]
fn failed<E, R>(call: &'static str, stream: &str, error: SdkError<E, R>) -> StreamError
where
    E: std::error::Error + 'static,
    R: std::fmt::Debug,
{
    StreamError::Call {
        call,
        stream: stream.to_owned(),
        message: DisplayErrorContext(&error).to_string(),
    }
}

/// Asks until there is no answer (`None` = as wanted), at growing intervals.
async fn wait<F>(stream: &str, wanted: &'static str, ask: impl Fn() -> F + Send) -> Result<(), StreamError>
where
    F: Future<Output = Result<Option<String>, StreamError>> + Send,
{
    let intervals = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(5))
        .with_jitter()
        .without_max_times()
        .with_total_delay(Some(PATIENCE))
        .build();
    let mut last = String::new();
    for interval in std::iter::once(Duration::ZERO).chain(intervals) {
        tokio::time::sleep(interval).await;
        match ask().await? {
            None => return Ok(()),
            Some(state) => last = state,
        }
        tracing::debug!(stream, state = last, wanted, "waiting for the stream");
    }
    Err(StreamError::Patience {
        stream: stream.to_owned(),
        wanted,
        last,
    })
}
