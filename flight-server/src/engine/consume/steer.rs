//! Checkpoints reset, given up and deleted: explicit, and recorded.

use std::sync::Arc;

use catalog::{Start, TableName};
use shard_reader::StreamReader;
use shard_reader::checkpoints::{Base, CheckpointName, Consumer, Head, IterationNumber, IterationState};
use shard_reader::{Freshness, OnGap};
use tokio::time::Instant;

use super::super::error::{EngineError, ErrorCategory};
use super::super::options::OptionValues;
use super::super::plan::Engine;
use super::super::statement_options::StatementOptions;
use super::open::stated;
use super::positions::{StreamPositions, WAYS_OF_CHECKPOINTS};

/// What was done to a consumer.
#[derive(Debug)]
pub struct Steered {
    /// Which.
    pub consumer: Consumer,
    /// The iteration that comes next; `None` if the consumer is gone.
    pub next: Option<IterationNumber>,
    /// In words.
    pub done: String,
}

impl Engine {
    /// The consumer starts elsewhere. What was open is given up.
    pub(in super::super) async fn reset_checkpoint(
        &self,
        principal: &str,
        options: &StatementOptions,
        name: &str,
        table: &str,
        to: &str,
    ) -> Result<Steered, EngineError> {
        let name = checkpoint(name)?;
        let reader = self.stream_of(options, table).await?;
        let consumer = Consumer {
            name,
            stream: reader.arn().into(),
        };
        let store = self.consumers().store();
        let head = store.head(&consumer).await?;
        let positions = StreamPositions {
            ways_on: WAYS_OF_CHECKPOINTS,
            whose: consumer.to_string(),
            arrived: Instant::now(),
            freshness: Freshness::Latest,
            on_gap: OnGap::Fail,
            reader,
        };
        let base = match to.strip_prefix("iteration:") {
            Some(number) => {
                let number = number.trim().parse().map(IterationNumber);
                let number = number.map_err(|_| EngineError::Invalid(format!("`{to}` names no iteration; write iteration:N")))?;
                self.behind(&consumer, head.as_ref(), number, &positions).await?
            }
            None => {
                let start = to
                    .parse::<Start>()
                    .map_err(|error| EngineError::Invalid(format!("reset_checkpoint: {error}; or iteration:N")))?;
                Base {
                    ends: positions.base(start).await?,
                    stated: stated(start),
                    at_ms: positions.reader.now_ms(),
                }
            }
        };
        let seen = head.as_ref().map(|head| head.version);
        let head = store
            .set_base(&consumer, positions.reader.identity(), seen, &base, principal)
            .await?;
        self.consumers().forget(&consumer);
        tracing::info!(%consumer, to, principal, next = head.next.0, "checkpoint reset");
        Ok(Steered {
            consumer,
            next: Some(head.next),
            done: format!("reset to {}", base.stated),
        })
    }

    /// As if a kept iteration had been the last one committed.
    async fn behind(
        &self,
        consumer: &Consumer,
        head: Option<&Head>,
        number: IterationNumber,
        positions: &StreamPositions,
    ) -> Result<Base, EngineError> {
        let store = self.consumers().store();
        let head = head.ok_or_else(|| EngineError::NotFound(format!("{consumer} has no past, so there is no iteration {number}")))?;
        let iteration = store.iteration(consumer, number).await?;
        let iteration = iteration
            .filter(|iteration| iteration.created_ms == positions.reader.identity().created_ms)
            .filter(|_| head.state_of(number) == IterationState::Committed)
            .ok_or_else(|| {
                EngineError::FailedPrecondition(format!(
                    "{consumer}: iteration {number} is no committed one that is kept; see kinesis.system.iterations"
                ))
            })?;
        Ok(Base {
            ends: iteration.ends,
            stated: format!("iteration:{number}"),
            at_ms: positions.reader.now_ms(),
        })
    }

    /// The open iteration is given up: its records belong to the next one.
    pub(in super::super) async fn abandon_iteration(
        &self,
        principal: &str,
        options: &StatementOptions,
        name: &str,
        table: &str,
    ) -> Result<Steered, EngineError> {
        let (consumer, head) = self.known_consumer(options, name, table).await?;
        let open = head
            .open
            .as_ref()
            .ok_or_else(|| EngineError::FailedPrecondition(format!("{consumer}: no iteration is open; the next one is {}", head.next)))?;
        let after = self.consumers().store().abandon(&consumer, head.version, principal).await?;
        tracing::info!(%consumer, iteration = open.number.0, principal, "iteration given up");
        Ok(Steered {
            done: format!("iteration {} given up", open.number),
            next: Some(after.next),
            consumer,
        })
    }

