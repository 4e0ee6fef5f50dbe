//! Shardflight: SQL over Amazon Kinesis Data Streams through Arrow Flight SQL.

pub mod engine;
pub mod service;
