//! INSERT into scratch tables, and ingest. All rows are there, or none.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::sql::sqlparser::ast::{Ident, ObjectName, ObjectNamePart};
use futures::stream::BoxStream;
use tokio::time::timeout;
use uuid::Uuid;

use super::super::api::{DoneResult, StatementRequest};
use super::super::error::EngineError;
use super::super::insert::{INSERT, IfExists, IfMissing, IngestRequest, counted};
use super::super::options::OptionValues;
use super::super::plan::Engine;
use super::super::queries::Arrival;
use super::super::session::Session;
use super::super::sql::{CATALOG, ParsedStatement, StatementKind};
use super::super::statement_options::StatementOptions;
use super::SCHEMA;
use super::contents::{Piece, Thing, Version};
use super::incoming::{Incoming, appended, stored_schema};
use super::space::{Space, Taken};

/// A scratch table that rows go to.
#[derive(Debug)]
pub(in super::super) struct ScratchTarget {
    space: Arc<Space>,
    name: String,
    id: Uuid,
    schema: SchemaRef,
    /// Of each column of the rows, which of the table it is.
    places: Vec<usize>,
}

impl ScratchTarget {
    /// See [`super::super::insert`]: whether the rows have as many columns as there are places for.
    pub(in super::super) fn check_width(&self, columns: usize) -> Result<(), EngineError> {
        if columns == self.places.len() {
            return Ok(());
        }
        Err(EngineError::Invalid(format!(
            "the rows have {columns} columns, and {} of table `{CATALOG}.{SCHEMA}.{}` are written; name the columns: INSERT INTO {} (…)",
            self.places.len(),
            self.name,
            self.name
        )))
    }

    /// Names and types of parameters, of which each column of the rows is one.
    pub(in super::super) fn parameters(&self, columns: &[usize]) -> SchemaRef {
        let count = columns.iter().map(|column| column + 1).max().unwrap_or(0);
        let field = |parameter: usize| {
            let place = columns.iter().position(|column| *column == parameter);
            let place = place.and_then(|at| self.places.get(at));
            let data_type = place.map_or(DataType::Null, |place| self.schema.field(*place).data_type().clone());
            Field::new(format!("${}", parameter + 1), data_type, true)
        };
        Arc::new(Schema::new((0..count).map(field).collect::<Vec<_>>()))
    }

    fn new(space: &Arc<Space>, name: &str, columns: Option<&[String]>) -> Result<Self, EngineError> {
        let contents = space.now();
        let Some(Thing::Table(table)) = contents.things.get(name) else {
            return Err(EngineError::Invalid(format!(
                "`{CATALOG}.{SCHEMA}.{name}` is a view; rows are put into tables"
            )));
        };
        let schema = Arc::clone(&table.version.schema);
        let places = match columns {
            None => (0..schema.fields().len()).collect(),
            Some(columns) => columns
                .iter()
                .map(|column| place(name, &schema, column))
                .collect::<Result<Vec<_>, _>>()?,
        };
        for (at, place) in places.iter().enumerate() {
            if places[..at].contains(place) {
                return Err(EngineError::Invalid(format!(
                    "column `{}` is given twice",
                    schema.field(*place).name()
                )));
            }
        }
        Ok(Self {
            space: Arc::clone(space),
            name: name.to_owned(),
            id: table.id,
            schema,
            places,
        })
    }
}

fn place(table: &str, schema: &Schema, column: &str) -> Result<usize, EngineError> {
    schema.index_of(column).map_err(|_| {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        EngineError::Invalid(format!(
            "table `{CATALOG}.{SCHEMA}.{table}` has no column `{column}`; its columns are {}",
            names.join(", ")
        ))
    })
}

type Rows<'r> = BoxStream<'r, Result<RecordBatch, EngineError>>;

impl Engine {
    /// The scratch table that an INSERT names; `None` if it names another one.
    pub(in super::super) fn scratch_target(
        &self,
        session: &Session,
        parsed: &ParsedStatement,
        values: &OptionValues,
    ) -> Result<Option<ScratchTarget>, EngineError> {
        let StatementKind::Insert { target, .. } = &parsed.kind else {
            return Ok(None);
        };
        let options = StatementOptions::resolve(&parsed.hint.over(values))?;
        let space = self.scratch().space(session);
        match self.scratch_named(session, &space.now(), &target.table, &options.schema)? {
            Some(name) => ScratchTarget::new(&space, &name, target.columns.as_deref()).map(Some),
            None => Ok(None),
        }
    }

