//! The readers of a process.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::config::ReaderConfig;
use super::context::Shared;
use super::counters::{CacheCounters, Counters};
use super::error::{ReadError, ReadErrorKind};
use super::incarnation::recreated;
use super::storing::StreamStorage;
use super::stream::StreamReader;
use crate::memory_budget::MemoryBudget;
use crate::segments::blocking;
use crate::{SegmentCounters, ShardSource, StreamDescription, StreamIdentity};

/// A reply of GetRecords holds at most 10 MiB.
const PAGE_BYTES: u64 = 10 << 20;

/// All readers of a process: one budget of memory, one of calls in flight.
pub struct Readers {
    shared: Arc<Shared>,
    stop: CancellationToken,
    names: Mutex<HashMap<(String, String), Arc<Entry>>>,
    streams: Mutex<HashMap<(String, StreamIdentity), Arc<StreamReader>>>,
}

/// A stream by the name it was asked for; the lock is what makes concurrent requests share one description.
type Entry = tokio::sync::Mutex<Option<Described>>;

struct Described {
    at: Instant,
    reader: Arc<StreamReader>,
}

impl Readers {
    /// Readers that share a configuration and its budgets.
    pub fn new(config: ReaderConfig) -> Arc<Self> {
        // a quarter of the memory for pages on their way, and one page in any case
        let by_memory = usize::try_from(config.memory_bytes / 4 / PAGE_BYTES).unwrap_or(usize::MAX);
        let shared = Shared {
            budget: MemoryBudget::new(config.memory_bytes),
            counters: Counters::default(),
            calls: Semaphore::new(by_memory.min(config.calls_in_flight).max(1)),
            config,
        };
        Arc::new(Self {
            shared: Arc::new(shared),
            stop: CancellationToken::new(),
            names: Mutex::default(),
            streams: Mutex::default(),
        })
    }

    /// The shared reader of a stream (name or ARN) through a source. The same source key and stream give the same reader; a stream that was deleted
    /// and created again gives a new one, and the old one ends.
    ///
    /// # Errors
    /// When the stream cannot be described.
    pub async fn stream(&self, source_key: &str, source: Arc<dyn ShardSource>, stream: &str) -> Result<Arc<StreamReader>, ReadError> {
        let name: Arc<str> = Arc::from(stream);
        if self.stop.is_cancelled() {
            return Err(ReadError::new(ReadErrorKind::Unavailable, &name, "the server is shutting down"));
        }
        let key = (source_key.to_owned(), stream.to_owned());
        let entry = Arc::clone(self.names.lock().entry(key).or_default());
        let mut described = entry.lock().await;
        if let Some(known) = described
            .as_ref()
            .filter(|known| known.at.elapsed() < self.shared.config.describe_age && !known.reader.has_ended())
        {
            return Ok(Arc::clone(&known.reader));
        }
        let description = match source.describe(stream).await {
            Ok(description) => description,
            Err(error) => {
                let Some(known) = described.take() else {
                    return Err(ReadError::of_source(&name, &error));
                };
                if error.is_retryable() && !known.reader.has_ended() {
                    // what is known stays of use while the service cannot be asked
                    let reader = Arc::clone(&known.reader);
                    *described = Some(known);
                    return Ok(reader);
                }
                let error = ReadError::of_source(&name, &error);
                self.retire(source_key, known.reader.identity(), &error);
                return Err(error);
            }
        };
        if let Some(known) = described.as_ref().filter(|known| *known.reader.identity() != description.identity) {
            known.reader.delete_stored();
            let both = recreated(known.reader.identity(), &description.identity);
            let error = ReadError::new(ReadErrorKind::Recreated, &name, both);
            self.retire(source_key, known.reader.identity(), &error);
        }
        let key = (source_key.to_owned(), description.identity.clone());
        let known = {
            let mut streams = self.streams.lock();
            if streams.get(&key).is_some_and(|reader| reader.has_ended()) && !self.stop.is_cancelled() {
                streams.remove(&key);
            }
            streams.get(&key).cloned()
        };
        let reader = match known {
            Some(reader) => reader,
            None => {
                let storage = self.storage(source_key, &description).await;
                let new = || {
                    StreamReader::new(
                        Arc::clone(&self.shared),
                        source,
                        stream,
                        &description,
                        self.stop.child_token(),
                        storage,
                    )
                };
                Arc::clone(self.streams.lock().entry(key).or_insert_with(new))
            }
        };
        reader.describe(&description);
        *described = Some(Described {
            at: Instant::now(),
            reader: Arc::clone(&reader),
        });
        Ok(reader)
    }

    /// Where the stream's segments are stored, if anywhere. A directory that cannot be used costs speed alone.
    async fn storage(&self, source_key: &str, description: &StreamDescription) -> Option<Arc<StreamStorage>> {
        let store = Arc::clone(self.shared.config.segments.as_ref()?);
        let (source, identity) = (source_key.to_owned(), description.identity.clone());
        let (attaching, retention) = (Arc::clone(&store), description.retention);
        let attached = blocking(move || attaching.attach(&source, &identity, retention)).await;
        match attached.map_err(std::io::Error::other).flatten() {
            Ok(stream) => Some(StreamStorage::new(store, stream)),
            Err(error) => {
                tracing::warn!(stream = %description.name, %error, "the directory for stored segments cannot be used: nothing is stored");
                None
            }
        }
    }

    /// Ends a reader; who reads through it fails with `why`.
    fn retire(&self, source_key: &str, identity: &StreamIdentity, why: &ReadError) {
        if let Some(reader) = self.streams.lock().remove(&(source_key.to_owned(), identity.clone())) {
            reader.cancel(why);
        }
    }

    /// Ends all tasks and waits for them. Pins and scans under way fail.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        for reader in self.streams() {
            reader.stop().await;
        }
    }

    /// The end without a flush, as of a process that is killed.
    #[cfg(test)]
    pub(super) async fn crash(&self) {
        for reader in self.streams() {
            reader.delete_stored();
        }
        self.shutdown().await;
    }

    /// Bytes of records and decoded columns that may be held.
    pub fn memory_bytes(&self) -> u64 {
        self.shared.config.memory_bytes
    }

    /// What all readers did and hold.
    pub fn counters(&self) -> CacheCounters {
        self.shared.counters.totals(&self.shared.budget)
    }

    /// What was stored; `None` where nothing is.
    pub fn segment_counters(&self) -> Option<SegmentCounters> {
        self.shared.config.segments.as_ref().map(|store| store.counters())
    }

    /// All readers.
    pub fn streams(&self) -> Vec<Arc<StreamReader>> {
        self.streams.lock().values().cloned().collect()
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers")
            .field("config", &self.shared.config)
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}
