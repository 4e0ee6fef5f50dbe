//! Segments of one shard -> record batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use catalog::{BadRecords, DecodeError, TableDefinition, TableName};
use datafusion::arrow::array::{
    Array, ArrayBuilder, ArrayRef, AsArray, BooleanArray, BooleanBuilder, RecordBatch, RecordBatchOptions, UInt32Array,
};
use datafusion::arrow::compute::{filter_record_batch, prep_null_mask_filter};
use datafusion::arrow::datatypes::{SchemaRef, UInt32Type};
use datafusion::common::{DataFusionError, Result as DfResult, internal_datafusion_err};
use datafusion::physical_expr::PhysicalExpr;
use shard_reader::{SegmentSlice, ShardPin};

use super::super::error::{EngineError, ErrorCategory};
use super::super::hidden::HiddenColumn;
use super::super::scan_errors::{Met, ScanErrors};
use super::super::statement_options::KplDedup;
use super::super::table::ColumnSource;
use super::aggregates::kept;
use super::columns::Run;
use super::event_time::PromiseWatch;
use super::order::ArrivalSlack;
use super::prune::{Pruning, can_hold};
use super::reach::Reach;

/// How a scan turns records into rows; shared by its shards.
#[derive(Debug, Clone)]
pub(super) struct RowPlan {
    pub(super) table: TableName,
    pub(super) definition: Arc<TableDefinition>,
    pub(super) bad_records: BadRecords,
    /// Counts the bad records, if every one that is read is to be judged.
    pub(super) judged: Option<Arc<AtomicU64>>,
    pub(super) kpl_dedup: KplDedup,
    pub(super) arrival_slack: ArrivalSlack,
    pub(super) errors: Arc<ScanErrors>,
    pub(super) query_id: Arc<str>,
    /// Columns that are read: those of the output, then those that only filters need.
    pub(super) read: Vec<ColumnSource>,
    pub(super) read_schema: SchemaRef,
    /// Over `read_schema`.
    pub(super) predicate: Option<Arc<dyn PhysicalExpr>>,
    /// Columns of `read_schema` that the predicate needs, ascending.
    pub(super) predicate_columns: Vec<usize>,
    /// The first columns of `read_schema`.
    pub(super) output_schema: SchemaRef,
    /// Over `output_schema`: filters that the plan above handed down, dynamic ones included.
    pub(super) late: Vec<Arc<dyn PhysicalExpr>>,
    pub(super) pruning: Pruning,
    /// The promise of `event_time`, if its column is read.
    pub(super) watch: Option<PromiseWatch>,
}

/// What a run of records came to.
#[derive(Debug)]
pub(super) struct Produced {
    /// Rows that are left, if any.
    pub(super) batch: Option<RecordBatch>,
    /// Rows that there were, where rows are counted.
    pub(super) rows: usize,
}

impl Produced {
    const NOTHING: Self = Self { batch: None, rows: 0 };
}

/// A run of records while its columns are decoded, those first that the predicate needs.
struct Decoding<'a> {
    plan: &'a RowPlan,
    slice: &'a SegmentSlice,
    run: Run<'a>,
    /// Of `read`, those that are there.
    columns: Vec<Option<ArrayRef>>,
    rows_known: bool,
}

impl Decoding<'_> {
    fn load(&mut self, wanted: &[usize]) -> DfResult<()> {
        let plan = self.plan;
        let data: Vec<(usize, usize)> = wanted
            .iter()
            .filter_map(|&at| match plan.read[at] {
                ColumnSource::Data(index) if self.columns[at].is_none() => Some((at, index)),
                _ => None,
            })
            .collect();
        let judge = plan.needs_verdict();
        if !data.is_empty() || (judge && self.run.bad.is_none()) || !self.rows_known {
            let indexes: Vec<usize> = data.iter().map(|(_, index)| *index).collect();
            let segment = &self.slice.segment;
            let decoded = segment
                .decoded(&plan.definition, &indexes, judge)
                .map_err(|error| plan.undecodable(self.run.pin, &error))?;
            let met = Met {
                table: &plan.table,
                definition: &plan.definition,
                query_id: &plan.query_id,
            };
            plan.errors.record(met, segment, decoded.origins.as_ref(), &decoded.fresh);
            if !self.rows_known {
                self.know_rows(decoded.origins.as_ref());
            }
            for ((at, _), column) in data.into_iter().zip(decoded.columns) {
                self.columns[at] = Some(column.slice(self.run.rows.start, self.run.rows.len()));
            }
            self.run.bad = decoded.bad;
        }
        for &at in wanted {
            if let (ColumnSource::Hidden(column), None) = (plan.read[at], &self.columns[at]) {
                self.columns[at] = Some(self.run.column(column)?);
            }
        }
        Ok(())
    }

    /// Which of the segment's rows are those of the run, and whose.
    fn know_rows(&mut self, origins: Option<&UInt32Array>) {
        self.rows_known = true;
        let Some(origins) = origins else { return };
        let records = &self.slice.rows;
        let first_of = |record: usize| origins.values().partition_point(|origin| (*origin as usize) < record);
        let rows = first_of(records.start)..first_of(records.end);
        let start = records.start as u32;
        let of_run = origins
            .slice(rows.start, rows.len())
            .unary::<_, UInt32Type>(|origin| origin - start);
        self.run.origins = Some(of_run);
        self.run.rows = rows;
    }
}

