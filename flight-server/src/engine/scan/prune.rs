//! What filters say about shards, sequence numbers and arrival times, before a record is looked at.
//!
//! Pruning never decides about a row: the scan evaluates every filter on every row that pruning leaves.

use std::sync::Arc;

use datafusion::arrow::array::{Array, BooleanArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::cast::as_boolean_array;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result as DfResult, ScalarValue};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::{Expr, Operator, Volatility};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use datafusion::physical_plan::expressions::{BinaryExpr, Column, Literal};
use shard_reader::{Position, Segment, SequenceNumber, ShardPin};

use super::super::hidden::HiddenColumn;

/// Whether the scan can evaluate a filter exactly: everything but subqueries and volatile functions.
pub(crate) fn can_evaluate(filter: &Expr, schema: &DFSchema) -> bool {
    let mut plain = true;
    let walked = filter.apply(|expr| {
        plain &= match expr {
            Expr::ScalarSubquery(_)
            | Expr::InSubquery(_)
            | Expr::Exists(_)
            | Expr::SetComparison(_)
            | Expr::OuterReferenceColumn(..)
            | Expr::Placeholder(_) => false,
            Expr::ScalarFunction(call) => call.func.signature().volatility != Volatility::Volatile,
            _ => true,
        };
        Ok(if plain {
            TreeNodeRecursion::Continue
        } else {
            TreeNodeRecursion::Stop
        })
    });
    if walked.is_err() || !plain {
        return false;
    }
    let unqualified = datafusion::logical_expr::expr_rewriter::unnormalize_col(filter.clone());
    create_physical_expr(&unqualified, schema, &ExecutionProps::new(), &Default::default()).is_ok()
}

/// Arrival times, ms, that a filter leaves; both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ArrivalBounds {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Default for ArrivalBounds {
    fn default() -> Self {
        Self {
            from: i64::MIN,
            to: i64::MAX,
        }
    }
}

impl ArrivalBounds {
    /// Bounds from the conjunction of logical filters.
    pub(crate) fn from_filters(filters: &[Expr]) -> Self {
        let mut bounds = Self::default();
        for filter in filters {
            for conjunct in datafusion::logical_expr::utils::split_conjunction(filter) {
                match conjunct {
                    Expr::BinaryExpr(binary) => match (binary.left.as_ref(), binary.right.as_ref()) {
                        (Expr::Column(column), Expr::Literal(value, _)) if is_arrival(&column.name) => bounds.tighten(binary.op, value),
                        (Expr::Literal(value, _), Expr::Column(column)) if is_arrival(&column.name) => {
                            if let Some(op) = binary.op.swap() {
                                bounds.tighten(op, value);
                            }
                        }
                        _ => {}
                    },
                    Expr::Between(between) if !between.negated => {
                        if let (Expr::Column(column), Expr::Literal(low, _), Expr::Literal(high, _)) =
                            (between.expr.as_ref(), between.low.as_ref(), between.high.as_ref())
                            && is_arrival(&column.name)
                        {
                            bounds.tighten(Operator::GtEq, low);
                            bounds.tighten(Operator::LtEq, high);
                        }
                    }
                    _ => {}
                }
            }
        }
        bounds
    }

    fn tighten(&mut self, op: Operator, value: &ScalarValue) {
        let Some((floor, ceil)) = millis(value) else { return };
        match op {
            Operator::Eq => {
                self.from = self.from.max(floor);
                self.to = self.to.min(ceil);
            }
            Operator::Gt | Operator::GtEq => self.from = self.from.max(floor),
            Operator::Lt | Operator::LtEq => self.to = self.to.min(ceil),
            _ => {}
        }
    }

    fn meets(&self, (first, last): (i64, i64)) -> bool {
        first <= self.to && last >= self.from
    }
}

fn is_arrival(name: &str) -> bool {
    name == HiddenColumn::MessageTimestamp.name()
}

/// A time in ms, rounded down and up.
fn millis(value: &ScalarValue) -> Option<(i64, i64)> {
    let per = |value: i64, unit: i64| {
        (
            value.div_euclid(unit),
            value.div_euclid(unit) + i64::from(value.rem_euclid(unit) != 0),
        )
    };
    match value {
        ScalarValue::TimestampSecond(Some(value), _) => value.checked_mul(1000).map(|ms| (ms, ms)),
        ScalarValue::TimestampMillisecond(Some(value), _) => Some((*value, *value)),
        ScalarValue::TimestampMicrosecond(Some(value), _) => Some(per(*value, 1_000)),
        ScalarValue::TimestampNanosecond(Some(value), _) => Some(per(*value, 1_000_000)),
        _ => None,
    }
}

