//! A record's bytes -> columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray};

use crate::{Compression, DefinitionError, TableDefinition};

/// Decodes records of one definition into a fixed set of its columns.
#[derive(Debug)]
pub struct Decoder {}

/// What a run of records decodes to: one row a record, in order.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// One array for each requested column, each as long as the run.
    pub columns: Vec<ArrayRef>,
    /// Verdicts on records that are bad as far as the requested columns go, in row order, one per bad row.
    pub bad: Vec<BadRecord>,
}

/// Why a row is bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRecord {
    /// Row in the run.
    pub row: usize,
    /// Path and reason, as `_message_error` shows it.
    pub error: String,
}

/// An encoding that this version recognises but does not decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// KPL aggregate (magic and MD5).
    KplAggregate,
    /// gzip
    Gzip,
    /// zlib
    Zlib,
    /// zstd
    Zstd,
    /// snappy (framed)
    Snappy,
}

/// The encoding of a payload that must fail a statement with "not supported yet", if any. KPL is looked for always, compression under `auto`.
pub fn unsupported_encoding(_payload: &[u8], _compression: Compression) -> Option<Encoding> {
    unimplemented!()
}

impl Decoder {
    /// A decoder for `columns` (indexes into `definition.columns`, any order, may be empty).
    pub fn new(_definition: &Arc<TableDefinition>, _columns: &[usize]) -> Result<Self, DefinitionError> {
        unimplemented!()
    }

    /// Decodes all of `payloads`; never fails for a bad record.
    pub fn decode(&mut self, _payloads: &BinaryArray) -> Decoded {
        unimplemented!()
    }
}
