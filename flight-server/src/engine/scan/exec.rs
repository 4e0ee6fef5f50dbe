//! The physical operator: partitions of shards, filters inside, a snapshot fixed.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use catalog::{BadRecords, TableDefinition, TableName};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result as DfResult, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr, conjunction};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{EmissionType, SchedulingType};
use datafusion::physical_plan::filter_pushdown::{ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation, PushedDown};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, SortOrderPushdownResult};
use futures::stream::{self, BoxStream, StreamExt};
use shard_reader::{OnGap, ShardPin, Snapshot, StatementMeter, StreamReader};

use super::super::error::EngineError;
use super::super::facts::{ExecutionFacts, ScanSlot};
use super::super::hidden::HiddenColumn;
use super::super::promises::PromiseCount;
use super::super::scan_errors::ScanErrors;
use super::super::statement_options::KplDedup;
use super::super::table::ColumnSource;
use super::event_time::PromiseWatch;
use super::follow;
use super::order::{ArrivalSlack, ReadFrom, Reading, is_newest_first};
use super::partitions::{boundedness, limited, partition, partition_count};
use super::prune::Pruning;
use super::reach::Reach;
use super::rows::{Produced, RowPlan};

/// What a plan asks of a stream.
pub(crate) struct ScanRequest {
    pub(crate) table: TableName,
    pub(crate) definition: Arc<TableDefinition>,
    /// Schema of the table as the statement sees it, and where its columns come from.
    pub(crate) schema: SchemaRef,
    pub(crate) columns: Vec<ColumnSource>,
    pub(crate) projection: Option<Vec<usize>>,
    /// Over `schema`; all are evaluated here.
    pub(crate) filters: Vec<Arc<dyn PhysicalExpr>>,
    pub(crate) limit: Option<usize>,
    pub(crate) bad_records: BadRecords,
    /// Counts the bad records, if every one that is read is to be judged.
    pub(crate) judged: Option<Arc<AtomicU64>>,
    pub(crate) kpl_dedup: KplDedup,
    pub(crate) arrival_slack: ArrivalSlack,
    /// Where bad records are taken down, and for which statement.
    pub(crate) errors: Arc<ScanErrors>,
    pub(crate) query_id: Arc<str>,
    /// At most so many partitions.
    pub(crate) target_partitions: usize,
    /// At least so many, of which some may be empty.
    pub(crate) least_partitions: usize,
    pub(crate) promises: PromiseCount,
    /// The stream is read on and on, in one partition.
    pub(crate) follow: bool,
    pub(crate) on_gap: OnGap,
}

/// What a scan was made of, as far as its rows do not say.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) columns: Vec<ColumnSource>,
    pub(super) projection: Vec<usize>,
    /// Over the columns of the table.
    pub(super) filters: Vec<Arc<dyn PhysicalExpr>>,
}

/// Scans the shards of a snapshot.
#[derive(Debug, Clone)]
pub(crate) struct ShardScanExec {
    pub(super) asked: Arc<Asked>,
    pub(super) rows: Arc<RowPlan>,
    pub(super) partitions: Arc<Vec<Vec<ShardPin>>>,
    /// Shards of the snapshot that cannot hold a row.
    pruned: usize,
    pub(super) limit: Option<usize>,
    /// An operator above wants the newest rows.
    pub(super) newest_first: bool,
    /// A column counts the records of the range from its start.
    counts_records: bool,
    pub(super) follow: bool,
    pub(super) on_gap: OnGap,
    pub(super) reader: Arc<StreamReader>,
    pub(super) meter: Arc<StatementMeter>,
    pub(super) facts: Arc<ExecutionFacts>,
    metrics: ExecutionPlanMetricsSet,
    pub(super) properties: Arc<PlanProperties>,
}

