//! The rows of a statement: endpoints fetched side by side, handed out in the server's order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::Ticket;
use arrow_flight::decode::DecodedPayload;
use futures::TryStreamExt;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::client::{Answer, Client, ClientError};

/// Endpoints fetched at a time.
const AT_A_TIME: usize = 16;
/// Batches that an endpoint may be ahead of the one that is printed.
const AHEAD: usize = 4;

/// What the server says at a stream's end.
#[derive(Debug, Default, Deserialize)]
struct Facts {
    #[serde(default)]
    bytes_cached: u64,
    #[serde(default)]
    bytes_read: u64,
}

/// What has come in so far, on all endpoints.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// Rows.
    pub(crate) rows: AtomicU64,
    /// Bytes that the statement took from the server's memory, as endpoints that ended report them.
    pub(crate) bytes_cached: AtomicU64,
    /// Bytes that were fetched from Kinesis for it.
    pub(crate) bytes_read: AtomicU64,
}

/// A statement's rows. Dropping it ends what is being fetched.
#[derive(Debug)]
pub(crate) struct Results {
    schema: SchemaRef,
    client: Client,
    waiting: VecDeque<Ticket>,
    open: VecDeque<mpsc::Receiver<Result<RecordBatch, ClientError>>>,
    fetchers: JoinSet<()>,
    received: Arc<Received>,
    incomplete: Option<ClientError>,
}

impl Results {
    /// Starts fetching.
    pub(crate) fn fetch(client: &Client, answer: Answer) -> Self {
        let mut results = Self {
            schema: answer.schema,
            client: client.clone(),
            waiting: answer.tickets.into(),
            open: VecDeque::new(),
            fetchers: JoinSet::new(),
            received: Arc::default(),
            incomplete: None,
        };
        results.fill();
        results
    }

    /// Of every batch.
    pub(crate) const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Counters that move while rows come in.
    pub(crate) fn received(&self) -> Arc<Received> {
        Arc::clone(&self.received)
    }

    /// The next batch that has rows; None after the last one of the last endpoint.
    pub(crate) async fn next(&mut self) -> Result<Option<RecordBatch>, ClientError> {
        while let Some(first) = self.open.front_mut() {
            match first.recv().await {
                // The rows so far were asked for, and so are those of the other endpoints.
                Some(Err(error)) if error.is_incomplete() => {
                    self.incomplete.get_or_insert(error);
                }
                Some(batch) => return batch.map(Some),
                None => {
                    self.open.pop_front();
                    self.fill();
                }
            }
        }
        while let Some(ended) = self.fetchers.join_next().await {
            ended.map_err(|error| ClientError::Answer(format!("fetching an endpoint broke off: {error}")))?;
        }
        Ok(None)
    }

    /// What the server said of rows that are missing, once all others have come.
    pub(crate) fn incomplete(self) -> Option<ClientError> {
        self.incomplete
    }

    fn fill(&mut self) {
        while self.open.len() < AT_A_TIME
            && let Some(ticket) = self.waiting.pop_front()
        {
            let (sender, receiver) = mpsc::channel(AHEAD);
            let (client, received, schema) = (self.client.clone(), Arc::clone(&self.received), Arc::clone(&self.schema));
            self.fetchers.spawn(async move {
                if let Err(error) = endpoint(&client, ticket, &schema, &received, &sender).await {
                    // Nobody listens any more where the results were dropped.
                    drop(sender.send(Err(error)).await);
                }
            });
            self.open.push_back(receiver);
        }
    }
}

/// Fetches one endpoint. Batches without rows keep the connection alive or carry facts; they are no result.
async fn endpoint(
    client: &Client,
    ticket: Ticket,
    schema: &SchemaRef,
    received: &Received,
    sender: &mpsc::Sender<Result<RecordBatch, ClientError>>,
) -> Result<(), ClientError> {
    let mut messages = client.get(ticket).await?;
    let mut started = false;
    while let Some(message) = messages.try_next().await? {
        if let Ok(facts) = serde_json::from_slice::<Facts>(&message.app_metadata()) {
            received.bytes_cached.fetch_add(facts.bytes_cached, Ordering::Relaxed);
            received.bytes_read.fetch_add(facts.bytes_read, Ordering::Relaxed);
        }
        match message.payload {
            DecodedPayload::None => {}
            DecodedPayload::Schema(streamed) => {
                started = true;
                if streamed.fields() != schema.fields() {
                    return Err(ClientError::Answer(format!(
                        "a stream's schema {streamed} is not the announced one, {schema}"
                    )));
                }
            }
            DecodedPayload::RecordBatch(batch) if batch.num_rows() == 0 => {}
            DecodedPayload::RecordBatch(batch) => {
                received.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
                if sender.send(Ok(batch)).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
    // gRPC cannot tell a stream that ended from one that never began; Arrow can.
    if started {
        Ok(())
    } else {
        Err(ClientError::Answer("a stream ended before it began".to_owned()))
    }
}
