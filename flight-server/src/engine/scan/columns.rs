//! Hidden columns of a run of records.

use std::sync::Arc;

use catalog::BadRecord;
use datafusion::arrow::array::{
    Array, ArrayBuilder, ArrayRef, BooleanBuilder, Int64Array, StringBuilder, TimestampMillisecondArray, UInt32Array, new_null_array,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result as DfResult, internal_datafusion_err};
use shard_reader::{Records, SequenceNumber, ShardPin};

use super::super::hidden::HiddenColumn;
use super::aggregates::hash_in_range;

/// A run of records, with what its hidden columns need to be known.
pub(super) struct Run<'a> {
    pub(super) pin: &'a ShardPin,
    /// Only the run's records.
    pub(super) records: &'a Records,
    /// Row of the run's first record in its segment.
    pub(super) offset: usize,
    /// Records of the range before the run.
    pub(super) before: i64,
    /// Verdicts on the segment, by row of the segment; `None` if they were not asked for.
    pub(super) bad: Option<&'a [BadRecord]>,
}

impl Run<'_> {
    /// The column, one value a record.
    pub(super) fn column(&self, column: HiddenColumn) -> DfResult<ArrayRef> {
        let rows = self.records.len();
        Ok(match column {
            HiddenColumn::ShardId => repeat(self.pin.range.shard.as_ref(), rows),
            HiddenColumn::ShardSequenceId => self.sequence_texts(),
            HiddenColumn::SubSequence => cast(self.records.subs() as &dyn Array, &DataType::Int64)?,
            HiddenColumn::SegmentStart => optional(self.pin.shard_start, rows),
            HiddenColumn::SegmentEnd => optional(self.pin.shard_end, rows),
            HiddenColumn::SegmentCount => Arc::new((1..).take(rows).map(|ordinal: i64| self.before + ordinal).collect::<Int64Array>()),
            HiddenColumn::PartitionKey => Arc::new(self.records.partition_keys().clone()),
            HiddenColumn::MessageTimestamp => {
                let arrivals = self.records.arrivals();
                Arc::new(TimestampMillisecondArray::new(arrivals.values().clone(), arrivals.nulls().cloned()))
            }
            HiddenColumn::Message => Arc::new(self.records.data().clone()),
            HiddenColumn::MessageLength => Arc::new(
                (0..rows)
                    .map(|row| i64::from(self.records.data().value_length(row)))
                    .collect::<Int64Array>(),
            ),
            HiddenColumn::MessageValid => self.valid()?,
            HiddenColumn::MessageError => self.errors()?,
            HiddenColumn::RowIndex => Arc::new(Int64Array::from(vec![0; rows])),
            HiddenColumn::RowId => self.row_ids(),
            HiddenColumn::HashInRange => Arc::new(hash_in_range(self.records, self.pin.hash_range)),
        })
    }

    /// Rows of the run that are bad, in order, with their verdicts.
    pub(super) fn bad_rows(&self) -> DfResult<impl Iterator<Item = (usize, &BadRecord)>> {
        let bad = self.bad.ok_or_else(|| internal_datafusion_err!("records were not judged"))?;
        let first = bad.partition_point(|verdict| verdict.row < self.offset);
        let end = self.offset + self.records.len();
        Ok(bad[first..]
            .iter()
            .take_while(move |verdict| verdict.row < end)
            .map(|verdict| (verdict.row - self.offset, verdict)))
    }

    fn valid(&self) -> DfResult<ArrayRef> {
        let mut builder = BooleanBuilder::with_capacity(self.records.len());
        for (row, _) in self.bad_rows()? {
            builder.append_n(row - builder.len(), true);
            builder.append_value(false);
        }
        builder.append_n(self.records.len() - builder.len(), true);
        Ok(Arc::new(builder.finish()))
    }

    fn errors(&self) -> DfResult<ArrayRef> {
        let mut builder = StringBuilder::new();
        for (row, verdict) in self.bad_rows()? {
            builder.append_nulls(row - builder.len());
            builder.append_value(&verdict.error);
        }
        builder.append_nulls(self.records.len() - builder.len());
        Ok(Arc::new(builder.finish()))
    }

    fn sequence_texts(&self) -> ArrayRef {
        let rows = self.records.len();
        let mut builder = StringBuilder::with_capacity(rows, rows * 57);
        for row in 0..rows {
            builder.append_value(self.records.sequence(row).padded());
        }
        Arc::new(builder.finish())
    }

    /// Shard, sequence number, sub-sequence and row: each of fixed width after the shard, so that text order is stream order within a shard.
    fn row_ids(&self) -> ArrayRef {
        use std::fmt::Write;
        let rows = self.records.len();
        let subs: &UInt32Array = self.records.subs();
        let shard: &str = self.pin.range.shard.as_ref();
        let mut builder = StringBuilder::with_capacity(rows, rows * (shard.len() + 81));
        for row in 0..rows {
            // Writing to a string builder cannot fail.
            let _ = write!(
                builder,
                "{shard}/{}/{:010}/{:010}",
                self.records.sequence(row).padded(),
                subs.value(row),
                0
            );
            builder.append_value("");
        }
        Arc::new(builder.finish())
    }
}

fn repeat(text: &str, rows: usize) -> ArrayRef {
    let mut builder = StringBuilder::with_capacity(rows, rows * text.len());
    for _ in 0..rows {
        builder.append_value(text);
    }
    Arc::new(builder.finish())
}

fn optional(sequence: Option<SequenceNumber>, rows: usize) -> ArrayRef {
    match sequence {
        Some(sequence) => repeat(&sequence.padded(), rows),
        None => new_null_array(&DataType::Utf8, rows),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::StringArray;

    use super::*;

    #[test]
    fn repeated_texts_fill_the_column() {
        let column = repeat("shard", 3);
        let texts = column.as_any().downcast_ref::<StringArray>().expect("text");
        assert_eq!(texts.iter().collect::<Vec<_>>(), [Some("shard"); 3]);
        assert_eq!(optional(None, 2).null_count(), 2);
    }
}
