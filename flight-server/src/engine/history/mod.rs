//! Tables whose older rows lie in a lake: up to where an offload job has published they come from there, and behind that from the stream.
//!
//! ```text
//! model   what a job has published, to be read as the history of a table
//! terms   whether a job's statement is such that its rows are the table's
//! find    the histories of a statement's tables, at the version of its ticket or now
//! table   the union of both, under the table's name
//! ```
//!
//! The lake's version is chosen first, and the stream is pinned behind the position of each shard that this version carries: no row is in both, none in
//! neither, however often the job publishes meanwhile. Version and pins travel in the ticket.

mod find;
mod model;
mod table;
mod terms;

pub(super) use find::WantedHistory;
pub use model::{History, HistoryTerms, PinnedHistory};
pub(super) use table::HybridTable;
pub(super) use terms::own_columns;
