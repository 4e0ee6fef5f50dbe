//! `COPY (SELECT …) TO 's3://…'`: rows become files. It runs once, when it is planned.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use catalog::StoredAs;
use datafusion::arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::datasource::physical_plan::{FileGroup, FileOutputMode, FileSinkConfig};
use datafusion::execution::TaskContext;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use tokio::time::timeout;
use url::Url;
use uuid::Uuid;

use super::super::access::Right;
use super::super::api::{DoneResult, Prepared, StatementRequest};
use super::super::error::EngineError;
use super::super::insert::{Cancelling, counted};
use super::super::options::OptionValues;
use super::super::plan::{Asker, Engine};
use super::super::queries::Arrival;
use super::super::session::Session;
use super::super::sql::{CopyTarget, ParsedStatement, StatementKind};
use super::access::Purpose;
use super::options::{Writing, by_extension};
use super::place::Place;
use super::runtime;
use super::written::{Written, WrittenStore};

/// Kind of the statement, for the tables and metrics about statements.
pub(in super::super) const COPY: &str = "copy";

/// Names that a message lists.
const LISTED: usize = 10;

type Rows = BoxStream<'static, Result<RecordBatch, EngineError>>;

/// Where rows go, and how.
#[derive(Debug, Clone)]
struct Target {
    place: Place,
    format: StoredAs,
    writing: Writing,
    folders: Vec<String>,
    /// One file of this name, rather than files in a folder.
    is_file: bool,
}

impl Target {
    fn new(copy: &CopyTarget) -> Result<Self, EngineError> {
        let place = Place::of_statement(&copy.location)?;
        let by_name = by_extension(place.key.as_ref()).filter(|_| !place.is_folder);
        let format = match &copy.stored_as {
            None => by_name.unwrap_or(StoredAs::Parquet),
            Some(word) => StoredAs::of_word(word).filter(|format| *format != StoredAs::Delta).ok_or_else(|| {
                EngineError::NotSupported(format!("STORED AS {word} is not supported; COPY writes PARQUET, CSV and JSON"))
            })?,
        };
        let is_file = !place.is_folder && place.has_extension();
        if is_file && !copy.partitioned_by.is_empty() {
            return Err(EngineError::Invalid(format!(
                "COPY … PARTITIONED BY writes folders; end the location with `/`: '{place}/'"
            )));
        }
        Ok(Self {
            writing: Writing::new(format, &copy.options)?,
            place,
            format,
            folders: copy.partitioned_by.clone(),
            is_file,
        })
    }

    /// What the files hold; columns of folders as text, which is what their names are.
    fn written_schema(&self, rows: &SchemaRef) -> Result<SchemaRef, EngineError> {
        let mut seen = BTreeSet::new();
        let mut fields = Vec::with_capacity(rows.fields().len());
        for field in rows.fields() {
            if !seen.insert(field.name().as_str()) {
                return Err(EngineError::Invalid(format!(
                    "COPY: two columns are named `{}`; give one another name with AS",
                    field.name()
                )));
            }
            if !self.folders.contains(field.name()) {
                fields.push(Arc::clone(field));
                continue;
            }
            if field.data_type().is_nested() || matches!(field.data_type(), DataType::Binary | DataType::LargeBinary) {
                return Err(EngineError::Invalid(format!(
                    "COPY: column `{}` cannot be the name of a folder",
                    field.name()
                )));
            }
            fields.push(Arc::new(Field::new(field.name(), DataType::Utf8, true)));
        }
        for (at, folder) in self.folders.iter().enumerate() {
            if !seen.contains(folder.as_str()) {
                return Err(EngineError::Invalid(format!(
                    "COPY … PARTITIONED BY: the query has no column `{folder}`"
                )));
            }
            if self.folders[..at].contains(folder) {
                return Err(EngineError::Invalid(format!("COPY … PARTITIONED BY: `{folder}` is named twice")));
            }
        }
        if seen.len() == self.folders.len() {
            return Err(EngineError::Invalid(
                "COPY: without a column that is no folder there is nothing to write".into(),
            ));
        }
        Ok(Arc::new(Schema::new(fields)))
    }

    fn fitted(&self, batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, EngineError> {
        let column = |(array, field): (&ArrayRef, &Arc<Field>)| {
            if !self.folders.contains(field.name()) {
                return Ok(Arc::clone(array));
            }
            let text = cast(array, &DataType::Utf8).map_err(|error| EngineError::Invalid(format!("column `{}`: {error}", field.name())))?;
            match text.null_count() {
                0 => Ok(text),
                _ => Err(EngineError::Invalid(format!(
                    "COPY … PARTITIONED BY: column `{}` has a NULL, which names no folder; use coalesce",
                    field.name()
                ))),
            }
        };
        let columns = batch
            .columns()
            .iter()
            .zip(schema.fields())
            .map(column)
            .collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(Arc::clone(schema), columns).map_err(|error| EngineError::Internal(error.to_string()))
    }
}

impl Engine {
    /// Runs COPY: how many rows were written.
    pub(in super::super) async fn copy(
        &self,
        session: &Session,
        request: StatementRequest,
        parsed: ParsedStatement,
        values: OptionValues,
        arrival: &mut Arrival,
        cancelling: &Cancelling,
    ) -> Result<DoneResult, EngineError> {
        let target = self.copy_target(session, &parsed)?;
        let (schema, rows) = Box::pin(self.typed_rows_of(session, request, parsed, values, arrival)).await?;
        arrival.kind = COPY;
        let schema = target.written_schema(&schema)?;
        let rows = self.write_files(&target, schema, rows, cancelling).await?;
        tracing::debug!(query_id = %arrival.id, principal = %arrival.principal, rows, place = %target.place, "copied");
        counted(arrival.id.clone(), rows)
    }