impl RowPlan {
    /// Whether a column counts the records of a shard, so that none may be left out.
    pub(super) fn counts_records(&self) -> bool {
        self.read.contains(&ColumnSource::Hidden(HiddenColumn::SegmentCount))
    }

    fn needs_verdict(&self) -> bool {
        self.bad_records != BadRecords::NullRow
            || self.judged.is_some()
            || self
                .read
                .iter()
                .any(|source| matches!(source, ColumnSource::Hidden(column) if column.needs_verdict()))
    }

    /// Columns of `read` that are there before rows are chosen.
    fn loaded_first(&self) -> Vec<usize> {
        let verdict = self.needs_verdict();
        // a verdict is on all columns of the data: what it takes to decode them is not done twice
        let wanted = |at: &usize| match self.read[*at] {
            _ if self.predicate.is_none() => true,
            ColumnSource::Data(_) if verdict => true,
            _ => self.predicate_columns.contains(at),
        };
        (0..self.read.len()).filter(wanted).collect()
    }

    /// Records that are wanted, as far as is known now: filters of operators above tighten while rows come. With `bad_records` `fail` every record of
    /// the range is judged.
    pub(super) fn wanted(&self) -> DfResult<Option<Reach>> {
        if self.late.is_empty() || self.bad_records == BadRecords::Fail {
            return Ok(None);
        }
        self.pruning.reach_with(&self.late).map(Some)
    }

    /// The rows of a run of records. `before` is the number of rows of the range before it; no record outside of `reach` is wanted.
    pub(super) fn rows(&self, pin: &ShardPin, slice: &SegmentSlice, before: i64, reach: &Reach) -> DfResult<Produced> {
        let segment = &slice.segment;
        if !can_hold(segment, reach) && self.bad_records != BadRecords::Fail {
            return Ok(Produced::NOTHING);
        }
        let kept = kept(self.kpl_dedup, segment.records(), &slice.rows, pin.hash_range);
        if kept.as_ref().is_some_and(|kept| kept.true_count() == 0) && !self.counts_records() {
            return Ok(Produced::NOTHING);
        }
        let records = segment.records().slice(slice.rows.start, slice.rows.len());
        let mut decoding = Decoding {
            plan: self,
            slice,
            run: Run {
                pin,
                records: &records,
                rows: slice.rows.clone(),
                origins: None,
                before,
                bad: None,
            },
            columns: vec![None; self.read.len()],
            rows_known: !self.definition.format.may_fan_out(),
        };
        decoding.load(&self.loaded_first())?;
        let rows = decoding.run.rows.len();
        let nothing = Produced { batch: None, rows };
        let kept = match kept {
            Some(kept) => Some(decoding.run.spread(Arc::new(kept))?.as_boolean().clone()),
            None => None,
        };
        let watched = self.watch(&decoding)?;
        let mut mask = match &self.predicate {
            Some(predicate) => Some(self.predicate_mask(predicate.as_ref(), &decoding.columns, rows)?),
            None => None,
        };
        mask = both(mask, kept.as_ref())?;
        if self.bad_records == BadRecords::NullRow && mask.as_ref().is_some_and(|mask| mask.true_count() == 0) {
            return Ok(nothing);
        }
        let width = self.output_schema.fields().len();
        decoding.load(&(0..width).collect::<Vec<_>>())?;
        if !watched {
            self.watch(&decoding)?;
        }
        if let Some(judged) = &self.judged {
            let kept = |row: usize| kept.as_ref().is_none_or(|kept| kept.value(row));
            let bad = decoding.run.bad_rows()?.filter(|(row, _)| kept(*row)).count();
            judged.fetch_add(bad as u64, Ordering::Relaxed);
        }
        let good = self.good_rows(&decoding.run, kept.as_ref())?;
        mask = both(mask, good.as_ref())?;
        let output = decoding
            .columns
            .into_iter()
            .take(width)
            .map(|column| column.ok_or_else(|| internal_datafusion_err!("a column was not read")))
            .collect::<DfResult<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let mut batch = RecordBatch::try_new_with_options(Arc::clone(&self.output_schema), output, &options)?;
        if let Some(mask) = mask
            && mask.true_count() < mask.len()
        {
            batch = filter_record_batch(&batch, &mask)?;
        }
        batch = self.late_filtered(batch)?;
        Ok(Produced {
            batch: (batch.num_rows() > 0).then_some(batch),
            rows,
        })
    }

