//! Iterations that are kept: what each holds of every shard.

use async_trait::async_trait;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::Field;
use shard_reader::checkpoints::{Consumer, IterationNumber, IterationState, RangeStart, ranges_between};
use shard_reader::{Position, ShardId};

use super::super::error::EngineError;
use super::checkpoints::starts_at;
use super::columns::{flag, number, number_field, text, text_field, time, time_field};
use super::{Facts, SystemTable};

#[derive(Debug)]
pub(super) struct Iterations;

struct Row {
    consumer: Consumer,
    number: IterationNumber,
    state: IterationState,
    opened_ms: i64,
    shard: ShardId,
    /// `None`: what it follows on is no longer kept.
    start: Option<Position>,
    end: Position,
    closed: bool,
}

#[async_trait]
impl SystemTable for Iterations {
    fn name(&self) -> &'static str {
        "iterations"
    }

    fn comment(&self) -> &'static str {
        "kept iterations of named consumers, a row for each shard"
    }

    fn fields(&self) -> Vec<Field> {
        vec![
            text_field("checkpoint"),
            text_field("stream"),
            number_field("iteration"),
            text_field("state"),
            time_field("opened_at"),
            text_field("shard"),
            text_field("start_position"),
            text_field("end_position"),
            Field::new("shard_closed", datafusion::arrow::datatypes::DataType::Boolean, true),
        ]
    }

    async fn columns(&self, facts: &Facts) -> Result<Vec<ArrayRef>, EngineError> {
        let store = facts.checkpoints.as_ref();
        let mut rows = Vec::new();
        for (consumer, head) in store.consumers().await? {
            if !facts.sees(&consumer) {
                continue;
            }
            for iteration in store.iterations(&consumer).await? {
                let previous = starts_at(store, &consumer, iteration.start).await?;
                let ranges = ranges_between(&previous.clone().unwrap_or_default(), &iteration.starts, &iteration.ends);
                rows.extend(ranges.into_iter().map(|range| Row {
                    consumer: consumer.clone(),
                    number: iteration.number,
                    state: head.state_of(iteration.number),
                    opened_ms: iteration.opened_ms,
                    start: match range.start {
                        RangeStart::At(start) => Some(start),
                        RangeStart::First => previous.as_ref().map(|_| Position::TrimHorizon),
                    },
                    end: range.end,
                    closed: iteration.ends.shards.get(&range.shard).is_some_and(|end| end.closed_ms.is_some()),
                    shard: range.shard,
                }));
            }
        }
        Ok(vec![
            text(&rows, |row| Some(row.consumer.name.as_str())),
            text(&rows, |row| Some(&row.consumer.stream)),
            number(&rows, |row| Some(row.number.0)),
            text(&rows, |row| Some(row.state.as_str())),
            time(&rows, |row| Some(row.opened_ms)),
            text(&rows, |row| Some(&row.shard)),
            text(&rows, |row| row.start),
            text(&rows, |row| Some(row.end)),
            flag(&rows, |row| Some(row.closed)),
        ])
    }
}
