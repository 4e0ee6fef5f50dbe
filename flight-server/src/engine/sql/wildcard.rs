//! Tables are found, and wildcards skip hidden columns: `*` becomes `rel.* EXCLUDE (…)` for each relation.
//!
//! A table reference exposes its visible columns and those hidden ones that the statement mentions. With the hidden ones simply in the schema,
//! a wildcard would show them and NATURAL JOIN would silently match on them.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Ident, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableFactor, TableWithJoins, VisitMut, VisitorMut, WildcardAdditionalOptions,
};

use super::super::error::EngineError;
use super::relations::{normalized, parts, table_of};

/// Says which hidden columns a table exposes in this statement; an error where there is no such table.
pub(super) type Exposed<'a> = dyn FnMut(&str, &str) -> Result<Vec<String>, EngineError> + 'a;

pub(super) struct Rewriter<'a> {
    pub(super) current_schema: &'a str,
    pub(super) exposed: &'a mut Exposed<'a>,
}

/// A relation of a FROM clause.
struct Relation {
    /// What stands before `.*`; `None` where it has no name.
    qualifier: Option<ObjectName>,
    exposed: Vec<String>,
    /// Columns that a USING clause merges into those of a relation before.
    merged: Vec<String>,
    /// The right side of a semi or anti join gives no columns.
    gives_columns: bool,
}

