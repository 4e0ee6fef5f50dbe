//! Tables about the server itself: `kinesis.system.…`.

use std::sync::Arc;

use catalog::CatalogSnapshot;
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::Result as DfResult;
use shard_reader::Readers;

/// Name of the schema.
pub(super) const SCHEMA: &str = "system";

/// The tables in it.
pub(super) const TABLES: [&str; 2] = ["catalog_errors", "streams"];

/// Whether there is such a table.
pub(super) fn exists(name: &str) -> bool {
    TABLES.contains(&name)
}

/// What the tables are made of, as of the statement.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) catalog: Arc<CatalogSnapshot>,
    pub(super) readers: Arc<Readers>,
}

/// Schema of a table.
pub(super) fn schema(name: &str) -> Option<SchemaRef> {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    let fields = match name {
        "catalog_errors" => vec![
            text("file"),
            number("line"),
            number("column"),
            text("error"),
            Field::new("since", DataType::Timestamp(TimeUnit::Millisecond, None), true),
        ],
        "streams" => vec![text("stream"), text("arn"), number("shards")],
        _ => return None,
    };
    Some(Arc::new(Schema::new(fields)))
}

impl Facts {
    pub(super) fn table(&self, name: &str) -> DfResult<Option<Arc<dyn TableProvider>>> {
        let Some(schema) = schema(name) else { return Ok(None) };
        let columns = match name {
            "catalog_errors" => self.catalog_errors(),
            _ => self.streams(),
        };
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
        Ok(Some(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?)))
    }

    fn catalog_errors(&self) -> Vec<ArrayRef> {
        let errors = &self.catalog.errors;
        let number = |value: Option<usize>| value.and_then(|value| i64::try_from(value).ok());
        let since = errors.iter().map(|error| {
            error
                .since
                .duration_since(std::time::UNIX_EPOCH)
                .ok()
                .and_then(|age| i64::try_from(age.as_millis()).ok())
        });
        vec![
            Arc::new(
                errors
                    .iter()
                    .map(|error| Some(error.file.display().to_string()))
                    .collect::<StringArray>(),
            ),
            Arc::new(errors.iter().map(|error| number(error.error.line)).collect::<Int64Array>()),
            Arc::new(errors.iter().map(|error| number(error.error.column)).collect::<Int64Array>()),
            Arc::new(
                errors
                    .iter()
                    .map(|error| Some(error.error.message.clone()))
                    .collect::<StringArray>(),
            ),
            Arc::new(since.collect::<TimestampMillisecondArray>()),
        ]
    }

    fn streams(&self) -> Vec<ArrayRef> {
        let streams = self.readers.streams();
        vec![
            Arc::new(streams.iter().map(|stream| Some(stream.name().to_owned())).collect::<StringArray>()),
            Arc::new(streams.iter().map(|stream| Some(stream.arn().to_owned())).collect::<StringArray>()),
            Arc::new(
                streams
                    .iter()
                    .map(|stream| i64::try_from(stream.shards().len()).ok())
                    .collect::<Int64Array>(),
            ),
        ]
    }
}
