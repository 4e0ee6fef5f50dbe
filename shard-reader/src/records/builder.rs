//! Building runs of records without an object per record.

use arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryBuilder, FixedSizeBinaryArray, Int64Array, Int64Builder, StringArray, StringBuilder, UInt32Array,
};
use arrow::buffer::{Buffer, ScalarBuffer};

use super::Records;
use crate::SequenceNumber;

/// Collects the records of a page into columns.
#[derive(Debug)]
pub struct RecordsBuilder {
    sequence: Vec<u8>,
    sub: Vec<u32>,
    partition_key: StringBuilder,
    arrival_ms: Int64Builder,
    data: BinaryBuilder,
}

impl RecordsBuilder {
    /// A builder for so many records with so many bytes of payloads and partition keys; exact numbers leave no slack in memory.
    pub fn with_capacity(records: usize, data_bytes: usize, key_bytes: usize) -> Self {
        Self {
            sequence: Vec::with_capacity(records * 24),
            sub: Vec::with_capacity(records),
            partition_key: StringBuilder::with_capacity(records, key_bytes),
            arrival_ms: Int64Builder::with_capacity(records),
            data: BinaryBuilder::with_capacity(records, data_bytes),
        }
    }

    /// Adds a record that does not fan out.
    pub fn push(&mut self, sequence: SequenceNumber, partition_key: Option<&str>, arrival_ms: Option<i64>, data: &[u8]) {
        self.push_sub(sequence, 0, partition_key, arrival_ms, data);
    }

    fn push_sub(&mut self, sequence: SequenceNumber, sub: u32, partition_key: Option<&str>, arrival_ms: Option<i64>, data: &[u8]) {
        self.sequence.extend_from_slice(sequence.as_bytes());
        self.sub.push(sub);
        self.partition_key.append_option(partition_key);
        self.arrival_ms.append_option(arrival_ms);
        self.data.append_value(data);
    }

    pub(super) fn push_run_row(&mut self, run: &Records, row: usize) {
        let key = run.partition_key.is_valid(row).then(|| run.partition_key.value(row));
        self.push_sub(run.sequence(row), run.sub.value(row), key, run.arrival(row), run.data.value(row));
    }

    /// The run.
    pub fn finish(mut self) -> Records {
        let rows = self.sub.len();
        let partition_key: StringArray = self.partition_key.finish();
        let arrival_ms: Int64Array = self.arrival_ms.finish();
        let data: BinaryArray = self.data.finish();
        debug_assert_eq!(data.len(), rows);
        Records {
            sequence: FixedSizeBinaryArray::new(24, Buffer::from_vec(self.sequence), None),
            sub: UInt32Array::new(ScalarBuffer::from(self.sub), None),
            partition_key,
            arrival_ms,
            data,
        }
    }
}

impl Default for Records {
    fn default() -> Self {
        RecordsBuilder::with_capacity(0, 0, 0).finish()
    }
}

/// Bytes that a decoded column holds.
pub(super) fn column_bytes(column: &ArrayRef) -> usize {
    column.get_array_memory_size()
}
