//! What happens to PutRecords of a memory stream.

use std::collections::VecDeque;
use std::time::Duration;

use super::MemorySource;
use crate::{ShardId, SourceError, SourceErrorKind};

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutFate {
    /// All records are taken.
    Taken,
    /// The call fails, and nothing is taken.
    Fail(SourceErrorKind),
    /// All records are taken, and the reply is lost.
    Lost,
    /// The first of each so many records is throttled.
    Refuse {
        /// So many.
        every: usize,
    },
}

#[derive(Debug, Default)]
pub(super) struct Puts {
    script: VecDeque<PutFate>,
    calls: usize,
}

impl MemorySource {
    /// What happens to the next calls of PutRecords; those after them are taken.
    pub fn script_puts(&self, fates: impl IntoIterator<Item = PutFate>) {
        self.stream.lock().puts.script.extend(fates);
    }

    /// Calls of PutRecords so far.
    pub fn put_calls(&self) -> usize {
        self.stream.lock().puts.calls
    }

    pub(crate) fn put_fate(&self, stream: &str) -> Result<PutFate, SourceError> {
        let mut memory = self.stream.lock();
        memory.puts.calls += 1;
        if memory.deleted {
            return Err(SourceError::new(SourceErrorKind::NotFound, format!("stream {stream} not found")));
        }
        Ok(memory.puts.script.pop_front().unwrap_or(PutFate::Taken))
    }

    pub(crate) fn next_delay(&self) -> Duration {
        self.stream.lock().faults.delay()
    }

    /// The open shard that takes a hash key.
    pub(crate) fn shard_of(&self, hash: u128) -> Option<ShardId> {
        let memory = self.stream.lock();
        let open = memory.shards.values().filter(|shard| shard.info.ending_sequence.is_none());
        let mut taking = open.filter(|shard| (shard.info.hash_start..=shard.info.hash_end).contains(&hash));
        taking.next().map(|shard| shard.info.id.clone())
    }

    pub(crate) fn revive(&self) {
        if self.stream.lock().deleted {
            self.recreate();
        }
    }
}
