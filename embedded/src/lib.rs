//! An in-process stream service that speaks the Kinesis API, for trying out, developing and testing without AWS.
//!
//! Any AWS SDK or CLI uses it by its endpoint URL; credentials must be present for the SDK's sake and are not checked. It keeps what it is
//! given in a directory and survives the death of its process, but it is one process on one disk without authentication, encryption or
//! replication: not a place for data that matters. It listens on loopback unless told otherwise.
//!
//! ```no_run
//! # async fn example() -> Result<(), embedded::EmbeddedError> {
//! let kinesis = embedded::EmbeddedKinesis::start(embedded::Options::new("/var/lib/streams")).await?;
//! let url = kinesis.endpoint(); // aws kinesis --endpoint-url <url> list-streams
//! # drop(url);
//! kinesis.shutdown().await
//! # }
//! ```
//!
//! # What it promises
//!
//! - **No holes.** Under one lock per shard a record gets its sequence number and becomes readable; a reader never passes a record that
//!   appears later. Sequence numbers have 56 digits, increase within a shard and from parents to children, are unique in a stream, and are
//!   never used twice, restarts included.
//! - **Lineage.** Splits, merges and `UpdateShardCount` (through intermediate shards, as on AWS) close parents with an ending sequence number
//!   and link children; closed shards stay readable until their records expire. The last page of a closed shard has a null
//!   `NextShardIterator` and the `ChildShards`.
//! - **`MillisBehindLatest`** is 0 exactly when the page reached the tip; otherwise it is the time since the arrival of the first record
//!   that the page leaves unread.
//! - **Pages** hold at most 10,000 records and 10 MiB of keys and data. A shard iterator stands for a position: read twice, it gives the same page. It
//!   expires after [`Options::iterator_ttl`] and ends with its stream; a stream made anew under the same name does not honour it.
//! - **Subscriptions** push records as they come, in events of at most 1 MiB of keys and data, and give an event without records after
//!   [`Options::heartbeat`]. They end after [`Options::subscription`], or with their shard: the last event names the `ChildShards` and no
//!   `ContinuationSequenceNumber`. Consumer and shard have one subscription: within 5 s of a success the next is refused, later it takes over.
//! - **Arrival times** are those of the [`Clock`], to the millisecond, and never decrease within a shard.
//!
//! # Choices where AWS leaves room, and differences
//!
//! - Streams and shards are ready at once: status `ACTIVE`, never `CREATING`, `UPDATING` or `DELETING`. Consumers are `CREATING` for
//!   [`Options::consumer_creating`], and gone at once.
//! - A timestamp in the future is an `InvalidArgumentException`, for iterators and shard filters.
//! - `AT_TRIM_HORIZON` and the timestamp filters of `ListShards` take the creation of a stream younger than its retention as its horizon.
//! - On-demand streams have 4 shards and do not reshard by themselves.
//! - Records are limited to 1 MiB. There is no encryption: `EncryptionType` is `NONE` in descriptions and absent elsewhere, as for unencrypted streams of AWS.
//! - Not answered, with an `UnsupportedOperationException`: encryption, monitoring, resource policies, account
//!   settings. Names that are no operation give an `UnknownOperationException`.
//!
//! # Cost
//!
//! Payloads stay in files, that is in the page cache; memory holds 32 bytes a record. `GetRecords` and bodies over 64 KiB are worked on off
//! the runtime's own threads. Measured over loopback with 1,000,000 records of 150 bytes in 4 shards, unoptimized build: 85,000 records put
//! and 370,000 read per second of one core, 73 MB resident at most, 0.6 s to start again on them.

mod api;
mod clock;
mod counters;
mod exchange;
mod faults;
mod log;
mod offload;
mod operation;
mod options;
mod reply;
mod server;
mod stream;
mod subscription;
mod wire;

pub use clock::Clock;
pub use counters::{CallCounters, CallCounts};
pub use faults::{Cut, Fault, FaultId, FaultRule, Faults};
pub use operation::Operation;
pub use options::{EmbeddedError, Options};
pub use server::EmbeddedKinesis;
pub use stream::SubscriptionEnd;
