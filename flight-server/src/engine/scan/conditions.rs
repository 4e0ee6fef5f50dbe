//! From conditions of a statement to their [`Reach`]: comparisons of `_message_timestamp`, `_shard_sequence_id` and the column of `event_time` with
//! constants, in AND and OR, below casts that keep the order.
//!
//! # Times
//!
//! An event time `e` and the arrival `a` of its record are bound to each other by the definition's promise: `e - early <= a <= e + late`. So a lower
//! bound of `e` gives one of `a`, `early` before it, and an upper bound one that is `late` after it.
//!
//! # One shard
//!
//! For a shard that is known, what depends on `_shard_id` alone is computed, and `_partition_key = 'x'` is false where the definition promises that
//! keys decide, and the key's hash is none of the shard's.

use std::sync::Arc;

use catalog::{Partitioning, TableDefinition};
use datafusion::arrow::array::{Array, AsArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Schema, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::expressions::{BinaryExpr, CastExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, Literal, TryCastExpr};
use shard_reader::{PADDED_DIGITS, SequenceNumber, ShardId, hash_of_partition_key};

use super::super::hidden::HiddenColumn;
use super::reach::Reach;

const DAY_MS: i64 = 86_400_000;
/// Zones lie less than a day from UTC.
const ZONE_MS: i64 = DAY_MS;

/// How the columns of a table tell of arrival and place.
#[derive(Debug, Clone)]
pub(crate) struct Clues {
    event: Option<EventColumn>,
    keys_decide: bool,
}

/// The column of a definition's `event_time`.
#[derive(Debug, Clone)]
pub(super) struct EventColumn {
    pub(super) name: String,
    pub(super) early_ms: i64,
    pub(super) late_ms: i64,
    /// A value stands for so much time: a date for its day.
    pub(super) width_ms: i64,
}

/// A shard that is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownShard<'a> {
    pub(crate) id: &'a ShardId,
    /// First and last hash key.
    pub(crate) hashes: (u128, u128),
}

impl EventColumn {
    pub(super) fn of(definition: &TableDefinition) -> Option<Self> {
        let event = definition.event_time?;
        let column = definition.columns.get(event.column)?;
        let ms = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Some(Self {
            name: column.name.clone(),
            early_ms: ms(event.early),
            late_ms: ms(event.late),
            width_ms: match column.column_type.data_type() {
                DataType::Date32 => DAY_MS,
                DataType::Timestamp(TimeUnit::Second, _) => 1000,
                _ => 1,
            },
        })
    }
}

impl Clues {
    pub(crate) fn of(definition: &TableDefinition) -> Self {
        Self {
            event: EventColumn::of(definition),
            keys_decide: definition.partitioning == Partitioning::PartitionKey,
        }
    }

    /// Whether conditions say different things of different shards.
    pub(crate) fn depend_on_shard(conditions: &[Arc<dyn PhysicalExpr>]) -> bool {
        let of_shards = [HiddenColumn::ShardId.name(), HiddenColumn::PartitionKey.name()];
        conditions
            .iter()
            .any(|condition| collect_columns(condition).iter().any(|column| of_shards.contains(&column.name())))
    }

    /// The reach of conditions that all must hold; for a shard, or for any.
    pub(crate) fn reach<'e>(
        &self,
        conditions: impl IntoIterator<Item = &'e Arc<dyn PhysicalExpr>>,
        shard: Option<KnownShard<'_>>,
    ) -> Reach {
        let conditions: Vec<_> = conditions.into_iter().collect();
        let events_given = self
            .event
            .as_ref()
            .is_some_and(|event| conditions.iter().any(|condition| rejects_null(condition, &event.name)));
        let look = Look {
            clues: self,
            shard,
            events_given,
        };
        let spans = conditions.into_iter().map(|condition| look.reach(condition));
        spans.fold(Reach::ALL, Reach::and)
    }
}

