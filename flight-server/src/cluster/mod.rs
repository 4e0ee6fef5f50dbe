//! The nodes that share the work. They are equal: each answers any client, and what a node believes of the others costs speed when it is wrong, never rows.
//!
//! ```text
//! distributed plans over several nodes
//! members     which nodes there are, and which of them answer
//! placement   which of them owns a shard
//! ```

pub(crate) mod distributed;
mod members;
mod placement;

pub use members::{Members, Node};
pub use placement::Placement;
