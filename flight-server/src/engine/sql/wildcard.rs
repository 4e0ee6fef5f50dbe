//! Tables are found, and wildcards skip hidden columns: `*` becomes `rel.* EXCLUDE (…)` for each relation.
//!
//! The query of a view stands in the view's place, and is rewritten as if it had been written there.
//!
//! A table reference exposes its visible columns and those hidden ones that the statement mentions. With the hidden ones simply in the schema,
//! a wildcard would show them and NATURAL JOIN would silently match on them.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Ident, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins, VisitMut, VisitorMut,
    WildcardAdditionalOptions,
};

use super::super::error::EngineError;
use super::relations::{normalized, parts, table_of};
use super::scratch::ViewQuery;

/// What a schema and a name of a table stand for, and whether the schema was written; an error where there is no such table.
pub(super) type Lookup<'a> = dyn FnMut(&str, &str, bool) -> Result<Named, EngineError> + 'a;

/// What a name in FROM stands for.
#[derive(Debug)]
pub(crate) enum Named {
    /// A table, with the hidden columns that it exposes in this statement.
    Table(Vec<String>),
    /// A table of another schema than the current one.
    Elsewhere {
        /// That schema.
        schema: String,
    },
    /// A view.
    View(Arc<ViewQuery>),
}

/// Views in views, and views in a statement.
const DEEPEST: usize = 16;
const MOST_VIEWS: usize = 256;

pub(super) struct Rewriter<'a> {
    current_schema: String,
    lookup: &'a mut Lookup<'a>,
    depth: usize,
    views: usize,
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

impl<'a> Rewriter<'a> {
    pub(super) fn new(current_schema: &str, lookup: &'a mut Lookup<'a>) -> Self {
        Self {
            current_schema: current_schema.to_owned(),
            lookup,
            depth: 0,
            views: 0,
        }
    }

    /// The query of a view, rewritten: names in it are not those of the statement's WITH.
    fn view(&mut self, view: &ViewQuery) -> Result<Query, EngineError> {
        self.depth += 1;
        self.views += 1;
        if self.depth > DEEPEST || self.views > MOST_VIEWS {
            return Err(EngineError::Invalid(format!(
                "views name each other in a circle, or are more than {DEEPEST} in each other or {MOST_VIEWS} in a statement"
            )));
        }
        let mut query = view.query.as_ref().clone();
        let outer = std::mem::replace(&mut self.current_schema, view.schema.clone());
        self.query(&mut query, &[])?;
        self.current_schema = outer;
        self.depth -= 1;
        Ok(query)
    }

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
        if let Some((view, alias)) = self.view_of(factor, scope)? {
            let query = self.view(&view)?;
            *factor = TableFactor::Derived {
                lateral: false,
                subquery: Box::new(query),
                alias: Some(alias),
                sample: None,
            };
            relations.push(Relation::of(factor_alias(factor), Vec::new()));
            return Ok(());
        }
        let mut push = |alias: Option<ObjectName>, exposed| relations.push(Relation::of(alias, exposed));
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
                let found = match args {
                    None => self.named(name, scope)?,
                    Some(_) => None,
                };
                let exposed = match found {
                    Some((_, Named::Table(exposed))) => exposed,
                    Some((table, Named::Elsewhere { schema })) => {
                        alias.get_or_insert_with(|| plain_alias(quoted(&table)));
                        *name = ObjectName([&schema, &table].map(|part| ObjectNamePart::Identifier(quoted(part))).to_vec());
                        Vec::new()
                    }
                    Some((_, Named::View(_))) | None => Vec::new(),
                };
                let qualifier = alias.as_ref().map_or_else(
                    || name.clone(),
                    |alias| ObjectName(vec![ObjectNamePart::Identifier(alias.name.clone())]),
                );
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

    /// What a name in FROM stands for, with the table's own name; `None` if that is a query of WITH.
    fn named(&mut self, name: &ObjectName, scope: &[String]) -> Result<Option<(String, Named)>, EngineError> {
        if matches!(parts(name).as_deref(), Some([single]) if scope.contains(single)) {
            return Ok(None);
        }
        let Some((schema, table)) = table_of(name, &self.current_schema)? else {
            return Ok(None);
        };
        let found = (self.lookup)(&schema, &table, name.0.len() > 1)?;
        Ok(Some((table, found)))
    }

    /// The view that stands in FROM, and what it goes by there.
    fn view_of(&mut self, factor: &TableFactor, scope: &[String]) -> Result<Option<(Arc<ViewQuery>, TableAlias)>, EngineError> {
        let TableFactor::Table {
            name,
            alias,
            args: None,
            version: None,
            sample: None,
            ..
        } = factor
        else {
            return Ok(None);
        };
        Ok(match self.named(name, scope)? {
            Some((table, Named::View(view))) => {
                let alias = alias_of_view(&view, &table, alias.clone());
                Some((view, alias))
            }
            _ => None,
        })
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

impl Relation {
    fn of(qualifier: Option<ObjectName>, exposed: Vec<String>) -> Self {
        Self {
            qualifier,
            exposed,
            merged: Vec::new(),
            gives_columns: true,
        }
    }
}

fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

fn plain_alias(name: Ident) -> TableAlias {
    TableAlias {
        explicit: true,
        name,
        columns: Vec::new(),
        at: None,
    }
}

/// A view goes by its own name and its own names of columns where the statement gives no others.
fn alias_of_view(view: &ViewQuery, name: &str, alias: Option<TableAlias>) -> TableAlias {
    let mut alias = alias.unwrap_or_else(|| plain_alias(quoted(name)));
    if alias.columns.is_empty() {
        let column = |name: &String| TableAliasColumnDef {
            name: quoted(name),
            data_type: None,
        };
        alias.columns = view.columns.iter().map(column).collect();
    }
    alias
}

fn factor_alias(factor: &TableFactor) -> Option<ObjectName> {
    match factor {
        TableFactor::Derived { alias: Some(alias), .. } => Some(ObjectName(vec![ObjectNamePart::Identifier(alias.name.clone())])),
        _ => None,
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
