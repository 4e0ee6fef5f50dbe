//! Rows of a stream in the files of a lake: written once, published at once, read back up to the position.
//!
//! - [`LakeSpec`]: which table, for which job; [`open`] gives it, and [`LakeTable`] is what can be done with it.
//! - [`Mark`]: the iteration that a publication carries, with the position of every shard.
//! - [`LakeSnapshot`]: a table as it was at one publication, to be scanned.
//!
//! This room knows no gRPC, and no statement: rows come in, and a table goes out.

mod age;
mod columns;
mod delta;
mod encode;
mod error;
mod manifest;
mod marks;
mod model;
mod names;
mod open;
mod ordered;
mod partition;
mod read;
mod stats;
mod store;
mod together;
mod write;

pub use delta::{DeltaVersion, delta_version};
pub use error::{LakeError, LakeErrorKind};
pub use model::{Cleaned, Compacted, JobName, JobNameError, LakeFormat, LakeSnapshot, LakeSpec, LakeTable, Mark, Published, WrittenFile};
pub use open::open;
