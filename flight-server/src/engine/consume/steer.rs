//! Checkpoints reset, given up and deleted: explicit, and recorded.

use std::sync::Arc;

use catalog::{Start, TableName};
use shard_reader::StreamReader;
use shard_reader::checkpoints::{Base, CheckpointName, Consumer, Head, IterationNumber, IterationState};
use shard_reader::{Freshness, OnGap};
use tokio::time::Instant;

use super::super::error::EngineError;
use super::super::options::OptionValues;
use super::super::plan::Engine;
use super::super::statement_options::StatementOptions;
use super::open::stated;
use super::positions::StreamPositions;

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
        let mut found = self.known_consumers(options, name, Some(table)).await?;
        let (Some((consumer, head)), true) = (found.pop(), found.is_empty()) else {
            return Err(EngineError::NotFound(format!(
                "there is no checkpoint `{name}` of `{table}`, or several"
            )));
        };
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
        options: &StatementOptions,
        name: &str,
        table: Option<&str>,
    ) -> Result<Vec<Steered>, EngineError> {
        let found = self.known_consumers(options, name, table).await?;
        if found.is_empty() {
            let of = table.map_or_else(String::new, |table| format!(" of `{table}`"));
            return Err(EngineError::NotFound(format!("there is no checkpoint `{name}`{of}")));
        }
        let mut deleted = Vec::new();
        for (consumer, _) in found {
            self.consumers().store().delete(&consumer).await?;
            tracing::info!(%consumer, "checkpoint deleted");
            deleted.push(Steered {
                consumer,
                next: None,
                done: "deleted".into(),
            });
        }
        Ok(deleted)
    }

    /// Consumers of that name which the store knows. The stream need not be there any more.
    async fn known_consumers(
        &self,
        options: &StatementOptions,
        name: &str,
        table: Option<&str>,
    ) -> Result<Vec<(Consumer, Head)>, EngineError> {
        let name = checkpoint(name)?;
        let stream = table.map(|table| match self.defined_stream(options, table) {
            Some((_, definition)) => definition.stream.clone(),
            None => table.to_owned(),
        });
        let is_of = |consumer: &Consumer| {
            stream.as_deref().is_none_or(|stream| {
                let known = &*consumer.stream;
                known == stream || known.rsplit_once(":stream/").is_some_and(|(_, name)| name == stream)
            })
        };
        let all = self.consumers().store().consumers().await?;
        Ok(all
            .into_iter()
            .filter(|(consumer, _)| consumer.name == name && is_of(consumer))
            .collect())
    }

    /// The name of a table's stream, or what is said where there is no such table.
    pub fn stream_name(&self, table: &str) -> String {
        let options = StatementOptions::resolve(&OptionValues::default());
        let known = options.ok().and_then(|options| self.defined_stream(&options, table));
        let stream = known.map_or_else(|| table.to_owned(), |(_, definition)| definition.stream.clone());
        match stream.rsplit_once(":stream/") {
            Some((_, name)) => name.to_owned(),
            None => stream,
        }
    }

    fn defined_stream(&self, options: &StatementOptions, table: &str) -> Option<(TableName, Arc<catalog::TableDefinition>)> {
        let bare = table.strip_prefix("kinesis.").unwrap_or(table);
        let (schema, table) = bare.split_once('.').unwrap_or((&options.schema, bare));
        let name = TableName {
            schema: schema.to_owned(),
            table: table.to_owned(),
        };
        let definition = self.catalog().current().tables.get(&name).cloned()?;
        Some((name, definition))
    }

    /// The reader of a table's stream, or of a stream that a table is over.
    pub(super) async fn stream_of(&self, options: &StatementOptions, table: &str) -> Result<Arc<StreamReader>, EngineError> {
        let known = self.catalog().current();
        let over = || known.tables.values().find(|definition| definition.stream == *table).cloned();
        let definition = match self.defined_stream(options, table) {
            Some((_, definition)) => Some(definition),
            None => over(),
        };
        let definition = definition
            .ok_or_else(|| EngineError::NotFound(format!("there is no table `{table}`, and no table over a stream of that name")))?;
        let (key, source) = self.sources().source(definition.kinesis.as_ref()).await?;
        Ok(self.readers().stream(&key, source, &definition.stream).await?)
    }
}

pub(super) fn checkpoint(name: &str) -> Result<CheckpointName, EngineError> {
    name.parse::<CheckpointName>()
        .map_err(|error| EngineError::Invalid(error.to_string()))
}
