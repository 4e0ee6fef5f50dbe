//! A stream as a table of the query engine, for one statement.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use catalog::{BadRecords, TableDefinition, TableName};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::{Session as PlanSession, TableProvider};
use datafusion::common::{DFSchema, Result as DfResult, ToDFSchema};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use shard_reader::{Readers, Snapshot, StatementMeter, StreamReader, recreated};

use super::api::SourceProvider;
use super::error::EngineError;
use super::facts::ExecutionFacts;
use super::hidden::HiddenColumn;
use super::history::History;
use super::promises::BrokenPromises;
use super::scan;
use super::scan_errors::ScanErrors;
use super::statement_options::StatementOptions;

/// Where a column of a table comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnSource {
    /// A column of the definition, by index.
    Data(usize),
    /// A hidden column.
    Hidden(HiddenColumn),
}

/// What all tables of a statement share.
#[derive(Debug)]
pub(super) struct StatementScope {
    pub(super) options: StatementOptions,
    pub(super) readers: Arc<Readers>,
    pub(super) sources: Arc<dyn SourceProvider>,
    pub(super) meter: Arc<StatementMeter>,
    pub(super) facts: Arc<ExecutionFacts>,
    pub(super) errors: Arc<ScanErrors>,
    pub(super) query_id: Arc<str>,
    pub(super) promises: Arc<BrokenPromises>,
    pub(super) target_partitions: usize,
    /// Scans have at least so many partitions.
    pub(super) least_partitions: usize,
    /// Streams are read on and on.
    pub(super) follow: bool,
}

/// A stream with a definition, as one statement sees it.
#[derive(Debug, Clone)]
pub(super) struct StreamTable {
    name: TableName,
    definition: Arc<TableDefinition>,
    columns: Vec<ColumnSource>,
    schema: SchemaRef,
    scope: Arc<StatementScope>,
    snapshot: Arc<OnceLock<Snapshot>>,
    /// What comes before the rows of the stream.
    history: Option<Arc<History>>,
}

impl StreamTable {
    /// The table with its visible columns and the `exposed` hidden ones.
    pub(super) fn new(name: TableName, definition: Arc<TableDefinition>, exposed: &BTreeSet<String>, scope: Arc<StatementScope>) -> Self {
        let data_schema = definition.arrow_schema();
        let mut columns = Vec::new();
        let mut fields: Vec<Arc<Field>> = Vec::new();
        for (index, column) in definition.columns.iter().enumerate() {
            if !column.hidden || exposed.contains(&column.name) {
                columns.push(ColumnSource::Data(index));
                fields.push(Arc::clone(&data_schema.fields()[index]));
            }
        }
        for column in HiddenColumn::ALL.into_iter().filter(|column| exposed.contains(column.name())) {
            columns.push(ColumnSource::Hidden(column));
            fields.push(Arc::new(column.field()));
        }
        Self {
            name,
            definition,
            columns,
            schema: Arc::new(Schema::new(fields)),
            scope,
            snapshot: Arc::new(OnceLock::new()),
            history: None,
        }
    }

    /// It begins where its history ends.
    pub(super) fn behind(self, history: Arc<History>) -> Self {
        // comments are not in the lake, and both sides of a union have the same fields
        let plain = |field: &Arc<Field>| field.as_ref().clone().with_metadata(HashMap::new());
        Self {
            schema: Arc::new(Schema::new(self.schema.fields().iter().map(plain).collect::<Vec<_>>())),
            history: Some(history),
            ..self
        }
    }

    /// What comes before the rows of the stream.
    pub(super) fn history(&self) -> Option<&Arc<History>> {
        self.history.as_ref()
    }

    pub(super) fn name(&self) -> &TableName {
        &self.name
    }

    pub(super) fn definition(&self) -> &Arc<TableDefinition> {
        &self.definition
    }

