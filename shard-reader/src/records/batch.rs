//! Records as a record batch, for files.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, BinaryArray, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray, UInt32Array, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::Records;

/// `sequence` (24 bytes, most significant first), `sub`, `partition_key`, `arrival_ms` (since the epoch), `hash_key` (16 bytes, most significant first;
/// null where a record is no aggregate), `data`.
static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("sequence", DataType::FixedSizeBinary(24), false),
        Field::new("sub", DataType::UInt32, false),
        Field::new("partition_key", DataType::Utf8, true),
        Field::new("arrival_ms", DataType::Int64, true),
        Field::new("hash_key", DataType::FixedSizeBinary(16), true),
        Field::new("data", DataType::Binary, false),
    ]))
});

impl Records {
    /// Schema of [`Records::to_batch`].
    pub(crate) fn schema() -> SchemaRef {
        Arc::clone(&SCHEMA)
    }

    /// The columns as a batch, sharing memory.
    pub(crate) fn to_batch(&self) -> Result<RecordBatch, ArrowError> {
        let hash_keys: ArrayRef = match &self.hash_keys {
            Some(keys) => Arc::new(keys.clone()),
            None => new_null_array(&DataType::FixedSizeBinary(16), self.len()),
        };
        RecordBatch::try_new(
            Self::schema(),
            vec![
                Arc::new(self.sequence.clone()),
                Arc::new(self.sub.clone()),
                Arc::new(self.partition_key.clone()),
                Arc::new(self.arrival_ms.clone()),
                hash_keys,
                Arc::new(self.data.clone()),
            ],
        )
    }

    /// The records of a batch of [`Records::schema`], in memory without slack; `None` if it is of another schema.
    pub(crate) fn from_batch(batch: &RecordBatch) -> Option<Self> {
        if batch.schema_ref().fields() != SCHEMA.fields() {
            return None;
        }
        let hash_keys: FixedSizeBinaryArray = column(batch, 4)?;
        Some(Self {
            sequence: column(batch, 0)?,
            sub: column::<UInt32Array>(batch, 1)?,
            partition_key: column::<StringArray>(batch, 2)?,
            arrival_ms: column::<Int64Array>(batch, 3)?,
            data: column::<BinaryArray>(batch, 5)?,
            hash_keys: (hash_keys.null_count() < hash_keys.len()).then_some(hash_keys),
        })
    }
}

fn column<T: Array + Clone + 'static>(batch: &RecordBatch, index: usize) -> Option<T> {
    let mut array = batch.column(index).as_any().downcast_ref::<T>()?.clone();
    array.shrink_to_fit();
    Some(array)
}
