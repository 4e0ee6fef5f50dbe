//! Shardflight: SQL over Kinesis.
