//! Formats on real data, with values that other parsers found in it.

#![expect(clippy::unwrap_used, reason = "a test stops at what it cannot read")]

mod log_lines;

use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::BinaryArray;
use catalog::{Decoded, Decoder, TableDefinition};

/// A file of the tests' data.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn data(name: &str) -> Vec<u8> {
    fs::read(path(name)).unwrap()
}

/// All columns of these records.
fn decode(definition: &str, records: &[&[u8]]) -> Decoded {
    let definition = TableDefinition::from_yaml_file(definition, "default", &path("")).unwrap();
    let all: Vec<usize> = (0..definition.columns.len()).collect();
    Decoder::new(&definition, &all)
        .unwrap()
        .decode(&BinaryArray::from(records.to_vec()))
        .unwrap()
}
