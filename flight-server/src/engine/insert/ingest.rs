//! Ingest: rows that a client sends, not a query.

use std::fmt;

use catalog::TableName;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use futures::stream::BoxStream;
use uuid::Uuid;

use super::super::access::{Grants, Right};
use super::super::error::EngineError;
use super::super::options::{OptionValue, OptionValues};
use super::super::plan::Engine;
use super::super::queries::Arrival;
use super::super::session::Session;
use super::super::sql::CATALOG;
use super::super::statement_options::StatementOptions;
use super::cancelling::Cancelling;
use super::target::{self, Target};

/// What happens where the table is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMissing {
    /// The ingest fails.
    Fail,
    /// The stream and the table's definition are made.
    Create,
}

/// What happens where the table is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfExists {
    /// The ingest fails.
    Fail,
    /// Rows come after those that are there.
    Append,
    /// Rows take the place of those that are there: no stream can do that.
    Replace,
}

/// Rows that a client sends.
pub struct IngestRequest {
    /// The catalog, if it names one.
    pub catalog: Option<String>,
    /// The schema, if it names one; else the session's.
    pub schema: Option<String>,
    /// The table.
    pub table: String,
    /// Whether it is to be gone with the session.
    pub temporary: bool,
    /// What happens where it is missing.
    pub if_missing: IfMissing,
    /// What happens where it is there.
    pub if_exists: IfExists,
    /// Options from the request's headers and its own.
    pub overrides: OptionValues,
    /// Schema of the rows; its names are the table's columns.
    pub columns: SchemaRef,
    /// The rows.
    pub batches: BoxStream<'static, Result<RecordBatch, EngineError>>,
}

impl fmt::Debug for IngestRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IngestRequest").field("table", &self.table).finish_non_exhaustive()
    }
}

impl Engine {
    /// Writes rows that a client sends: how many records were acknowledged.
    pub async fn ingest(&self, session: &Session, request: IngestRequest) -> Result<u64, EngineError> {
        let arrival = Arrival {
            id: Uuid::now_v7().to_string(),
            principal: session.principal().to_string(),
            sql: format!("ingest into {}", request.table),
            kind: "ingest",
            parts: 1,
            bytes_expected: None,
            tables: Vec::new(),
        };
        let planning = self.queries().planning(&arrival);
        let cancelling = Cancelling::new(planning.token());
        let ingested = cancelling.run(self.ingested(session, request, &cancelling)).await;
        planning.end();
        self.queries().ended(arrival, ingested.as_ref().err());
        ingested
    }

    async fn ingested(&self, session: &Session, request: IngestRequest, cancelling: &Cancelling) -> Result<u64, EngineError> {
        let values = request.overrides.over(&session.options());
        let options = StatementOptions::resolve(&values)?;
        if let Some(catalog) = request
            .catalog
            .as_deref()
            .filter(|catalog| !catalog.is_empty() && *catalog != CATALOG)
        {
            return Err(EngineError::NotFound(format!(
                "there is no catalog `{catalog}`; the catalog is `{CATALOG}`"
            )));
        }
        if let Some(name) = self.scratch_ingest(session, &request, &options.schema)? {
            return self.ingest_scratch(session, &name, &options.schema, request).await;
        }
        let schema = request.schema.filter(|schema| !schema.is_empty()).unwrap_or(options.schema);
        let name = TableName {
            schema: schema.to_lowercase(),
            table: request.table.to_lowercase(),
        };
        let principal = session.principal();
        self.access().table(&principal.0, Right::Write, &name)?;
        let known = self.catalog().refreshed().await;
        if known.files.contains_key(&name) {
            return Err(EngineError::NotSupported(format!(
                "table `{CATALOG}.{name}` is over files, and rows are not put there; COPY writes files"
            )));
        }
        let exists = known.tables.contains_key(&name);
        match (exists, request.if_exists, request.if_missing) {
            (true, IfExists::Fail, _) => {
                return Err(EngineError::Exists(format!(
                    "table `{CATALOG}.{name}` exists; append to it, or choose another name"
                )));
            }
            (true, IfExists::Replace, _) => {
                return Err(EngineError::Invalid(format!(
                    "table `{CATALOG}.{name}` exists, and the records of its stream cannot be replaced; append to it, or choose another name"
                )));
            }
            (false, _, IfMissing::Create) => {
                self.access().table(&principal.0, Right::Admin, &name)?;
                self.create_stream_table(&name, &request.columns).await?;
            }
            (true, IfExists::Append, _) | (false, _, IfMissing::Fail) => {}
        }
        let definition = target::definition(
            self.catalog(),
            &name,
            &Grants::new(&self.config().access, &principal.0),
            &self.config().files,
        )?;
        // Clients write names as they like; where one is in doubt, it is as it is.
        let column = |field: &str| {
            let mut same = definition.columns.iter().filter(|column| column.name.eq_ignore_ascii_case(field));
            match (same.next(), same.next()) {
                (Some(only), None) => only.name.clone(),
                _ => field.to_owned(),
            }
        };
        let columns: Vec<String> = request.columns.fields().iter().map(|field| column(field.name())).collect();
        let key = values.get("partition_key").map(OptionValue::to_text);
        let target = Target::new(name, definition, Some(&columns), key.as_deref(), options.kpl_aggregation)?;
        Ok(self.write(target, request.batches, cancelling).await?.acknowledged)
    }
}
