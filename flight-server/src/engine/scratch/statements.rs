//! Statements about scratch tables and views. They run when they are planned, once.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use datafusion::sql::sqlparser::ast::ObjectName;

use super::super::api::{DoneResult, Prepared, StatementRequest};
use super::super::commands;
use super::super::error::EngineError;
use super::super::insert::counted;
use super::super::options::{OptionValue, OptionValues};
use super::super::plan::{Asker, Engine, Tables};
use super::super::queries::Arrival;
use super::super::session::Session;
use super::super::sql::{ParsedStatement, ScratchStatement, StatementKind, ViewQuery, parse};
use super::super::statement_options::StatementOptions;
use super::contents::{Contents, Thing, Version};
use super::incoming::stored_schema;
use super::space::{Taken, check_free};
use super::view::View;
use super::{KIND, SCHEMA};

/// What is reserved for a view beside its text, which is kept as it is and parsed.
const VIEW_BYTES: usize = 4096;

impl Engine {
    /// Runs a statement about scratch tables and views.
    pub(in super::super) async fn run_scratch(
        &self,
        session: &Session,
        request: StatementRequest,
        parsed: ParsedStatement,
        values: OptionValues,
        arrival: &mut Arrival,
    ) -> Result<DoneResult, EngineError> {
        let schema = StatementOptions::resolve(&parsed.hint.over(&values))?.schema;
        let StatementKind::Scratch(statement) = &parsed.kind else {
            return Err(EngineError::Internal("a statement that is not about scratch tables".into()));
        };
        match statement {
            ScratchStatement::CreateTable(_) => {
                let run = self.create_scratch_table(session, request, parsed, values, &schema, arrival);
                return Box::pin(run).await;
            }
            ScratchStatement::CreateView {
                name,
                or_replace,
                if_not_exists,
                columns,
                text,
            } => {
                if !parsed.hint.is_empty() {
                    return Err(EngineError::Invalid(
                        "options at the head of CREATE VIEW would be forgotten: write them where the view is used".into(),
                    ));
                }
                let name = self.new_scratch_name(session, name, &schema)?;
                let view = ViewQuery::parse(text, &schema, columns)?;
                let taken = Taken::of(*or_replace, *if_not_exists);
                Box::pin(self.create_view(session, &name, text, view, taken, values)).await?;
            }
            ScratchStatement::DropView { name, if_exists } => self.drop_scratch(session, name, &schema, *if_exists, true)?,
            ScratchStatement::Empty(name) => return self.empty_scratch(session, name, &schema, arrival),
        }
        Ok(commands::nothing())
    }

    /// Types the query of CREATE TABLE, and its parameters.
    pub(in super::super) async fn prepare_create(
        &self,
        session: &Session,
        parsed: ParsedStatement,
        values: &OptionValues,
        bound: Option<RecordBatch>,
    ) -> Result<Prepared, EngineError> {
        let asker = Asker {
            query_id: String::new(),
            principal: session.principal().to_string(),
        };
        let mut parsed = parsed.described(bound)?;
        let tables = self.tables_now(session, &mut parsed).await?;
        let statement = Box::pin(self.statement(parsed, values, tables, asker)).await?;
        Ok(Prepared {
            schema: None,
            is_update: true,
            parameters: statement.parameters,
        })
    }

    async fn create_scratch_table(
        &self,
        session: &Session,
        request: StatementRequest,
        parsed: ParsedStatement,
        values: OptionValues,
        current: &str,
        arrival: &mut Arrival,
    ) -> Result<DoneResult, EngineError> {
        let StatementKind::Scratch(ScratchStatement::CreateTable(create)) = &parsed.kind else {
            return Err(EngineError::Internal("a statement that makes no table".into()));
        };
        let name = self.new_scratch_name(session, &create.name, current)?;
        self.scratch().check_kept(session)?;
        let (taken, not_null, has_rows) = (
            Taken::of(create.or_replace, create.if_not_exists),
            create.not_null.clone(),
            create.has_rows,
        );
        let space = self.scratch().space(session);
        let nothing_yet = super::contents::Table {
            id: uuid::Uuid::nil(),
            version: Version::first(Arc::new(Schema::empty()), Vec::new()),
        };
        if !check_free(&space.now(), &name, &Thing::Table(nothing_yet), taken)? {
            return Ok(commands::nothing());
        }
        let (schema, rows) = Box::pin(self.typed_rows_of(session, request, parsed, values, arrival)).await?;
        arrival.kind = KIND;
        arrival.tables.insert(0, format!("{SCHEMA}.{name}"));
        let schema = stored_schema(&schema, &not_null)?;
        let places: Vec<usize> = (0..schema.fields().len()).collect();
        let (pieces, count) = self.taken(&space, &name, &schema, &places, rows).await?;
        space.create_table(&name, Version::first(schema, pieces), taken)?;
        match has_rows {
            true => counted(arrival.id.clone(), count),
            false => Ok(commands::nothing()),
        }
    }

