//! Values of a statement's placeholders.
//!
//! Values are bound to the logical plan before it is optimized, so that a parameter is planned, pruned by and pushed down as a literal of its
//! place would be. A ticket carries them, and DoGet binds them again.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use datafusion::arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::common::ParamValues;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::{Cast, Placeholder, TryCast};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::scalar::ScalarValue;
use serde_bytes::ByteBuf;

use super::error::EngineError;

/// Rows of parameters of a query: each is a plan of its own.
const MOST_ROWS: usize = 1000;

/// Bytes of parameters that travel in each of a result's tickets; a statement with more has one endpoint.
const LARGEST_OF_MANY: usize = 64 << 10;

/// What a statement's placeholders want, and what is bound to them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parameters {
    wanted: usize,
    bound: Option<RecordBatch>,
}

/// The type that the statement gives a parameter.
#[derive(Debug, Clone)]
struct Inferred {
    data_type: DataType,
    /// No other will do; where two values are compared, related ones will.
    strict: bool,
}

impl Parameters {
    /// For so many placeholders; nothing is bound.
    pub(super) fn wanted(count: usize) -> Self {
        Self {
            wanted: count,
            bound: None,
        }
    }

    /// Binds rows of values; all that run a statement do, those that only type it need not.
    pub(super) fn bind(&mut self, rows: Option<RecordBatch>) -> Result<(), EngineError> {
        let given = rows.as_ref().map_or(0, RecordBatch::num_columns);
        if given != self.wanted {
            let parameters = |count: usize| {
                if count == 1 {
                    "1 parameter".to_owned()
                } else {
                    format!("{count} parameters")
                }
            };
            let sentence = match given {
                0 => format!(
                    "the statement has {}, and none is bound: prepare it and bind values",
                    parameters(self.wanted)
                ),
                _ => format!("the statement has {}, and {given} are bound", parameters(self.wanted)),
            };
            return Err(EngineError::Invalid(sentence));
        }
        self.bound = match rows.filter(|_| self.wanted > 0) {
            None => None,
            Some(rows) if rows.num_rows() == 0 => return Err(EngineError::Invalid("no row of parameters is bound".to_owned())),
            Some(rows) if rows.num_rows() > MOST_ROWS => {
                return Err(EngineError::Invalid(format!(
                    "{} rows of parameters are bound to a query; {MOST_ROWS} are the most",
                    rows.num_rows()
                )));
            }
            Some(rows) => Some(rows),
        };
        Ok(())
    }

    /// How often the statement is run.
    pub(super) fn rows(&self) -> usize {
        self.bound.as_ref().map_or(1, RecordBatch::num_rows)
    }

    /// The plan with the values of each row in their places.
    pub(super) fn plans(&self, plan: LogicalPlan) -> Result<Vec<LogicalPlan>, EngineError> {
        let Some(bound) = &self.bound else { return Ok(vec![plan]) };
        let types = inferred(&plan)?;
        let columns = bound
            .columns()
            .iter()
            .enumerate()
            .map(|(index, column)| fitted(column, index, types.get(&index)));
        let columns: Vec<ArrayRef> = columns.collect::<Result<_, _>>()?;
        let of_row = |row: usize| {
            let values = columns
                .iter()
                .map(|column| Ok(plain_value(ScalarValue::try_from_array(column, row)?)));
            let values: Vec<ScalarValue> = values.collect::<Result<_, EngineError>>()?;
            Ok(plan.clone().with_param_values(ParamValues::from(values))?)
        };
        (0..bound.num_rows()).map(of_row).collect()
    }

    /// Names and types of the parameters, by the plan as it is written and as it is optimized; a type that nothing tells is `Null`.
    pub(super) fn schema(&self, written: &LogicalPlan, optimized: &LogicalPlan) -> Result<SchemaRef, EngineError> {
        let (first, second) = (inferred(written)?, inferred(optimized)?);
        let field = |index: usize| {
            let known = first.get(&index).or_else(|| second.get(&index));
            let data_type = known.map_or(DataType::Null, |inferred| plain_type(&inferred.data_type));
            Field::new(format!("${}", index + 1), data_type, true)
        };
        Ok(Arc::new(Schema::new((0..self.wanted).map(field).collect::<Vec<_>>())))
    }
}

/// Whether they are small enough to travel in each of many tickets: all of those come in one message.
pub(super) fn fit_every_ticket(parameters: Option<&ByteBuf>) -> bool {
    parameters.is_none_or(|bytes| bytes.len() <= LARGEST_OF_MANY)
}

/// What tells statements of the same text apart: values of parameters are part of what a statement is.
pub(super) fn statement_key<'a>(sql: &'a str, parameters: Option<&ByteBuf>) -> std::borrow::Cow<'a, str> {
    match parameters {
        None => sql.into(),
        Some(bytes) => {
            use sha2::{Digest, Sha256};
            let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{}\n-- parameters {digest}", sql.trim()).into()
        }
    }
}

