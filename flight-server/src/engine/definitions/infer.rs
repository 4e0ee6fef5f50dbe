//! Columns from a sample of a stream's records.
//!
//! The sample is read by a statement like any other, through the shared reader: what it reads is there for the statements that follow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use catalog::{DEFAULT_SCHEMA, Inferred, TableDefinition, TableName, infer};
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use parking_lot::Mutex;
use serde_yaml::{Mapping, Value};
use tokio::time::Instant;
use uuid::Uuid;

use super::super::access::Right;
use super::super::api::PinnedTable;
use super::super::consume::Fixed;
use super::super::error::EngineError;
use super::super::options::OptionValues;
use super::super::pin;
use super::super::plan::{Asker, Engine, Tables};
use super::super::sql::{STREAM_SCHEMA, StreamCall, parse};
use super::document;

/// Records that are looked at unless it is said how many.
pub const DEFAULT_SAMPLE: usize = 1000;

/// A definition that was inferred for `FROM kinesis_stream('…')` serves further statements for so long.
const KEPT: Duration = Duration::from_secs(60);

/// A definition that a sample proposes.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The definition, in our YAML.
    pub yaml: String,
    /// Records that were looked at.
    pub records: usize,
    /// Records of them that are not of the format.
    pub unreadable: usize,
    /// Why the first of those is not.
    pub reason: Option<String>,
    /// Columns that had no value in any record: their types are guesses.
    pub unseen: Vec<String>,
}

/// Definitions of streams that statements named without one.
#[derive(Debug, Default)]
pub(in super::super) struct InferredStreams(Mutex<BTreeMap<StreamCall, (Instant, Arc<TableDefinition>)>>);

impl Engine {
    /// Proposes a definition of a table over a stream. `base` is a definition to extend, with its text if that is in our YAML: what it says stays as it
    /// is.
    pub async fn propose(
        &self,
        principal: &str,
        stream: &str,
        table: &str,
        base: Option<(&TableDefinition, Option<String>)>,
        sample: usize,
    ) -> Result<Proposal, EngineError> {
        let (base, text) = base.unzip();
        let mut known = match base {
            Some(base) => document::of(base, text.flatten())?,
            None => {
                let mut document = Mapping::new();
                document.insert("table".into(), table.into());
                document.insert("stream".into(), stream.into());
                document.insert("format".into(), "json".into());
                document
            }
        };
        // Read with what its files hold, for here nobody knows where they are.
        let mut complete = known.clone();
        if let Some(base) = base
            && let Some(format) = document::of(base, None)?.remove("format")
        {
            complete.insert("format".into(), format);
        }
        let inferred = self.inferred(principal, &complete, sample).await?;
        let mut columns = match known.get("columns") {
            Some(Value::Sequence(columns)) => columns.clone(),
            _ => Vec::new(),
        };
        let paths: Vec<&[String]> = base
            .iter()
            .flat_map(|base| &base.columns)
            .map(|column| column.path.as_slice())
            .collect();
        let known_columns = base.map_or(&[][..], |base| &base.columns);
        let taken: Vec<usize> = known_columns.iter().filter_map(|column| column.index).collect();
        let mut names: Vec<String> = base
            .iter()
            .flat_map(|base| &base.columns)
            .map(|column| column.name.to_lowercase())
            .collect();
        let mut unseen = Vec::new();
        for column in &inferred.columns {
            // A field that columns reach into is known.
            let is_known = match column.index {
                Some(index) => taken.contains(&index),
                None => paths.iter().any(|path| path.starts_with(&column.path)),
            };
            if is_known {
                continue;
            }
            let mut column = column.clone();
            while names.contains(&column.name) {
                column.name += "_";
            }
            names.push(column.name.clone());
            if column.unseen {
                unseen.push(column.name.clone());
            }
            columns.push(document::inferred_column(&column, in_documents(&known)).into());
        }
        known.insert("columns".into(), columns.clone().into());
        complete.insert("columns".into(), columns.into());
        let text = document::to_yaml(&known)?;
        TableDefinition::from_yaml(&document::to_yaml(&complete)?)
            .map_err(|error| EngineError::Invalid(format!("the proposed definition is not valid: {}", error.message)))?;
        Ok(Proposal {
            yaml: text,
            records: inferred.records,
            unreadable: inferred.unreadable,
            reason: inferred.reason,
            unseen,
        })
    }

    /// Adds columns to a document that has none.
    pub(super) async fn infer_into(&self, principal: &str, document: &mut Mapping, sample: usize) -> Result<(), EngineError> {
        if TableDefinition::from_yaml(&document::to_yaml(document)?).is_ok() {
            // The format brings its columns.
            return Ok(());
        }
        let inferred = self.inferred(principal, document, sample).await?;
        let columns: Vec<Value> = inferred
            .columns
            .iter()
            .map(|column| document::inferred_column(column, in_documents(document)).into())
            .collect();
        document.insert("columns".into(), columns.into());
        Ok(())
    }

