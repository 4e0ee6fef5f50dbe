//! Splits and merges.

use std::collections::BTreeMap;
use std::io;

use super::metadata::{Closed, ShardMetadata};
use super::scaling::Step;
use super::state::{Stream, StreamState};
use crate::log::next_counter;
use crate::options::EmbeddedError;

/// Why a reshard did not happen. Nothing changed then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReshardError {
    #[error("shard number {0} is not open")]
    NotOpen(u32),
    #[error("shard numbers are used up")]
    NoNumbers,
    #[error("metadata could not be stored")]
    Store(#[from] io::Error),
    #[error("a shard could not be opened")]
    Open(#[from] EmbeddedError),
}

impl Stream {
    /// Carries steps out, all or none. Parents end, children start after them; both are stored before anyone sees them.
    pub(crate) fn reshard(&self, state: &mut StreamState, steps: &[Step], now_ms: i64) -> Result<(), ReshardError> {
        let mut metadata = state.metadata.clone();
        for step in steps {
            let (parent, adjacent) = match *step {
                Step::Split { shard, .. } => (shard, None),
                Step::Merge { shard, adjacent } => (shard, Some(adjacent)),
            };
            let mut ranges = Vec::new();
            for number in [Some(parent), adjacent].into_iter().flatten() {
                let at = metadata
                    .shards
                    .binary_search_by_key(&number, |shard| shard.number)
                    .map_err(|_| ReshardError::NotOpen(number))?;
                let shard = &mut metadata.shards[at];
                if shard.closed.is_some() {
                    return Err(ReshardError::NotOpen(number));
                }
                // A shard made by an earlier step has no log yet and ends where it starts.
                let ending_counter = match state.shards.get(&number) {
                    Some(live) => live.log.end(now_ms),
                    None => next_counter(shard.starting_counter, now_ms),
                };
                shard.closed = Some(Closed {
                    at_ms: now_ms,
                    ending_counter,
                });
                ranges.push((shard.hash_start, shard.hash_end));
            }
            let start = ranges.iter().map(|range| range.0).min().unwrap_or(0);
            let end = ranges.iter().map(|range| range.1).max().unwrap_or(0);
            let children = match *step {
                Step::Split { at, .. } => vec![(start, at - 1), (at, end)],
                Step::Merge { .. } => vec![(start, end)],
            };
            for (hash_start, hash_end) in children {
                let number = metadata.next_shard;
                metadata.next_shard = number.checked_add(1).ok_or(ReshardError::NoNumbers)?;
                metadata.shards.push(ShardMetadata {
                    number,
                    parent: Some(parent),
                    adjacent_parent: adjacent,
                    hash_start,
                    hash_end,
                    created_ms: now_ms,
                    starting_counter: next_counter(0, now_ms),
                    closed: None,
                });
            }
        }
        let mut shards = BTreeMap::new();
        for shard in metadata.shards.iter().filter(|shard| !state.shards.contains_key(&shard.number)) {
            shards.insert(shard.number, self.open_shard(shard, BTreeMap::new())?);
        }
        metadata.save(&self.dir, self.fsync)?;
        state.metadata = metadata;
        state.shards.append(&mut shards);
        state.derive();
        for closed in state.metadata.shards.iter().filter(|shard| shard.closed.is_some()) {
            if let Some(shard) = state.shards.get(&closed.number) {
                shard.log.signal();
            }
        }
        Ok(())
    }
}
