//! Whether the rows of a statement are those of its table: one for each, with columns of its own among them.

use std::collections::BTreeSet;

use datafusion::logical_expr::{Expr, LogicalPlan};

/// The columns of an optimized plan over one table that are the table's, under its names; or why its rows are not the table's.
pub(in super::super) fn own_columns(plan: &LogicalPlan) -> Result<BTreeSet<String>, String> {
    one_row_for_each(plan)?;
    let names = plan.schema().fields().iter().map(|field| field.name());
    let own = names.filter(|name| origin(plan, name.as_str()) == Some(name.as_str()));
    Ok(own.cloned().collect())
}

fn one_row_for_each(plan: &LogicalPlan) -> Result<(), String> {
    match plan {
        LogicalPlan::Projection(projection) => one_row_for_each(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => one_row_for_each(&alias.input),
        LogicalPlan::TableScan(scan) if scan.fetch.is_none() && scan.filters.is_empty() => Ok(()),
        LogicalPlan::TableScan(_) | LogicalPlan::Filter(_) => Err("it leaves rows out".to_owned()),
        LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) => Err("it puts rows together".to_owned()),
        _ => Err("its rows are not those of the table, one by one".to_owned()),
    }
}

/// The table's column that a column of the plan is, if it is nothing else.
fn origin<'a>(plan: &'a LogicalPlan, name: &'a str) -> Option<&'a str> {
    match plan {
        LogicalPlan::TableScan(_) => Some(name),
        LogicalPlan::SubqueryAlias(alias) => origin(&alias.input, name),
        LogicalPlan::Projection(projection) => {
            let at = projection.schema.fields().iter().position(|field| field.name() == name)?;
            let mut expr = projection.expr.get(at)?;
            while let Expr::Alias(alias) = expr {
                expr = &alias.expr;
            }
            match expr {
                Expr::Column(column) => origin(&projection.input, &column.name),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::datasource::empty::EmptyTable;
    use datafusion::prelude::SessionContext;

    use super::*;

    async fn judged(sql: &str) -> Result<Vec<String>, String> {
        let context = SessionContext::new();
        let fields = ["a", "b", "at"].map(|name| Field::new(name, DataType::Int64, true));
        let table = EmptyTable::new(Arc::new(Schema::new(fields.to_vec())));
        context.register_table("t", Arc::new(table)).unwrap();
        let plan = context.sql(sql).await.unwrap().into_optimized_plan().unwrap();
        own_columns(&plan).map(|own| own.into_iter().collect())
    }

    #[tokio::test]
    async fn columns_are_the_tables_if_they_are_as_they_were() {
        let own = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(judged("SELECT * FROM t").await, own(&["a", "at", "b"]));
        assert_eq!(judged("SELECT a, a + b AS c FROM t").await, own(&["a"]));
        assert_eq!(judged("SELECT b AS a, a AS b, at FROM t").await, own(&["at"]));
        assert_eq!(judged("SELECT a FROM (SELECT b AS a, a AS c FROM t) x").await, own(&[]));
        assert_eq!(
            judged("SELECT x.*, at / 10 AS day FROM (SELECT a, at FROM t) x").await,
            own(&["a", "at"])
        );
    }

    #[tokio::test]
    async fn other_rows_are_no_history() {
        for (sql, why) in [
            ("SELECT * FROM t WHERE a > 1", "leaves rows out"),
            ("SELECT a, count(*) AS n FROM t GROUP BY a", "puts rows together"),
            ("SELECT DISTINCT a FROM t", "puts rows together"),
            ("SELECT a FROM t UNION ALL SELECT b FROM t", "one by one"),
        ] {
            let error = judged(sql).await.unwrap_err();
            assert!(error.contains(why), "{sql}: {error}");
        }
    }
}
