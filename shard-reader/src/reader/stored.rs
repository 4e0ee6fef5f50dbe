//! What is stored of a range, for estimates.

use super::shard::ShardState;
use crate::Position;

/// Stored records that are not in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoredPiece {
    pub(super) from: Position,
    pub(super) to: Position,
    /// Payloads and partition keys; of a file that is in memory in part, what is left of it.
    pub(super) wire_bytes: u64,
}

impl ShardState {
    /// What of a stretch that is not in memory would be loaded and not fetched; disjoint, ascending.
    pub(super) fn stored_within(&self, from: Position, to: Position, cutoff_ms: i64) -> Vec<StoredPiece> {
        let Some(storage) = &self.storage else { return Vec::new() };
        let mut files = storage.files.names();
        files.retain(|file| file.from < to && file.to > from && file.arrivals.0 >= cutoff_ms);
        files.sort_by_key(|file| (file.from, std::cmp::Reverse(file.to)));
        let mut pieces: Vec<StoredPiece> = Vec::new();
        for file in files {
            let begin = pieces.last().map_or(from, |piece| piece.to).max(file.from);
            let end = file.to.min(to);
            if begin < end {
                let in_memory = self.coverage.run_bytes(file.from, file.to);
                pieces.push(StoredPiece {
                    from: begin,
                    to: end,
                    wire_bytes: file.wire_bytes.saturating_sub(in_memory),
                });
            }
        }
        pieces
    }
}
