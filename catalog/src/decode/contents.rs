//! The contents of records, some at a time, inflated where they are compressed.

use std::borrow::Cow;

use arrow::array::{Array, BinaryArray};

use super::rows::MOST_CELLS;
use crate::DefinitionError;
use crate::compression::Inflater;

/// Records that are decoded in one go: fewer cost more per chunk, and what more of them need at a time is no longer in the processor's caches (measured).
pub(super) const CHUNK_ROWS: usize = 2_048;
/// Bytes of the same.
const CHUNK_BYTES: usize = 4 << 20;
/// Bytes that the records of one run may inflate to together: 1 GiB. That takes some thousand times what the run's records are, so a run that needs more
/// fails the statement rather than the server.
pub const MOST_INFLATED_IN_ALL: usize = 1 << 30;

/// Why a run of records cannot be decoded at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The definition is not one that can be decoded.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The records are too large for memory.
    #[error(
        "{records} records are too much together: they inflate to more than {} MiB, or decode to more than {MOST_CELLS} values or {} MiB of text",
        MOST_INFLATED_IN_ALL >> 20,
        MOST_INFLATED_IN_ALL >> 20
    )]
    TooLarge {
        /// Number of records in the run.
        records: usize,
    },
}

/// Contents of some records that follow each other.
pub(super) struct Contents<'a> {
    contents: Vec<Cow<'a, [u8]>>,
    /// Records that have none, by index, and why; their content is empty.
    pub(super) damaged: Vec<(usize, String)>,
    /// Bytes of those that are inflated.
    pub(super) inflated: usize,
}

impl<'a> Contents<'a> {
    /// Of as many of these records as make a chunk, at least one.
    pub(super) fn of(payloads: &[&'a [u8]], inflater: &mut Inflater) -> Self {
        let (mut contents, mut damaged, mut bytes, mut inflated) = (Vec::new(), Vec::new(), 0, 0);
        for (index, payload) in payloads.iter().enumerate() {
            let content = inflater.inflate(payload).unwrap_or_else(|reason| {
                damaged.push((index, reason));
                Cow::Borrowed(&[])
            });
            bytes += content.len();
            if let Cow::Owned(content) = &content {
                inflated += content.len();
            }
            contents.push(content);
            if bytes >= CHUNK_BYTES {
                break;
            }
        }
        Self {
            contents,
            damaged,
            inflated,
        }
    }

    pub(super) fn rows(&self) -> Vec<&[u8]> {
        self.contents.iter().map(|content| &**content).collect()
    }
}

/// The end of the records from `start` on that are decoded in one go.
pub(super) fn chunk_end(payloads: &BinaryArray, start: usize) -> usize {
    let limit = payloads.len().min(start + CHUNK_ROWS);
    let offsets = payloads.value_offsets();
    let fits = |end: &usize| (offsets[*end] - offsets[start]) as usize <= CHUNK_BYTES;
    (start + 2..=limit).take_while(fits).last().unwrap_or(start + 1)
}

pub(super) fn payload(payloads: &BinaryArray, row: usize) -> &[u8] {
    if payloads.is_null(row) { b"" } else { payloads.value(row) }
}

#[cfg(test)]
mod tests;
