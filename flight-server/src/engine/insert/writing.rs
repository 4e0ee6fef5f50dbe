//! Rows -> records -> the stream.

use std::pin::pin;
use std::sync::Arc;

use catalog::{EncodeError, Encoder};
use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::DataType;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use futures::StreamExt;
use futures::stream::BoxStream;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use shard_reader::{HashRange, OutgoingRecord, Packed, Packer, ShardSource, WriteError, WriteTotals, Writer, WriterOptions};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::super::error::EngineError;
use super::super::plan::Engine;
use super::super::sql::CATALOG;
use super::cancelling::Cancelling;
use super::counts::WriteCounts;
use super::keys::{self, Keys};
use super::target::{Key, Place, Target};

/// Rows after which the bytes on their way are counted again.
const ROWS_BETWEEN_COUNTS: usize = 256;

/// Writes rows into a table.
struct RowWriter {
    target: Target,
    encoder: Encoder,
    /// Of each column of the definition that is written: its place in the rows, and its type.
    data: Vec<(usize, DataType)>,
    /// Until it is finished.
    writer: Option<Writer>,
    /// Where rows are aggregated.
    packer: Option<Packer<()>>,
    /// What the writer holds.
    memory: MemoryReservation,
    counts: Arc<WriteCounts>,
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
        cancelling: &Cancelling,
    ) -> Result<WriteTotals, EngineError> {
        let (_, source) = self.sources().source(target.definition.kinesis.as_ref()).await?;
        let seconds = self.config().query_timeout.as_secs();
        let deadline = Instant::now() + self.config().query_timeout;
        let cancelled = cancelling.begin_writing();
        let writer = Writer::new(&source, &target.definition.stream, WriterOptions::default())?;
        let memory = MemoryConsumer::new(format!("INSERT INTO {}", target.name)).register(&self.runtime().memory_pool);
        let mut writing = RowWriter::new(target, writer, memory, Arc::clone(&self.written))?;
        if writing.target.aggregated {
            writing.packer = Some(packer(source.as_ref(), &writing.target.definition.stream).await?);
        }
        let outcome = tokio::select! {
            biased;
            () = cancelled.cancelled() => Err(Failure::Rows(EngineError::Cancelled)),
            written = timeout_at(deadline, writing.all(rows)) => {
                written.unwrap_or(Err(Failure::Rows(EngineError::Deadline { seconds })))
            }
        };
        match outcome {
            Ok(()) => writing.finish(cancelled).await,
            Err(Failure::Written(error)) => Err(error.into()),
            Err(Failure::Rows(error)) => Err(writing.ended_early(error).await),
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
    fn new(target: Target, writer: Writer, memory: MemoryReservation, counts: Arc<WriteCounts>) -> Result<Self, EngineError> {
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
            writer: Some(writer),
            packer: None,
            memory,
            counts,
            random: SmallRng::from_rng(&mut rand::rng()),
            rows: 0,
        })
    }

    async fn all(&mut self, mut rows: BoxStream<'_, Result<RecordBatch, EngineError>>) -> Result<(), Failure> {
        while let Some(batch) = rows.next().await {
            self.batch(&batch.map_err(Failure::Rows)?).await?;
        }
        if let (Some(packer), Some(writer)) = (&mut self.packer, &mut self.writer) {
            push_packed(writer, packer.take()).await.map_err(Failure::Written)?;
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
            let Some(writer) = &mut self.writer else {
                return Err(Failure::Rows(EngineError::Internal("rows came after the last".into())));
            };
            if row % ROWS_BETWEEN_COUNTS == 0 {
                self.memory
                    .try_resize(writer.held())
                    .map_err(|error| Failure::Rows(EngineError::from(error)))?;
            }
            let data = self
                .encoder
                .encode(&values, row)
                .map_err(|error| unwritable(&self.target, before + row, &error))?;
            let key = match &keys {
                Keys::Any => keys::any(&mut self.random),
                Keys::Texts(texts) => texts.value(row).to_owned(),
            };
            let record = OutgoingRecord::new(key, data);
            let pushed = match (&mut self.packer, &keys) {
                (Some(packer), _) => push_packed(writer, packer.push(record, ())).await,
                (None, Keys::Any) => writer.push_unordered(record).await,
                (None, Keys::Texts(_)) => writer.push(record).await,
            };
            pushed.map_err(Failure::Written)?;
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    /// Waits until all is acknowledged.
    async fn finish(mut self, cancelled: &CancellationToken) -> Result<WriteTotals, EngineError> {
        let writer = self
            .writer
            .take()
            .ok_or_else(|| EngineError::Internal("a writer is finished twice".into()))?;
        let stop = writer.stop();
        let mut finishing = pin!(writer.finish());
        let finished = tokio::select! {
            biased;
            finished = &mut finishing => finished,
            () = cancelled.cancelled() => {
                stop.cancel();
                let finished = finishing.await;
                let totals = finished.as_ref().map_or_else(|error| error.totals, |totals| *totals);
                self.counts.add(&totals);
                return Err(with_totals(EngineError::Cancelled, &totals));
            }
        };
        match finished {
            Ok(totals) => {
                self.counts.add(&totals);
                Ok(totals)
            }
            Err(error) => {
                self.counts.add(&error.totals);
                Err(error.into())
            }
        }
    }

    /// An error of the rows, not of writing them: with what was written before.
    async fn ended_early(mut self, error: EngineError) -> EngineError {
        let Some(writer) = self.writer.take() else { return error };
        let totals = writer.abandon().await;
        self.counts.add(&totals);
        with_totals(error, &totals)
    }
}

/// Its client went away: nobody is told, but it is counted.
impl Drop for RowWriter {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            let totals = writer.totals();
            self.counts.add(&totals);
            tracing::info!(table = %self.target.name, acknowledged = totals.acknowledged, "writing ended early");
        }
    }
}

/// Aggregates for the shards that are open now.
async fn packer(source: &dyn ShardSource, stream: &str) -> Result<Packer<()>, EngineError> {
    let shards = source.list_shards(stream).await?;
    let open = shards.into_iter().filter(|shard| shard.ending_sequence.is_none());
    Ok(Packer::new(open.map(|shard| HashRange {
        start: shard.hash_start,
        end: shard.hash_end,
    })))
}

async fn push_packed(writer: &mut Writer, packed: Vec<Packed<()>>) -> Result<(), WriteError> {
    for packed in packed {
        writer.push(packed.record).await?;
    }
    Ok(())
}

fn with_totals(error: EngineError, totals: &WriteTotals) -> EngineError {
    match (totals.acknowledged, totals.uncertain) {
        (0, 0) => error,
        _ => EngineError::Write {
            category: error.category(),
            message: format!("{error}; {totals}"),
        },
    }
}

fn unwritable(target: &Target, row: usize, error: &EncodeError) -> Failure {
    Failure::Rows(EngineError::Invalid(format!(
        "table `{CATALOG}.{}`, row {}: {error}",
        target.name,
        row + 1
    )))
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
