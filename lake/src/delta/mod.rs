//! Delta tables.
//!
//! - [`table`]: what [`crate::LakeTable`] asks for.
//! - [`log`]: the log and its errors, as the rest of the room sees them.
//! - [`schema`]: whether the rows fit the table that is there, and the columns that it gains.
//! - [`scan`]: a version of the table for DataFusion.
//! - [`upkeep`]: compaction, and cleaning.
//! - [`version`]: a table of others, to be read.

mod log;
mod scan;
mod schema;
mod table;
mod upkeep;
mod version;

pub(crate) use table::DeltaLake;
pub use version::{DeltaVersion, delta_version};
