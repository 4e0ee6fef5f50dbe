//! The nodes that share the work. They are equal: each answers any client, and what a node believes of the others costs speed when it is wrong, never rows.
//!
//! ```text
//! node         a process as one of them: all of the below together
//! discovery    who they are: a list, or all addresses of a name
//! watch        which of them answer, and what they say of themselves (facts)
//! members      those that work is given to
//! placement    which of them owns a shard
//! budget       half the pace while they may disagree
//! counters     what it does for others
//! connections  one to each of them; trust is what they know each other by, and pings tell which are dead
//! serving      the listener that is theirs alone; refusals are the calls of others
//! distributed  plans over several of them
//! ```

mod budget;
mod connections;
mod counters;
mod discovery;
pub(crate) mod distributed;
mod error;
mod facts;
mod members;
mod node;
mod pings;
mod placement;
mod refusals;
mod serving;
mod trust;
mod watch;

pub use error::ClusterError;
pub use facts::NodeFacts;
pub use members::{Members, Node};
pub use node::Cluster;
pub(crate) use node::{ClusterFigures, Presence};
pub use placement::Placement;