    /// A view is planned as it will be used, so that it is known to work, and not to name itself.
    async fn create_view(
        &self,
        session: &Session,
        name: &str,
        text: &str,
        view: ViewQuery,
        taken: Taken,
        mut values: OptionValues,
    ) -> Result<(), EngineError> {
        self.scratch().check_kept(session)?;
        let space = self.scratch().space(session);
        let (schema, columns) = (view.schema, view.columns);
        let made = |fields, held| View::new(text, &schema, &columns, Arc::new(fields), held);
        let mut with_it: Contents = space.now().as_ref().clone();
        let untyped = Thing::View(made(Schema::empty(), None)?);
        if !check_free(&with_it, name, &untyped, taken)? {
            return Ok(());
        }
        with_it.things.insert(name.to_owned(), untyped);
        values.insert("timestamp_unit", OptionValue::Text("declared".into()));
        values.remove("flat_types");
        values.remove("dictionaries");
        let mut use_of_it = parse(&format!("SELECT * FROM {SCHEMA}.\"{}\"", name.replace('"', "\"\"")))?;
        let tables = self.tables_of(session, &mut use_of_it, Arc::new(with_it)).await?;
        let asker = Asker {
            query_id: String::new(),
            principal: session.principal().to_string(),
        };
        let statement = Box::pin(self.statement(use_of_it, &values, tables, asker)).await?;
        stored_schema(&statement.schema, &Default::default())?;
        let held = self.scratch().reserve(&space.account, 2 * text.len() + VIEW_BYTES)?;
        space.create_view(name, made(statement.schema.as_ref().clone(), Some(held))?, taken)?;
        Ok(())
    }

    pub(super) fn drop_scratch(
        &self,
        session: &Session,
        name: &ObjectName,
        schema: &str,
        if_exists: bool,
        is_view: bool,
    ) -> Result<(), EngineError> {
        let space = self.scratch().space(session);
        let dropped = match self.scratch_named(session, &space.now(), name, schema)? {
            Some(known) => space.drop_thing(&known, is_view)?,
            None => false,
        };
        match dropped || if_exists {
            true => Ok(()),
            false => Err(self.no_scratch(name)),
        }
    }

    fn empty_scratch(&self, session: &Session, name: &ObjectName, schema: &str, arrival: &mut Arrival) -> Result<DoneResult, EngineError> {
        let space = self.scratch().space(session);
        let contents = space.now();
        let known = self.scratch_named(session, &contents, name, schema)?;
        let Some((known, Thing::Table(table))) = known.and_then(|known| contents.things.get(&known).map(|thing| (known, thing))) else {
            return Err(EngineError::NotSupported(format!(
                "`{name}` is not a scratch table: the records of a stream cannot be deleted, and a view has no rows of its own"
            )));
        };
        arrival.tables = vec![format!("{SCHEMA}.{known}")];
        let mut rows = 0;
        space.write(&known, table.id, |version| {
            rows = version.rows();
            Ok(Vec::new())
        })?;
        counted(arrival.id.clone(), rows as u64)
    }

    /// The tables that a statement can name now.
    pub(in super::super) async fn tables_now(&self, session: &Session, parsed: &mut ParsedStatement) -> Result<Tables, EngineError> {
        let scratch = self.scratch().seen(session.principal(), Some(session));
        self.tables_of(session, parsed, scratch).await
    }

    async fn tables_of(&self, session: &Session, parsed: &mut ParsedStatement, scratch: Arc<Contents>) -> Result<Tables, EngineError> {
        scratch.mentioned(parsed);
        let streams = Box::pin(self.stream_tables(&session.principal().0, &parsed.streams)).await?;
        Ok(Tables::Current { streams, scratch })
    }
}
