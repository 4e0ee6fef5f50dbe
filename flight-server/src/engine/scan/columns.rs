//! Hidden columns of a run of records.

use std::ops::Range;
use std::sync::Arc;

use catalog::BadRecord;
use datafusion::arrow::array::{
    Array, ArrayBuilder, ArrayRef, BooleanBuilder, Int64Array, StringBuilder, TimestampMillisecondArray, UInt32Array, new_null_array,
};
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result as DfResult, internal_datafusion_err};
use shard_reader::{Records, SequenceNumber, ShardPin};

use super::super::error::{EngineError, ErrorCategory};
use super::super::hidden::HiddenColumn;
use super::aggregates::hash_in_range;

/// Bytes that `_message` may take in one run: it is repeated in every row of its record.
const MOST_MESSAGES: usize = 1 << 30;

/// A run of records, with what its hidden columns need to be known.
pub(super) struct Run<'a> {
    pub(super) pin: &'a ShardPin,
    /// Only the run's records.
    pub(super) records: &'a Records,
    /// Its rows, among those of its segment.
    pub(super) rows: Range<usize>,
    /// Of each row its record in the run; `None` = rows are records.
    pub(super) origins: Option<UInt32Array>,
    /// Rows of the range before the run.
    pub(super) before: i64,
    /// Verdicts on the segment, by row of the segment; `None` if they were not asked for.
    pub(super) bad: Option<Arc<Vec<BadRecord>>>,
}

impl Run<'_> {
    /// Of a value for each record, one for each row.
    pub(super) fn spread(&self, of_records: ArrayRef) -> DfResult<ArrayRef> {
        Ok(match &self.origins {
            None => of_records,
            Some(origins) => take(&of_records, origins, None)?,
        })
    }

    /// The record of a row.
    pub(super) fn record(&self, row: usize) -> usize {
        self.origins.as_ref().map_or(row, |origins| origins.value(row) as usize)
    }

    /// Of each row its index within its record.
    fn row_indexes(&self) -> impl Iterator<Item = i64> {
        let mut last = None;
        (0..self.rows.len()).map(move |row| {
            let record = self.record(row);
            let index = match last {
                Some((before, index)) if before == record => index + 1,
                _ => 0,
            };
            last = Some((record, index));
            index
        })
    }

    fn messages(&self) -> DfResult<ArrayRef> {
        if let Some(origins) = &self.origins {
            let data = self.records.data();
            let bytes: usize = origins
                .values()
                .iter()
                .map(|record| data.value_length(*record as usize) as usize)
                .sum();
            if bytes > MOST_MESSAGES {
                let message = format!(
                    "shard {}: `_message` of all rows of {} records takes {bytes} bytes; select it where few rows are left, or not at all",
                    self.pin.range.shard,
                    self.records.len()
                );
                let category = ErrorCategory::ResourceExhausted;
                return Err(EngineError::Query { category, message }.into_datafusion());
            }
        }
        self.spread(Arc::new(self.records.data().clone()))
    }

    /// The column, one value a row.
    pub(super) fn column(&self, column: HiddenColumn) -> DfResult<ArrayRef> {
        let rows = self.rows.len();
        Ok(match column {
            HiddenColumn::ShardId => repeat(self.pin.range.shard.as_ref(), rows),
            HiddenColumn::ShardSequenceId => self.spread(self.sequence_texts())?,
            HiddenColumn::SubSequence => self.spread(cast(self.records.subs() as &dyn Array, &DataType::Int64)?)?,
            HiddenColumn::SegmentStart => optional(self.pin.shard_start, rows),
            HiddenColumn::SegmentEnd => optional(self.pin.shard_end, rows),
            HiddenColumn::SegmentCount => Arc::new((1..).take(rows).map(|ordinal: i64| self.before + ordinal).collect::<Int64Array>()),
            HiddenColumn::PartitionKey => self.spread(Arc::new(self.records.partition_keys().clone()))?,
            HiddenColumn::MessageTimestamp => {
                let arrivals = self.records.arrivals();
                self.spread(Arc::new(TimestampMillisecondArray::new(
                    arrivals.values().clone(),
                    arrivals.nulls().cloned(),
                )))?
            }
            HiddenColumn::Message => self.messages()?,
            HiddenColumn::MessageLength => {
                let lengths = (0..rows).map(|row| i64::from(self.records.data().value_length(self.record(row))));
                Arc::new(lengths.collect::<Int64Array>())
            }
            HiddenColumn::MessageValid => self.valid()?,
            HiddenColumn::MessageError => self.errors()?,
            HiddenColumn::RowIndex => Arc::new(self.row_indexes().collect::<Int64Array>()),
            HiddenColumn::RowId => self.row_ids(),
            HiddenColumn::HashInRange => self.spread(Arc::new(hash_in_range(self.records, self.pin.hash_range)))?,
        })
    }

    /// Rows of the run that are bad, in order, with their verdicts.
    pub(super) fn bad_rows(&self) -> DfResult<impl Iterator<Item = (usize, &BadRecord)>> {
        let bad = self
            .bad
            .as_ref()
            .ok_or_else(|| internal_datafusion_err!("records were not judged"))?;
        let Range { start, end } = self.rows;
        let first = bad.partition_point(|verdict| verdict.row < start);
        Ok(bad[first..]
            .iter()
            .take_while(move |verdict| verdict.row < end)
            .map(move |verdict| (verdict.row - start, verdict)))
    }

    fn valid(&self) -> DfResult<ArrayRef> {
        let mut builder = BooleanBuilder::with_capacity(self.rows.len());
        for (row, _) in self.bad_rows()? {
            builder.append_n(row - builder.len(), true);
            builder.append_value(false);
        }
        builder.append_n(self.rows.len() - builder.len(), true);
        Ok(Arc::new(builder.finish()))
    }

    fn errors(&self) -> DfResult<ArrayRef> {
        let mut builder = StringBuilder::new();
        for (row, verdict) in self.bad_rows()? {
            builder.append_nulls(row - builder.len());
            builder.append_value(&verdict.error);
        }
        builder.append_nulls(self.rows.len() - builder.len());
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
        let subs: &UInt32Array = self.records.subs();
        let shard: &str = self.pin.range.shard.as_ref();
        let rows = self.rows.len();
        let mut builder = StringBuilder::with_capacity(rows, rows * (shard.len() + 81));
        for (row, index) in self.row_indexes().enumerate() {
            let record = self.record(row);
            // Writing to a string builder cannot fail.
            let _ = write!(
                builder,
                "{shard}/{}/{:010}/{:010}",
                self.records.sequence(record).padded(),
                subs.value(record),
                index
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
