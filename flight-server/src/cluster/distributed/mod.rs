//! Gathered plans over several nodes, by datafusion-distributed.
//!
//! ```text
//! spreading   a plan that is ready -> stages; each node scans the shards that it owns
//! codec       a scan -> bytes -> a scan of the node's own readers
//! settings    what of a statement's configuration its tasks need
//! allowed     the operators that a node runs for another: none that touches a file
//! pins        each shard is pinned by the node that scans it
//! slots       how many statements of others have tasks on a node, and what they have read
//! worker      what runs tasks
//! part        this node's part in all that
//! channels    connections to other nodes; whatever fails on them names the node
//! peers       which nodes answer, in our version
//! ```

mod allowed;
mod channels;
mod codec;
mod part;
mod peers;
mod pins;
mod settings;
mod slots;
mod spreading;
#[cfg(test)]
mod tests;
mod worker;

pub(crate) use channels::Credential;
pub(crate) use part::{Others, Part};
