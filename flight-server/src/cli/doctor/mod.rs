//! `shardflight doctor [STREAM]`: what a server needs of AWS, asked for as the server would ask, before it runs.
//!
//! - `caller`: credentials, and whose they are.
//! - `stream`: what a stream says of itself; `permissions`: what may be done with it, by DryRun where that does something.
//! - `sample`: a few records of some shards; `reading`: what a full read takes by them, at `prices`.
//! - `table`: the table of checkpoints.
//! - `places`: where statements may read and write files.
//! - `policy`: the least IAM policy for all of it.
//!
//! It changes nothing: no record is put, no consumer registered, no table made. An object that is put where `allow.write` says so is deleted again.

mod call;
mod caller;
mod clock;
mod lake_policy;
mod permissions;
mod places;
mod policy;
mod prices;
mod reading;
mod report;
mod run;
mod sample;
mod stream;
mod table;

pub(super) use run::{DoctorArgs, run};