/// Rows as they travel in a ticket.
pub(super) fn encoded(rows: &RecordBatch) -> Result<ByteBuf, EngineError> {
    let write = || -> Result<Vec<u8>, ArrowError> {
        let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema())?;
        writer.write(rows)?;
        writer.into_inner()
    };
    write()
        .map(ByteBuf::from)
        .map_err(|error| EngineError::Invalid(format!("the parameters cannot be kept: {error}")))
}

/// See [`encoded`].
pub(super) fn decoded(bytes: Option<&ByteBuf>) -> Result<Option<RecordBatch>, EngineError> {
    let Some(bytes) = bytes else { return Ok(None) };
    let read = || StreamReader::try_new(bytes.as_slice(), None)?.next().transpose();
    read().map_err(|error| EngineError::Internal(format!("parameters that were kept cannot be read: {error}")))
}

/// Types of the placeholders, by their index.
fn inferred(plan: &LogicalPlan) -> Result<BTreeMap<usize, Inferred>, EngineError> {
    let mut found: BTreeMap<usize, Inferred> = BTreeMap::new();
    let mut note = |id: &str, data_type: &DataType, strict: bool| {
        let index = id
            .trim_start_matches('$')
            .parse::<usize>()
            .ok()
            .and_then(|number| number.checked_sub(1));
        if let Some(index) = index.filter(|_| *data_type != DataType::Null) {
            let known = found.entry(index).or_insert_with(|| Inferred {
                data_type: data_type.clone(),
                strict,
            });
            if strict && !known.strict {
                *known = Inferred {
                    data_type: data_type.clone(),
                    strict,
                };
            }
        }
    };
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Limit(limit) = node {
            for bound in limit.skip.iter().chain(&limit.fetch) {
                bound.apply(|expr| {
                    if let Expr::Placeholder(placeholder) = expr {
                        note(&placeholder.id, &DataType::Int64, true);
                    }
                    Ok(TreeNodeRecursion::Continue)
                })?;
            }
        }
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                match expr {
                    Expr::Placeholder(Placeholder { id, field: Some(field) }) => note(id, field.data_type(), false),
                    Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
                        if let Expr::Placeholder(Placeholder { id, field: None }) = expr.as_ref() {
                            note(id, field.data_type(), false);
                        }
                    }
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

/// A column of values as it is bound. Types that are related are left to the planner, which compares them as it does literals.
fn fitted(column: &ArrayRef, index: usize, inferred: Option<&Inferred>) -> Result<ArrayRef, EngineError> {
    let column = cast_to(column, &plain_type(column.data_type()), index)?;
    let Some(Inferred { data_type: wanted, strict }) = inferred else {
        return Ok(column);
    };
    let given = column.data_type().clone();
    if given == *wanted || matches!(given, DataType::Union(..)) {
        return Ok(column);
    }
    if given == DataType::Null {
        return Ok(new_null_array(wanted, column.len()));
    }
    let (from, to) = (Family::of(&given), Family::of(wanted));
    if from == to && from != Family::Other && !strict {
        return Ok(column);
    }
    let readable = from == to
        || matches!(from, Family::Text)
        || matches!(to, Family::Text)
        || matches!((from, to), (Family::Bytes, Family::Other) | (Family::Other, Family::Bytes));
    if !readable || !can_cast_types(&given, wanted) {
        return Err(EngineError::Invalid(format!(
            "parameter ${}: {given} is bound, and {wanted} is wanted",
            index + 1
        )));
    }
    cast_to(&column, wanted, index)
}

fn cast_to(column: &ArrayRef, wanted: &DataType, index: usize) -> Result<ArrayRef, EngineError> {
    if column.data_type() == wanted {
        return Ok(Arc::clone(column));
    }
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(column, wanted, &options).map_err(|error| EngineError::Invalid(format!("parameter ${}: {error}", index + 1)))
}

/// Types that the planner compares with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Number,
    Text,
    Bytes,
    Instant,
    TimeOfDay,
    Other,
}

impl Family {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            number if number.is_numeric() => Self::Number,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Self::Bytes,
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Self::Instant,
            DataType::Time32(_) | DataType::Time64(_) => Self::TimeOfDay,
            _ => Self::Other,
        }
    }
}

/// Clients encode the same values in several ways; the plan, and so the result's schema, is the same for all.
fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::RunEndEncoded(_, values) => plain_type(values.data_type()),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        other => other.clone(),
    }
}

/// SQLite's drivers bind unions of all types.
fn plain_value(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Union(Some((_, value)), ..) => *value,
        ScalarValue::Union(None, ..) => ScalarValue::Null,
        other => other,
    }
}
