//! Rows -> messages of a DoGet stream.
//!
//! The first message is always the schema, the last a batch without rows whose `app_metadata` says what was read; it comes only after all
//! rows, so a client that has it knows that nothing is missing. An error ends the stream with its status; where the rows so far were wanted
//! (OUT_OF_RANGE), the message that says what was read comes before it.
//!
//! A silent stream (a selective filter over a long range) carries a batch without rows every few seconds: proxies cut connections that
//! carry nothing, HTTP/2 pings are not end to end, and a message without header breaks pyarrow.
//!
//! Dropping the stream, which is what happens when a client goes away, drops the engine's.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_flight::FlightData;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoder, FlightDataEncoderBuilder};
use arrow_flight::error::FlightError;
use arrow_select::dictionary::garbage_collect_any_dictionary;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Code, Status};

use super::reply::PANICKED;
use super::status;
use crate::engine::{DoneResult, Execution, ExecutionFacts};

/// Batches are split above this many bytes of columns. Clients refuse messages above 16 MiB, and megabytes are slower than half of one: 8,192 rows
/// of five columns are about this much.
const LARGEST_MESSAGE: usize = 512 << 10;

/// The schema of a table's rows by default: dictionaries as their values.
pub(crate) fn plain_schema(schema: &SchemaRef) -> Result<SchemaRef, Status> {
    FlightDataEncoderBuilder::new()
        .with_schema(Arc::clone(schema))
        .build(stream::empty())
        .known_schema()
        .ok_or_else(|| Status::internal("the encoder knows no schema"))
}

/// Sends what the engine gives as it is: dictionaries are in a result where a statement wants them.
fn encoder(schema: &SchemaRef, batches: BoxStream<'static, Result<RecordBatch, FlightError>>) -> FlightDataEncoder {
    FlightDataEncoderBuilder::new()
        .with_schema(Arc::clone(schema))
        .with_dictionary_handling(DictionaryHandling::Resend)
        // The encoder measures whole buffers, of which a batch may be a small slice; we split ourselves.
        .with_max_flight_data_size(usize::MAX)
        .build(batches)
}

/// What the last message says.
#[derive(Debug)]
enum Facts {
    /// Complete once the rows have ended.
    Execution(Arc<ExecutionFacts>),
    /// Of a statement that ran already.
    Known(serde_json::Value),
}

/// How a stream is kept.
#[derive(Debug)]
pub(crate) struct StreamTerms {
    /// A batch without rows after so long a silence.
    pub(crate) keep_alive: Duration,
    /// When the client gives up.
    pub(crate) deadline: Option<Instant>,
    /// Cancelled when the server begins to stop: what does not end by itself is ended.
    pub(crate) stopping: CancellationToken,
}

/// The messages of one DoGet.
pub(crate) struct RowStream {
    encoder: Option<FlightDataEncoder>,
    facts: Option<Facts>,
    /// The error of an incomplete result, once its facts are sent.
    incomplete: Option<Status>,
    empty: FlightData,
    /// Dictionaries without words, until rows bring theirs: a client reads no batch before it has one for each column.
    dictionaries: Vec<FlightData>,
    /// Messages that follow the one before without a pause.
    waiting: VecDeque<FlightData>,
    /// Whether the schema was sent.
    begun: bool,
    keep_alive: Duration,
    silence: Pin<Box<Sleep>>,
    deadline: Option<Pin<Box<Sleep>>>,
    stopping: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl fmt::Debug for RowStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowStream").field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl RowStream {
    /// Rows that the engine reads.
    pub(crate) fn execution(execution: Execution, terms: &StreamTerms) -> Result<Self, Status> {
        let batches = execution
            .batches
            .map(|batch| batch.map_err(|error| FlightError::Tonic(Box::new(status::engine(&error)))))
            .boxed();
        let stopping = execution.endless.then(|| Box::pin(terms.stopping.clone().cancelled_owned()));
        let mut rows = Self::new(&execution.schema, batches, Facts::Execution(execution.facts), terms)?;
        rows.stopping = stopping;
        Ok(rows)
    }

