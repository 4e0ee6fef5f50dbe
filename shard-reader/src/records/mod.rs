//! Records in columns: one run of one shard, in order.

mod batch;
mod builder;
mod segment;

use arrow::array::{Array, BinaryArray, FixedSizeBinaryArray, Int64Array, StringArray, UInt32Array};

pub use builder::RecordsBuilder;
pub(crate) use segment::SegmentMaker;
pub use segment::{DecodedColumns, Segment};

use crate::{Position, SequenceNumber};

/// A run of records of one shard, ascending, in columns. Cheap to clone and to slice.
#[derive(Debug, Clone, PartialEq)]
pub struct Records {
    sequence: FixedSizeBinaryArray,
    sub: UInt32Array,
    partition_key: StringArray,
    arrival_ms: Int64Array,
    data: BinaryArray,
    /// Present if and only if a row has one.
    hash_keys: Option<FixedSizeBinaryArray>,
}

impl Records {
    /// Number of records.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Sequence number of a row.
    ///
    /// # Panics
    /// If `row` is out of bounds, as slices do.
    pub fn sequence(&self, row: usize) -> SequenceNumber {
        let mut bytes = [0u8; 24];
        bytes.copy_from_slice(self.sequence.value(row));
        SequenceNumber::from_bytes(bytes)
    }

    /// Sequence numbers, 24 bytes each, most significant first.
    pub fn sequences(&self) -> &FixedSizeBinaryArray {
        &self.sequence
    }

    /// Sub-sequence numbers: 0 where a record is no aggregate.
    pub fn subs(&self) -> &UInt32Array {
        &self.sub
    }

    /// Partition keys; null where the service gave none.
    pub fn partition_keys(&self) -> &StringArray {
        &self.partition_key
    }

    /// Approximate arrival times, ms since the epoch; null where the service gave none. Not guaranteed to ascend.
    pub fn arrivals(&self) -> &Int64Array {
        &self.arrival_ms
    }

    /// Arrival time of a row, ms since the epoch.
    pub fn arrival(&self, row: usize) -> Option<i64> {
        self.arrival_ms.is_valid(row).then(|| self.arrival_ms.value(row))
    }

    /// Payloads.
    pub fn data(&self) -> &BinaryArray {
        &self.data
    }

    /// Hash keys of user records out of aggregates, 16 bytes each, most significant first; null where a record is no aggregate. `None`: no row came
    /// out of an aggregate.
    pub fn hash_keys(&self) -> Option<&FixedSizeBinaryArray> {
        self.hash_keys.as_ref()
    }

    /// Hash key of a row that came out of an aggregate.
    pub fn hash_key(&self, row: usize) -> Option<u128> {
        let keys = self.hash_keys.as_ref().filter(|keys| keys.is_valid(row))?;
        keys.value(row).try_into().ok().map(u128::from_be_bytes)
    }

    /// The point just before a row.
    pub fn start_of(&self, row: usize) -> Position {
        match self.sub.value(row) {
            0 => Position::Before(self.sequence(row)),
            sub => Position::After(self.sequence(row), sub - 1),
        }
    }

    /// The point just after a row.
    pub fn end_of(&self, row: usize) -> Position {
        Position::After(self.sequence(row), self.sub.value(row))
    }

    /// The first row at or after a point; `len()` if there is none.
    pub fn lower_bound(&self, position: Position) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.start_of(middle) < position {
                low = middle + 1
            } else {
                high = middle
            }
        }
        low
    }

    /// Whether a point lies inside a record of the run: between two of its user records.
    pub fn splits(&self, position: Position) -> bool {
        let row = self.lower_bound(position);
        row > 0 && row < self.len() && self.sub.value(row) > 0 && self.sequence(row) == self.sequence(row - 1)
    }

    /// Number of Kinesis records of which a range of rows holds user records.
    pub fn record_count(&self, rows: std::ops::Range<usize>) -> usize {
        if self.hash_keys.is_none() || rows.is_empty() {
            return rows.len();
        }
        1 + (rows.start + 1..rows.end).filter(|row| self.sub.value(*row) == 0).count()
    }

    /// Whether every row lies after the one before it.
    pub fn is_ascending(&self) -> bool {
        (1..self.len()).all(|row| self.end_of(row - 1) <= self.start_of(row))
    }

    /// Rows `offset .. offset + len`, sharing memory.
    ///
    /// # Panics
    /// If the range is out of bounds.
    pub fn slice(&self, offset: usize, len: usize) -> Self {
        Self {
            sequence: self.sequence.slice(offset, len),
            sub: self.sub.slice(offset, len),
            partition_key: self.partition_key.slice(offset, len),
            arrival_ms: self.arrival_ms.slice(offset, len),
            data: self.data.slice(offset, len),
            hash_keys: self
                .hash_keys
                .as_ref()
                .map(|keys| keys.slice(offset, len))
                .filter(|keys| keys.null_count() < keys.len()),
        }
    }

    /// One run of several that follow each other, in memory of its own.
    pub fn concat(runs: &[&Self]) -> Self {
        let rows = runs.iter().map(|run| run.len()).sum();
        let data = runs.iter().map(|run| run.data_bytes(0..run.len())).sum();
        let keys = runs.iter().map(|run| run.key_bytes(0..run.len())).sum();
        let mut builder = RecordsBuilder::with_capacity(rows, data, keys);
        for run in runs {
            for row in 0..run.len() {
                builder.push_run_row(run, row);
            }
        }
        builder.finish()
    }

    /// Bytes of the payloads of a range of rows.
    pub fn data_bytes(&self, rows: std::ops::Range<usize>) -> usize {
        let offsets = self.data.value_offsets();
        (offsets[rows.end] - offsets[rows.start]) as usize
    }

    pub(crate) fn key_bytes(&self, rows: std::ops::Range<usize>) -> usize {
        let offsets = self.partition_key.value_offsets();
        (offsets[rows.end] - offsets[rows.start]) as usize
    }

    /// Bytes on the wire of a range of rows: payloads and partition keys.
    pub fn wire_bytes(&self, rows: std::ops::Range<usize>) -> u64 {
        (self.data_bytes(rows.clone()) + self.key_bytes(rows)) as u64
    }

    /// Bytes in memory of these rows (not of the allocation they may share).
    pub fn bytes(&self) -> usize {
        // 24 sequence, 4 sub, 8 arrival, two offsets of 4, and validity bits; 16 hash key
        let row = 45 + self.hash_keys.as_ref().map_or(0, |_| 16);
        self.data_bytes(0..self.len()) + self.key_bytes(0..self.len()) + self.len() * row
    }
}

#[cfg(test)]
mod tests;
