//! A scan on its way to the node that runs it, and there.
//!
//! What a scan is travels as a [`ScanOrder`], its filters beside it as expressions of the query engine. The node that gets it reads with its own
//! readers and segments. What was read goes back with the metrics of the plan ([`SCAN_FACTS`]).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use catalog::{BadRecords, TableDefinition, TableName};
use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result as DfResult, internal_datafusion_err, internal_err, plan_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, Label, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use shard_reader::{OnGap, Readers, ShardPin, StatementMeter, StreamIdentity, recreated};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::super::api::SourceProvider;
use super::super::carried::CarriedError;
use super::super::error::EngineError;
use super::super::facts::ExecutionFacts;
use super::super::hidden::HiddenColumn;
use super::super::promises::BrokenPromises;
use super::super::scan_errors::ScanErrors;
use super::super::statement_options::{KplDedup, OnLimit};
use super::super::table::ColumnSource;
use super::super::task_slots::TaskSlots;
use super::exec::{ScanRequest, ShardScanExec};
use super::order::ArrivalSlack;
use super::partitions::partition;

/// Label of the metric that says what a scan has read.
pub(crate) const SCAN_FACTS: &str = "scan_facts";

/// A column of a scan's table.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum OrderedColumn {
    Data(usize),
    Hidden(String),
}

/// What a scan is, but for its filters.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ScanOrder {
    query_id: String,
    table: TableName,
    definition: Arc<TableDefinition>,
    stream: StreamIdentity,
    columns: Vec<OrderedColumn>,
    projection: Vec<usize>,
    limit: Option<usize>,
    newest_first: bool,
    bad_records: BadRecords,
    kpl_dedup: KplDedup,
    arrival_slack: ArrivalSlack,
    gaps_fail: bool,
    max_bytes: u64,
    /// What is left of the time that reading may take.
    time_left: Option<Duration>,
    partitions: Vec<Vec<ShardPin>>,
}

/// What a node reads with.
#[derive(Debug)]
pub(crate) struct Workplace {
    pub(in crate::engine) readers: Arc<Readers>,
    pub(in crate::engine) sources: Arc<dyn SourceProvider>,
    pub(in crate::engine) errors: Arc<ScanErrors>,
    pub(in crate::engine) promises: Arc<BrokenPromises>,
    pub(crate) slots: Arc<TaskSlots>,
}

impl ShardScanExec {
    /// The same scan of other shards, in so many partitions.
    pub(crate) fn of_shards(&self, pins: Vec<ShardPin>, partitions: usize) -> Self {
        let mut scan = self.clone();
        let properties = PlanProperties::clone(&self.properties);
        scan.partitions = Arc::new(partition(pins, partitions));
        scan.properties = Arc::new(properties.with_partitioning(Partitioning::UnknownPartitioning(partitions)));
        scan
    }

    /// In how many partitions it reads.
    pub(crate) fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// The stream that it reads.
    pub(crate) fn stream(&self) -> &StreamIdentity {
        self.reader.identity()
    }

    /// For the node that is to run it.
    pub(crate) fn order(&self) -> DfResult<ScanOrder> {
        if self.follow {
            return plan_err!("what follows a stream runs where it was asked for");
        }
        let columns = self.asked.columns.iter().map(|column| match column {
            ColumnSource::Data(index) => OrderedColumn::Data(*index),
            ColumnSource::Hidden(hidden) => OrderedColumn::Hidden(hidden.name().to_owned()),
        });
        Ok(ScanOrder {
            query_id: self.rows.query_id.to_string(),
            table: self.rows.table.clone(),
            definition: Arc::clone(&self.rows.definition),
            stream: self.reader.identity().clone(),
            columns: columns.collect(),
            projection: self.asked.projection.clone(),
            limit: self.limit,
            newest_first: self.newest_first,
            bad_records: self.rows.bad_records,
            kpl_dedup: self.rows.kpl_dedup,
            arrival_slack: self.rows.arrival_slack,
            gaps_fail: self.on_gap == OnGap::Fail,
            max_bytes: self.meter.max_bytes(),
            time_left: self
                .meter
                .deadline()
                .map(|deadline| deadline.saturating_duration_since(Instant::now())),
            partitions: self.partitions.to_vec(),
        })
    }

    /// Its filters, over the columns of the table.
    pub(crate) fn filters(&self) -> &[Arc<dyn PhysicalExpr>] {
        &self.asked.filters
    }

    /// The filters of operators above, over its own columns.
    pub(crate) fn late_filters(&self) -> &[Arc<dyn PhysicalExpr>] {
        &self.rows.late
    }
}

impl ScanOrder {
    fn sources(&self) -> DfResult<Vec<ColumnSource>> {
        let source = |column: &OrderedColumn| match column {
            OrderedColumn::Data(index) => Ok(ColumnSource::Data(*index)),
            OrderedColumn::Hidden(name) => {
                let hidden = HiddenColumn::find(name).ok_or_else(|| internal_datafusion_err!("no hidden column `{name}`"))?;
                Ok(ColumnSource::Hidden(hidden))
            }
        };
        self.columns.iter().map(source).collect()
    }

