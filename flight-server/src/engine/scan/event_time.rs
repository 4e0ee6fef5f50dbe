//! Watches the promise of `event_time`: how many records carry a time that lies further from their arrival than the definition says.

use std::sync::Arc;

use catalog::TableDefinition;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Date32Type, Int64Type, TimeUnit};
use datafusion::common::Result as DfResult;

use super::super::promises::PromiseCount;
use super::super::table::ColumnSource;
use super::columns::Run;
use super::conditions::EventColumn;

/// The promise, where the scan reads its column.
#[derive(Debug, Clone)]
pub(super) struct PromiseWatch {
    /// The column, by its place in what is read.
    at: usize,
    event: EventColumn,
    count: PromiseCount,
}

impl PromiseWatch {
    pub(super) fn new(definition: &TableDefinition, read: &[ColumnSource], count: PromiseCount) -> Option<Self> {
        let column = definition.event_time?.column;
        Some(Self {
            at: read.iter().position(|source| *source == ColumnSource::Data(column))?,
            event: EventColumn::of(definition)?,
            count,
        })
    }

    /// Counts, if the times are among the columns that were decoded so far.
    pub(super) fn see(&self, run: &Run<'_>, columns: &[Option<ArrayRef>]) -> DfResult<bool> {
        let Some(times) = columns.get(self.at).and_then(Option::as_ref) else {
            return Ok(false);
        };
        let arrivals = run.spread(Arc::new(run.records.arrivals().clone()))?;
        self.count.add(self.event.outside(times, arrivals.as_primitive::<Int64Type>())?);
        Ok(true)
    }
}

impl EventColumn {
    /// How many times lie too early or too late for their records' arrivals. Neither NULL times nor records without an arrival time count.
    fn outside(&self, times: &ArrayRef, arrivals: &Int64Array) -> DfResult<u64> {
        const DAY_MS: i64 = 86_400_000;
        // dates in ms may not fit where days do
        let (times, unit) = match times.data_type() {
            DataType::Date32 => (
                times
                    .as_primitive::<Date32Type>()
                    .unary::<_, Int64Type>(|days| i64::from(days) * DAY_MS),
                1,
            ),
            DataType::Timestamp(unit, _) => (
                cast(times, &DataType::Int64)?.as_primitive::<Int64Type>().clone(),
                match unit {
                    TimeUnit::Second => -1000,
                    TimeUnit::Millisecond => 1,
                    TimeUnit::Microsecond => 1_000,
                    TimeUnit::Nanosecond => 1_000_000,
                },
            ),
            _ => return Ok(0),
        };
        let ms = |value: i64| {
            if unit < 0 {
                value.saturating_mul(-unit)
            } else {
                value.div_euclid(unit)
            }
        };
        let outside = |row: &usize| {
            let first = ms(times.value(*row));
            let last = first.saturating_add(self.width_ms - 1);
            let arrival = arrivals.value(*row);
            arrival < first.saturating_sub(self.early_ms) || arrival > last.saturating_add(self.late_ms)
        };
        let known = |row: &usize| times.is_valid(*row) && arrivals.is_valid(*row);
        Ok((0..times.len()).filter(known).filter(outside).count() as u64)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Date32Array, TimestampMicrosecondArray, TimestampSecondArray};

    use super::*;

    fn event(width_ms: i64) -> EventColumn {
        EventColumn {
            name: "at".into(),
            early_ms: 5_000,
            late_ms: 60_000,
            width_ms,
        }
    }

    #[test]
    fn times_too_early_and_too_late_are_counted() {
        let arrivals = Int64Array::from(vec![
            Some(1_000_000),
            Some(1_000_000),
            Some(1_000_000),
            Some(1_000_000),
            None,
            Some(0),
        ]);
        // 5 s ahead is allowed, 6 s is not; 60 s (and the rest of its second) behind is allowed, 61 s is not
        let seconds = [Some(1005), Some(1006), Some(940), Some(938), Some(1), None];
        let times: ArrayRef = Arc::new(TimestampSecondArray::from(seconds.to_vec()));
        assert_eq!(event(1000).outside(&times, &arrivals).unwrap(), 2);
        let micros = seconds.map(|second| second.map(|second| second * 1_000_000 + 999_999));
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(micros.to_vec()).with_timezone("+00:00"));
        assert_eq!(event(1).outside(&times, &arrivals).unwrap(), 3, "1005.999 is 999 ms too early");
    }

    #[test]
    fn a_date_is_its_whole_day() {
        const DAY: i64 = 86_400_000;
        let days: ArrayRef = Arc::new(Date32Array::from(vec![
            Some(10),
            Some(10),
            Some(10),
            Some(10),
            Some(i32::MAX),
            None,
        ]));
        let arrivals = Int64Array::from(vec![10 * DAY - 5_000, 10 * DAY - 5_001, 11 * DAY + 59_999, 11 * DAY + 60_000, 0, 0]);
        assert_eq!(event(DAY).outside(&days, &arrivals).unwrap(), 3);
    }
}