    /// Forgets a consumer, of one stream or of all.
    pub(in super::super) async fn delete_checkpoint(
        &self,
        principal: &str,
        options: &StatementOptions,
        name: &str,
        table: Option<&str>,
    ) -> Result<Vec<Steered>, EngineError> {
        let found = match table {
            Some(table) => vec![self.known_consumer(options, name, table).await?],
            None => self.known_consumers(name).await?,
        };
        if found.is_empty() {
            return Err(EngineError::NotFound(format!("there is no checkpoint `{name}`")));
        }
        let mut deleted = Vec::new();
        for (consumer, _) in found {
            self.consumers().store().delete(&consumer).await?;
            self.consumers().forget(&consumer);
            tracing::info!(%consumer, principal, "checkpoint deleted");
            deleted.push(Steered {
                consumer,
                next: None,
                done: "deleted".into(),
            });
        }
        Ok(deleted)
    }

    /// Consumers of that name which the store knows.
    async fn known_consumers(&self, name: &str) -> Result<Vec<(Consumer, Head)>, EngineError> {
        let name = checkpoint(name)?;
        let all = self.consumers().store().consumers().await?;
        Ok(all.into_iter().filter(|(consumer, _)| consumer.name == name).collect())
    }

    /// The consumer of that name and stream. The stream need not be there any more; as long as it is, a table says which one of its name is meant.
    async fn known_consumer(&self, options: &StatementOptions, name: &str, table: &str) -> Result<(Consumer, Head), EngineError> {
        let mut found = self.known_consumers(name).await?;
        let stream = match self.defined_stream(options, table) {
            Some((_, definition)) => definition.stream.clone(),
            None => table.to_owned(),
        };
        found.retain(|(consumer, _)| means(&stream, &consumer.stream));
        if self.defined_stream(options, table).is_some() {
            match self.stream_of(options, table).await {
                Ok(reader) => found.retain(|(consumer, _)| *consumer.stream == *reader.arn()),
                // the stream is gone, and its consumers are found by its name
                Err(error) if error.category() == ErrorCategory::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        match found.pop() {
            Some(only) if found.is_empty() => Ok(only),
            None => Err(EngineError::NotFound(format!("there is no checkpoint `{name}` of `{table}`"))),
            Some(last) => {
                let streams: Vec<&str> = found.iter().chain([&last]).map(|(consumer, _)| &*consumer.stream).collect();
                Err(EngineError::Invalid(format!(
                    "checkpoint `{name}` has several streams that `{table}` may mean; name one: {}",
                    streams.join(", ")
                )))
            }
        }
    }

    /// The name of a table's stream, or what is said where there is no such table.
    pub fn stream_name(&self, table: &str) -> Result<String, EngineError> {
        let options = StatementOptions::resolve(&OptionValues::default())?;
        let known = self.defined_stream(&options, table);
        let stream = known.map_or_else(|| table.to_owned(), |(_, definition)| definition.stream.clone());
        Ok(bare(&stream).to_owned())
    }

    fn defined_stream(&self, options: &StatementOptions, table: &str) -> Option<(TableName, Arc<catalog::TableDefinition>)> {
        let within = table.strip_prefix("kinesis.").unwrap_or(table);
        let (schema, table) = within.split_once('.').unwrap_or((&options.schema, within));
        let name = TableName {
            schema: schema.to_owned(),
            table: table.to_owned(),
        };
        let definition = self.catalog().current().tables.get(&name).cloned()?;
        Some((name, definition))
    }

    /// The reader of a table's stream, or of a stream that a table is over.
    pub(super) async fn stream_of(&self, options: &StatementOptions, table: &str) -> Result<Arc<StreamReader>, EngineError> {
        let definition = match self.defined_stream(options, table) {
            Some((_, definition)) => definition,
            None => self.table_over(table)?,
        };
        let (key, source) = self.sources().source(definition.kinesis.as_ref()).await?;
        Ok(self.readers().stream(&key, source, &definition.stream).await?)
    }

    /// A table over a stream that is named by its name or ARN.
    fn table_over(&self, stream: &str) -> Result<Arc<catalog::TableDefinition>, EngineError> {
        let known = self.catalog().current();
        let mut over: Vec<_> = known.tables.values().filter(|table| means(stream, &table.stream)).collect();
        if over.iter().any(|table| table.stream == stream) {
            over.retain(|table| table.stream == stream);
        }
        let first = over
            .first()
            .ok_or_else(|| EngineError::NotFound(format!("there is no table `{stream}`, and no table over a stream of that name")))?;
        let is_same = |table: &&Arc<catalog::TableDefinition>| (&table.stream, &table.kinesis) == (&first.stream, &first.kinesis);
        if over.iter().all(is_same) {
            return Ok(Arc::clone(first));
        }
        Err(EngineError::Invalid(format!(
            "tables are over several streams that `{stream}` may mean; name a table"
        )))
    }
}

/// Whether a stream is the one that is said: by ARN, or by name where one of the two is no more.
fn means(said: &str, stream: &str) -> bool {
    stream == said || bare(stream) == said || stream == bare(said)
}

/// A stream's name; of an ARN, the one in it.
fn bare(stream: &str) -> &str {
    stream.rsplit_once(":stream/").map_or(stream, |(_, name)| name)
}

pub(super) fn checkpoint(name: &str) -> Result<CheckpointName, EngineError> {
    name.parse::<CheckpointName>()
        .map_err(|error| EngineError::Invalid(error.to_string()))
}
