//! Rows of an iteration to files that no reader sees yet.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::BatchCoalescer;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use shard_reader::checkpoints::IterationNumber;

use crate::columns::Columns;
use crate::encode::{EncodeError, Encoder, Origin};
use crate::names::FileName;
use crate::partition::{self, Values};
use crate::stats::StatsBuilder;
use crate::store::{Creation, TableStore};
use crate::{JobName, LakeError, LakeErrorKind, LakeFormat, WrittenFile};

/// Rows of a batch as it is encoded. Always the same, so that where batches of the input end makes no difference.
pub(crate) const BATCH_ROWS: usize = 8192;
/// How many names are tried for a file that differs from the one that is there.
const NAMES_TRIED: usize = 4;

/// Writes the files of a job.
#[derive(Clone, Debug)]
pub(crate) struct FileWriter {
    pub(crate) store: TableStore,
    pub(crate) columns: Arc<Columns>,
    pub(crate) format: LakeFormat,
    pub(crate) job: JobName,
    pub(crate) target_file_bytes: u64,
}

/// A file that is being made.
#[derive(Debug)]
struct OpenFile {
    ordinal: u32,
    encoder: Encoder,
    stats: StatsBuilder,
    memory: usize,
}

impl FileWriter {
    /// See [`crate::LakeTable::write`].
    pub(crate) async fn write(
        &self,
        iteration: IterationNumber,
        mut rows: SendableRecordBatchStream,
    ) -> Result<Vec<WrittenFile>, LakeError> {
        let mut writing = Writing {
            writer: self,
            iteration,
            open: HashMap::new(),
            next: 0,
            written: Vec::new(),
        };
        let mut batches = BatchCoalescer::new(Arc::clone(self.columns.table()), BATCH_ROWS);
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(|error| self.store.error(LakeErrorKind::Rows, &error).caused_by(error))?;
            let batch = self.columns.convert(&batch)?;
            batches.push_batch(batch).map_err(|error| self.encode_error(&error.into()))?;
            while let Some(batch) = batches.next_completed_batch() {
                writing.add(&batch).await?;
                tokio::task::coop::consume_budget().await;
            }
        }
        batches.finish_buffered_batch().map_err(|error| self.encode_error(&error.into()))?;
        while let Some(batch) = batches.next_completed_batch() {
            writing.add(&batch).await?;
        }
        writing.finish().await
    }

    fn encode_error(&self, error: &EncodeError) -> LakeError {
        self.store
            .error(LakeErrorKind::Rows, format_args!("rows cannot be written: {error}"))
    }

    fn origin(&self, iteration: IterationNumber) -> Origin {
        Origin {
            job: self.job.clone(),
            iteration: Some(iteration),
        }
    }
}

struct Writing<'a> {
    writer: &'a FileWriter,
    iteration: IterationNumber,
    open: HashMap<Values, OpenFile>,
    next: u32,
    written: Vec<(u32, WrittenFile)>,
}

impl Writing<'_> {
    async fn add(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        let writer = self.writer;
        let parts = partition::split(batch, writer.columns.partition()).map_err(|error| writer.encode_error(&error.into()))?;
        for (values, part) in parts {
            let part = writer.columns.in_file(&part)?;
            if !self.open.contains_key(&values) {
                let schema = writer.columns.file();
                let file = OpenFile {
                    ordinal: self.next,
                    encoder: Encoder::new(writer.format, schema, &writer.origin(self.iteration))
                        .map_err(|error| writer.encode_error(&error))?,
                    stats: StatsBuilder::new(Arc::clone(schema)),
                    memory: 0,
                };
                self.next += 1;
                self.open.insert(values.clone(), file);
            }
            let Some(file) = self.open.get_mut(&values) else { continue };
            file.encoder.write(&part).map_err(|error| writer.encode_error(&error))?;
            file.stats.add(&part);
            file.memory = file.encoder.memory();
            if file.encoder.bytes() as u64 >= writer.target_file_bytes {
                self.end(&values).await?;
            }
        }
        // Many partitions at once: the largest files are ended early. One more file may be in the making of its footer.
        while self.open.values().map(|file| file.memory as u64).sum::<u64>() > writer.target_file_bytes.saturating_mul(2) {
            let largest = self
                .open
                .iter()
                .max_by_key(|(_, file)| (file.memory, std::cmp::Reverse(file.ordinal)));
            let Some(values) = largest.map(|(values, _)| values.clone()) else {
                break;
            };
            self.end(&values).await?;
        }
        Ok(())
    }

    async fn end(&mut self, values: &Values) -> Result<(), LakeError> {
        let Some(file) = self.open.remove(values) else { return Ok(()) };
        let writer = self.writer;
        let stats = file.stats.finish();
        let rows = stats.num_records;
        let stats = serde_json::to_string(&stats).map_err(|error| writer.encode_error(&error.into()))?;
        let encoded = file.encoder.finish().map_err(|error| writer.encode_error(&error))?;
        let folder = partition::folder(values);
        let mut name = FileName {
            job: writer.job.clone(),
            iteration: self.iteration,
            ordinal: file.ordinal,
            attempt: String::new(),
        };
        let bytes = encoded.bytes.len() as u64;
        for _ in 0..NAMES_TRIED {
            let path = name.path(&folder, writer.format);
            let tail = encoded.bytes.slice(encoded.bytes.len() - encoded.telling..);
            let there = match writer.store.create(&path, encoded.bytes.clone()).await? {
                Creation::Created => true,
                Creation::Found => writer.store.ends_with(&path, bytes, &tail).await?,
            };
            if there {
                let written = WrittenFile {
                    path: path.to_string(),
                    bytes,
                    rows,
                    partition: values.clone(),
                    stats: Some(stats),
                };
                self.written.push((file.ordinal, written));
                return Ok(());
            }
            // An earlier attempt wrote other rows (or the same in another order) under this name: they stay, for they may be published yet.
            name.attempt = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
        }
        Err(writer.store.error(
            LakeErrorKind::Unavailable,
            format_args!("no name was free for file {} of iteration {}", file.ordinal, self.iteration),
        ))
    }

    async fn finish(mut self) -> Result<Vec<WrittenFile>, LakeError> {
        let mut rest: Vec<(u32, Values)> = self.open.iter().map(|(values, file)| (file.ordinal, values.clone())).collect();
        rest.sort();
        for (_, values) in rest {
            self.end(&values).await?;
        }
        self.written.sort_by_key(|(ordinal, _)| *ordinal);
        Ok(self.written.into_iter().map(|(_, file)| file).collect())
    }
}
