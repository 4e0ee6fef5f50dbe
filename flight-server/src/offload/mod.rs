//! Offload: jobs that keep a lake in step with a stream, exactly once.
//!
//! ```text
//! definition   a job as it was made, kept as a file beside the table definitions (files)
//! options      what a job can be told, each with its default
//! locations    where jobs may write
//! lakes        from a location to the table there
//! step         one iteration: open -> bad records -> files -> publication -> commit
//! complete     partitions of time that get no more rows
//! jobs         all jobs of a server: made, paused, removed, shown
//! supervisor   runs those that are due, and that are this node's
//! history      what jobs have published, as the histories of their tables
//! check        compares checkpoint, lake and stream
//! ```
//!
//! The publication in the lake is the truth. It carries the iteration's number and where each shard stands after it; the checkpoint store fixes the range of
//! the next iteration before it is read, and is brought to the publication whenever it is behind. Whoever is killed, or two who work at once, publish an
//! iteration once.

mod bad_records;
mod check;
mod complete;
mod definition;
mod error;
mod files;
mod history;
mod jobs;
mod lakes;
mod locations;
mod options;
mod state;
mod step;
mod supervisor;
#[cfg(test)]
mod tests;

pub use check::Finding;
pub use error::OffloadError;
pub use files::JobFiles;
pub use jobs::{Jobs, JobsConfig};
pub use lakes::{Lakes, OpenLake, StoreLakes};
pub use step::Stepped;
