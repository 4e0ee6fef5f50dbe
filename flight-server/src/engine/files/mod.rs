//! Files in object storage as tables, and as the end of COPY.
//!
//! Which files a statement reads is listed when it is planned, and travels in its ticket: whoever serves an endpoint, and whenever it is planned again,
//! reads the same files or fails. No store is known to the process as a whole: each statement that names files has a registry of its own, with what it
//! may read.

mod access;
mod copy;
mod define;
mod delta;
mod inside;
mod listing;
mod options;
mod pinned_store;
mod place;
mod table;
mod written;

pub use access::{FileAccess, FileStores, NoStores};
pub(super) use copy::COPY;
pub(super) use define::statement;
pub(super) use delta::opened;
pub use listing::{PinnedFile, PinnedFiles};
pub use place::{Place, Places};
pub(super) use table::{FilesTable, pin, runtime};