/// Whether one of the conjuncts is never true where the column is NULL.
fn rejects_null(condition: &Arc<dyn PhysicalExpr>, column: &str) -> bool {
    let is_it = |expr: &Arc<dyn PhysicalExpr>| uncast(expr).downcast_ref::<Column>().is_some_and(|found| found.name() == column);
    datafusion::physical_expr::split_conjunction(condition).into_iter().any(|conjunct| {
        if let Some(binary) = conjunct.downcast_ref::<BinaryExpr>() {
            return is_comparison(*binary.op()) && (is_it(binary.left()) || is_it(binary.right()));
        }
        conjunct.downcast_ref::<IsNotNullExpr>().is_some_and(|given| is_it(given.arg()))
    })
}

fn is_comparison(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq
    )
}

fn uncast(expr: &Arc<dyn PhysicalExpr>) -> &Arc<dyn PhysicalExpr> {
    match (expr.downcast_ref::<CastExpr>(), expr.downcast_ref::<TryCastExpr>()) {
        (Some(cast), _) => uncast(cast.expr()),
        (_, Some(cast)) => uncast(cast.expr()),
        _ => expr,
    }
}

/// What a comparison is about.
#[derive(Clone, Copy)]
enum Subject<'a> {
    Arrival,
    Event(&'a EventColumn),
    Sequence,
    Key,
}

/// A column below functions that keep the order: its values lie within `slop_ms` of what is compared.
struct Term<'a> {
    subject: Subject<'a>,
    slop_ms: i64,
}

struct Look<'a> {
    clues: &'a Clues,
    shard: Option<KnownShard<'a>>,
    /// Another condition sees to it that the event time is not NULL.
    events_given: bool,
}

