//! What a statement reads of streams whose positions a checkpoint or a transaction decides.

use std::collections::BTreeMap;
use std::sync::Arc;

use shard_reader::Snapshot;
use shard_reader::checkpoints::{CheckpointName, Consumer};
use tokio::time::Instant;

use super::super::error::EngineError;
use super::super::explain;
use super::super::pin;
use super::super::plan::{Engine, Statement};
use super::super::statement_options::CheckpointMode;
use super::super::table::StreamTable;
use super::open::ConsumerAt;
use super::positions::{StreamPositions, WAYS_OF_CHECKPOINTS};
use super::transaction::{HeldStream, State, Transaction};
use super::{Consumers, Consumption};

/// What is fixed before a statement is pinned, by the key of the stream.
#[derive(Debug, Default)]
pub(in super::super) struct Fixed {
    /// What is read, as a whole.
    pub(in super::super) ranges: BTreeMap<pin::StreamKey, Snapshot>,
    /// Where reading ends; the statement says where it starts.
    pub(in super::super) ends: BTreeMap<pin::StreamKey, Snapshot>,
    /// What the statement consumes.
    pub(in super::super) consumption: Option<Consumption>,
}

/// How a statement reads.
enum Mode {
    /// Each stream as it comes.
    Plain,
    /// From the checkpoint on, or an iteration again.
    Observe(CheckpointName),
    /// The next iteration of the checkpoint.
    Consume(CheckpointName),
}

impl Engine {
    /// Fixes what a checkpoint or a transaction decides.
    pub(in super::super) async fn fix(
        &self,
        statement: &Statement,
        transaction: Option<&Arc<Transaction>>,
        sql: &str,
        arrived: Instant,
    ) -> Result<Fixed, EngineError> {
        let mut fixed = Fixed::default();
        let options = &statement.options;
        let consumes = options.checkpoint_mode == CheckpointMode::Consume
            && (transaction.is_some() || options.commit_on_read)
            && explain::explained(&statement.plan).is_none();
        let mode = match (&options.checkpoint, consumes, options.iteration) {
            (Some(name), true, _) => Mode::Consume(name.clone()),
            (Some(name), false, _) => Mode::Observe(name.clone()),
            (None, false, None) => Mode::Plain,
            (None, ..) if statement.tables.is_empty() => Mode::Plain,
            (None, ..) => {
                return Err(EngineError::Invalid(
                    "no checkpoint is named: SET kinesis.checkpoint_name = 'name' names the one to read by".into(),
                ));
            }
        };
        let repeatable = transaction.filter(|transaction| transaction.is_repeatable() || consumes);
        if let (Mode::Plain, None) = (&mode, repeatable) {
            if let Some(transaction) = transaction {
                transaction.state.lock().await.check()?;
            }
            return Ok(fixed);
        }
        if let Some(table) = statement.tables.iter().find(|table| table.history().is_some()) {
            return Err(EngineError::NotSupported(format!(
                "table {} has a history, which no checkpoint or repeatable transaction knows: read another table over the stream, without `history`",
                table.name()
            )));
        }
        // a statement that commits by itself is a transaction of its own
        let own = Transaction::new(false);
        let within = transaction.unwrap_or(&own);
        let mut state = within.state.lock().await;
        state.check()?;
        if consumes && statement.follow && !statement.tables.is_empty() {
            return Err(EngineError::Invalid(
                "FOLLOW has no end, so no checkpoint can move by it: SET kinesis.checkpoint_mode = 'observe' follows from the checkpoint on".into(),
            ));
        }
        let streams = pin::by_stream(&statement.tables).await?;
        let many = streams.len() > 1;
        let mut iterations = Vec::new();
        for (key, tables) in streams {
            let Some(table) = tables.first() else { continue };
            let reading = Reading {
                consumers: self.consumers(),
                statement,
                table,
                arrived,
                many,
            };
            let chosen = options
                .checkpoint_tables
                .as_deref()
                .map(|list| is_listed(list, &tables, &options.schema));
            match &mode {
                Mode::Consume(name) if chosen != Some(false) => {
                    let (consumer, held) = reading.consume(name, within, &mut state, chosen.is_some()).await?;
                    match held {
                        HeldStream::Consumed { number, snapshot, .. } => {
                            if !iterations.contains(&(consumer.clone(), number)) {
                                iterations.push((consumer, number));
                            }
                            fixed.ranges.insert(key, snapshot);
                        }
                        // an old iteration, read again
                        HeldStream::Seen { ends } | HeldStream::Observed { snapshot: ends, .. } => {
                            fixed.ranges.insert(key, ends);
                        }
                    }
                }
                Mode::Observe(name) if chosen != Some(false) => {
                    let once = repeatable.is_some().then_some(&mut *state);
                    fixed.ranges.insert(key, reading.observe(name, once).await?);
                }
                _ if repeatable.is_some() => {
                    fixed.ends.insert(key, reading.see(&mut state).await?);
                }
                _ => {}
            }
        }
        if !iterations.is_empty() {
            iterations.sort();
            let on_read = transaction.is_none();
            fixed.consumption = Some(Consumption::new(iterations, &within.owner, sql, on_read, &statement.plan));
        }
        Ok(fixed)
    }
}