    /// Checks and types COPY without reading or writing anything.
    pub(in super::super) async fn prepare_copy(
        &self,
        session: &Session,
        mut parsed: ParsedStatement,
        values: &OptionValues,
    ) -> Result<Prepared, EngineError> {
        let target = self.copy_target(session, &parsed)?;
        let asker = Asker {
            query_id: String::new(),
            principal: session.principal().to_string(),
        };
        let tables = self.tables_now(session, &mut parsed).await?;
        let statement = Box::pin(self.statement(parsed, values, tables, asker)).await?;
        target.written_schema(&statement.schema)?;
        Ok(Prepared {
            schema: None,
            is_update: true,
            parameters: statement.parameters,
        })
    }

    /// Where a COPY writes, if who asks may.
    fn copy_target(&self, session: &Session, parsed: &ParsedStatement) -> Result<Target, EngineError> {
        let StatementKind::Copy { target, .. } = &parsed.kind else {
            return Err(EngineError::Internal("a statement that is no COPY has no target".into()));
        };
        let target = Target::new(target)?;
        self.access()
            .location(&session.principal().0, Right::Write, &target.place.to_string())?;
        self.config().files.check(&target.place, Purpose::Write)?;
        Ok(target)
    }

    async fn write_files(&self, target: &Target, schema: SchemaRef, rows: Rows, cancelling: &Cancelling) -> Result<u64, EngineError> {
        let opened = self.config().files.open(&target.place, Purpose::Write).await?;
        let written: Written = Arc::new(Mutex::default());
        let store = WrittenStore::new(Arc::clone(&opened.store), Arc::clone(&written));
        // its own name in a registry of its own: nothing else can be reached by this plan
        let base = format!("files://{}", Uuid::new_v4().simple());
        let runtime = runtime(self.runtime())?;
        let object_store_url = ObjectStoreUrl::parse(&base)?;
        runtime.register_object_store(object_store_url.as_ref(), Arc::new(store));
        let end = if target.is_file || opened.root.as_ref().is_empty() {
            ""
        } else {
            "/"
        };
        let url = Url::parse(&format!("{base}/{}{end}", opened.root)).map_err(|error| EngineError::Internal(error.to_string()))?;
        let config = FileSinkConfig {
            original_url: target.place.to_string(),
            object_store_url,
            file_group: FileGroup::default(),
            table_paths: vec![ListingTableUrl::try_new(url, None)?],
            output_schema: Arc::clone(&schema),
            table_partition_cols: target.folders.iter().map(|folder| (folder.clone(), DataType::Utf8)).collect(),
            insert_op: InsertOp::Append,
            keep_partition_by_columns: false,
            file_extension: target.format.word().to_owned(),
            file_output_mode: if target.is_file {
                FileOutputMode::SingleFile
            } else {
                FileOutputMode::Directory
            },
        };
        let sink = target.writing.sink(config);
        let state = SessionStateBuilder::new_from_existing(self.template().clone())
            .with_runtime_env(runtime)
            .build();
        let context = Arc::new(TaskContext::from(&state));
        let token = cancelling.begin_writing();
        let limit: Duration = self.config().query_timeout;
        let fitted = {
            let (target, fitting) = (target.clone(), Arc::clone(&schema));
            rows.and_then(move |batch| std::future::ready(target.fitted(&batch, &fitting)))
        };
        let rows = RecordBatchStreamAdapter::new(schema, fitted.map_err(EngineError::into_datafusion));
        let writing = timeout(limit, sink.write_all(Box::pin(rows), &context));
        let outcome = tokio::select! {
            biased;
            () = token.cancelled() => Err(EngineError::Cancelled),
            outcome = writing => match outcome {
                Ok(outcome) => outcome.map_err(EngineError::from),
                Err(_) => Err(EngineError::Deadline { seconds: limit.as_secs() }),
            },
        };
        outcome.map_err(|error| failed(&error, &target.place, &written.lock()))
    }
}

/// What ended COPY, and what it leaves behind.
fn failed(error: &EngineError, place: &Place, written: &BTreeSet<String>) -> EngineError {
    let names: Vec<&str> = written.iter().take(LISTED).map(String::as_str).collect();
    let more = if written.len() > LISTED { ", …" } else { "" };
    let left = match written.len() {
        0 => "no file was written".to_owned(),
        count => format!(
            "{count} file(s) were written before and are still there: {}{more}",
            names.join(", ")
        ),
    };
    EngineError::Write {
        category: error.category(),
        message: format!("COPY to {place} ended early: {error}; {left}"),
    }
}