impl Look<'_> {
    fn reach(&self, condition: &Arc<dyn PhysicalExpr>) -> Reach {
        if let Some(binary) = condition.downcast_ref::<BinaryExpr>() {
            match binary.op() {
                Operator::And => return self.reach(binary.left()).and(self.reach(binary.right())),
                Operator::Or => return self.reach(binary.left()).or(self.reach(binary.right())),
                _ => {}
            }
        }
        self.of_shard(condition).unwrap_or_else(|| self.leaf(condition))
    }

    /// What depends on the shard's id alone.
    fn of_shard(&self, condition: &Arc<dyn PhysicalExpr>) -> Option<Reach> {
        let shard = self.shard?;
        let columns = collect_columns(condition);
        if columns.is_empty() || columns.iter().any(|column| column.name() != HiddenColumn::ShardId.name()) {
            return None;
        }
        let rebased = Arc::clone(condition).transform(|expr| {
            Ok(if expr.downcast_ref::<Column>().is_some() {
                Transformed::yes(Arc::new(Column::new(HiddenColumn::ShardId.name(), 0)) as Arc<dyn PhysicalExpr>)
            } else {
                Transformed::no(expr)
            })
        });
        let schema = Arc::new(Schema::new(vec![HiddenColumn::ShardId.field()]));
        let ids = StringArray::from_iter_values([shard.id.as_str()]);
        let batch = RecordBatch::try_new(schema, vec![Arc::new(ids)]).ok()?;
        let value = rebased.ok()?.data.evaluate(&batch).ok()?.into_array(1).ok()?;
        let value = value.as_boolean_opt()?;
        Some(Reach::given(value.is_valid(0) && value.value(0)))
    }

    fn leaf(&self, condition: &Arc<dyn PhysicalExpr>) -> Reach {
        if let Some(literal) = condition.downcast_ref::<Literal>() {
            return match literal.value() {
                ScalarValue::Boolean(value) => Reach::given(*value == Some(true)),
                ScalarValue::Null => Reach::NONE,
                _ => Reach::ALL,
            };
        }
        if let Some(null) = condition.downcast_ref::<IsNullExpr>() {
            return match self.term(null.arg()).map(|term| term.subject) {
                Some(Subject::Arrival) => Reach::unstamped(),
                Some(Subject::Event(_)) => Reach::given(!self.events_given),
                // every record has one; a descending order asks for those without one first
                Some(Subject::Sequence) => Reach::NONE,
                _ => Reach::ALL,
            };
        }
        if let Some(list) = condition.downcast_ref::<InListExpr>() {
            if list.negated() {
                return Reach::ALL;
            }
            let Some(term) = self.term(list.expr()) else { return Reach::ALL };
            let values = list.list().iter().map(|value| match value.downcast_ref::<Literal>() {
                Some(literal) => self.compared(&term, Operator::Eq, literal.value()),
                None => Reach::ALL,
            });
            return values.fold(Reach::NONE, Reach::or);
        }
        let Some(binary) = condition.downcast_ref::<BinaryExpr>() else {
            return Reach::ALL;
        };
        let sides = [
            (binary.left(), Some(*binary.op()), binary.right()),
            (binary.right(), binary.op().swap(), binary.left()),
        ];
        for (column, op, value) in sides {
            if let (Some(op), Some(literal), Some(term)) = (op, value.downcast_ref::<Literal>(), self.term(column)) {
                return self.compared(&term, op, literal.value());
            }
        }
        Reach::ALL
    }

    fn term(&self, expr: &Arc<dyn PhysicalExpr>) -> Option<Term<'_>> {
        self.typed_term(expr).map(|(term, _)| term)
    }

    /// A column below order-keeping functions, and the time zone of its values, if they are times in one that is not UTC.
    fn typed_term(&self, expr: &Arc<dyn PhysicalExpr>) -> Option<(Term<'_>, bool)> {
        if let Some(column) = expr.downcast_ref::<Column>() {
            let subject = match HiddenColumn::find(column.name()) {
                Some(HiddenColumn::MessageTimestamp) => Subject::Arrival,
                Some(HiddenColumn::ShardSequenceId) => Subject::Sequence,
                Some(HiddenColumn::PartitionKey) => Subject::Key,
                Some(_) => return None,
                None => Subject::Event(self.clues.event.as_ref().filter(|event| event.name == column.name())?),
            };
            return Some((Term { subject, slop_ms: 0 }, false));
        }
        if let Some(cast) = expr.downcast_ref::<CastExpr>() {
            return Self::cast(self.typed_term(cast.expr())?, cast.cast_type());
        }
        if let Some(cast) = expr.downcast_ref::<TryCastExpr>() {
            return Self::cast(self.typed_term(cast.expr())?, cast.cast_type());
        }
        let call = expr
            .downcast_ref::<ScalarFunctionExpr>()
            .filter(|call| call.name() == "date_trunc")?;
        let [unit, value] = call.args() else { return None };
        let ScalarValue::Utf8(Some(unit)) = unit.downcast_ref::<Literal>()?.value() else {
            return None;
        };
        let days = match unit.to_ascii_lowercase().as_str() {
            "microsecond" | "millisecond" | "second" | "minute" | "hour" | "day" => 1,
            "week" => 7,
            "month" => 31,
            "quarter" => 92,
            "year" => 366,
            _ => return None,
        };
        let (term, zoned) = self.typed_term(value).filter(|(term, _)| term.subject.is_time())?;
        Some((term.within(days * DAY_MS + ZONE_MS), zoned))
    }

    fn cast<'t>((term, zoned): (Term<'t>, bool), to: &DataType) -> Option<(Term<'t>, bool)> {
        match (term.subject, to) {
            (Subject::Sequence | Subject::Key, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => Some((term, zoned)),
            (Subject::Arrival | Subject::Event(_), DataType::Timestamp(unit, zone)) => {
                let to_zone = zone.as_deref().is_some_and(|zone| !is_utc(zone));
                let width = if *unit == TimeUnit::Second { 1000 } else { 1 };
                // into or out of a zone the same reading of the clock is another time
                let moved = if zoned || to_zone { ZONE_MS } else { 0 };
                Some((term.within(width + moved), to_zone))
            }
            (Subject::Arrival | Subject::Event(_), DataType::Date32 | DataType::Date64) => Some((term.within(DAY_MS + ZONE_MS), zoned)),
            _ => None,
        }
    }

    fn compared(&self, term: &Term<'_>, op: Operator, value: &ScalarValue) -> Reach {
        if value.is_null() {
            // no comparison with NULL is true; IS DISTINCT FROM and its like are not read here
            return Reach::given(!is_comparison(op));
        }
        match term.subject {
            Subject::Sequence => numbers(op, value),
            Subject::Key => match (self.shard, text(value)) {
                (Some(shard), Some(key)) if self.clues.keys_decide && op == Operator::Eq => {
                    let hash = hash_of_partition_key(key);
                    Reach::given((shard.hashes.0..=shard.hashes.1).contains(&hash))
                }
                _ => Reach::ALL,
            },
            Subject::Arrival => times(op, value, (term.slop_ms, term.slop_ms)),
            Subject::Event(event) => {
                let before = event.early_ms.saturating_add(term.slop_ms);
                let after = event.late_ms.saturating_add(event.width_ms - 1).saturating_add(term.slop_ms);
                times(op, value, (before, after))
            }
        }
    }
}