/// Whether the option names one of the tables.
fn is_listed(list: &[String], tables: &[StreamTable], schema: &str) -> bool {
    let names = |table: &StreamTable| {
        let name = table.name();
        list.iter().any(|listed| {
            let listed = listed.strip_prefix("kinesis.").unwrap_or(listed);
            *listed == name.to_string() || (*listed == name.table && name.schema == schema)
        })
    };
    tables.iter().any(names)
}

/// One stream of a statement.
struct Reading<'a> {
    consumers: &'a Consumers,
    statement: &'a Statement,
    table: &'a StreamTable,
    arrived: Instant,
    /// The statement reads several streams.
    many: bool,
}

impl<'a> Reading<'a> {
    async fn at(&self, name: &CheckpointName) -> Result<ConsumerAt<'a>, EngineError> {
        let reader = self.table.reader().await?;
        let consumer = Consumer {
            name: name.clone(),
            stream: reader.arn().into(),
        };
        let options = &self.statement.options;
        Ok(ConsumerAt {
            consumers: self.consumers,
            positions: StreamPositions {
                ways_on: WAYS_OF_CHECKPOINTS,
                whose: consumer.to_string(),
                reader,
                arrived: self.arrived,
                freshness: pin::freshness(options),
                on_gap: options.on_gap,
            },
            consumer,
            start: options.start,
            max: options.iteration_max,
        })
    }

    /// `chosen`: the option `checkpoint_tables` names it.
    async fn consume(
        &self,
        name: &CheckpointName,
        within: &Transaction,
        state: &mut State,
        chosen: bool,
    ) -> Result<(Consumer, HeldStream), EngineError> {
        let at = self.at(name).await?;
        let stream = Arc::clone(&at.consumer.stream);
        let other = state.consumed().any(|(consumer, _)| consumer.stream != stream);
        if !chosen && (self.many || other) {
            return Err(EngineError::Invalid(format!(
                "the transaction reads several streams: say which tables it consumes, for instance SET kinesis.checkpoint_tables = '{}'; the others are read as without a checkpoint",
                self.table.name()
            )));
        }
        if let Some(number) = self.statement.options.iteration
            && !at.is_next(number).await?
        {
            let ends = at.reread(number).await?;
            return Ok((at.consumer, HeldStream::Seen { ends }));
        }
        match state.streams.get(&stream) {
            Some(held @ HeldStream::Consumed { consumer, .. }) if *consumer == at.consumer => Ok((at.consumer, held.clone())),
            Some(HeldStream::Consumed { consumer, .. }) => Err(EngineError::FailedPrecondition(format!(
                "the transaction consumes by {consumer}, so it cannot consume by another; COMMIT or ROLLBACK first"
            ))),
            Some(HeldStream::Seen { .. } | HeldStream::Observed { .. }) => Err(EngineError::FailedPrecondition(format!(
                "the transaction has read table {} without consuming it; COMMIT or ROLLBACK first",
                self.table.name()
            ))),
            None => {
                let (number, snapshot) = at.next(&within.owner).await?;
                let held = HeldStream::Consumed {
                    consumer: at.consumer.clone(),
                    number,
                    snapshot,
                };
                state.streams.insert(stream, held.clone());
                Ok((at.consumer, held))
            }
        }
    }

    /// `once`: the transaction sees it once for all.
    async fn observe(&self, name: &CheckpointName, once: Option<&mut State>) -> Result<Snapshot, EngineError> {
        let at = self.at(name).await?;
        if let Some(number) = self.statement.options.iteration {
            return at.reread(number).await;
        }
        let Some(state) = once else {
            return at.observed().await;
        };
        match state.streams.get(&at.consumer.stream) {
            Some(HeldStream::Observed { name: known, snapshot }) if known == name => Ok(snapshot.clone()),
            Some(_) => Err(EngineError::FailedPrecondition(format!(
                "the transaction has read table {} otherwise than by checkpoint `{name}`; COMMIT or ROLLBACK first",
                self.table.name()
            ))),
            None => {
                let snapshot = at.observed().await?;
                let held = HeldStream::Observed {
                    name: name.clone(),
                    snapshot: snapshot.clone(),
                };
                state.streams.insert(at.consumer.stream, held);
                Ok(snapshot)
            }
        }
    }

    /// The ends that the transaction saw first.
    async fn see(&self, state: &mut State) -> Result<Snapshot, EngineError> {
        let reader = self.table.reader().await?;
        match state.streams.get(reader.arn()) {
            Some(HeldStream::Consumed { snapshot: ends, .. } | HeldStream::Observed { snapshot: ends, .. } | HeldStream::Seen { ends }) => {
                Ok(ends.clone())
            }
            None => {
                let positions = StreamPositions {
                    ways_on: WAYS_OF_CHECKPOINTS,
                    whose: String::new(),
                    arrived: self.arrived,
                    freshness: pin::freshness(&self.statement.options),
                    on_gap: self.statement.options.on_gap,
                    reader,
                };
                let (ends, _) = positions.tips().await?;
                state
                    .streams
                    .insert(positions.reader.arn().into(), HeldStream::Seen { ends: ends.clone() });
                Ok(ends)
            }
        }
    }
}