    /// The columns of the table, over which its filters are.
    pub(crate) fn table_schema(&self) -> DfResult<SchemaRef> {
        let data = self.definition.arrow_schema();
        let field = |source: ColumnSource| -> DfResult<FieldRef> {
            match source {
                ColumnSource::Data(index) => {
                    let field = data.fields().get(index).map(Arc::clone);
                    field.ok_or_else(|| internal_datafusion_err!("table {} has no column {index}", self.table))
                }
                ColumnSource::Hidden(hidden) => Ok(Arc::new(hidden.field())),
            }
        };
        let fields: Vec<FieldRef> = self.sources()?.into_iter().map(field).collect::<DfResult<_>>()?;
        Ok(Arc::new(Schema::new(fields)))
    }

    /// The columns that it gives, over which the filters of operators above are.
    pub(crate) fn schema(&self) -> DfResult<SchemaRef> {
        Ok(Arc::new(self.table_schema()?.project(&self.projection)?))
    }
}

/// A scan that another node planned. Its reader is found when it is run.
#[derive(Debug, Clone)]
pub(crate) struct ShippedScanExec {
    order: Arc<ScanOrder>,
    filters: Vec<Arc<dyn PhysicalExpr>>,
    late: Vec<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
    workplace: Arc<Workplace>,
    meter: Arc<StatementMeter>,
    facts: Arc<ExecutionFacts>,
    scan: Arc<OnceCell<ShardScanExec>>,
    properties: Arc<PlanProperties>,
}

impl ShippedScanExec {
    pub(crate) fn try_new(
        order: ScanOrder,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        late: Vec<Arc<dyn PhysicalExpr>>,
        workplace: Arc<Workplace>,
    ) -> DfResult<Self> {
        let schema = order.schema()?;
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(order.partitions.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        let deadline = order.time_left.map(|left| Instant::now() + left);
        let meter = StatementMeter::new(order.max_bytes, deadline);
        workplace.slots.count(&order.query_id, &meter);
        Ok(Self {
            facts: ExecutionFacts::new(order.query_id.clone(), Arc::clone(&meter), OnLimit::Fail),
            order: Arc::new(order),
            filters,
            late,
            schema,
            workplace,
            meter,
            scan: Arc::default(),
            properties: Arc::new(properties),
        })
    }

    async fn build(&self) -> Result<ShardScanExec, EngineError> {
        let (order, place) = (&self.order, &self.workplace);
        let (key, source) = place.sources.source(order.definition.kinesis.as_ref()).await?;
        let reader = place.readers.stream(&key, source, &order.definition.stream).await?;
        if *reader.identity() != order.stream {
            let both = recreated(&order.stream, reader.identity());
            let message = format!("table {}, stream {}: {both}", order.table, reader.name());
            return Err(EngineError::FailedPrecondition(message));
        }
        let request = ScanRequest {
            table: order.table.clone(),
            definition: Arc::clone(&order.definition),
            schema: order.table_schema()?,
            columns: order.sources()?,
            projection: Some(order.projection.clone()),
            filters: self.filters.clone(),
            limit: order.limit,
            bad_records: order.bad_records,
            judged: None,
            kpl_dedup: order.kpl_dedup,
            arrival_slack: order.arrival_slack,
            errors: Arc::clone(&place.errors),
            query_id: order.query_id.as_str().into(),
            target_partitions: order.partitions.len(),
            least_partitions: order.partitions.len(),
            promises: place.promises.count(&order.table, self.facts.outside_event_time()),
            follow: false,
            on_gap: if order.gaps_fail { OnGap::Fail } else { OnGap::Warn },
        };
        let placed = |_: &_, _| (0, order.partitions.clone());
        let mut scan = ShardScanExec::assemble(request, placed, reader, Arc::clone(&self.meter), Arc::clone(&self.facts))?;
        scan.newest_first = order.newest_first;
        if !self.late.is_empty() {
            let mut rows = (*scan.rows).clone();
            rows.late.clone_from(&self.late);
            scan.rows = Arc::new(rows);
        }
        Ok(scan)
    }
}

impl DisplayAs for ShippedScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shards: usize = self.order.partitions.iter().map(Vec::len).sum();
        write!(f, "ShippedScanExec: table={}, shards={shards}", self.order.table)
    }
}

impl ExecutionPlan for ShippedScanExec {
    fn name(&self) -> &'static str {
        "ShippedScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(&self, f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>) -> DfResult<TreeNodeRecursion> {
        for expr in self.filters.iter().chain(&self.late) {
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
            internal_err!("ShippedScanExec has no children")
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        let this = self.clone();
        let rows = stream::once(async move {
            let scan = this.scan.get_or_try_init(|| this.build()).await;
            scan.map_err(EngineError::into_datafusion)?.execute(partition, context)
        });
        let rows = rows.try_flatten().map_err(CarriedError::of);
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows.boxed())))
    }

    /// Those of the scan, and one whose label says what was read.
    fn metrics(&self) -> Option<MetricsSet> {
        let mut metrics = self.scan.get().and_then(ExecutionPlan::metrics).unwrap_or_default();
        let said = ExecutionPlanMetricsSet::new();
        let label = Label::new(SCAN_FACTS, self.facts.carried());
        let _counted_by_nobody = MetricBuilder::new(&said).with_label(label).global_counter(SCAN_FACTS);
        for metric in said.clone_inner().iter() {
            metrics.push(Arc::clone(metric));
        }
        Some(metrics)
    }
}