impl ShardScanExec {
    pub(in crate::engine) fn try_new(
        request: ScanRequest,
        snapshot: &Snapshot,
        reader: Arc<StreamReader>,
        meter: Arc<StatementMeter>,
        facts: Arc<ExecutionFacts>,
    ) -> DfResult<Self> {
        let (follow, target, least) = (request.follow, request.target_partitions, request.least_partitions);
        let place = |pruning: &Pruning, counts_records: bool| {
            // shards that are yet to come are pruned when they come
            let pins = if counts_records || follow {
                snapshot.shards.clone()
            } else {
                pruning.shards(&snapshot.shards)
            };
            let count = if follow { 1 } else { partition_count(pins.len(), target, least) };
            (snapshot.shards.len() - pins.len(), partition(pins, count))
        };
        Self::assemble(request, place, reader, meter, facts)
    }

    /// `place` gives the partitions, and the number of shards that it left out.
    pub(super) fn assemble(
        request: ScanRequest,
        place: impl FnOnce(&Pruning, bool) -> (usize, Vec<Vec<ShardPin>>),
        reader: Arc<StreamReader>,
        meter: Arc<StatementMeter>,
        facts: Arc<ExecutionFacts>,
    ) -> DfResult<Self> {
        let output: Vec<usize> = request.projection.unwrap_or_else(|| (0..request.columns.len()).collect());
        let asked = Asked {
            columns: request.columns.clone(),
            projection: output.clone(),
            filters: request.filters.clone(),
        };
        let mut read = output.clone();
        for column in request.filters.iter().flat_map(collect_columns) {
            if !read.contains(&column.index()) {
                read.push(column.index());
            }
        }
        let read_schema = Arc::new(request.schema.project(&read)?);
        let output_schema: SchemaRef = Arc::new(request.schema.project(&output)?);
        let pruning = Pruning::new(&request.filters, &request.definition);
        let predicate = if request.filters.is_empty() {
            None
        } else {
            Some(reassign_expr_columns(conjunction(request.filters), &read_schema)?)
        };
        let mut predicate_columns: Vec<usize> = predicate.iter().flat_map(collect_columns).map(|column| column.index()).collect();
        predicate_columns.sort_unstable();
        let sources: Vec<ColumnSource> = read.iter().map(|&index| request.columns[index]).collect();
        let counts_records = sources.contains(&ColumnSource::Hidden(HiddenColumn::SegmentCount));
        let (pruned, partitions) = place(&pruning, counts_records);
        let watch = PromiseWatch::new(&request.definition, &sources, request.promises);
        let rows = RowPlan {
            table: request.table,
            definition: request.definition,
            bad_records: request.bad_records,
            judged: request.judged,
            kpl_dedup: request.kpl_dedup,
            arrival_slack: request.arrival_slack,
            errors: request.errors,
            query_id: request.query_id,
            read: sources,
            read_schema,
            predicate,
            predicate_columns,
            output_schema: Arc::clone(&output_schema),
            late: Vec::new(),
            pruning,
            watch,
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(output_schema),
            Partitioning::UnknownPartitioning(partitions.len()),
            EmissionType::Incremental,
            boundedness(request.follow, request.limit),
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Ok(Self {
            asked: Arc::new(asked),
            rows: Arc::new(rows),
            partitions: Arc::new(partitions),
            pruned,
            limit: request.limit,
            newest_first: false,
            counts_records,
            follow: request.follow,
            on_gap: request.on_gap,
            reader,
            meter,
            facts,
            metrics: ExecutionPlanMetricsSet::new(),
            properties: Arc::new(properties),
        })
    }

    /// Whether rows of different shards do not depend on each other: no limit is counted over them.
    pub(crate) fn is_row_local(&self) -> bool {
        self.limit.is_none()
    }

    /// Whether each record of the snapshot is read and decoded, whatever operators above do with its rows.
    pub(crate) fn decodes_all(&self) -> bool {
        self.asked.filters.is_empty() && self.rows.late.is_empty() && self.limit.is_none() && self.pruned == 0
    }

    /// Rows after which reading ends.
    pub(crate) fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// Which table it reads, and by which reader.
    pub(crate) fn source(&self) -> (&TableName, &Arc<StreamReader>) {
        (&self.rows.table, &self.reader)
    }

    /// The shards that are read, in order.
    pub(crate) fn pins(&self) -> Vec<ShardPin> {
        self.partitions.iter().flatten().cloned().collect()
    }

    /// Which end of a shard matters most.
    fn read_from(&self) -> ReadFrom {
        // without a filter that tightens all is read, and forward is cheapest
        let few = self.limit.is_some() || (self.newest_first && !self.rows.late.is_empty());
        let gaps_fail = self.on_gap == OnGap::Fail;
        if few && gaps_fail && !self.counts_records && self.rows.bad_records != BadRecords::Fail {
            ReadFrom::Newest
        } else {
            ReadFrom::Oldest
        }
    }

    fn shard_rows(&self, pin: ShardPin) -> BoxStream<'static, DfResult<RecordBatch>> {
        let (range, meter) = (pin.range.clone(), Arc::clone(&self.meter));
        let reading = match self.read_from() {
            ReadFrom::Oldest => Reading::forward(self.reader.scan(range, meter).on_gap(self.on_gap)),
            ReadFrom::Newest => Reading::Newest(Box::new(self.reader.scan_newest(range, meter))),
        };
        let state = ShardRows {
            slot: self.facts.begin(&self.rows.table, &pin),
            ended: false,
            pin,
            reading,
            before: 0,
            rows: Arc::clone(&self.rows),
            facts: Arc::clone(&self.facts),
        };
        stream::try_unfold(
            state,
            |mut state| async move { Ok(state.next().await?.map(|batch| (batch, state))) },
        )
        .boxed()
    }
}