impl Rewriter<'_> {
    pub(super) fn query(&mut self, query: &mut Query, outer: &[String]) -> Result<(), EngineError> {
        let mut scope = outer.to_vec();
        if let Some(with) = &mut query.with {
            if with.recursive {
                scope.extend(with.cte_tables.iter().map(|cte| normalized(&cte.alias.name)));
            }
            for cte in &mut with.cte_tables {
                self.query(&mut cte.query, &scope)?;
                scope.push(normalized(&cte.alias.name));
            }
        }
        self.body(&mut query.body, &scope)?;
        self.nested(&mut query.order_by, &scope)?;
        self.nested(&mut query.limit_clause, &scope)
    }

    fn body(&mut self, body: &mut SetExpr, scope: &[String]) -> Result<(), EngineError> {
        match body {
            SetExpr::Select(select) => self.select(select, scope),
            SetExpr::Query(query) => self.query(query, scope),
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left, scope)?;
                self.body(right, scope)
            }
            SetExpr::Values(values) => self.nested(values, scope),
            SetExpr::Table(_) => Err(EngineError::NotSupported(
                "`TABLE name` is not supported; write `SELECT * FROM name`".into(),
            )),
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => Err(EngineError::NotSupported(
                "statements that change data are not supported yet".into(),
            )),
        }
    }

    fn select(&mut self, select: &mut Select, scope: &[String]) -> Result<(), EngineError> {
        let mut from = std::mem::take(&mut select.from);
        self.nested(select, scope)?;
        let mut relations = Vec::new();
        let mut natural = false;
        for table in &mut from {
            self.table(table, scope, &mut relations, &mut natural)?;
        }
        select.from = from;
        let hides = relations.iter().any(|relation| !relation.exposed.is_empty());
        if !hides {
            return Ok(());
        }
        if natural {
            return Err(EngineError::NotSupported(
                "NATURAL JOIN cannot stand in a statement that names hidden columns; write JOIN … USING (…)".into(),
            ));
        }
        let mut projection = Vec::with_capacity(select.projection.len());
        for item in std::mem::take(&mut select.projection) {
            match item {
                SelectItem::Wildcard(options) => expand(options, &relations, &mut projection)?,
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), mut options) => {
                    if let Some(relation) = relations.iter().find(|relation| names(relation, &name)) {
                        exclude(&mut options, &relation.exposed)?;
                    }
                    projection.push(SelectItem::QualifiedWildcard(
                        SelectItemQualifiedWildcardKind::ObjectName(name),
                        options,
                    ));
                }
                other => projection.push(other),
            }
        }
        select.projection = projection;
        Ok(())
    }

    fn table(
        &mut self,
        table: &mut TableWithJoins,
        scope: &[String],
        relations: &mut Vec<Relation>,
        natural: &mut bool,
    ) -> Result<(), EngineError> {
        self.factor(&mut table.relation, scope, relations, natural)?;
        for Join {
            relation, join_operator, ..
        } in &mut table.joins
        {
            let first = relations.len();
            self.factor(relation, scope, relations, natural)?;
            self.nested(join_operator, scope)?;
            let side = Side::of(join_operator);
            if let Some(JoinConstraint::Natural) = side.constraint {
                *natural = true;
            }
            for relation in &mut relations[first..] {
                relation.gives_columns &= side.right_gives_columns;
                if let Some(JoinConstraint::Using(columns)) = side.constraint {
                    relation
                        .merged
                        .extend(columns.iter().filter_map(parts).filter_map(|mut parts| parts.pop()));
                }
            }
        }
        Ok(())
    }

    fn factor(
        &mut self,
        factor: &mut TableFactor,
        scope: &[String],
        relations: &mut Vec<Relation>,
        natural: &mut bool,
    ) -> Result<(), EngineError> {
        let mut push = |alias: Option<ObjectName>, exposed| {
            relations.push(Relation {
                qualifier: alias,
                exposed,
                merged: Vec::new(),
                gives_columns: true,
            });
        };
        match factor {
            TableFactor::Table {
                name,
                alias,
                args,
                version,
                sample,
                ..
            } => {
                if version.is_some() {
                    return Err(EngineError::NotSupported(format!(
                        "time travel (`{name} FOR …`) is not supported; use the options `start` and `freshness`"
                    )));
                }
                if sample.is_some() {
                    return Err(EngineError::NotSupported("TABLESAMPLE is not supported".into()));
                }
                let qualifier = alias.as_ref().map_or_else(
                    || name.clone(),
                    |alias| ObjectName(vec![ObjectNamePart::Identifier(alias.name.clone())]),
                );
                let is_cte = matches!(parts(name).as_deref(), Some([single]) if scope.contains(single));
                let exposed = match table_of(name, self.current_schema)? {
                    Some((schema, table)) if args.is_none() && !is_cte => (self.exposed)(&schema, &table)?,
                    _ => Vec::new(),
                };
                push(Some(qualifier), exposed);
                Ok(())
            }
            TableFactor::Derived { subquery, alias, .. } => {
                push(
                    alias
                        .as_ref()
                        .map(|alias| ObjectName(vec![ObjectNamePart::Identifier(alias.name.clone())])),
                    Vec::new(),
                );
                self.query(subquery, scope)
            }
            TableFactor::NestedJoin { table_with_joins, .. } => self.table(table_with_joins, scope, relations, natural),
            TableFactor::UNNEST { alias, .. } | TableFactor::Function { alias, .. } | TableFactor::TableFunction { alias, .. } => {
                push(
                    alias
                        .as_ref()
                        .map(|alias| ObjectName(vec![ObjectNamePart::Identifier(alias.name.clone())])),
                    Vec::new(),
                );
                Ok(())
            }
            other => Err(EngineError::NotSupported(format!("`{other}` is not supported in FROM"))),
        }
    }

    /// Rewrites the queries inside expressions.
    fn nested(&mut self, node: &mut impl VisitMut, scope: &[String]) -> Result<(), EngineError> {
        let mut visitor = Outermost {
            rewriter: self,
            scope,
            depth: 0,
        };
        match node.visit(&mut visitor) {
            ControlFlow::Break(error) => Err(error),
            ControlFlow::Continue(()) => Ok(()),
        }
    }
}

/// Visits the outermost queries of a node; those inside are reached by [`Rewriter::query`], with their own scope.
struct Outermost<'r, 'a> {
    rewriter: &'r mut Rewriter<'a>,
    scope: &'r [String],
    depth: usize,
}

