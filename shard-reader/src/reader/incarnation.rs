//! Whether the stream of a name is still the one that is read.
//!
//! A stream that was deleted and created again has the same name and the same shard ids, and other records. It is looked for where something does
//! not fit: a call that finds no stream or shard, a cursor or sequence number that is refused, a record that is gone, a shard that the list shows
//! with other bounds. A reader whose stream is another by now ends, and with it everything that reads through it.

use std::fmt;
use std::sync::atomic::Ordering;

use chrono::{DateTime, SecondsFormat, Utc};
use tokio::time::Instant;

use super::context::StreamContext;
use super::error::{ReadError, ReadErrorKind};
use crate::{ShardInfo, SourceErrorKind, StreamIdentity};

impl StreamContext {
    /// Describes the stream unless that was asked after `after`. Where it cannot be asked, it counts as the same.
    ///
    /// # Errors
    /// `Recreated` or `NotFound` if it is another stream by now, or none; the reader has then ended.
    pub(super) async fn check_incarnation(&self, after: Instant) -> Result<(), ReadError> {
        let mut described = self.described.lock().await;
        if let Some(error) = self.superseded.get() {
            return Err(error.clone());
        }
        if described.is_some_and(|described| described > after) {
            return Ok(());
        }
        let requested = Instant::now();
        let error = match self.source.describe(&self.stream).await {
            Ok(description) if description.identity == self.identity => {
                self.retention_ms.store(description.retention.as_millis() as u64, Ordering::Relaxed);
                *described = Some(requested);
                return Ok(());
            }
            Ok(description) => ReadError::new(
                ReadErrorKind::Recreated,
                &self.stream,
                recreated(&self.identity, &description.identity),
            ),
            Err(error) if error.kind == SourceErrorKind::NotFound => ReadError::of_source(&self.stream, &error),
            Err(error) => {
                tracing::debug!(stream = %self.stream, %error, "the stream cannot be described");
                return Ok(());
            }
        };
        tracing::warn!(stream = %self.stream, %error, "the stream's reader ends");
        Err(self.supersede(error))
    }

    /// Ends the reader: the stream is another by now, or gone. The first reason stands.
    pub(super) fn supersede(&self, why: ReadError) -> ReadError {
        let why = self.superseded.get_or_init(|| why).clone();
        if let Some(storage) = &self.storage {
            storage.stream().delete();
        }
        self.stop.cancel();
        why
    }

    /// The stream is another by now, or gone.
    pub(super) fn superseded(&self) -> Option<&ReadError> {
        self.superseded.get()
    }
}

/// Whether a shard's bounds say that it is one of another stream: they never change, but for the upper one of a shard that closes.
pub(super) fn is_another(known: &ShardInfo, listed: &ShardInfo) -> bool {
    let differ = |known: Option<_>, listed: Option<_>| matches!((known, listed), (Some(known), Some(listed)) if known != listed);
    differ(known.starting_sequence, listed.starting_sequence)
        || differ(known.ending_sequence, listed.ending_sequence)
        || (known.ending_sequence.is_some() && listed.ending_sequence.is_none())
}

/// The sentence that names both streams of a name.
pub fn recreated(old: &StreamIdentity, new: &StreamIdentity) -> String {
    format!(
        "the stream was deleted and created again: this statement reads the one created at {}, the one of that name now was created at {}; run \
         the statement again to read that",
        Created(old),
        Created(new)
    )
}

struct Created<'a>(&'a StreamIdentity);

impl fmt::Display for Created<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::<Utc>::from_timestamp_millis(self.0.created_ms) {
            Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true)),
            None => write!(f, "{} ms", self.0.created_ms),
        }
    }
}