    /// What a sample of the document's stream says. Fails where it says nothing.
    async fn inferred(&self, principal: &str, document: &Mapping, sample: usize) -> Result<Inferred, EngineError> {
        let text = |key: &str| document.get(key).and_then(Value::as_str);
        let stream = text("stream").unwrap_or_default();
        // A column in their place, so that all else can be read.
        let mut complete = document.clone();
        let column = document::placeholder(&complete);
        complete.insert("columns".into(), vec![Value::from(column)].into());
        complete.remove("event_time");
        let definition = TableDefinition::from_yaml(&document::to_yaml(&complete)?)
            .map_err(|error| EngineError::Invalid(format!("the definition is not valid: {}", error.message)))?;
        let batches = self.sample(principal, stream, document.get("kinesis"), sample).await?;
        let mut messages: Vec<&[u8]> = Vec::new();
        for batch in &batches {
            let column = batch
                .column(0)
                .as_binary_opt::<i32>()
                .ok_or_else(|| EngineError::Internal("a sample is not of bytes".into()))?;
            messages.extend(column.iter().flatten());
        }
        let inferred = infer(&messages, &definition).map_err(EngineError::Invalid)?;
        match (&inferred.reason, inferred.columns.is_empty()) {
            (_, false) => Ok(inferred),
            (None, true) if inferred.records == 0 => Err(EngineError::FailedPrecondition(format!(
                "stream {stream} holds no records to infer columns from: give the columns"
            ))),
            (reason, true) => Err(EngineError::FailedPrecondition(format!(
                "no columns can be inferred from {} records of stream {stream}: {}",
                inferred.records,
                reason.as_deref().unwrap_or("none has a field")
            ))),
        }
    }

    /// Messages of some records, those that are at hand first.
    async fn sample(&self, principal: &str, stream: &str, kinesis: Option<&Value>, count: usize) -> Result<Vec<RecordBatch>, EngineError> {
        let mut document = Mapping::new();
        document.insert("table".into(), "sample".into());
        document.insert("stream".into(), stream.into());
        document.insert("format".into(), "dummy".into());
        if let Some(kinesis) = kinesis {
            document.insert("kinesis".into(), kinesis.clone());
        }
        let definition = TableDefinition::from_yaml(&document::to_yaml(&document)?).map_err(|error| EngineError::Invalid(error.message))?;
        let table = PinnedTable {
            name: TableName {
                schema: DEFAULT_SCHEMA.to_owned(),
                table: "sample".to_owned(),
            },
            definition,
            snapshot: None,
            history: None,
        };
        let asker = Asker {
            query_id: Uuid::now_v7().to_string(),
            principal: principal.to_owned(),
        };
        let tables = Tables::Sampled(table);
        let sql = format!("select _message from \"{DEFAULT_SCHEMA}\".sample limit {count}");
        let statement = self.statement(parse(&sql)?, &OptionValues::default(), tables, asker).await?;
        pin::pin(&statement, Instant::now(), &Fixed::default(), None).await?;
        let physical = self.physical(&statement).await?;
        let rows = execute_stream(physical, statement.state.task_ctx())?;
        let collected = tokio::time::timeout(self.config().query_timeout, rows.try_collect::<Vec<_>>()).await;
        match collected {
            Ok(batches) => Ok(batches?),
            Err(_) => Err(EngineError::Deadline {
                seconds: self.config().query_timeout.as_secs(),
            }),
        }
    }

    /// Definitions for the streams that a statement names by `kinesis_stream('…')`.
    pub(in super::super) async fn stream_tables<'s>(
        &self,
        principal: &str,
        streams: impl IntoIterator<Item = &'s StreamCall>,
    ) -> Result<Vec<PinnedTable>, EngineError> {
        let mut tables = Vec::new();
        for call in streams {
            self.access().stream(principal, Right::Read, &call.stream)?;
            self.config()
                .definitions
                .check_stream(&call.stream, false, &self.catalog().current())?;
            let kept = self.inferred_streams().0.lock().get(call).cloned();
            let definition = match kept.filter(|(at, _)| at.elapsed() < KEPT) {
                Some((_, definition)) => definition,
                None => self.stream_definition(principal, call).await?,
            };
            tables.push(PinnedTable {
                name: TableName {
                    schema: STREAM_SCHEMA.to_owned(),
                    table: call.table(),
                },
                definition,
                snapshot: None,
                history: None,
            });
        }
        Ok(tables)
    }

    async fn stream_definition(&self, principal: &str, call: &StreamCall) -> Result<Arc<TableDefinition>, EngineError> {
        let mut document = Mapping::new();
        document.insert("table".into(), "kinesis_stream".into());
        document.insert("stream".into(), call.stream.as_str().into());
        if let Some(format) = &call.format {
            document.insert("format".into(), document::format_of_text(format)?);
        }
        let columns = match self.inferred(principal, &document, DEFAULT_SAMPLE).await {
            Ok(inferred) => inferred
                .columns
                .iter()
                .map(|column| document::inferred_column(column, in_documents(&document)).into())
                .collect::<Vec<Value>>(),
            // Hidden columns are there whatever the records are.
            Err(EngineError::FailedPrecondition(_)) => Vec::new(),
            Err(error) => return Err(error),
        };
        if columns.is_empty() {
            document.insert("format".into(), "dummy".into());
        } else {
            document.insert("columns".into(), columns.into());
        }
        let text = document::to_yaml(&document)?;
        let definition =
            TableDefinition::from_yaml(&text).map_err(|error| EngineError::Invalid(format!("kinesis_stream: {}", error.message)))?;
        let mut kept = self.inferred_streams().0.lock();
        kept.retain(|_, (at, _)| at.elapsed() < KEPT);
        kept.insert(call.clone(), (Instant::now(), Arc::clone(&definition)));
        Ok(definition)
    }
}

/// Whether paths of a definition's columns lead into documents.
fn in_documents(document: &Mapping) -> bool {
    document::format(document).is_none_or(|format| !format.eq_ignore_ascii_case("csv"))
}