impl VisitorMut for Outermost<'_, '_> {
    type Break = EngineError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<EngineError> {
        self.depth += 1;
        if self.depth == 1
            && let Err(error) = self.rewriter.query(query, self.scope)
        {
            return ControlFlow::Break(error);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<EngineError> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

struct Side<'a> {
    constraint: Option<&'a JoinConstraint>,
    right_gives_columns: bool,
}

impl<'a> Side<'a> {
    fn of(operator: &'a JoinOperator) -> Self {
        let (constraint, right_gives_columns) = match operator {
            JoinOperator::Semi(c) | JoinOperator::LeftSemi(c) | JoinOperator::Anti(c) | JoinOperator::LeftAnti(c) => (Some(c), false),
            JoinOperator::Join(c)
            | JoinOperator::Inner(c)
            | JoinOperator::Left(c)
            | JoinOperator::LeftOuter(c)
            | JoinOperator::Right(c)
            | JoinOperator::RightOuter(c)
            | JoinOperator::FullOuter(c)
            | JoinOperator::CrossJoin(c)
            | JoinOperator::RightSemi(c)
            | JoinOperator::RightAnti(c) => (Some(c), true),
            _ => (None, true),
        };
        Self {
            constraint,
            right_gives_columns,
        }
    }
}

fn names(relation: &Relation, name: &ObjectName) -> bool {
    let (Some(own), Some(asked)) = (relation.qualifier.as_ref().and_then(parts), parts(name)) else {
        return false;
    };
    own.ends_with(&asked)
}

/// `*` over relations of which some expose hidden columns.
fn expand(options: WildcardAdditionalOptions, relations: &[Relation], projection: &mut Vec<SelectItem>) -> Result<(), EngineError> {
    let giving: Vec<&Relation> = relations.iter().filter(|relation| relation.gives_columns).collect();
    if let [only] = giving.as_slice() {
        let mut options = options;
        exclude(&mut options, &only.exposed)?;
        projection.push(SelectItem::Wildcard(options));
        return Ok(());
    }
    if options.opt_exclude.is_some() || options.opt_except.is_some() || options.opt_replace.is_some() || options.opt_rename.is_some() {
        return Err(EngineError::NotSupported(
            "`*` with EXCLUDE, EXCEPT, REPLACE or RENAME over several tables cannot stand in a statement that names hidden columns; write `table.*`".into(),
        ));
    }
    for relation in giving {
        let Some(qualifier) = &relation.qualifier else {
            return Err(EngineError::NotSupported(
                "`*` in a statement that names hidden columns needs an alias for every subquery in FROM".into(),
            ));
        };
        let mut own = WildcardAdditionalOptions::default();
        let excluded: Vec<String> = relation.exposed.iter().chain(&relation.merged).cloned().collect();
        exclude(&mut own, &excluded)?;
        projection.push(SelectItem::QualifiedWildcard(
            SelectItemQualifiedWildcardKind::ObjectName(qualifier.clone()),
            own,
        ));
    }
    Ok(())
}

fn exclude(options: &mut WildcardAdditionalOptions, columns: &[String]) -> Result<(), EngineError> {
    if columns.is_empty() {
        return Ok(());
    }
    let mut all = match options.opt_exclude.take() {
        None => Vec::new(),
        Some(ExcludeSelectItem::Single(name)) => vec![name],
        Some(ExcludeSelectItem::Multiple(names)) => names,
    };
    if let Some(except) = options.opt_except.take() {
        all.extend(
            std::iter::once(except.first_element)
                .chain(except.additional_elements)
                .map(|ident| ObjectName(vec![ObjectNamePart::Identifier(ident)])),
        );
    }
    for column in columns {
        if !all.iter().any(|name| parts(name).as_deref() == Some(std::slice::from_ref(column))) {
            all.push(ObjectName(vec![ObjectNamePart::Identifier(Ident::with_quote('"', column.clone()))]));
        }
    }
    options.opt_exclude = Some(ExcludeSelectItem::Multiple(all));
    Ok(())
}
