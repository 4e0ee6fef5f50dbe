//! A stream in memory.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::RwLock;

use super::metadata::{ShardMetadata, StreamMetadata};
use super::sequence::SequencePrefix;
use super::shard::Shard;
use super::subscriptions::Subscriptions;
use crate::log::{FilePool, LogPlace, SEGMENT_BYTES, ShardLog};
use crate::options::EmbeddedError;

/// A stream. Appends and reads hold `state` for reading, so that a reshard, a deletion or an expiry (for writing) happens between them.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) name: Arc<str>,
    pub(crate) arn: String,
    pub(crate) created_ms: i64,
    pub(crate) tag: u32,
    pub(super) dir: Arc<Path>,
    pub(super) pool: Arc<FilePool>,
    pub(super) fsync: bool,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) state: RwLock<StreamState>,
}

/// What changes in a stream.
#[derive(Debug)]
pub(crate) struct StreamState {
    pub(crate) metadata: StreamMetadata,
    pub(crate) shards: BTreeMap<u32, Arc<Shard>>,
    /// The open shards by hash key.
    pub(super) open: Vec<Arc<Shard>>,
    /// When the shard that closed first, of those that still exist, closed.
    pub(super) first_closed_ms: Option<i64>,
    pub(crate) deleted: bool,
}

impl StreamState {
    pub(super) fn new(metadata: StreamMetadata, shards: BTreeMap<u32, Arc<Shard>>) -> Self {
        let mut state = Self {
            metadata,
            shards,
            open: Vec::new(),
            first_closed_ms: None,
            deleted: false,
        };
        state.derive();
        state
    }

    /// Brings up to date what follows from metadata and shards.
    pub(super) fn derive(&mut self) {
        let mut open: Vec<Arc<Shard>> = self
            .metadata
            .open_shards()
            .filter_map(|shard| self.shards.get(&shard.number))
            .map(Arc::clone)
            .collect();
        open.sort_by_key(|shard| shard.hash_start);
        self.open = open;
        self.first_closed_ms = self
            .metadata
            .shards
            .iter()
            .filter_map(|shard| shard.closed)
            .map(|closed| closed.at_ms)
            .min();
    }

    /// The open shard that holds a hash key; `None` only in a stream without shards, which does not exist.
    pub(crate) fn route(&self, hash: u128) -> Option<&Arc<Shard>> {
        let at = self.open.partition_point(|shard| shard.hash_end < hash);
        self.open.get(at)
    }

    pub(crate) fn children(&self, number: u32) -> impl Iterator<Item = &ShardMetadata> {
        self.metadata.shards.iter().filter(move |shard| shard.is_child_of(number))
    }

    /// Whether closed shards have to go: all their records have expired.
    pub(crate) fn has_expired_shards(&self, now_ms: i64) -> bool {
        self.first_closed_ms
            .is_some_and(|closed| closed < now_ms - self.metadata.retention_ms())
    }
}

impl Stream {
    pub(super) fn open_shard(
        &self,
        metadata: &ShardMetadata,
        files: BTreeMap<u32, std::path::PathBuf>,
    ) -> Result<Arc<Shard>, EmbeddedError> {
        let place = LogPlace {
            dir: Arc::clone(&self.dir),
            shard: super::shard::shard_id(metadata.number).into(),
            pool: Arc::clone(&self.pool),
            fsync: self.fsync,
            segment_bytes: SEGMENT_BYTES,
        };
        let sequence = SequencePrefix::new(self.created_ms, self.tag, metadata.number).ok_or_else(|| EmbeddedError::Damaged {
            path: self.dir.join(super::metadata::METADATA_FILE),
            offset: 0,
            reason: "creation time or tag out of range".to_owned(),
        })?;
        let log = ShardLog::open(place, files, metadata.starting_counter)?;
        Ok(Shard::new(metadata, sequence, log))
    }

    /// Stores changed metadata, then makes it so in memory. What cannot be stored does not happen.
    pub(super) fn commit(&self, state: &mut StreamState, metadata: StreamMetadata) -> io::Result<()> {
        metadata.save(&self.dir, self.fsync)?;
        state.metadata = metadata;
        state.derive();
        Ok(())
    }

    /// Changes what is stored about the stream itself (not its shards).
    pub(crate) fn change(&self, state: &mut StreamState, change: impl FnOnce(&mut StreamMetadata)) -> io::Result<()> {
        let mut metadata = state.metadata.clone();
        change(&mut metadata);
        self.commit(state, metadata)
    }

    /// Removes closed shards whose records have all expired.
    pub(crate) fn expire(&self, now_ms: i64) -> io::Result<()> {
        if !self.state.read().has_expired_shards(now_ms) {
            return Ok(());
        }
        let mut state = self.state.write();
        if state.deleted {
            return Ok(());
        }
        let horizon_ms = now_ms - state.metadata.retention_ms();
        let mut metadata = state.metadata.clone();
        metadata
            .shards
            .retain(|shard| shard.closed.is_none_or(|closed| closed.at_ms >= horizon_ms));
        self.commit(&mut state, metadata)?;
        let kept = |number: &u32, state: &StreamState| state.metadata.shard(*number).is_some();
        let gone: Vec<u32> = state.shards.keys().copied().filter(|number| !kept(number, &state)).collect();
        for number in gone {
            if let Some(shard) = state.shards.remove(&number) {
                shard.log.delete()?;
                shard.log.signal();
            }
        }
        Ok(())
    }
}