/// What the filters of a scan say without looking at records.
#[derive(Debug, Clone)]
pub(super) struct Pruning {
    arrival: ArrivalBounds,
    lowest: Option<SequenceNumber>,
    highest: Option<SequenceNumber>,
    shard_filters: Vec<Arc<dyn PhysicalExpr>>,
}

impl Pruning {
    /// Reads the conjuncts of physical filters over `schema`.
    pub(super) fn new(filters: &[Arc<dyn PhysicalExpr>], schema: &SchemaRef) -> Self {
        let mut pruning = Self {
            arrival: ArrivalBounds::default(),
            lowest: None,
            highest: None,
            shard_filters: Vec::new(),
        };
        for conjunct in filters.iter().flat_map(datafusion::physical_expr::split_conjunction) {
            pruning.read(conjunct, schema);
        }
        pruning
    }

    fn read(&mut self, conjunct: &Arc<dyn PhysicalExpr>, schema: &SchemaRef) {
        let columns = collect_columns(conjunct);
        if columns.len() == 1 && columns.iter().all(|column| column.name() == HiddenColumn::ShardId.name()) {
            self.shard_filters.push(Arc::clone(conjunct));
            return;
        }
        let Some(binary) = conjunct.downcast_ref::<BinaryExpr>() else {
            return;
        };
        let (column, op, value) = match (binary.left().downcast_ref::<Column>(), binary.right().downcast_ref::<Literal>()) {
            (Some(column), Some(literal)) => (column, *binary.op(), literal.value()),
            _ => match (
                binary.right().downcast_ref::<Column>(),
                binary.left().downcast_ref::<Literal>(),
                binary.op().swap(),
            ) {
                (Some(column), Some(literal), Some(op)) => (column, op, literal.value()),
                _ => return,
            },
        };
        debug_assert!(column.index() < schema.fields().len());
        if is_arrival(column.name()) {
            self.arrival.tighten(op, value);
        } else if column.name() == HiddenColumn::ShardSequenceId.name()
            && let ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) = value
            && text.len() == PADDED
            && let Ok(sequence) = text.parse::<SequenceNumber>()
        {
            let lower = matches!(op, Operator::Eq | Operator::Gt | Operator::GtEq);
            let upper = matches!(op, Operator::Eq | Operator::Lt | Operator::LtEq);
            if lower {
                self.lowest = Some(self.lowest.map_or(sequence, |known| known.max(sequence)));
            }
            if upper {
                self.highest = Some(self.highest.map_or(sequence, |known| known.min(sequence)));
            }
        }
    }

    /// The shards that can hold a row, with their ranges cut at the highest sequence number asked for.
    pub(super) fn shards(&self, pins: &[ShardPin]) -> DfResult<Vec<ShardPin>> {
        let ids = StringArray::from_iter_values(pins.iter().map(|pin| pin.range.shard.as_ref()));
        let schema = Arc::new(Schema::new(vec![HiddenColumn::ShardId.field()]));
        let batch = RecordBatch::try_new(schema, vec![Arc::new(ids)])?;
        let mut keep = BooleanArray::from(vec![true; pins.len()]);
        for filter in &self.shard_filters {
            let filter = rebase(filter)?;
            let mask = filter.evaluate(&batch)?.into_array(pins.len())?;
            keep = datafusion::arrow::compute::and_kleene(&keep, as_boolean_array(&mask)?)?;
        }
        Ok(pins
            .iter()
            .enumerate()
            .filter(|(index, _)| keep.is_valid(*index) && keep.value(*index))
            .map(|(_, pin)| {
                let mut pin = pin.clone();
                if let Some(highest) = self.highest {
                    pin.range.end = pin.range.end.min(Position::after_record(highest)).max(pin.range.start);
                }
                pin
            })
            .collect())
    }

    /// Whether a segment can hold a row.
    pub(super) fn meets(&self, segment: &Segment) -> bool {
        let (first, last) = segment.sequence_range();
        self.arrival.meets(segment.arrival_range())
            && self.lowest.is_none_or(|lowest| last >= lowest)
            && self.highest.is_none_or(|highest| first <= highest)
    }
}

/// Digits of a padded sequence number; other texts compare as texts do and prune nothing.
const PADDED: usize = 57;

/// The filter over a batch whose only column is `_shard_id`.
fn rebase(filter: &Arc<dyn PhysicalExpr>) -> DfResult<Arc<dyn PhysicalExpr>> {
    use datafusion::common::tree_node::{Transformed, TreeNode as _};
    Ok(Arc::clone(filter)
        .transform(|expr| {
            Ok(if expr.downcast_ref::<Column>().is_some() {
                Transformed::yes(Arc::new(Column::new(HiddenColumn::ShardId.name(), 0)) as Arc<dyn PhysicalExpr>)
            } else {
                Transformed::no(expr)
            })
        })?
        .data)
}