    /// Its columns as the statement sees them, before a projection.
    pub(super) fn full_schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// What is read of the stream, once pinned.
    pub(super) fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.get()
    }

    /// Fixes what is read of the stream. A table is pinned once.
    pub(super) fn pin(&self, snapshot: Snapshot) -> Result<(), EngineError> {
        self.snapshot
            .set(snapshot)
            .map_err(|_| EngineError::Internal(format!("table {} was pinned twice", self.name)))
    }

    /// The shared reader of its stream.
    pub(super) async fn reader(&self) -> Result<Arc<StreamReader>, EngineError> {
        let (key, source) = self.scope.sources.source(self.definition.kinesis.as_ref()).await?;
        Ok(self.scope.readers.stream(&key, source, &self.definition.stream).await?)
    }

    /// Key that is equal for tables over one stream.
    pub(super) async fn stream_key(&self) -> Result<(String, String), EngineError> {
        let (key, _) = self.scope.sources.source(self.definition.kinesis.as_ref()).await?;
        Ok((key, self.definition.stream.clone()))
    }

    /// Whether a column is there for those alone who name it.
    pub(super) fn is_hidden(&self, name: &str) -> bool {
        let mut columns = self.definition.columns.iter();
        columns.all(|column| column.hidden || column.name != name)
    }

    /// Whether a column counts the records of the range, so that the range must not depend on filters.
    pub(super) fn counts_records(&self) -> bool {
        self.columns.contains(&ColumnSource::Hidden(HiddenColumn::SegmentCount))
    }

    /// The table behind a provider, if it is one of these.
    pub(super) fn of(provider: &dyn TableProvider) -> Option<Self> {
        provider.downcast_ref::<Self>().cloned()
    }

    /// What a bad record does to the statement.
    pub(super) fn bad_records(&self) -> BadRecords {
        self.scope.options.bad_records.unwrap_or(self.definition.bad_records)
    }
}

#[async_trait]
impl TableProvider for StreamTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DfResult<Vec<TableProviderFilterPushDown>> {
        let schema = Arc::clone(&self.schema).to_dfschema()?;
        Ok(filters
            .iter()
            .map(|filter| {
                if scan::can_evaluate(filter, &schema) {
                    TableProviderFilterPushDown::Exact
                } else {
                    TableProviderFilterPushDown::Unsupported
                }
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn PlanSession,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let snapshot = self
            .snapshot
            .get()
            .ok_or_else(|| EngineError::Internal(format!("table {} is scanned before it is pinned", self.name)).into_datafusion())?;
        let reader = self.reader().await.map_err(EngineError::into_datafusion)?;
        if *reader.identity() != snapshot.stream {
            let both = recreated(&snapshot.stream, reader.identity());
            let message = format!("table {}, stream {}: {both}", self.name, reader.name());
            return Err(EngineError::FailedPrecondition(message).into_datafusion());
        }
        let df_schema = DFSchema::try_from(Arc::clone(&self.schema))?;
        let filters = filters
            .iter()
            .map(|filter| state.create_physical_expr(filter.clone(), &df_schema))
            .collect::<DfResult<Vec<_>>>()?;
        let request = scan::ScanRequest {
            table: self.name.clone(),
            definition: Arc::clone(&self.definition),
            schema: Arc::clone(&self.schema),
            columns: self.columns.clone(),
            projection: projection.cloned(),
            filters,
            limit,
            bad_records: self.bad_records(),
            judged: self.scope.facts.judged(),
            kpl_dedup: self.scope.options.kpl_dedup,
            arrival_slack: self.scope.options.arrival_slack,
            errors: Arc::clone(&self.scope.errors),
            query_id: Arc::clone(&self.scope.query_id),
            target_partitions: self.scope.target_partitions,
            least_partitions: self.scope.least_partitions,
            promises: self.scope.promises.count(&self.name, self.scope.facts.outside_event_time()),
            follow: self.scope.follow,
            on_gap: self.scope.options.on_gap,
        };
        let exec = scan::ShardScanExec::try_new(
            request,
            snapshot,
            reader,
            Arc::clone(&self.scope.meter),
            Arc::clone(&self.scope.facts),
        )?;
        Ok(Arc::new(exec))
    }
}
