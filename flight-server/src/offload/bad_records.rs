//! Bad records of an iteration, kept beside the table: lines of JSON below `_dead_letters/JOB/`, with the bytes in base64.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use arrow::error::ArrowError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use serde::Serialize;
use shard_reader::checkpoints::IterationNumber;
use uuid::Uuid;

use super::error::OffloadError;
use super::lakes::OpenLake;
use crate::engine::EngineError;

/// Folder of bad records, below the table's.
const FOLDER: &str = "_dead_letters";
/// A file is ended at this size (bytes).
const FILE_BYTES: usize = 8 << 20;

/// One line.
#[derive(Debug, Serialize)]
struct Letter<'a> {
    shard: &'a str,
    sequence_number: &'a str,
    sub_sequence: i64,
    row_index: i64,
    /// RFC 3339.
    arrival: Option<String>,
    reason: Option<&'a str>,
    /// Base64.
    bytes: Option<String>,
}

/// Writes the bad records of an iteration; how many there are. The names come from the iteration, and what is there already stays as it is.
pub(super) async fn keep(
    lake: &OpenLake,
    job: &str,
    iteration: IterationNumber,
    mut rows: impl Stream<Item = Result<RecordBatch, EngineError>> + Unpin,
) -> Result<u64, OffloadError> {
    let folder = lake.folder.clone().join(FOLDER).join(job);
    let (mut count, mut part, mut lines) = (0, 0, Vec::new());
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            write_line(&batch, row, &mut lines)?;
            count += 1;
            if lines.len() >= FILE_BYTES {
                put(lake.store.as_ref(), &folder, iteration, part, std::mem::take(&mut lines)).await?;
                part += 1;
            }
        }
    }
    if !lines.is_empty() {
        put(lake.store.as_ref(), &folder, iteration, part, lines).await?;
    }
    Ok(count)
}

fn write_line(batch: &RecordBatch, row: usize, lines: &mut Vec<u8>) -> Result<(), OffloadError> {
    let one = batch.slice(row, 1);
    let at = |index: usize, to: &DataType| -> Result<_, OffloadError> {
        let column = one.columns().get(index);
        let column = column.ok_or_else(|| EngineError::Internal("bad records come without a column".into()))?;
        arrow::compute::cast(column, to).map_err(|error| unfit(&error))
    };
    let (shard, sequence, reason) = (at(0, &DataType::Utf8)?, at(1, &DataType::Utf8)?, at(5, &DataType::Utf8)?);
    let (sub, index) = (at(2, &DataType::Int64)?, at(3, &DataType::Int64)?);
    let arrival = at(4, &DataType::Timestamp(TimeUnit::Millisecond, None))?;
    let arrival = arrow::compute::cast(&arrival, &DataType::Int64).map_err(|error| unfit(&error))?;
    let bytes = at(6, &DataType::Binary)?;
    let number = |column: &dyn Array| {
        let values = column.as_primitive::<Int64Type>();
        values.is_valid(0).then(|| values.value(0))
    };
    let bytes = bytes.as_binary::<i32>();
    let reason = reason.as_string::<i32>();
    let letter = Letter {
        shard: shard.as_string::<i32>().value(0),
        sequence_number: sequence.as_string::<i32>().value(0),
        sub_sequence: number(&sub).unwrap_or(0),
        row_index: number(&index).unwrap_or(0),
        arrival: number(&arrival)
            .and_then(chrono::DateTime::from_timestamp_millis)
            .map(|arrival| arrival.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)),
        reason: reason.is_valid(0).then(|| reason.value(0)),
        bytes: bytes.is_valid(0).then(|| STANDARD.encode(bytes.value(0))),
    };
    serde_json::to_writer(&mut *lines, &letter).map_err(|error| EngineError::Internal(error.to_string()))?;
    lines.push(b'\n');
    Ok(())
}

fn unfit(error: &ArrowError) -> OffloadError {
    EngineError::Internal(format!("bad records do not come as they should: {error}")).into()
}

async fn put(store: &dyn ObjectStore, folder: &Path, iteration: IterationNumber, part: u32, lines: Vec<u8>) -> Result<(), OffloadError> {
    let failed = |path: &Path, error: &Error| OffloadError::Unavailable(format!("{path}: bad records cannot be written: {error}"));
    let lines = Bytes::from(lines);
    let path = folder.clone().join(format!("{:020}-{part:05}.ndjson", iteration.0));
    match store.put_opts(&path, lines.clone().into(), PutOptions::from(PutMode::Create)).await {
        Ok(_) => return Ok(()),
        Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {}
        Err(error) => return Err(failed(&path, &error)),
    }
    let there = store.get(&path).await.map_err(|error| failed(&path, &error))?;
    if there.bytes().await.map_err(|error| failed(&path, &error))? == lines {
        return Ok(());
    }
    // an earlier attempt saw another definition of the table; what it wrote is nobody's to change
    let path = folder
        .clone()
        .join(format!("{:020}-{part:05}-{}.ndjson", iteration.0, Uuid::new_v4().simple()));
    tracing::warn!(%path, "bad records of this iteration were written before, and were others");
    let put = store.put_opts(&path, lines.into(), PutOptions::from(PutMode::Create)).await;
    put.map(drop).map_err(|error| failed(&path, &error))
}
