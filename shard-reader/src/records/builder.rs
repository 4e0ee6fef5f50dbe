//! Building runs of records without an object per record.

use arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryBuilder, FixedSizeBinaryArray, Int64Array, Int64Builder, StringArray, StringBuilder, UInt32Array,
    builder::NullBufferBuilder,
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
    /// Begun with the first user record that comes out of an aggregate.
    hash_keys: Option<HashKeys>,
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
            hash_keys: None,
        }
    }

    /// Adds a record that is no aggregate.
    pub fn push(&mut self, sequence: SequenceNumber, partition_key: Option<&str>, arrival_ms: Option<i64>, data: &[u8]) {
        self.push_row(sequence, 0, None, partition_key, arrival_ms, data);
    }

    /// Adds user record `sub` of an aggregate, with its 128-bit hash key.
    pub fn push_user_record(
        &mut self,
        (sequence, sub): (SequenceNumber, u32),
        hash_key: u128,
        partition_key: Option<&str>,
        arrival_ms: Option<i64>,
        data: &[u8],
    ) {
        self.push_row(sequence, sub, Some(hash_key), partition_key, arrival_ms, data);
    }

    fn push_row(
        &mut self,
        sequence: SequenceNumber,
        sub: u32,
        hash_key: Option<u128>,
        partition_key: Option<&str>,
        arrival_ms: Option<i64>,
        data: &[u8],
    ) {
        if hash_key.is_some() || self.hash_keys.is_some() {
            let rows = self.sub.len();
            self.hash_keys.get_or_insert_with(|| HashKeys::after_plain(rows)).push(hash_key);
        }
        self.sequence.extend_from_slice(sequence.as_bytes());
        self.sub.push(sub);
        self.partition_key.append_option(partition_key);
        self.arrival_ms.append_option(arrival_ms);
        self.data.append_value(data);
    }

    pub(crate) fn push_run_row(&mut self, run: &Records, row: usize) {
        let key = run.partition_key.is_valid(row).then(|| run.partition_key.value(row));
        self.push_row(
            run.sequence(row),
            run.sub.value(row),
            run.hash_key(row),
            key,
            run.arrival(row),
            run.data.value(row),
        );
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
            hash_keys: self.hash_keys.map(HashKeys::finish),
        }
    }
}

/// Hash keys of rows of which some came out of aggregates.
#[derive(Debug)]
struct HashKeys {
    bytes: Vec<u8>,
    present: NullBufferBuilder,
}

impl HashKeys {
    fn after_plain(rows: usize) -> Self {
        let mut present = NullBufferBuilder::new(rows + 1);
        present.append_n_nulls(rows);
        Self {
            bytes: vec![0; rows * 16],
            present,
        }
    }

    fn push(&mut self, hash_key: Option<u128>) {
        self.bytes.extend_from_slice(&hash_key.unwrap_or_default().to_be_bytes());
        self.present.append(hash_key.is_some());
    }

    fn finish(mut self) -> FixedSizeBinaryArray {
        FixedSizeBinaryArray::new(16, Buffer::from_vec(self.bytes), self.present.finish())
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