    /// Rows of a statement that ran already.
    pub(crate) fn done(done: DoneResult, terms: &StreamTerms) -> Result<Self, Status> {
        let facts = done_facts(&done);
        let batches = stream::iter(done.batches.into_iter().map(Ok)).boxed();
        Self::new(&done.schema, batches, Facts::Known(facts), terms)
    }

    fn new(
        schema: &SchemaRef,
        batches: BoxStream<'static, Result<RecordBatch, FlightError>>,
        facts: Facts,
        terms: &StreamTerms,
    ) -> Result<Self, Status> {
        let encoder = encoder(schema, batches.flat_map(|batch| stream::iter(split(batch))).boxed());
        let (dictionaries, empty) = empty_messages(schema).map_err(|error| status::internal("encoding an empty batch", &error))?;
        Ok(Self {
            empty,
            dictionaries,
            waiting: VecDeque::new(),
            begun: false,
            encoder: Some(encoder),
            facts: Some(facts),
            incomplete: None,
            keep_alive: terms.keep_alive,
            silence: Box::pin(tokio::time::sleep(terms.keep_alive)),
            deadline: terms.deadline.map(|at| Box::pin(tokio::time::sleep_until(at))),
            stopping: None,
        })
    }

    fn fail(&mut self, status: Status) -> Poll<Option<Result<FlightData, Status>>> {
        self.encoder = None;
        self.facts = None;
        self.waiting.clear();
        Poll::Ready(Some(Err(status)))
    }

    /// The last message, or what a client needs before it.
    fn last_messages(&mut self) -> Option<FlightData> {
        let last = self.last_message()?;
        Some(self.led(last))
    }

    /// A batch without rows, behind the dictionaries that the client has yet to get.
    fn led(&mut self, message: FlightData) -> FlightData {
        self.waiting.extend(self.dictionaries.drain(..));
        self.waiting.push_back(message);
        self.waiting.pop_front().unwrap_or_default()
    }

    fn last_message(&mut self) -> Option<FlightData> {
        let facts = match self.facts.take()? {
            Facts::Execution(facts) => facts.to_json(),
            Facts::Known(facts) => facts,
        };
        let mut message = self.empty.clone();
        message.app_metadata = Bytes::from(facts.to_string());
        Some(message)
    }
}

impl Stream for RowStream {
    type Item = Result<FlightData, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(message) = this.waiting.pop_front() {
            return Poll::Ready(Some(Ok(message)));
        }
        let Some(encoder) = this.encoder.as_mut() else {
            return Poll::Ready(this.incomplete.take().map(Err));
        };
        if let Some(stopping) = this.stopping.as_mut()
            && stopping.as_mut().poll(cx).is_ready()
        {
            return this.fail(status::unavailable("the server stops"));
        }
        if let Some(deadline) = this.deadline.as_mut()
            && deadline.as_mut().poll(cx).is_ready()
        {
            return this.fail(Status::deadline_exceeded("the call's own timeout (grpc-timeout) is over"));
        }
        let Ok(polled) = catch_unwind(AssertUnwindSafe(|| encoder.poll_next_unpin(cx))) else {
            return this.fail(Status::internal(PANICKED));
        };
        let message = match polled {
            Poll::Ready(Some(Ok(message))) => {
                // the first message is the schema; the next ones bring dictionaries and rows
                if std::mem::replace(&mut this.begun, true) {
                    this.dictionaries.clear();
                }
                message
            }
            Poll::Ready(Some(Err(error))) => {
                let status = status::encoding(error);
                let facts = match status.code() {
                    Code::OutOfRange => this.last_messages(),
                    _ => None,
                };
                return match facts {
                    Some(facts) => {
                        this.encoder = None;
                        this.incomplete = Some(status);
                        Poll::Ready(Some(Ok(facts)))
                    }
                    None => this.fail(status),
                };
            }
            Poll::Ready(None) => {
                this.encoder = None;
                return Poll::Ready(this.last_messages().map(Ok));
            }
            Poll::Pending => {
                if this.silence.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                let empty = this.empty.clone();
                this.led(empty)
            }
        };
        let next = Instant::now() + this.keep_alive;
        this.silence.as_mut().reset(next);
        Poll::Ready(Some(Ok(message)))
    }
}

