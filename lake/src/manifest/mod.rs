//! Tables of plain Parquet or ORC files: a manifest for each publication says which files there are.
//!
//! Manifest N lies at `_shardflight/JOB/manifests/N.json` (20 digits, from 1). To create it, if nothing is there, is the commit: of two who try, one has
//! written N, and the other sees it and goes on from there. A file that no manifest names is not in the table, wherever it lies. Every so many
//! manifests, what they say together is kept at `_shardflight/JOB/checkpoints/N.json`, so that a reader reads few.
//!
//! - [`model`]: what a manifest says, and the table that manifests make.
//! - [`log`]: reads and commits them.
//! - [`table`]: what [`crate::LakeTable`] asks for.
//! - [`prune`]: files that can hold no row of an answer; [`parquet_scan`] and [`orc_scan`] read the others.
//! - [`upkeep`]: compaction, and cleaning.

mod log;
mod model;
mod orc_scan;
mod parquet_scan;
mod prune;
mod scan;
mod table;
mod upkeep;

pub(crate) use table::ManifestLake;
