//! Scratch tables and views: `kinesis.scratch`, in memory, for tools that stage data.
//!
//! They belong to a session, or by configuration to a principal. What a table holds is an immutable version: who changes the table makes another one, and a
//! statement is planned against those that it found. A ticket names its versions, which are kept for it as long as it can be redeemed and memory
//! allows; a version that is gone is an error, and never other rows.

mod contents;
mod describe;
mod incoming;
mod kept;
mod memory;
mod names;
mod pinned;
mod space;
mod statements;
mod table;
mod view;
mod writing;

pub(super) use contents::Contents;
pub(super) use kept::Scratch;
pub use kept::{ScratchConfig, ScratchKeep};
pub(super) use names::ambiguous;
pub use pinned::{PinnedScratch, PinnedView};
pub(super) use space::Space;
pub(super) use table::{ScratchTable, ViewEntry};
pub(super) use writing::ScratchTarget;

/// Name of the schema.
pub(super) const SCHEMA: &str = "scratch";

/// Kind of the statements about it, for the tables and metrics about statements.
pub(super) const KIND: &str = "scratch";
