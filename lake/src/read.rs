//! The rows of a file in memory.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use bytes::Bytes;
use orc_rust::arrow_reader::ArrowReaderBuilder as OrcReaderBuilder;
use orc_rust::projection::ProjectionMask as OrcProjection;
use orc_rust::schema::TimestampPrecision;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::LakeFormat;
use crate::encode::EncodeError;
use crate::write::BATCH_ROWS;

/// Rows of a file with these columns and no others; one that the file has not is NULL.
pub(crate) fn read_rows(format: LakeFormat, bytes: Bytes, wanted: &SchemaRef) -> Result<Vec<RecordBatch>, EncodeError> {
    let mut rows = Vec::new();
    match format {
        LakeFormat::Delta | LakeFormat::Parquet => {
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?
                .with_batch_size(BATCH_ROWS)
                .build()?;
            for batch in reader {
                rows.push(adapted(&batch?, wanted)?);
            }
        }
        LakeFormat::Orc => {
            let reader = OrcReaderBuilder::try_new(bytes)?;
            let mut names: Vec<&str> = wanted.fields().iter().map(|field| field.name().as_str()).collect();
            let root = reader.file_metadata().root_data_type();
            // Without any column the reader would not say how many rows there are.
            let first = root.children().first().map(|column| column.name().to_owned());
            let known = |name: &&str| root.children().iter().any(|column| column.name() == *name);
            names.retain(known);
            if names.is_empty() {
                names.extend(first.as_deref());
            }
            let projection = OrcProjection::named_roots(root, &names);
            let reader = reader
                .with_batch_size(BATCH_ROWS)
                .with_projection(projection)
                .with_timestamp_precision(TimestampPrecision::Microsecond)
                .build();
            for batch in reader {
                rows.push(adapted(&batch?, wanted)?);
            }
        }
    }
    Ok(rows)
}

fn adapted(batch: &RecordBatch, wanted: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let column = |field: &arrow::datatypes::FieldRef| -> Result<ArrayRef, ArrowError> {
        match batch.column_by_name(field.name()) {
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
            Some(column) => cast_with_options(column, field.data_type(), &options),
        }
    };
    let columns: Result<Vec<ArrayRef>, ArrowError> = wanted.fields().iter().map(column).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(wanted), columns?, &options)
}
