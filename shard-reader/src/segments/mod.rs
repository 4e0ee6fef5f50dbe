//! Segments on disk, and in object storage: what was fetched once is not fetched again, by this process, the next one, or another node.
//!
//! A file holds user records of one shard, all there are between two points, as [Parquet](mod@format); its [name] says which. The names in the
//! directory are the [index]: nothing else is read when a process starts. A file that is not what its name says is dropped, and its records are read
//! from Kinesis again, as everything that goes wrong here costs speed and never an answer.
//!
//! Stored is what Kinesis gave, so only what Kinesis still has is given from it: files near the end of the stream's retention are not read, those
//! before the shard's oldest record are deleted, and reading on after a restart begins at the last stored record, which must be there.

mod blocking;
mod counters;
mod directory;
mod format;
mod index;
mod intervals;
mod name;
mod remote;
mod saving;
mod shard;
mod sharing;
mod store;

pub(crate) use blocking::blocking;
pub use counters::SegmentCounters;
pub(crate) use format::{Part, is_storable};
pub(crate) use name::{FileName, FirstRecord, SegmentName};
pub use remote::{RemoteError, RemoteOptions, RemoteSegments, connect_object_store};
pub(crate) use saving::{Run, Saved};
pub(crate) use shard::{Held, StoredShard};
pub(crate) use sharing::Upload;
pub(crate) use store::StoredStream;
pub use store::{SegmentSettings, SegmentStore, SegmentStoreError};