/// The rows of one shard, as far as they are read.
struct ShardRows {
    slot: ScanSlot,
    ended: bool,
    pin: ShardPin,
    reading: Reading,
    before: i64,
    rows: Arc<RowPlan>,
    facts: Arc<ExecutionFacts>,
}

impl ShardRows {
    async fn next(&mut self) -> DfResult<Option<RecordBatch>> {
        loop {
            let wanted = self.rows.wanted()?;
            if let Some(wanted) = &wanted {
                self.reading.want(wanted, self.rows.arrival_slack);
            }
            let next = self.reading.next().await;
            for gap in self.reading.take_gaps() {
                self.facts.gap(self.slot, &gap);
            }
            let slice = match next {
                Ok(Some(slice)) => slice,
                Ok(None) => {
                    self.ended = true;
                    self.facts.done(self.slot, self.reading.position(), self.reading.totals());
                    return Ok(None);
                }
                Err(error) => {
                    self.ended = true;
                    return match self.facts.failed(self.slot, self.reading.position(), self.reading.totals(), error) {
                        Some(error) => Err(EngineError::from(error).into_datafusion()),
                        None => Ok(None),
                    };
                }
            };
            let reach = wanted.as_ref().unwrap_or(self.rows.pruning.reach());
            let Produced { batch, rows } = self.rows.rows(&self.pin, &slice, self.before, reach)?;
            self.before = self.before.saturating_add(i64::try_from(rows).unwrap_or(i64::MAX));
            if batch.is_some() {
                return Ok(batch);
            }
        }
    }
}

impl Drop for ShardRows {
    fn drop(&mut self) {
        if !self.ended {
            self.facts.left(self.slot, self.reading.position(), self.reading.totals());
        }
    }
}

impl DisplayAs for ShardScanExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shards: usize = self.partitions.iter().map(Vec::len).sum();
        if !matches!(format, DisplayFormatType::TreeRender) {
            write!(f, "ShardScanExec: ")?;
        }
        write!(
            f,
            "table={}, stream={}, shards={shards}, partitions={}",
            self.rows.table,
            self.reader.name(),
            self.partitions.len()
        )?;
        let columns: Vec<&str> = self.rows.output_schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, ", columns=[{}]", columns.join(", "))?;
        if let Some(predicate) = &self.rows.predicate {
            write!(f, ", filter={predicate}")?;
        }
        if let Some(limit) = self.limit {
            write!(f, ", limit={limit}")?;
        }
        let reach = self.rows.pruning.reach();
        if *reach != Reach::ALL {
            write!(f, ", reads=[{reach}]")?;
        }
        if self.pruned > 0 {
            write!(f, ", pruned_shards={}", self.pruned)?;
        }
        if self.read_from() == ReadFrom::Newest {
            write!(f, ", newest_first")?;
        }
        if self.follow {
            write!(f, ", follow")?;
        }
        for late in &self.rows.late {
            write!(f, ", dynamic={late}")?;
        }
        if matches!(format, DisplayFormatType::Verbose) {
            for pin in self.partitions.iter().flatten() {
                write!(
                    f,
                    ", {}={:?}..{:?} ({} bytes cached)",
                    pin.range.shard, pin.range.start, pin.range.end, pin.bytes_cached
                )?;
            }
        }
        Ok(())
    }
}

