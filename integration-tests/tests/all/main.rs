//! Everything that needs more than one room: what Kinesis promises, the program with real clients, SQL cases, faults, the rules between rooms.
#![expect(clippy::unwrap_used, reason = "a test's failure is a panic")]
#![expect(clippy::print_stdout, reason = "the harness captures it and shows it with a failure")]

mod checkpoint_stores;
mod clients;
mod cluster;
mod cluster_faults;
mod conformance;
mod consumers;
mod definitions;
mod demo;
mod deploy;
mod faults;
mod files;
mod follow;
mod lake;
mod large_record;
mod metrics;
mod offload;
mod progress;
mod promises;
mod protocol;
mod registries;
mod rooms;
mod security;
mod sql_cases;
mod transactions;
mod writing;
