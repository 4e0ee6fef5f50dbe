//! INSERT and ingest: rows of a query, or of a client, become records of a stream.
//!
//! Rows for scratch tables go the same way until they are written.
//!
//! They run once, when they are planned. What is written is at least once and in no transaction: a stream takes nothing back.

mod cancelling;
mod cast;
mod counts;
mod create;
mod ingest;
mod keys;
mod target;
mod writing;

use std::sync::Arc;

use datafusion::arrow::array::{Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use self::target::Target;
use super::access::{Grants, Right};
use super::api::{DoneResult, Prepared, StatementRequest};
use super::error::EngineError;
use super::options::{OptionValue, OptionValues};
use super::plan::{Asker, Engine};
use super::queries::Arrival;
use super::scratch::ScratchTarget;
use super::session::Session;
use super::sql::{InsertTarget, ParsedStatement, StatementKind};
use super::statement_options::StatementOptions;

pub(super) use cancelling::Cancelling;
pub(super) use cast::cast;
pub use counts::{WriteCounts, Written};
pub(super) use create::type_name;
pub use ingest::{IfExists, IfMissing, IngestRequest};

/// Kind of the statement, for the tables and metrics about statements.
pub(super) const INSERT: &str = "insert";

impl Engine {
    /// Runs INSERT: how many records were acknowledged.
    pub(super) async fn insert(
        &self,
        session: &Session,
        request: StatementRequest,
        parsed: ParsedStatement,
        values: OptionValues,
        arrival: &mut Arrival,
        cancelling: &Cancelling,
    ) -> Result<DoneResult, EngineError> {
        if let Some(target) = self.scratch_target(session, &parsed, &values)? {
            return self.insert_scratch(session, target, request, parsed, values, arrival).await;
        }
        let target = self.target_of(session, &parsed, &values)?;
        let name = target.name.to_string();
        arrival.tables = vec![name.clone()];
        let (width, rows) = Box::pin(self.rows_of(session, request, parsed, values, arrival)).await?;
        arrival.kind = INSERT;
        if arrival.tables.first() != Some(&name) {
            arrival.tables.insert(0, name);
        }
        target.check_width(width)?;
        let written = self.write(target, rows, cancelling).await?;
        tracing::debug!(query_id = %arrival.id, principal = %arrival.principal, records = written.acknowledged, bytes = written.bytes, "inserted");
        counted(arrival.id.clone(), written.acknowledged)
    }

    /// The rows of INSERT, and how many columns they have.
    pub(super) async fn rows_of(
        &self,
        session: &Session,
        request: StatementRequest,
        parsed: ParsedStatement,
        values: OptionValues,
        arrival: &mut Arrival,
    ) -> Result<(usize, Rows), EngineError> {
        if let (Some(rows), Some(columns)) = (&request.parameters, parsed.parameter_columns()) {
            let rows = of_parameters(rows, &columns)?;
            return Ok((rows.num_columns(), stream::iter([Ok(rows)]).boxed()));
        }
        let (schema, rows) = self.typed_rows_of(session, request, parsed, values, arrival).await?;
        Ok((schema.fields().len(), rows))
    }

    /// The rows of the query in a statement, as they are and not as they would be shown.
    pub(super) async fn typed_rows_of(
        &self,
        session: &Session,
        request: StatementRequest,
        parsed: ParsedStatement,
        mut values: OptionValues,
        arrival: &mut Arrival,
    ) -> Result<(SchemaRef, Rows), EngineError> {
        values.insert("timestamp_unit", OptionValue::Text("declared".into()));
        values.remove("flat_types");
        values.remove("dictionaries");
        let query = Box::pin(self.planned_query(session, request, parsed, values, arrival)).await?;
        let engine = self.this();
        let rows = stream::iter(query.parts).then(move |part| {
            let engine = engine.upgrade();
            async move {
                let engine = engine.ok_or_else(|| EngineError::Unavailable("the server stops".into()))?;
                engine.execute(part).await.map(|execution| execution.batches)
            }
        });
        Ok((query.schema, rows.try_flatten().boxed()))
    }

    /// Checks and types INSERT without reading or writing anything.
    pub(super) async fn prepare_insert(
        &self,
        session: &Session,
        mut parsed: ParsedStatement,
        values: &OptionValues,
    ) -> Result<Prepared, EngineError> {
        let target = match self.scratch_target(session, &parsed, values)? {
            Some(target) => AnyTarget::Scratch(target),
            None => AnyTarget::Stream(self.target_of(session, &parsed, values)?),
        };
        if let Some(columns) = parsed.parameter_columns() {
            target.check_width(columns.len())?;
            return Ok(Prepared {
                schema: None,
                is_update: true,
                parameters: target.parameters(&columns),
            });
        }
        let asker = Asker {
            query_id: String::new(),
            principal: session.principal().to_string(),
        };
        let tables = self.tables_now(session, &mut parsed).await?;
        let statement = Box::pin(self.statement(parsed, values, tables, asker)).await?;
        target.check_width(statement.schema.fields().len())?;
        Ok(Prepared {
            schema: None,
            is_update: true,
            parameters: statement.parameters,
        })
    }

    fn target_of(&self, session: &Session, parsed: &ParsedStatement, values: &OptionValues) -> Result<Target, EngineError> {
        let StatementKind::Insert { target, .. } = &parsed.kind else {
            return Err(EngineError::Internal("a statement that is no INSERT has no target".into()));
        };
        let values = parsed.hint.over(values);
        let options = StatementOptions::resolve(&values)?;
        let key = values.get("partition_key").map(OptionValue::to_text);
        self.target(session, &options, target, key.as_deref())
    }

    fn target(
        &self,
        session: &Session,
        options: &StatementOptions,
        target: &InsertTarget,
        key: Option<&str>,
    ) -> Result<Target, EngineError> {
        let name = target::name(&target.table, &options.schema)?;
        let principal = &session.principal().0;
        self.access().table(principal, Right::Write, &name)?;
        let definition = target::definition(
            self.catalog(),
            &name,
            &Grants::new(&self.config().access, principal),
            &self.config().files,
        )?;
        Target::new(name, definition, target.columns.as_deref(), key, options.kpl_aggregation)
    }
}

type Rows = BoxStream<'static, Result<RecordBatch, EngineError>>;

/// Where INSERT puts its rows.
enum AnyTarget {
    Stream(Target),
    Scratch(ScratchTarget),
}

impl AnyTarget {
    fn check_width(&self, columns: usize) -> Result<(), EngineError> {
        match self {
            Self::Stream(target) => target.check_width(columns),
            Self::Scratch(target) => target.check_width(columns),
        }
    }

    fn parameters(&self, columns: &[usize]) -> SchemaRef {
        match self {
            Self::Stream(target) => target.parameters(columns),
            Self::Scratch(target) => target.parameters(columns),
        }
    }
}

/// Rows of values as rows of a table.
fn of_parameters(rows: &RecordBatch, columns: &[usize]) -> Result<RecordBatch, EngineError> {
    let wanted = columns.iter().map(|column| column + 1).max().unwrap_or(0);
    if rows.num_columns() != wanted {
        return Err(EngineError::Invalid(format!(
            "the statement has {wanted} parameters, and {} are bound",
            rows.num_columns()
        )));
    }
    // Two columns may be one parameter.
    let named = columns
        .iter()
        .enumerate()
        .map(|(place, column)| (format!("{place}"), Arc::clone(rows.column(*column)), true));
    RecordBatch::try_from_iter_with_nullable(named).map_err(|error| EngineError::Internal(error.to_string()))
}

/// The result of a statement that changed so many rows.
pub(super) fn counted(query_id: String, affected: u64) -> Result<DoneResult, EngineError> {
    let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("count", DataType::Int64, true)]));
    let count = Int64Array::from(vec![i64::try_from(affected).unwrap_or(i64::MAX)]);
    let batch =
        RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(count)]).map_err(|error| EngineError::Internal(error.to_string()))?;
    Ok(DoneResult {
        query_id,
        schema,
        batches: vec![batch],
        affected: Some(affected),
    })
}