impl ExecutionPlan for ShardScanExec {
    fn name(&self) -> &'static str {
        "ShardScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(&self, f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>) -> DfResult<TreeNodeRecursion> {
        for expr in self.rows.predicate.iter().chain(&self.rows.late) {
            if f(expr)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> DfResult<Arc<dyn ExecutionPlan>> {
        if children.is_empty() {
            Ok(self)
        } else {
            internal_err!("ShardScanExec has no children")
        }
    }

    fn execute(&self, partition: usize, _context: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        let Some(pins) = self.partitions.get(partition) else {
            return internal_err!("ShardScanExec has no partition {partition}");
        };
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        // All shards of a partition are read at once: one at a time would leave the others' read budget unused.
        let merged = if self.follow {
            let scan = self.reader.follow(pins.clone(), Arc::clone(&self.meter)).on_gap(self.on_gap);
            follow::rows(scan, Arc::clone(&self.rows), Arc::clone(&self.facts))
        } else {
            stream::select_all(pins.iter().map(|pin| self.shard_rows(pin.clone()))).boxed()
        };
        let counted = merged.map(move |batch| {
            if let Ok(batch) = &batch {
                metrics.record_output(batch.num_rows());
            }
            batch
        });
        let rows: BoxStream<'static, DfResult<RecordBatch>> = match self.limit {
            Some(limit) => limited(counted, limit).boxed(),
            None => counted.boxed(),
        };
        let adapter = RecordBatchStreamAdapter::new(Arc::clone(&self.rows.output_schema), rows);
        Ok(Box::pin(cooperative(adapter)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn try_pushdown_sort(&self, order: &[PhysicalSortExpr]) -> DfResult<SortOrderPushdownResult<Arc<dyn ExecutionPlan>>> {
        if !is_newest_first(order, &self.rows.definition) {
            return Ok(SortOrderPushdownResult::Unsupported);
        }
        let mut hinted = self.clone();
        hinted.newest_first = true;
        Ok(SortOrderPushdownResult::Inexact { inner: Arc::new(hinted) })
    }

    fn supports_limit_pushdown(&self) -> bool {
        false
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        let mut limited = self.clone();
        limited.limit = match (self.limit, limit) {
            (Some(own), Some(asked)) => Some(own.min(asked)),
            (own, asked) => own.or(asked),
        };
        let properties = PlanProperties::clone(&self.properties);
        limited.properties = Arc::new(properties.with_boundedness(boundedness(self.follow, limited.limit)));
        Some(Arc::new(limited))
    }

    fn fetch(&self) -> Option<usize> {
        self.limit
    }

    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        result: ChildPushdownResult,
        _config: &ConfigOptions,
    ) -> DfResult<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let offered: Vec<Arc<dyn PhysicalExpr>> = result.parent_filters.into_iter().map(|offer| offer.filter).collect();
        // A filter above a limit must not move below it.
        if self.limit.is_some() || offered.is_empty() {
            return Ok(FilterPushdownPropagation::with_parent_pushdown_result(vec![
                PushedDown::No;
                offered.len()
            ]));
        }
        // Before the plan is final, what is left of a filter is taken over; afterwards filters are dynamic: kept here to drop rows early, while
        // the operator that made them still decides.
        let answer = match phase {
            FilterPushdownPhase::Pre => PushedDown::Yes,
            FilterPushdownPhase::Post => PushedDown::No,
        };
        let answers = vec![answer; offered.len()];
        let mut rows = RowPlan::clone(&self.rows);
        rows.late.extend(offered);
        let mut node = self.clone();
        node.rows = Arc::new(rows);
        Ok(FilterPushdownPropagation::with_parent_pushdown_result(answers).with_updated_node(Arc::new(node) as Arc<dyn ExecutionPlan>))
    }
}
