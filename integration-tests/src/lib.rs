//! What the tests of the whole need: environments of other languages, processes, Kinesis services that nobody here wrote, and the program itself.
//!
//! The tests are in `tests/all`, one executable.

pub mod backends;
pub mod balancer;
pub mod buckets;
pub mod calls;
pub mod cluster;
pub mod environment;
pub mod flight;
pub mod hosts;
pub mod http;
pub mod kinesis;
pub mod links;
pub mod node_certificates;
pub mod process;
pub mod scale;
pub mod server;
pub mod spread;
pub mod stand_in;
pub mod tables;
