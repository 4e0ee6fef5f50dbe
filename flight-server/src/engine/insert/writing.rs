//! Rows -> records -> the stream.

use std::sync::Arc;

use catalog::{EncodeError, Encoder};
use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::DataType;
use futures::StreamExt;
use futures::stream::BoxStream;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use shard_reader::{OutgoingRecord, WriteError, WriteTotals, Writer, WriterOptions};
use tokio::time::{Instant, timeout_at};

use super::super::error::EngineError;
use super::super::plan::Engine;
use super::super::sql::CATALOG;
use super::keys::{self, Keys};
use super::target::{Key, Place, Target};

/// Writes rows into a table.
struct RowWriter {
    target: Target,
    encoder: Encoder,
    /// Of each column of the definition that is written: its place in the rows, and its type.
    data: Vec<(usize, DataType)>,
    writer: Writer,
    random: SmallRng,
    /// Rows of batches before.
    rows: usize,
}

impl Engine {
    /// Writes all rows. A failure says how many records were acknowledged before.
    pub(super) async fn write(
        &self,
        target: Target,
        rows: BoxStream<'_, Result<RecordBatch, EngineError>>,
    ) -> Result<WriteTotals, EngineError> {
        let (_, source) = self.sources().source(target.definition.kinesis.as_ref()).await?;
        let seconds = self.config().query_timeout.as_secs();
        let deadline = Instant::now() + self.config().query_timeout;
        let writer = Writer::new(&source, &target.definition.stream, WriterOptions::default())?;
        let mut writing = RowWriter::new(target, writer)?;
        let outcome = match timeout_at(deadline, writing.all(rows)).await {
            Ok(Ok(())) => writing.writer.finish().await,
            Ok(Err(Failure::Written(error))) => Err(error),
            Ok(Err(Failure::Rows(error))) => return Err(self.ended_early(error, writing.writer).await),
            Err(_) => return Err(self.ended_early(EngineError::Deadline { seconds }, writing.writer).await),
        };
        match &outcome {
            Ok(totals) => self.written().add(totals),
            Err(error) => self.written().add(&error.totals),
        }
        outcome.map_err(EngineError::from)
    }

    /// An error of the rows, not of writing them: with what was written before.
    async fn ended_early(&self, error: EngineError, writer: Writer) -> EngineError {
        let totals = writer.abandon().await;
        self.written().add(&totals);
        match totals.acknowledged {
            0 => error,
            records => EngineError::Write {
                category: error.category(),
                message: format!("{error}; {records} records were acknowledged before"),
            },
        }
    }
}

/// Why writing ended.
enum Failure {
    /// The rows could not be read, or are no rows of the table.
    Rows(EngineError),
    /// They could not be written.
    Written(WriteError),
}

impl RowWriter {
    fn new(target: Target, writer: Writer) -> Result<Self, EngineError> {
        let data_columns = target.places.iter().enumerate().filter_map(|(at, place)| match place {
            Place::Data(index) => Some((at, *index)),
            Place::PartitionKey => None,
        });
        let columns: Vec<(usize, usize)> = data_columns.collect();
        let indexes: Vec<usize> = columns.iter().map(|(_, index)| *index).collect();
        let encoder = Encoder::new(&target.definition, &indexes).map_err(|error| match error.column {
            Some(_) => EngineError::Invalid(format!("table `{CATALOG}.{}`: {error}", target.name)),
            None => EngineError::NotSupported(error.to_string()),
        })?;
        let data = columns
            .into_iter()
            .filter_map(|(at, index)| Some((at, target.definition.columns.get(index)?.column_type.data_type())));
        Ok(Self {
            data: data.collect(),
            target,
            encoder,
            writer,
            random: SmallRng::from_rng(&mut rand::rng()),
            rows: 0,
        })
    }

    async fn all(&mut self, mut rows: BoxStream<'_, Result<RecordBatch, EngineError>>) -> Result<(), Failure> {
        while let Some(batch) = rows.next().await {
            self.batch(&batch.map_err(Failure::Rows)?).await?;
        }
        Ok(())
    }

    async fn batch(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        let before = self.rows;
        let target = &self.target;
        let refuse = |at: usize, (row, reason): (usize, String)| {
            Failure::Rows(EngineError::Invalid(format!(
                "table `{CATALOG}.{}`, column `{}`, row {}: {reason}",
                target.name,
                target.column(at),
                before + row + 1
            )))
        };
        let values = self.data.iter().map(|(at, data_type)| {
            let column = batch.columns().get(*at).ok_or_else(|| refuse(*at, (0, "it is missing".into())))?;
            super::cast::cast(column, data_type).map_err(|error| refuse(*at, error))
        });
        let values: Vec<ArrayRef> = values.collect::<Result<_, _>>()?;
        let keys = match target.key {
            Key::Any => Keys::Any,
            Key::Column(at) => {
                let column = batch.columns().get(at).ok_or_else(|| refuse(at, (0, "it is missing".into())))?;
                Keys::of(column).map_err(|error| refuse(at, error))?
            }
        };
        for row in 0..batch.num_rows() {
            let data = self.encoder.encode(&values, row).map_err(|error| self.unwritable(row, &error))?;
            let pushed = match &keys {
                Keys::Any => {
                    let record = OutgoingRecord::new(keys::any(&mut self.random), data);
                    self.writer.push_unordered(record).await
                }
                Keys::Texts(texts) => self.writer.push(OutgoingRecord::new(texts.value(row), data)).await,
            };
            pushed.map_err(Failure::Written)?;
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    fn unwritable(&self, row: usize, error: &EncodeError) -> Failure {
        Failure::Rows(EngineError::Invalid(format!(
            "table `{CATALOG}.{}`, row {}: {error}",
            self.target.name,
            self.rows + row + 1
        )))
    }
}

impl From<WriteError> for EngineError {
    fn from(error: WriteError) -> Self {
        Self::Write {
            category: super::super::error::source_category(error.kind),
            message: error.to_string(),
        }
    }
}

/// Writers are shared by nobody: what they did is counted when they end.
impl Engine {
    /// What was written so far: for metrics.
    pub fn written(&self) -> &Arc<super::WriteCounts> {
        &self.written
    }
}
