//! Things that go wrong between the program and Kinesis: after each, every record is answered exactly once.

mod injected;
mod proxied;
pub(crate) mod resharding;
pub(crate) mod stage;
mod stored;
mod volume;
