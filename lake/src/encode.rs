//! Rows to the bytes of a file. The same rows in the same batches give the same bytes.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use orc_rust::arrow_writer::ArrowWriterBuilder as OrcWriterBuilder;
use orc_rust::compression::CompressionType;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use sha2::{Digest, Sha256};
use shard_reader::checkpoints::IterationNumber;

use crate::{JobName, LakeFormat};

/// Rows of a row group, at most: readers hold one at a time.
const ROW_GROUP_ROWS: usize = 1 << 20;
/// Bytes of rows, as they are in memory, after which a stripe is ended.
const STRIPE_BYTES: usize = 16 << 20;
/// Length of what ends a Parquet file behind its metadata: a length and `PAR1`.
const PARQUET_TAIL: usize = 8;

/// Why rows could not be encoded.
pub(crate) type EncodeError = Box<dyn std::error::Error + Send + Sync>;

/// A file in memory.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub(crate) bytes: Bytes,
    /// How many of the last bytes tell this file from any other of its length: Parquet's footer holds a digest of all that is before it.
    pub(crate) telling: usize,
}

/// What a file says of itself (Parquet's key-value metadata).
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) job: JobName,
    /// `None`: it was put together of files of several.
    pub(crate) iteration: Option<IterationNumber>,
}

/// A file that is being made.
pub(crate) enum Encoder {
    Parquet {
        writer: Box<ArrowWriter<Vec<u8>>>,
        origin: Origin,
    },
    /// ORC's writer cannot move between threads, so that it works at the end, without a pause.
    Orc {
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
        /// Bytes of the rows in memory.
        bytes: usize,
    },
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoder({} bytes)", self.bytes())
    }
}

impl Encoder {
    /// For files with these columns.
    pub(crate) fn new(format: LakeFormat, schema: &SchemaRef, origin: &Origin) -> Result<Self, EncodeError> {
        match format {
            LakeFormat::Delta | LakeFormat::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
                    .set_created_by("shardflight".into())
                    .build();
                let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
                let writer = ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(schema), options)?;
                Ok(Self::Parquet {
                    writer: Box::new(writer),
                    origin: origin.clone(),
                })
            }
            LakeFormat::Orc => Ok(Self::Orc {
                schema: Arc::clone(schema),
                batches: Vec::new(),
                bytes: 0,
            }),
        }
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), EncodeError> {
        match self {
            Self::Parquet { writer, .. } => writer.write(batch)?,
            Self::Orc { batches, bytes, .. } => {
                *bytes += batch_bytes(batch)?;
                batches.push(batch.clone());
            }
        }
        Ok(())
    }

    /// About how many bytes the file would have if it ended here; of an ORC file the bytes of its rows in memory, which are some times as many.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Parquet { writer, .. } => writer.bytes_written() + writer.in_progress_size(),
            Self::Orc { bytes, .. } => *bytes,
        }
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::Parquet { writer, .. } => writer.bytes_written() + writer.memory_size(),
            Self::Orc { .. } => self.bytes(),
        }
    }

    pub(crate) fn finish(self) -> Result<Encoded, EncodeError> {
        match self {
            Self::Parquet { mut writer, origin } => {
                writer.flush()?;
                writer.sync()?;
                let digest = Sha256::digest(writer.inner());
                let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                writer.append_key_value_metadata(KeyValue::new("shardflight.job".into(), Some(origin.job.to_string())));
                if let Some(iteration) = origin.iteration {
                    writer.append_key_value_metadata(KeyValue::new("shardflight.iteration".into(), Some(iteration.to_string())));
                }
                writer.append_key_value_metadata(KeyValue::new("shardflight.digest".into(), Some(digest)));
                writer.finish()?;
                let bytes = std::mem::take(writer.inner_mut());
                let telling = footer_length(&bytes);
                Ok(Encoded {
                    bytes: bytes.into(),
                    telling,
                })
            }
            Self::Orc { schema, batches, .. } => orc_file(&schema, &batches),
        }
    }
}

fn orc_file(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Encoded, EncodeError> {
    let mut bytes = Vec::new();
    let mut writer = OrcWriterBuilder::new(&mut bytes, Arc::clone(schema))
        .with_compression(CompressionType::Zstd)
        .with_stripe_byte_size(usize::MAX)
        .try_build()?;
    let mut pending = 0;
    for batch in batches {
        writer.write(batch)?;
        pending += batch_bytes(batch)?;
        if pending >= STRIPE_BYTES {
            writer.flush_stripe()?;
            pending = 0;
        }
    }
    writer.close()?;
    Ok(Encoded {
        telling: bytes.len(),
        bytes: bytes.into(),
    })
}

/// Lengths of what the rows hold: a buffer's capacity may differ from one run to the next.
fn batch_bytes(batch: &RecordBatch) -> Result<usize, EncodeError> {
    let mut bytes = 0;
    for column in batch.columns() {
        bytes += column.to_data().get_slice_memory_size()?;
    }
    Ok(bytes)
}

/// Length of a Parquet file's metadata and what is behind it; the whole file's if it says none.
fn footer_length(bytes: &[u8]) -> usize {
    let length = bytes
        .len()
        .checked_sub(PARQUET_TAIL)
        .and_then(|start| bytes.get(start..start + 4))
        .and_then(|length| <[u8; 4]>::try_from(length).ok())
        .map(|length| u32::from_le_bytes(length) as usize + PARQUET_TAIL);
    length.filter(|length| *length <= bytes.len()).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests;
