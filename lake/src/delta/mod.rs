//! Delta tables.
//!
//! - [`table`]: what [`crate::LakeTable`] asks for.
//! - [`log`]: the log and its errors, as the rest of the room sees them.
//! - [`schema`]: whether the rows fit the table that is there, and the columns that it gains.
//! - [`scan`]: a version of the table for DataFusion.
//! - [`upkeep`]: compaction, and cleaning.

mod log;
mod scan;
mod schema;
mod table;
mod upkeep;

pub(crate) use table::DeltaLake;
