//! Named consumers: how far each has come, and who is at work.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::Field;
use shard_reader::StreamReader;
use shard_reader::checkpoints::{CheckpointStore, Consumer, Ends, Head, IterationStart};

use super::super::error::EngineError;
use super::columns::{number, number_field, text, text_field, time, time_field};
use super::{Facts, SystemTable};

#[derive(Debug)]
pub(super) struct Checkpoints;

struct Row {
    consumer: Consumer,
    head: Head,
    ends: Option<Ends>,
    lag_ms: Option<i64>,
}

#[async_trait]
impl SystemTable for Checkpoints {
    fn name(&self) -> &'static str {
        "checkpoints"
    }

    fn comment(&self) -> &'static str {
        "named consumers and how far they have come"
    }

    fn fields(&self) -> Vec<Field> {
        vec![
            text_field("checkpoint"),
            text_field("stream"),
            time_field("stream_created"),
            number_field("committed_iteration"),
            time_field("committed_at"),
            number_field("next_iteration"),
            number_field("open_iteration"),
            time_field("opened_at"),
            text_field("owner"),
            number_field("shards"),
            time_field("complete_to"),
            number_field("lag_ms"),
        ]
    }

    async fn columns(&self, facts: &Facts) -> Result<Vec<ArrayRef>, EngineError> {
        let streams = facts.readers.streams();
        let mut rows = Vec::new();
        for (consumer, head) in facts.checkpoints.consumers().await? {
            let ends = starts_at(facts.checkpoints.as_ref(), &consumer, head.start).await?;
            let reader = streams.iter().find(|reader| *reader.identity() == head.stream);
            let lag_ms = ends.as_ref().and_then(|ends| lag_ms(ends, reader));
            rows.push(Row {
                consumer,
                head,
                ends,
                lag_ms,
            });
        }
        Ok(vec![
            text(&rows, |row| Some(row.consumer.name.as_str())),
            text(&rows, |row| Some(&row.consumer.stream)),
            time(&rows, |row| Some(row.head.stream.created_ms)),
            number(&rows, |row| row.head.committed.as_ref().map(|(number, ..)| number.0)),
            time(&rows, |row| row.head.committed.as_ref().map(|(_, _, at_ms)| *at_ms)),
            number(&rows, |row| Some(row.head.next.0)),
            number(&rows, |row| row.head.open.as_ref().map(|open| open.number.0)),
            time(&rows, |row| row.head.open.as_ref().map(|open| open.opened_ms)),
            text(&rows, |row| row.head.open.as_ref().map(|open| &open.owner.0)),
            number(&rows, |row| row.ends.as_ref().map(|ends| ends.shards.len())),
            time(&rows, |row| row.ends.as_ref().and_then(|ends| ends.as_of_ms)),
            number(&rows, |row| row.lag_ms),
        ])
    }
}

/// The ends that an iteration follows on, if they are kept.
pub(super) async fn starts_at(
    store: &dyn CheckpointStore,
    consumer: &Consumer,
    start: IterationStart,
) -> Result<Option<Ends>, EngineError> {
    Ok(match start {
        IterationStart::Base(number) => store.base(consumer, number).await?.map(|base| base.ends),
        IterationStart::After(number) => store.iteration(consumer, number).await?.map(|before| before.ends),
    })
}

/// How long ago everything was consumed; 0 where this process knows of nothing behind the ends.
fn lag_ms(ends: &Ends, reader: Option<&Arc<StreamReader>>) -> Option<i64> {
    let reader = reader?;
    let is_at_end = |shard: &shard_reader::ShardFacts| {
        let consumed = ends.shards.get(&shard.info.id).map(|end| end.position);
        shard.tip.is_some_and(|tip| consumed.is_some_and(|consumed| consumed >= tip))
    };
    let shards = reader.shards();
    if !shards.is_empty() && shards.iter().all(is_at_end) {
        return Some(0);
    }
    ends.as_of_ms.map(|as_of| reader.now_ms().saturating_sub(as_of).max(0))
}
