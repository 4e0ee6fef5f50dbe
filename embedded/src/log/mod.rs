//! The append-only log of one shard.
//!
//! A log is a chain of segment files `<shard id>.<number>.log`, each a header and frames; a frame is one append (one `PutRecord`, or one
//! shard's share of a `PutRecords`), written by one positioned write. Payloads stay in the files, that is in the page cache; memory holds
//! an [`Entry`] of 32 bytes a record. A page is one positioned read per segment it touches. Segments whose records have all expired are deleted.

mod frame;
mod pool;
mod recover;
mod segment;
mod shard_log;
#[cfg(test)]
mod tests;

pub(crate) use pool::FilePool;
pub(crate) use shard_log::{Entry, PageRequest, Selection, ShardLog, next_counter, parse_segment_name};

/// Where logs lie and how they are kept.
#[derive(Clone, Debug)]
pub(crate) struct LogPlace {
    pub(crate) dir: std::sync::Arc<std::path::Path>,
    pub(crate) shard: std::sync::Arc<str>,
    pub(crate) pool: std::sync::Arc<FilePool>,
    pub(crate) fsync: bool,
    /// A segment is closed before it would grow beyond this.
    pub(crate) segment_bytes: u64,
}

/// 64 MiB: small enough that expired records give their space back soon.
pub(crate) const SEGMENT_BYTES: u64 = 64 << 20;