/// The messages of a batch without rows: its dictionaries, and itself. The encoder itself sends none.
fn empty_messages(schema: &SchemaRef) -> Result<(Vec<FlightData>, FlightData), ArrowError> {
    let (generator, options) = (IpcDataGenerator::default(), IpcWriteOptions::default());
    let mut tracker = DictionaryTracker::new(false);
    // numbers the dictionaries as the schema that the encoder sends does
    generator.schema_to_bytes_with_dictionary_tracker(schema, &mut tracker, &options);
    let batch = RecordBatch::new_empty(Arc::clone(schema));
    let (dictionaries, batch) = generator.encode(&batch, &mut tracker, &options, &mut IpcWriteContext::default())?;
    Ok((dictionaries.into_iter().map(Into::into).collect(), batch.into()))
}

/// Pieces of at most [`LARGEST_MESSAGE`] bytes, or of one row, by what the batch itself holds of its buffers.
fn split(batch: Result<RecordBatch, FlightError>) -> Vec<Result<RecordBatch, FlightError>> {
    let mut pieces = Vec::new();
    let mut left = vec![batch.and_then(with_used_words)];
    while let Some(batch) = left.pop() {
        match batch.and_then(|batch| Ok((sent_bytes(&batch)?, batch))) {
            Err(error) => return vec![Err(error)],
            Ok((bytes, batch)) if bytes > LARGEST_MESSAGE && batch.num_rows() > 1 => {
                // Pieces of equally many rows, with some room: rows differ, and a piece that is too large after all is split again.
                let rows = batch.num_rows();
                let step = rows.div_ceil((bytes + bytes / 8).div_ceil(LARGEST_MESSAGE).clamp(2, rows));
                let starts = (0..rows).step_by(step).rev();
                left.extend(starts.map(|start| with_used_words(batch.slice(start, step.min(rows - start)))));
            }
            Ok((_, batch)) => pieces.push(Ok(batch)),
        }
    }
    pieces
}

/// Each dictionary with the words alone that the rows use: it is sent with them, and a piece of a batch has the words of the whole.
fn with_used_words(batch: RecordBatch) -> Result<RecordBatch, FlightError> {
    let is_dictionary = |column: &ArrayRef| matches!(column.data_type(), DataType::Dictionary(..));
    if !batch.columns().iter().any(is_dictionary) {
        return Ok(batch);
    }
    let columns = batch.columns().iter().map(|column| match column.as_any_dictionary_opt() {
        Some(dictionary) => garbage_collect_any_dictionary(dictionary),
        None => Ok(Arc::clone(column)),
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    // a dictionary is a column: there is one, so the number of rows is known
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

fn sent_bytes(batch: &RecordBatch) -> Result<usize, FlightError> {
    let columns = batch.columns().iter().map(|column| column.to_data().get_slice_memory_size());
    Ok(columns.sum::<Result<usize, _>>()?)
}

/// The facts of a statement that read no stream, under the keys that a query's have.
pub(crate) fn done_facts(done: &DoneResult) -> serde_json::Value {
    serde_json::json!({
        "query_id": done.query_id,
        "rows": done.batches.iter().map(RecordBatch::num_rows).sum::<usize>(),
        "bytes_cached": 0,
        "bytes_read": 0,
        "shards": [],
    })
}

#[cfg(test)]
mod tests;