    /// Runs INSERT into a scratch table: how many rows it put there.
    pub(in super::super) async fn insert_scratch(
        &self,
        session: &Session,
        target: ScratchTarget,
        request: StatementRequest,
        parsed: ParsedStatement,
        values: OptionValues,
        arrival: &mut Arrival,
    ) -> Result<DoneResult, EngineError> {
        let name = format!("{SCHEMA}.{}", target.name);
        arrival.tables = vec![name.clone()];
        let (width, rows) = Box::pin(self.rows_of(session, request, parsed, values, arrival)).await?;
        arrival.kind = INSERT;
        if arrival.tables.first() != Some(&name) {
            arrival.tables.insert(0, name);
        }
        target.check_width(width)?;
        let count = self.append_scratch(&target, rows).await?;
        counted(arrival.id.clone(), count)
    }

    async fn append_scratch(&self, target: &ScratchTarget, rows: Rows<'_>) -> Result<u64, EngineError> {
        let (space, scratch) = (&target.space, self.scratch());
        let (pieces, count) = self.taken(space, &target.name, &target.schema, &target.places, rows).await?;
        space.write(&target.name, target.id, |version| {
            Ok(appended(scratch, &space.account, &version.pieces, pieces))
        })?;
        Ok(count)
    }

    /// Rows, as they are kept, and how many.
    pub(super) async fn taken(
        &self,
        space: &Space,
        name: &str,
        schema: &SchemaRef,
        places: &[usize],
        rows: Rows<'_>,
    ) -> Result<(Vec<Arc<Piece>>, u64), EngineError> {
        let incoming = Incoming::new(self.scratch(), &space.account, name, schema, places);
        let limit: Duration = self.config().query_timeout;
        let (pieces, rows) = timeout(limit, incoming.all(rows))
            .await
            .map_err(|_| EngineError::Deadline { seconds: limit.as_secs() })??;
        Ok((pieces, rows as u64))
    }

    /// The scratch table that an ingest is for, which need not be there; `None` if it is for a stream.
    pub(in super::super) fn scratch_ingest(
        &self,
        session: &Session,
        request: &IngestRequest,
        current: &str,
    ) -> Result<Option<String>, EngineError> {
        let name = request.table.to_lowercase();
        let schema = request.schema.as_deref().filter(|schema| !schema.is_empty()).map(str::to_lowercase);
        match schema.as_deref() {
            Some(SCHEMA) => Ok(Some(name)),
            Some(other) if request.temporary => Err(EngineError::Invalid(format!(
                "temporary tables are in schema `{SCHEMA}`, not in `{other}`"
            ))),
            Some(_) => Ok(None),
            None if request.temporary || current == SCHEMA => Ok(Some(name)),
            None => {
                let object = ObjectName(vec![ObjectNamePart::Identifier(Ident::with_quote('"', name))]);
                let contents = self.scratch().seen(session.principal(), Some(session));
                self.scratch_named(session, &contents, &object, current)
            }
        }
    }

    /// Takes the rows of an ingest: how many.
    pub(in super::super) async fn ingest_scratch(
        &self,
        session: &Session,
        name: &str,
        current: &str,
        request: IngestRequest,
    ) -> Result<u64, EngineError> {
        let space = self.scratch().space(session);
        let exists = space.now().has(name);
        match (exists, request.if_exists, request.if_missing) {
            (true, IfExists::Fail, _) => {
                return Err(EngineError::Exists(format!(
                    "table `{CATALOG}.{SCHEMA}.{name}` exists; append to it, replace it, or choose another name"
                )));
            }
            (false, _, IfMissing::Fail) => {
                return Err(EngineError::NotFound(format!("table `{CATALOG}.{SCHEMA}.{name}` not found")));
            }
            (true, IfExists::Append, _) => {
                let known = ScratchTarget::new(&space, name, None)?.schema;
                // Clients write names as they like; where one is in doubt, it is as it is.
                let column = |field: &str| {
                    let mut same = known.fields().iter().filter(|known| known.name().eq_ignore_ascii_case(field));
                    match (same.next(), same.next()) {
                        (Some(only), None) => only.name().clone(),
                        _ => field.to_owned(),
                    }
                };
                let columns: Vec<String> = request.columns.fields().iter().map(|field| column(field.name())).collect();
                let target = ScratchTarget::new(&space, name, Some(&columns))?;
                return self.append_scratch(&target, request.batches).await;
            }
            (true, IfExists::Replace, _) | (false, _, IfMissing::Create) => {}
        }
        self.scratch().check_kept(session)?;
        self.check_unseen(session, name, current)?;
        let schema = stored_schema(&request.columns, &Default::default())?;
        let places: Vec<usize> = (0..schema.fields().len()).collect();
        let (pieces, count) = self.taken(&space, name, &schema, &places, request.batches).await?;
        let taken = if exists { Taken::Replace } else { Taken::Refuse };
        space.create_table(name, Version::first(schema, pieces), taken)?;
        Ok(count)
    }
}
