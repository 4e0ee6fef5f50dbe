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

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow_flight::encode::{FlightDataEncoder, FlightDataEncoderBuilder};
use arrow_flight::error::FlightError;
use arrow_flight::{FlightData, utils};
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

/// The result schema as it travels: dictionaries as their values.
pub(crate) fn wire_schema(schema: &SchemaRef) -> Result<SchemaRef, Status> {
    encoder(schema, stream::empty().boxed())
        .known_schema()
        .ok_or_else(|| Status::internal("the encoder knows no schema"))
}

fn encoder(schema: &SchemaRef, batches: BoxStream<'static, Result<RecordBatch, FlightError>>) -> FlightDataEncoder {
    FlightDataEncoderBuilder::new()
        .with_schema(Arc::clone(schema))
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
        let wire = encoder
            .known_schema()
            .ok_or_else(|| Status::internal("the encoder knows no schema"))?;
        Ok(Self {
            empty: empty_message(&wire)?,
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
        Poll::Ready(Some(Err(status)))
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
            Poll::Ready(Some(Ok(message))) => message,
            Poll::Ready(Some(Err(error))) => {
                let status = status::encoding(error);
                return match this.last_message().filter(|_| status.code() == Code::OutOfRange) {
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
                return Poll::Ready(this.last_message().map(Ok));
            }
            Poll::Pending => {
                if this.silence.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                this.empty.clone()
            }
        };
        let next = Instant::now() + this.keep_alive;
        this.silence.as_mut().reset(next);
        Poll::Ready(Some(Ok(message)))
    }
}

/// A message of a batch without rows. The encoder itself sends none.
fn empty_message(schema: &SchemaRef) -> Result<FlightData, Status> {
    let batch = RecordBatch::new_empty(Arc::clone(schema));
    utils::batches_to_flight_data(schema, vec![batch])
        .map_err(|error| status::internal("encoding an empty batch", &error))?
        .pop()
        .ok_or_else(|| Status::internal("an empty batch gives no message"))
}

/// Pieces of at most [`LARGEST_MESSAGE`] bytes, or of one row, by what the batch itself holds of its buffers.
fn split(batch: Result<RecordBatch, FlightError>) -> Vec<Result<RecordBatch, FlightError>> {
    let mut pieces = Vec::new();
    let mut left = vec![batch];
    while let Some(batch) = left.pop() {
        match batch.and_then(|batch| Ok((sent_bytes(&batch)?, batch))) {
            Err(error) => return vec![Err(error)],
            Ok((bytes, batch)) if bytes > LARGEST_MESSAGE && batch.num_rows() > 1 => {
                // Pieces of equally many rows, with some room: rows differ, and a piece that is too large after all is split again.
                let rows = batch.num_rows();
                let step = rows.div_ceil((bytes + bytes / 8).div_ceil(LARGEST_MESSAGE).clamp(2, rows));
                let starts = (0..rows).step_by(step).rev();
                left.extend(starts.map(|start| Ok(batch.slice(start, step.min(rows - start)))));
            }
            Ok((_, batch)) => pieces.push(Ok(batch)),
        }
    }
    pieces
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
