//! Shardflight: SQL over Amazon Kinesis Data Streams through Arrow Flight SQL.

pub mod cli;
pub mod cluster;
pub mod config;
pub mod engine;
pub mod http;
pub mod offload;
pub mod service;
mod tls_provider;