    /// Whether the times of events were there to be watched.
    fn watch(&self, decoding: &Decoding<'_>) -> DfResult<bool> {
        let see = |watch: &PromiseWatch| watch.see(&decoding.run, &decoding.columns);
        self.watch.as_ref().map_or(Ok(false), see)
    }

    fn predicate_mask(&self, predicate: &dyn PhysicalExpr, columns: &[Option<ArrayRef>], rows: usize) -> DfResult<BooleanArray> {
        // Columns that the predicate does not read need only be there; a null column of the right type costs nothing to speak of.
        let placeholder = |at: usize| datafusion::arrow::array::new_null_array(self.read_schema.field(at).data_type(), rows);
        let filled = columns
            .iter()
            .enumerate()
            .map(|(at, column)| column.clone().unwrap_or_else(|| placeholder(at)))
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.read_schema), filled, &options)?;
        boolean(predicate, &batch)
    }

    fn undecodable(&self, pin: &ShardPin, error: &DecodeError) -> DataFusionError {
        let message = format!("table {}, shard {}: {error}", self.table, pin.range.shard);
        match error {
            DecodeError::Definition(_) => EngineError::Internal(message),
            DecodeError::TooLarge { .. } => EngineError::Query {
                category: ErrorCategory::ResourceExhausted,
                message,
            },
        }
        .into_datafusion()
    }

    /// Rows that `skip` leaves; with `fail`, an error at the first bad one of those that are kept.
    fn good_rows(&self, run: &Run<'_>, kept: Option<&BooleanArray>) -> DfResult<Option<BooleanArray>> {
        if self.bad_records == BadRecords::NullRow {
            return Ok(None);
        }
        let stays = |row: &usize| kept.is_none_or(|kept| kept.value(*row));
        let mut bad = run.bad_rows()?.filter(|(row, _)| stays(row)).peekable();
        let Some((first, verdict)) = bad.peek() else { return Ok(None) };
        if self.bad_records == BadRecords::Fail {
            return Err(EngineError::BadRecord {
                table: self.table.to_string(),
                shard: run.pin.range.shard.to_string(),
                sequence: run.records.sequence(run.record(*first)).to_string(),
                reason: verdict.error.clone(),
            }
            .into_datafusion());
        }
        let mut good = BooleanBuilder::with_capacity(run.rows.len());
        for (row, _) in bad {
            good.append_n(row - good.len(), true);
            good.append_value(false);
        }
        good.append_n(run.rows.len() - good.len(), true);
        Ok(Some(good.finish()))
    }

    fn late_filtered(&self, mut batch: RecordBatch) -> DfResult<RecordBatch> {
        for filter in &self.late {
            if batch.num_rows() == 0 {
                break;
            }
            let mask = boolean(filter.as_ref(), &batch)?;
            if mask.true_count() < mask.len() {
                batch = filter_record_batch(&batch, &mask)?;
            }
        }
        Ok(batch)
    }
}

fn both(mask: Option<BooleanArray>, other: Option<&BooleanArray>) -> DfResult<Option<BooleanArray>> {
    Ok(match (mask, other) {
        (Some(mask), Some(other)) => Some(datafusion::arrow::compute::and(&mask, other)?),
        (mask, other) => mask.or_else(|| other.cloned()),
    })
}

fn boolean(expr: &dyn PhysicalExpr, batch: &RecordBatch) -> DfResult<BooleanArray> {
    let value = expr.evaluate(batch)?.into_array(batch.num_rows())?;
    let mask = value
        .as_boolean_opt()
        .ok_or_else(|| internal_datafusion_err!("a filter gave {} instead of a boolean", value.data_type()))?;
    Ok(if mask.null_count() > 0 {
        prep_null_mask_filter(mask)
    } else {
        mask.clone()
    })
}
