//! How records get here: positions, sources, the shared reader, segments.
//!
//! - [`Position`] and [`SequenceNumber`]: points between records, ordered as numbers.
//! - [`ShardSource`]: the one seam to Kinesis, with [`FanOut`] for sources that can push. [`KinesisSource`] goes through the AWS SDK; [`MemorySource`] is a scripted stream in the process.
//! - [`Readers`], [`StreamReader`]: one reader per stream and process, shared by all statements; it pins snapshots and scans ranges.
//! - [`Aggregator`]: KPL aggregates; user records become rows where pages come in.
//! - [`Segment`]: a run of [`Records`] in columns, with decoded columns beside them, within one budget of memory.
//! - [`Writer`]: records into streams, over [`RecordSink`], which is PutRecords.
//! - [`checkpoints`]: what named consumers have consumed, and where that is kept.
//! - [`conformance`]: what every source must do, as code.
//!
//! This room knows no query engine and no gRPC.

mod aggregation;
pub mod checkpoints;
pub mod conformance;
mod fan_out;
mod kinesis;
mod memory;
mod memory_budget;
mod position;
mod reader;
mod records;
mod segments;
mod source;
mod writing;

pub use aggregation::{Aggregator, MOST_EXPANSION, hash_of_partition_key, user_records};
pub use fan_out::{ConsumerArn, FanOut, FanOutError, FanOutErrorKind, PushedRecords, ShardSubscription};
pub use kinesis::{KinesisSettings, KinesisSource};
pub use memory::{Chances, MemorySource, MillisBehind, PutFate};
pub use position::{PADDED_DIGITS, Position, PositionError, SequenceNumber};
pub use reader::{
    CacheCounters, EstimateSource, FanOutConfig, FollowScan, Followed, Freshness, Gap, NewestScan, OnGap, Pace, PinElsewhere, PinRequest,
    PinnedShard, PinsForAnother, ReadError, ReadErrorKind, ReadEstimate, ReaderConfig, Readers, ScanStart, ScanTotals, SegmentFacts,
    SegmentSlice, ShardBounds, ShardCounters, ShardFacts, ShardPin, ShardRange, ShardScan, ShardScope, ShardToPin, Snapshot,
    StatementMeter, StreamReader, TipKind, WallClock, recreated,
};
pub use records::{DecodedColumns, Records, RecordsBuilder, Segment};
pub use segments::{
    RemoteError, RemoteOptions, RemoteSegments, SegmentCounters, SegmentSettings, SegmentStore, SegmentStoreError, connect_object_store,
};
pub use source::{
    Cursor, FULL_PAGE_BYTES, HashRange, OpenAt, Page, ShardId, ShardInfo, ShardSource, SourceError, SourceErrorKind, StreamDescription,
    StreamIdentity,
};
pub use writing::{
    Acknowledgement, EntryOutcome, MOST_BYTES_A_CALL, MOST_BYTES_A_RECORD, MOST_RECORDS_A_CALL, OutgoingRecord, Packed, Packer, Receipts,
    RecordSink, WriteError, WriteTotals, Writer, WriterOptions,
};