impl Subject<'_> {
    fn is_time(&self) -> bool {
        matches!(self, Self::Arrival | Self::Event(_))
    }
}

impl Term<'_> {
    fn within(mut self, slop_ms: i64) -> Self {
        self.slop_ms = self.slop_ms.saturating_add(slop_ms);
        self
    }
}

fn is_utc(zone: &str) -> bool {
    ["+00:00", "UTC", "Z", "Etc/UTC", "GMT"]
        .iter()
        .any(|utc| zone.eq_ignore_ascii_case(utc))
}

/// Arrival times of records whose time compares so; the arrival lies from `before` ms ahead of that time to `after` ms behind it.
fn times(op: Operator, value: &ScalarValue, (before, after): (i64, i64)) -> Reach {
    let Some((floor, ceil)) = millis(value) else { return Reach::ALL };
    let (low, high) = (floor.saturating_sub(before), ceil.saturating_add(after));
    match op {
        Operator::Eq => Reach::arrived(low, high),
        Operator::Gt | Operator::GtEq => Reach::arrived(low, i64::MAX),
        Operator::Lt | Operator::LtEq => Reach::arrived(i64::MIN, high),
        _ => Reach::ALL,
    }
}

/// A time in ms, rounded down and up.
fn millis(value: &ScalarValue) -> Option<(i64, i64)> {
    let per = |value: i64, unit: i64| {
        let floor = value.div_euclid(unit);
        (floor, floor + i64::from(value.rem_euclid(unit) != 0))
    };
    match value {
        ScalarValue::TimestampSecond(Some(value), _) => value.checked_mul(1000).map(|ms| (ms, ms)),
        ScalarValue::TimestampMillisecond(Some(value), _) | ScalarValue::Date64(Some(value)) => Some((*value, *value)),
        ScalarValue::TimestampMicrosecond(Some(value), _) => Some(per(*value, 1_000)),
        ScalarValue::TimestampNanosecond(Some(value), _) => Some(per(*value, 1_000_000)),
        ScalarValue::Date32(Some(days)) => Some((i64::from(*days) * DAY_MS, i64::from(*days) * DAY_MS)),
        _ => None,
    }
}

fn text(value: &ScalarValue) -> Option<&str> {
    match value {
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => Some(text),
        _ => None,
    }
}

/// Texts of another width than a padded number compare as texts do, and say nothing here.
fn numbers(op: Operator, value: &ScalarValue) -> Reach {
    let number = text(value)
        .filter(|text| text.len() == PADDED_DIGITS)
        .and_then(|text| text.parse::<SequenceNumber>().ok());
    let Some(number) = number else { return Reach::ALL };
    match op {
        Operator::Eq => Reach::numbered(number, number),
        Operator::Gt | Operator::GtEq => Reach::numbered(number, SequenceNumber::MAX),
        Operator::Lt | Operator::LtEq => Reach::numbered(SequenceNumber::MIN, number),
        _ => Reach::ALL,
    }
}
