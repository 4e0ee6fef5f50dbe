//! Rows, marks and tables for tests.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::pretty::pretty_format_batches;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionContext;
use lake::{LakeFormat, LakeSnapshot, LakeSpec, LakeTable, Mark, Published};
use object_store::ObjectStore;
use object_store::path::Path;
use shard_reader::checkpoints::{Ends, IterationNumber, ShardEnd};
use shard_reader::{Position, ShardId};

pub(crate) const TARGET: u64 = 8 << 20;

/// `id bigint, host varchar, day varchar`.
pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("host", DataType::Utf8, true),
        Field::new("day", DataType::Utf8, true),
    ]))
}

/// Rows with these ids; the host is NULL for every seventh, the day is one of three.
pub(crate) fn batch(ids: std::ops::Range<i64>) -> RecordBatch {
    let host = |id: i64| (id % 7 != 0).then(|| format!("host-{id}"));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(ids.clone())),
        Arc::new(StringArray::from_iter(ids.clone().map(host))),
        Arc::new(StringArray::from_iter_values(ids.map(|id| format!("2024-01-0{}", id % 3 + 1)))),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

pub(crate) fn stream(batches: Vec<RecordBatch>, schema: SchemaRef) -> SendableRecordBatchStream {
    Box::pin(RecordBatchStreamAdapter::new(
        schema,
        futures::stream::iter(batches.into_iter().map(Ok)),
    ))
}

pub(crate) fn spec(location: &str, format: LakeFormat) -> LakeSpec {
    LakeSpec {
        location: location.into(),
        format,
        schema: schema(),
        partitioned_by: vec!["day".into()],
        job: "nightly".parse().unwrap(),
        target_file_bytes: TARGET,
    }
}

pub(crate) fn open(format: LakeFormat, store: &Arc<dyn ObjectStore>) -> Arc<dyn LakeTable> {
    lake::open(&spec("s3://bucket/table", format), Arc::clone(store), Path::from("table")).unwrap()
}

/// A mark whose only shard stands after record `iteration + 1`.
pub(crate) fn mark(iteration: u64) -> Mark {
    let position = Position::After((iteration + 1).to_string().parse().unwrap(), 0);
    let end = ShardEnd { position, closed_ms: None };
    Mark {
        iteration: IterationNumber(iteration),
        stream: "arn:aws:kinesis:eu-central-1:000000000000:stream/log".into(),
        created_ms: Some(1_700_000_000_000),
        ends: Ends {
            as_of_ms: Some(1_700_000_000_000 + iteration as i64),
            retention_ms: 86_400_000,
            shards: [(ShardId::from("shardId-000000000000"), end)].into(),
        },
    }
}

/// Writes and publishes the rows of an iteration.
pub(crate) async fn offload(table: &dyn LakeTable, iteration: u64, ids: std::ops::Range<i64>) -> Result<Published, lake::LakeError> {
    let files = table.write(IterationNumber(iteration), stream(vec![batch(ids)], schema())).await?;
    table.publish(&mark(iteration), &files).await
}

/// The answer to a query of the table `t`, as text.
pub(crate) async fn query(snapshot: &LakeSnapshot, sql: &str) -> String {
    let session = SessionContext::new();
    session.register_table("t", Arc::clone(&snapshot.table)).unwrap();
    let batches = session.sql(sql).await.unwrap().collect().await.unwrap();
    pretty_format_batches(&batches).unwrap().to_string()
}

/// Ids of all rows, in order.
pub(crate) async fn ids(table: &dyn LakeTable) -> Vec<i64> {
    let snapshot = table.snapshot(None).await.unwrap();
    ids_of(&snapshot).await
}

pub(crate) async fn ids_of(snapshot: &LakeSnapshot) -> Vec<i64> {
    let session = SessionContext::new();
    session.register_table("t", Arc::clone(&snapshot.table)).unwrap();
    let found = session.sql("select id from t order by id").await.unwrap().collect().await.unwrap();
    let column = |batch: &RecordBatch| batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec();
    found.iter().flat_map(column).collect()
}
