//! Times compared with parts of their unit.
//!
//! A column of seconds that is compared with a time of nanoseconds is cast to nanoseconds; the query engine's simplifier then takes the cast off
//! the column and casts the constant instead, which cuts off what a second has no place for: `at < 12:00:00.5` became `at < 12:00:00`, and lost a
//! row. Here such comparisons become ones with whole units that mean the same, before the simplifier sees them, and still prune.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as DfResult};
use datafusion::logical_expr::expr::{Between, BinaryExpr, Cast, InList};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, and, or};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::scalar::ScalarValue;

/// See the module.
#[derive(Debug)]
pub(super) struct ExactTimes;

impl OptimizerRule for ExactTimes {
    fn name(&self) -> &'static str {
        "exact_times"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> DfResult<Transformed<LogicalPlan>> {
        if plan.inputs().is_empty() {
            return Ok(Transformed::no(plan));
        }
        let context = SimplifyContext::builder()
            .with_config_options(config.options())
            .with_query_execution_start_time(config.query_execution_start_time())
            .build();
        let exact = Exact {
            schema: merge_schema(&plan.inputs()),
            simplifier: ExprSimplifier::new(context),
        };
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let rewritten = expr.transform_up(|expr| exact.rewritten(expr))?;
            Ok(rewritten.update_data(|expr| name.restore(expr)))
        })
    }
}

struct Exact {
    schema: DFSchema,
    simplifier: ExprSimplifier,
}

/// A constant between two whole units of what it is compared with: the lower one, as a constant.
struct InBetween {
    below: Expr,
}

impl Exact {
    fn rewritten(&self, expr: Expr) -> DfResult<Transformed<Expr>> {
        match &expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let of = |cast: &Expr, op: Operator, constant: &Expr| match cast {
                    Expr::Cast(cast) => self.compared(cast, op, constant),
                    _ => None,
                };
                let compared = of(left, *op, right).or_else(|| op.swap().and_then(|op| of(right, op, left)));
                Ok(compared.map_or_else(|| Transformed::no(expr), Transformed::yes))
            }
            Expr::Between(Between {
                expr: of,
                negated,
                low,
                high,
            }) => {
                let Expr::Cast(cast) = of.as_ref() else {
                    return Ok(Transformed::no(expr));
                };
                let (lower, upper) = if *negated {
                    (Operator::Lt, Operator::Gt)
                } else {
                    (Operator::GtEq, Operator::LtEq)
                };
                let (first, second) = (self.compared(cast, lower, low), self.compared(cast, upper, high));
                if first.is_none() && second.is_none() {
                    return Ok(Transformed::no(expr));
                }
                let plain = |op, bound: &Expr| Expr::BinaryExpr(BinaryExpr::new(of.clone(), op, Box::new(bound.clone())));
                let first = first.unwrap_or_else(|| plain(lower, low));
                let second = second.unwrap_or_else(|| plain(upper, high));
                Ok(Transformed::yes(if *negated { or(first, second) } else { and(first, second) }))
            }
            Expr::InList(InList { expr: of, list, negated }) => {
                let Expr::Cast(cast) = of.as_ref() else {
                    return Ok(Transformed::no(expr));
                };
                let Some(between) = list.iter().find_map(|item| self.in_between(cast, item)) else {
                    return Ok(Transformed::no(expr));
                };
                let whole: Vec<Expr> = list.iter().filter(|item| self.in_between(cast, item).is_none()).cloned().collect();
                let op = if *negated { Operator::NotEq } else { Operator::Eq };
                let never = between.compared(&cast.expr, op);
                let rest = Expr::InList(InList::new(of.clone(), whole, *negated));
                Ok(Transformed::yes(match (&never, &rest) {
                    (_, Expr::InList(rest_list)) if rest_list.list.is_empty() => never.unwrap_or(rest),
                    _ => rest,
                }))
            }
            _ => Ok(Transformed::no(expr)),
        }
    }

    /// The comparison with whole units, if the constant is none.
    fn compared(&self, cast: &Cast, op: Operator, constant: &Expr) -> Option<Expr> {
        self.in_between(cast, constant)?.compared(&cast.expr, op)
    }

    fn in_between(&self, cast: &Cast, constant: &Expr) -> Option<InBetween> {
        let DataType::Timestamp(fine, zone) = cast.field.data_type() else {
            return None;
        };
        let DataType::Timestamp(coarse, own_zone) = cast.expr.get_type(&self.schema).ok()? else {
            return None;
        };
        let ratio = per_second(fine) / per_second(&coarse);
        if ratio <= 1 || zone.is_some() != own_zone.is_some() || !constant.column_refs().is_empty() || constant.is_volatile() {
            return None;
        }
        let value = match self.simplifier.simplify(constant.clone()).ok()? {
            Expr::Literal(value, _) if value.data_type() == *cast.field.data_type() => instant(&value)?,
            _ => return None,
        };
        if value.rem_euclid(ratio) == 0 {
            return None;
        }
        let below = value.div_euclid(ratio);
        let below = match coarse {
            TimeUnit::Second => ScalarValue::TimestampSecond(Some(below), own_zone),
            TimeUnit::Millisecond => ScalarValue::TimestampMillisecond(Some(below), own_zone),
            TimeUnit::Microsecond => ScalarValue::TimestampMicrosecond(Some(below), own_zone),
            TimeUnit::Nanosecond => return None,
        };
        Some(InBetween {
            below: Expr::Literal(below, None),
        })
    }
}

impl InBetween {
    fn compared(&self, of: &Expr, op: Operator) -> Option<Expr> {
        let with = |op| Expr::BinaryExpr(BinaryExpr::new(Box::new(of.clone()), op, Box::new(self.below.clone())));
        Some(match op {
            Operator::Gt | Operator::GtEq => with(Operator::Gt),
            Operator::Lt | Operator::LtEq => with(Operator::LtEq),
            // never, and NULL where there is no time
            Operator::Eq => and(with(Operator::Gt), with(Operator::LtEq)),
            Operator::NotEq => or(with(Operator::Gt), with(Operator::LtEq)),
            Operator::IsDistinctFrom => Expr::Literal(ScalarValue::Boolean(Some(true)), None),
            Operator::IsNotDistinctFrom => Expr::Literal(ScalarValue::Boolean(Some(false)), None),
            _ => return None,
        })
    }
}

const fn per_second(unit: &TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

fn instant(value: &ScalarValue) -> Option<i64> {
    match value {
        ScalarValue::TimestampSecond(value, _)
        | ScalarValue::TimestampMillisecond(value, _)
        | ScalarValue::TimestampMicrosecond(value, _)
        | ScalarValue::TimestampNanosecond(value, _) => *value,
        _ => None,
    }
}
